"""The pictures of `bayesops demo` and `bayesops profile`; readable in grey."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

from bayesops.profiling import Phases, Profile

if TYPE_CHECKING:
    from bayesops.cli.demo import Portrait

_STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_INK, _PALE = "#1b3a5c", "#b8c4d0"
_HATCHES = ("", "///", "", "...", "xxx")
_FILLS = ("#1b3a5c", "#f2f2f2", "#7fa3c7", "#f2f2f2", "#d9d9d9")


def demo(portraits: "list[Portrait]", num_samples: int, path: Path) -> None:
    """Draw each digit beside the 95 % intervals of its class probabilities."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.5 * len(portraits)), layout="constrained")
        axes = figure.subplots(len(portraits), 2, width_ratios=[1, 2.7], squeeze=False)
        for row, (name, digit) in enumerate(zip(("certain", "uncertain"), portraits, strict=True)):
            _image(axes[row, 0], digit, name)
            _intervals(axes[row, 1], digit)
        figure.suptitle(f"Class probabilities in T = {num_samples} draws")
        handles, labels = axes[0, 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower right", ncols=2, frameon=False)
        figure.savefig(path, dpi=160)


def _image(axes: Any, digit: "Portrait", name: str) -> None:
    axes.imshow(digit.image.numpy(), cmap="gray_r", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.set_title(f"{name}: answer {int(digit.draws.mean(0).argmax())}")
    axes.set_xlabel(f"entropy {digit.entropy:.2f} nats")


def _intervals(axes: Any, digit: "Portrait") -> None:
    mean = digit.draws.mean(0)
    low, high = digit.draws.quantile(0.025, 0), digit.draws.quantile(0.975, 0)
    classes = range(len(mean))
    axes.vlines(classes, low, high, color=_PALE, linewidth=9, label="95 % interval")
    axes.plot(classes, mean, "o", color=_INK, markersize=5, clip_on=False, zorder=3, label="mean")
    axes.set_xticks(classes, [f"{name}\n(label)" if name == digit.label else str(name) for name in classes])
    axes.set_xlim(-0.6, len(mean) - 0.4)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("probability")


def profile(result: Profile, path: Path) -> None:
    """Draw the ratios to T deterministic passes, and where the largest batch's layers spend their time."""
    layers = list(result.layers.items())[-1:]
    layers = [(size, costs) for size, costs in layers if any(cost.phases for cost in costs)]
    with matplotlib.rc_context(_STYLE):
        height = max(3.2, 1.2 + 0.24 * len(layers[0][1]) if layers else 0)
        figure = Figure(figsize=(9.6 if layers else 5.2, height), layout="constrained")
        axes = figure.subplots(1, 1 + bool(layers), squeeze=False)[0]
        _ratios(axes[0], result)
        for size, costs in layers:
            _phases(axes[1], [cost for cost in costs if cost.phases])
            axes[1].set_title(f"time a draw, batch {size}, T = {result.layer_samples}", loc="left")
        legend: Any = figure.legend
        for side, columns, axis in zip(("left", "right"), (2, 4), axes, strict=False):
            legend(*axis.get_legend_handles_labels(), loc=f"outside lower {side}", ncols=columns, frameon=False)
        figure.suptitle(f"{result.model} on {result.machine.threads} threads, {result.machine.capability}")
        figure.savefig(path, dpi=160)


def _ratios(axes: Any, result: Profile) -> None:
    sizes = sorted({case.batch_size for case in result.cases})
    for marker, size in zip("osD^vP*X" * len(sizes), sizes, strict=False):
        cases = sorted((case for case in result.cases if case.batch_size == size), key=lambda case: case.num_samples)
        for name, style, color in (("naive", "--", "#8a8a8a"), ("ours", "-", _INK)):
            spreads = [getattr(case, f"{name}_ratio") for case in cases]
            middle = [spread.median for spread in spreads]
            errors = [
                [spread.median - spread.lower for spread in spreads],
                [spread.upper - spread.median for spread in spreads],
            ]
            label = f"{'naive loop' if name == 'naive' else 'bo.predict'}, batch {size}"
            axes.errorbar(
                [case.num_samples for case in cases], middle, errors, fmt=marker + style, color=color, capsize=3,
                markersize=5, label=label,
            )  # fmt: skip
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    counts = sorted({case.num_samples for case in result.cases})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    values = [ratio for case in result.cases for ratio in (case.naive_ratio.upper, case.ours_ratio.lower)]
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick <= 2 * max(values)]
    ticks = [tick for tick in ticks if tick >= min(1, *values) / 2]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("T")
    axes.set_ylabel("time ÷ T deterministic passes")


def _phases(axes: Any, costs: list[Any]) -> None:
    rows = range(len(costs))
    left = [0.0] * len(costs)
    for field, fill, hatch in zip(fields(Phases), _FILLS, _HATCHES, strict=True):
        widths = [1e6 * cost.seconds * min(1.0, cost.busy) * getattr(cost.phases, field.name) for cost in costs]
        axes.barh(
            rows, widths, left=left, color=fill, hatch=hatch, edgecolor="#444444", linewidth=0.5, label=field.name
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    rest = [1e6 * cost.seconds - done for cost, done in zip(costs, left, strict=True)]
    axes.barh(rows, rest, left=left, color="white", edgecolor="#444444", linewidth=0.5, label="outside kernels")
    axes.plot(
        [1e6 * cost.plain_seconds for cost in costs], rows, "|", color="black", markersize=11, label="plain layer"
    )
    axes.set_yticks(rows, [cost.name for cost in costs])
    axes.invert_yaxis()
    axes.set_xlabel("µs")

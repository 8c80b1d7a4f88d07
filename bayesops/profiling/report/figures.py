"""The plots of a profile; readable in grey."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bayesops.plot.style import GREY, GRID, INK, PALE
from bayesops.plot.style import STYLE as LOOK
from bayesops.profiling.accuracy import Accuracy
from bayesops.profiling.breakdown import Breakdown, Phases
from bayesops.profiling.cases import Case
from bayesops.profiling.report import numbers
from bayesops.profiling.report.tables import batch_sizes
from bayesops.profiling.result import Profile
from bayesops.profiling.rivals import LABELS

STYLE: Any = {**LOOK, "svg.hashsalt": "bayesops", "svg.fonttype": "none"}
_HATCHES = ("", "///", "", "...", "xxx")
_FILLS = ("#1b3a5c", "#f2f2f2", "#7fa3c7", "#f2f2f2", "#d9d9d9")
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_LABEL_LENGTH = 34
# How each way is drawn; those of others are dashed.
_LINES: dict[str, dict[str, Any]] = {
    "naive": {"color": GREY, "marker": "o", "linestyle": "--"},
    "repeated": {"color": "#b07a2a", "marker": "s", "linestyle": "--"},
    "vmap": {"color": "#8c4a6b", "marker": "D", "linestyle": "--"},
    "compiled": {"color": "#4f7d3a", "marker": "P", "linestyle": "--"},
    "bayesian-torch": {"color": "#b5482f", "marker": "^", "linestyle": ":"},
    "torchbnn": {"color": "#c77f5f", "marker": "v", "linestyle": ":"},
    "blitz": {"color": "#7d3b2a", "marker": "<", "linestyle": ":"},
    "ours": {"color": INK, "marker": "o", "linestyle": "-", "linewidth": 2.2},
    "ours_plan": {"color": "#7fa3c7", "marker": "*", "linestyle": "-", "linewidth": 0.9},
    "ours_vmap": {"color": "#7fa3c7", "marker": "d", "linestyle": "-", "linewidth": 0.9},
    "ours_loop": {"color": "#7fa3c7", "marker": "x", "linestyle": "-", "linewidth": 0.9},
}

Plot = tuple[str, float, Callable[[Any], None]]  # what it shows, its height in inches, and how it is drawn


def plots(result: Profile, size: int | None = None) -> Iterator[Plot]:
    """Yield the plots of the whole model, or those of one batch size."""
    if size is None:
        sizes = batch_sizes(result)
        yield "Time of T draws by every way, to that of T plain passes", 3.1, lambda f: _costs(f, result, sizes)
        if any(way.peak_bytes for case in result.cases for way in case.ways.values()):
            height = 0.9 + 0.2 * max(len(case.ways) for case in result.cases)
            yield "Memory at its peak, beyond what is held before", height, lambda f: _memory(f, result, sizes)
        return
    cases = [case for case in result.cases if case.batch_size == size]
    if size in result.accuracy:
        accuracy = result.accuracy[size]
        yield (
            f"Standard errors against draws and against time, batch {size}",
            2.9,
            lambda f: _accuracy(f, accuracy, cases),
        )
    if size in result.layers:
        breakdown = result.layers[size]
        rows = len(_shown(breakdown))
        yield f"Time of each step for a draw, batch {size}", 1.3 + 0.21 * rows, lambda f: _steps(f, breakdown)


def save(result: Profile, file: str | Path) -> None:
    """Draw everything into one image."""
    drawn = [*plots(result), *(plot for size in batch_sizes(result) for plot in plots(result, size))]
    heights = [height + 0.35 for _, height, _ in drawn]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, sum(heights)), layout="constrained")
        parts: Any = figure.subfigures(len(drawn), 1, height_ratios=heights, squeeze=False)
        for part, (title, _, draw) in zip(parts[:, 0], drawn, strict=True):
            draw(part)
            part.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10)
        figure.savefig(file, dpi=160)


def svg(plot: Plot) -> str:
    """Return a plot as an SVG element, to be put into a page: it needs nothing from outside."""
    _, height, draw = plot
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        nothing: Any = {"Creator": None, "Date": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", metadata=nothing, transparent=True)
    text = file.getvalue()
    element = text[text.index("<svg") :]
    # Within HTML the namespaces are known, the size is the page's affair, and other plots have the same ids.
    element = re.sub(r' (xmlns(:xlink)?|width|height)="[^"]*"', "", element, count=4)
    return re.sub(r'<g id="[^"]*"', "<g", element)


def _costs(figure: Any, result: Profile, sizes: list[int]) -> None:
    """One panel for each batch size: ratios against T; bars where there is one T."""
    axes = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    for axis, size in zip(axes, sizes, strict=True):
        cases = [case for case in result.cases if case.batch_size == size]
        if len(cases) == 1:
            _ratio_bars(axis, cases[0])
        else:
            _ratio_lines(axis, cases)
        axis.set_title(f"batch {size}")
    if len(sizes) == len(result.cases):
        return
    axes[0].set_ylabel("time ÷ T plain passes")
    values = [
        spread for case in result.cases for way in case.ways.values() for spread in (way.ratio.lower, way.ratio.upper)
    ]
    ticks = [tick for tick in _TICKS if min(values) / 1.6 <= tick <= 1.6 * max(values)]
    axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    handles: dict[str, Any] = {}
    for axis in axes:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False)


def _ratio_lines(axis: Any, cases: list[Case]) -> None:
    axis.axhline(1, color="black", linewidth=0.8, label=LABELS["deterministic"])
    counts = [case.num_samples for case in cases]
    for name, style in _LINES.items():
        there = [(case.num_samples, case.ways[name].ratio) for case in cases if name in case.ways]
        if there:
            middle = [ratio.median for _, ratio in there]
            spread = [[r.median - r.lower for _, r in there], [r.upper - r.median for _, r in there]]
            axis.errorbar(
                [count for count, _ in there], middle, spread, label=LABELS[name], markersize=4.5, capsize=2,
                zorder=3 if name == "ours" else 2, **style,
            )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(counts, map(str, counts))
    axis.minorticks_off()
    axis.grid(axis="y", **GRID)
    axis.set_xlabel("T")


def _ratio_bars(axis: Any, case: Case) -> None:
    names = [name for name in LABELS if name in case.ways]
    rows = range(len(names))
    widths = [case.ways[name].ratio.median for name in names]
    axis.barh(rows, widths, color=[INK if name == "ours" else PALE for name in names], height=0.7)
    for row, width in zip(rows, widths, strict=True):
        axis.annotate(f"{width:.2f}", (width, row), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(rows, [LABELS[name] for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.margins(x=0.12)
    axis.set_xlabel(f"time ÷ T plain passes, T = {case.num_samples}")


def _memory(figure: Any, result: Profile, sizes: list[int]) -> None:
    """One panel for each batch size: every way at the largest T."""
    axes = figure.subplots(1, len(sizes), squeeze=False)[0]
    for axis, size in zip(axes, sizes, strict=True):
        case = [case for case in result.cases if case.batch_size == size][-1]
        names = [name for name in LABELS if name in case.ways and case.ways[name].peak_bytes]
        rows = range(len(names))
        peaks = [(case.ways[name].peak_bytes or 0) / 2**20 for name in names]
        axis.barh(rows, peaks, color=[INK if name == "ours" else PALE for name in names], height=0.7)
        for row, peak in zip(rows, peaks, strict=True):
            text = numbers.size(int(peak * 2**20))
            axis.annotate(text, (peak, row), (3, 0), textcoords="offset points", va="center", fontsize=8)
        axis.set_yticks(rows, [LABELS[name] for name in names])
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.margins(x=0.2)
        axis.set_xlabel("MiB")
        axis.set_title(f"batch {size}, T = {case.num_samples}")


def _accuracy(figure: Any, accuracy: Accuracy, cases: list[Case]) -> None:
    """Left: errors against T; right: the mean error against the time that each way takes for it."""
    left, right = figure.subplots(1, 2, sharey=True)
    furthest = max([case.num_samples for case in cases] + [row.num_samples for row in accuracy.needed] + [10])
    draws = [10 ** (i / 20) for i in range(int(20 * len(str(furthest))) + 1)]
    for deviation, style, label in (
        (accuracy.deviation_max, "-", "largest of all outputs"),
        (accuracy.deviation_mean, "--", "mean over the outputs"),
    ):  # fmt: skip
        left.plot(draws, [deviation / count**0.5 for count in draws], style, color=INK, label=label)
    if accuracy.entropy_deviation is not None:
        errors = [accuracy.entropy_deviation / count**0.5 for count in draws]
        left.plot(draws, errors, ":", color="#b5482f", label="entropy, nats")
    for row in accuracy.needed:
        left.axhline(row.target, color=GREY, linewidth=0.7)
        left.plot([row.num_samples], [row.target], "o", color=INK, markersize=5, zorder=4)
        left.annotate(
            f"{row.target:g}: T = {row.num_samples:,}", (row.num_samples, row.target), (5, 4),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    left.set_xlabel("T")
    left.set_ylabel("standard error")
    rivals = [case.best_rival for case in cases]
    for name in dict.fromkeys(["naive", rivals[-1], "ours"]):
        there = [case for case in cases if name in case.ways]
        times = [1e3 * case.ways[name].seconds.median for case in there]
        errors = [accuracy.deviation_max / case.num_samples**0.5 for case in there]
        right.plot(times, errors, label=LABELS[name], markersize=4.5, **_LINES[name])
        for case, x, y in zip(there, times, errors, strict=True):
            if name == "ours":
                right.annotate(
                    f"T = {case.num_samples}", (x, y), (-5, -5), textcoords="offset points", fontsize=7.5, color=INK,
                    ha="right", va="center",
                )  # fmt: skip
    right.set_xlabel("milliseconds")
    right.margins(x=0.15)
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.margins(y=0.12)
        axis.grid(**GRID)
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_formatter("{x:g}")
            scale.set_minor_formatter(NullFormatter())
        place = "lower left" if axis is right else "upper right"
        axis.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=8, loc=place)
    left.set_title("what draws give")
    right.set_title("what the largest error costs")


def _shown(breakdown: Breakdown) -> list[Any]:
    return [step for step in breakdown.steps if step.bayesian or step.share >= 0.005]


def _short(text: str) -> str:
    return text if len(text) <= _LABEL_LENGTH else text[: _LABEL_LENGTH - 1] + "…"


def _steps(figure: Any, breakdown: Breakdown) -> None:
    """Horizontal bars: each step's time, by the kernels' phases where it is a Bayesian layer."""
    axis = figure.subplots()
    steps = _shown(breakdown)
    rows = range(len(steps))
    left = [0.0] * len(steps)
    for phase, fill, hatch in zip(fields(Phases), _FILLS, _HATCHES, strict=True):
        widths = [
            1e6 * step.seconds * min(1.0, step.busy or 0) * getattr(step.phases, phase.name) if step.phases else 0.0
            for step in steps
        ]
        if any(widths):
            axis.barh(
                rows, widths, left=left, color=fill, hatch=hatch, edgecolor="#444444", linewidth=0.5, label=phase.name
            )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    uncounted = any(step.bayesian and not step.phases for step in steps)
    outside = "outside the kernels" + uncounted * ",\nor not counted"
    for drawn, fill, label in ((True, "white", outside), (False, PALE, "draws nothing")):
        rest = [
            1e6 * step.seconds - done if step.bayesian is drawn else 0.0 for step, done in zip(steps, left, strict=True)
        ]
        if any(rest):
            axis.barh(rows, rest, left=left, color=fill, edgecolor="#444444", linewidth=0.5, label=label)
    plain = [(row, 1e6 * step.plain_seconds) for row, step in zip(rows, steps, strict=True) if step.plain_seconds]
    axis.plot([x for _, x in plain], [row for row, _ in plain], "|", color="black", markersize=10, label="plain pass")
    axis.set_yticks(rows, [_short(f"{step.name}  {step.kind}") for step in steps])
    axis.set_ylim(len(steps) - 0.5, -0.5)
    axis.grid(axis="x", **GRID)
    axis.set_xlabel(f"µs per draw, T = {breakdown.num_samples}")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

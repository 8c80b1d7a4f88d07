"""The picture of `bayesops demo`; readable in grey."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

from bayesops.profiling.report.figures import INK, PALE

if TYPE_CHECKING:
    from bayesops.cli.demo import Portrait

_STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


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
    axes.vlines(classes, low, high, color=PALE, linewidth=9, label="95 % interval")
    axes.plot(classes, mean, "o", color=INK, markersize=5, clip_on=False, zorder=3, label="mean")
    axes.set_xticks(classes, [f"{name}\n(label)" if name == digit.label else str(name) for name in classes])
    axes.set_xlim(-0.6, len(mean) - 0.4)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("probability")

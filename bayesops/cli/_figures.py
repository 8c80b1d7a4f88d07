"""The picture of `bayesops demo`; readable in grey."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

from bayesops.plot import class_intervals
from bayesops.plot.style import STYLE

if TYPE_CHECKING:
    from bayesops.cli.demo import Portrait


def demo(portraits: "list[Portrait]", num_samples: int, path: Path) -> None:
    """Draw each digit beside the 95 % intervals of its class probabilities."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.5 * len(portraits)), layout="constrained")
        axes = figure.subplots(len(portraits), 2, width_ratios=[1, 2.7], squeeze=False)
        for pair, name, digit in zip(axes, ("certain", "uncertain"), portraits, strict=True):
            class_intervals(digit.draws[:, None], image=digit.image, truth=digit.label, cmap="gray_r", axes=pair)
            pair[0].set_title(f"{name}: {pair[0].get_title()}", loc="center")
        figure.suptitle(f"Class probabilities in T = {num_samples} draws")
        figure.savefig(path, dpi=160)

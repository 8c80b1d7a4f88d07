"""Whether a network is right as often as it says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesops.metrics.results import IntervalCalibrationData, ReliabilityData
from bayesops.plot._canvas import one_axes
from bayesops.plot._values import array, results, wrong_shape
from bayesops.plot.style import EDGE, GREY, GRID, LEGEND, PALE, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (4.0, 4.2)


def reliability_diagram(
    data: ReliabilityData | Mapping[str, ReliabilityData], *, counts: bool = True, ax: "Axes | None" = None
) -> "Axes":
    """Draw each bin's accuracy against its mean confidence, and above them how many predictions the bins hold.

    Points below the diagonal are answers that are wrong more often than the network says.

    Parameters
    ----------
    data : ReliabilityData, or mapping from labels to such
        Of `bayesops.metrics.Reliability`.
    counts : bool
        Draw the counts, on a logarithmic axis; it is ``ax.child_axes[-1]``.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        `ax`, or that of a new figure.

    Raises
    ------
    ValueError
        Data by class: draw those of one class, or of all together.
    TypeError
        Anything else than such data.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, figure 1, with the confidences of
    the bins in place of their middles.

    Examples
    --------
    >>> reliability = bo.metrics.Reliability(num_bins=15)
    >>> reliability.update(prediction, labels)
    >>> bo.plot.reliability_diagram(reliability.compute())
    """
    function = "reliability_diagram"
    lines = results(function, data, ReliabilityData)
    for one in lines.values():
        if one.count.dim() != 1:
            wrong_shape(function, "data", "of all classes together, or of one, count [B]", one.count)
    with one_axes(function, ax, _SIZE) as ax:
        strip = _strip(ax) if counts else None
        _diagonal(ax, "too sure")
        for number, (label, one) in enumerate(lines.items()):
            there = array(function, "data", one.count) > 0
            x, y = (array(function, "data", values)[there] for values in (one.confidence, one.accuracy))
            if len(lines) == 1:
                ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=PALE, linewidth=3, label="gap")
            label = f"{label}, " if label else ""
            ax.plot(x, y, label=f"{label}ECE {float(one.ece):.3f}", **line(number, marker=True))
            if strip is not None:
                _count(strip, one, number, alone=len(lines) == 1)
        ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        ax.grid(**GRID)
        ax.legend(loc="upper left", **LEGEND)
    return ax


def _strip(ax: "Axes") -> "Axes":
    """Make room for the counts above `ax`."""
    strip = ax.inset_axes((0, 1.04, 1, 0.2), sharex=ax)
    strip.set(yscale="log", ylabel="count")
    strip.tick_params(labelbottom=False)
    return strip


def _count(strip: "Axes", data: ReliabilityData, number: int, alone: bool) -> None:
    edges, counts = (array("reliability_diagram", "data", values) for values in (data.edges, data.count))
    look: dict[str, Any] = line(number)
    if alone:
        look = {"fill": True, "facecolor": PALE, "edgecolor": EDGE, "linewidth": 0.6}
    strip.stairs(counts, edges, baseline=0.5, **look)
    strip.set_ylim(0.5, max(2 * counts.max(), strip.get_ylim()[1] if number else 0))


def interval_calibration(
    data: IntervalCalibrationData | Mapping[str, IntervalCalibrationData], *, ax: "Axes | None" = None
) -> "Axes":
    """Draw the share of targets found inside the intervals of a regression against the share that was promised.

    Parameters
    ----------
    data : IntervalCalibrationData, or mapping from labels to such
        Of `bayesops.metrics.IntervalCalibration`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        `ax`, or that of a new figure.

    Raises
    ------
    TypeError
        Anything else than such data.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    Kuleshov, Fenner and Ermon, "Accurate uncertainties for deep learning using calibrated regression", 2018, figure 3;
    here for central intervals.

    Examples
    --------
    >>> calibration = bo.metrics.IntervalCalibration()
    >>> calibration.update(prediction, target)
    >>> bo.plot.interval_calibration(calibration.compute())
    """
    function = "interval_calibration"
    lines = results(function, data, IntervalCalibrationData)
    with one_axes(function, ax, (4.0, 3.6)) as ax:
        _diagonal(ax, "too narrow")
        for number, (label, one) in enumerate(lines.items()):
            levels, coverage = (array(function, "data", values, (1,)) for values in (one.levels, one.coverage))
            label = f"{label}, " if label else ""
            ax.plot(levels, coverage, label=f"{label}error {float(one.error):.3f}", **line(number, marker=True))
        ax.set(xlabel="level of the interval", ylabel="share of targets inside", xlim=(0, 1), ylim=(0, 1))
        ax.grid(**GRID)
        ax.legend(loc="upper left", **LEGEND)
    return ax


def _diagonal(ax: "Axes", below: str) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, label=f"calibrated; below: {below}", zorder=1)

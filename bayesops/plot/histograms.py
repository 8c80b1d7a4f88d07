"""Whether wrong answers are the uncertain ones."""

from typing import TYPE_CHECKING, Any

from bayesops._arguments import wrong_type
from bayesops.metrics.results import HistogramData
from bayesops.plot._canvas import one_axes
from bayesops.plot._values import array
from bayesops.plot.style import COLOURS, EDGE, GRID, LEGEND, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FUNCTION = "entropy_histograms"
_UNITS: dict[float | None, str] = {None: "nats", 2: "bits"}


def entropy_histograms(
    data: HistogramData, *, normalise: bool = True, label: str = "entropy", ax: "Axes | None" = None
) -> "Axes":
    """Draw histograms of the entropies of right and of wrong answers over each other.

    Parameters
    ----------
    data : HistogramData
        Of `bayesops.metrics.EntropyHistogram`.
    normalise : bool
        Draw shares of the right and of the wrong answers, so that the few wrong ones can be seen beside the many right
        ones; otherwise counts.
    label : str
        What is binned; its unit, nats or bits, is added.
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

    Examples
    --------
    >>> histogram = bo.metrics.EntropyHistogram(num_bins=20, num_classes=10, base=2)
    >>> histogram.update(prediction, prediction.mean.argmax(1) == labels)
    >>> bo.plot.entropy_histograms(histogram.compute())
    """
    if not isinstance(data, HistogramData):
        wrong_type(_FUNCTION, "data", "a HistogramData", type(data).__name__)
    edges = array(_FUNCTION, "data", data.edges, (1,))
    groups = {name: array(_FUNCTION, "data", getattr(data, name), (1,)) for name in ("right", "wrong")}
    looks: dict[str, dict[str, Any]] = {
        "right": {"fill": True, "facecolor": PALE, "edgecolor": EDGE, "linewidth": 0.8},
        "wrong": {"fill": True, "facecolor": "none", "edgecolor": COLOURS[1], "hatch": "////", "linewidth": 1.4},
    }
    with one_axes(_FUNCTION, ax) as ax:
        for name, counts in groups.items():
            total = counts.sum()
            heights = 100 * counts / max(total, 1) if normalise else counts
            ax.stairs(heights, edges, label=f"{name} ({total:,})", **looks[name])
        unit = _UNITS.get(data.base, f"base {data.base:g}" if data.base else "")
        ax.set(xlabel=f"{label}, {unit}", xlim=(edges[0], edges[-1]), ylim=(0, None))
        ax.set_ylabel("% of the right, of the wrong answers" if normalise else "answers")
        ax.grid(axis="y", **GRID)
        ax.legend(**LEGEND)
    return ax

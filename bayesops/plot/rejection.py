"""What is gained by keeping only what is certain."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bayesops._arguments import wrong_value
from bayesops.metrics.results import RejectionCurve
from bayesops.plot._canvas import one_axes
from bayesops.plot._values import array, results
from bayesops.plot.style import GREY, GRID, LEGEND, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def precision_recall(data: RejectionCurve | Mapping[str, RejectionCurve], *, ax: "Axes | None" = None) -> "Axes":
    """Draw the accuracy of the most certain part against the size of that part.

    A curve that falls to the right says that what was put aside first, the least certain, was wrong more often.

    Parameters
    ----------
    data : RejectionCurve, or mapping from labels to such
        Of `bayesops.metrics.Rejection` with answers that are right or wrong; one for each measure of uncertainty.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        `ax`, or that of a new figure.

    Raises
    ------
    ValueError
        Curves of errors that are not right and wrong: see `risk_coverage`.
    TypeError
        Anything else than such curves.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", 2017, figure 2.

    Examples
    --------
    >>> rejection = bo.metrics.Rejection()
    >>> rejection.update(prediction.entropy, correct=prediction.mean.argmax(1) == labels)
    >>> bo.plot.precision_recall({"entropy": rejection.compute()})
    """
    function = "precision_recall"
    curves = results(function, data, RejectionCurve)
    if not all(curve.classification for curve in curves.values()):
        wrong_value(function, "data", "curves of right and wrong answers", "errors of another kind (see risk_coverage)")
    with one_axes(function, ax) as ax:
        for number, (label, curve) in enumerate(curves.items()):
            recall, precision = (array(function, "data", values, (1,)) for values in (curve.recall, curve.precision))
            ax.plot(recall, precision, label=label or None, **line(number))
        ax.set(xlabel="recall: share that is kept", ylabel="precision: accuracy of what is kept", xlim=(0, 1))
        ax.grid(**GRID)
        if any(curves):
            ax.legend(**LEGEND)
    return ax


def risk_coverage(
    data: RejectionCurve | Mapping[str, RejectionCurve], *, oracle: bool = True, ax: "Axes | None" = None
) -> "Axes":
    """Draw the mean error of the most certain part against the size of that part, with the area under the curve.

    Parameters
    ----------
    data : RejectionCurve, or mapping from labels to such
        Of `bayesops.metrics.Rejection`; one for each measure of uncertainty.
    oracle : bool
        Draw what the best order there is would give, that of the errors themselves; once for curves of the same errors.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        `ax`, or that of a new figure.

    Raises
    ------
    TypeError
        Anything else than such curves.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", 2019, figure 1.

    Examples
    --------
    >>> bo.plot.risk_coverage({"entropy": by_entropy.compute(), "variance": by_variance.compute()})
    """
    function = "risk_coverage"
    curves = results(function, data, RejectionCurve)
    with one_axes(function, ax) as ax:
        for number, (label, curve) in enumerate(curves.items()):
            coverage, risk = (array(function, "data", values, (1,)) for values in (curve.retained, curve.risk))
            label = f"{label}, " if label else ""
            ax.plot(coverage, risk, label=f"{label}AURC {float(curve.area):.4f}", **line(number))
        if oracle:
            _oracles(ax, curves)
        error = "share of wrong answers" if all(curve.classification for curve in curves.values()) else "mean error"
        ax.set(xlabel="coverage: share that is kept", ylabel=f"risk: {error}", xlim=(0, 1), ylim=(0, None))
        ax.grid(**GRID)
        ax.legend(**LEGEND)
    return ax


def _oracles(ax: "Axes", curves: Mapping[str, RejectionCurve]) -> None:
    """Draw the oracle of each curve, and once where curves are of the same errors."""
    oracles: dict[float, tuple[int, str, RejectionCurve]] = {}
    for number, (label, curve) in enumerate(curves.items()):
        oracles.setdefault(round(float(curve.oracle_area), 9), (number, label, curve))
    for area, (number, label, curve) in oracles.items():
        coverage, risk = (array("risk_coverage", "data", values, (1,)) for values in (curve.retained, curve.oracle))
        whose = f"{label}, " if len(oracles) > 1 else ""
        style = line(number) | {"color": GREY, "linewidth": 0.9, "zorder": 1}
        ax.plot(coverage, risk, label=f"{whose}oracle, AURC {area:.4f}", **style)

"""A measure and its uncertainty, while something is varied."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesops._arguments import wrong_value
from bayesops.plot._canvas import one_axes
from bayesops.plot._values import array, series, wrong_shape
from bayesops.plot.style import GRID, LEGEND, band, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FUNCTION = "sweep"


def sweep(
    values: Any, mean: Any, spread: Any, *, xlabel: str = "", ylabel: str = "", ax: "Axes | None" = None
) -> "Axes":
    """Draw a measure against a parameter that was swept, as a line, within its shaded uncertainty.

    Parameters
    ----------
    values : Tensor
        ``[K]``, of the parameter: a rotation, the strength of a noise, a dropout rate.
    mean : Tensor, or mapping from labels to such
        ``[K]``, the line; a mapping draws several.
    spread : Tensor, or mapping from the same labels to such
        ``[K]``, shaded on both sides of the line; or ``[2, K]``, the lower and the upper end of what is shaded.
    xlabel, ylabel : str
        Of the axes.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        `ax`, or that of a new figure.

    Raises
    ------
    ValueError
        Shapes that do not fit, a negative spread, labels that `mean` and `spread` do not share.
    TypeError
        What is neither a tensor nor numbers.
    ModuleNotFoundError
        Without matplotlib.

    Examples
    --------
    >>> bo.plot.sweep(angles, {"accuracy": accuracy}, {"accuracy": deviation}, xlabel="rotation, degrees")
    """
    places = array(_FUNCTION, "values", values, (1,))
    lines = series(mean, lambda one: _fitting("mean", one, places, (1,)))
    bands = series(spread, lambda one: _fitting("spread", one, places, (1, 2)))
    if list(lines) != list(bands):
        wrong_value(_FUNCTION, "spread", f"for {_quoted(lines)}, as the mean is", _quoted(bands))
    with one_axes(_FUNCTION, ax) as ax:
        for number, (label, middle) in enumerate(lines.items()):
            spread = bands[label]
            low, high = spread if spread.ndim == 2 else (middle - spread, middle + spread)
            ax.fill_between(places, low, high, **band(number))
            ax.plot(places, middle, label=label or None, **line(number, marker=True))
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        ax.grid(**GRID)
        if any(lines):
            ax.legend(**LEGEND)
    return ax


def _fitting(argument: str, value: Any, places: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    numbers = array(_FUNCTION, argument, value, dims)
    wanted = [(len(places),), (2, len(places))][: len(dims)]
    if numbers.shape not in wanted:
        wrong_shape(_FUNCTION, argument, f"of shape {' or '.join(str(list(shape)) for shape in wanted)}", numbers)
    if argument == "spread" and ((numbers < 0).any() if numbers.ndim == 1 else (numbers[0] > numbers[1]).any()):
        wrong_value(_FUNCTION, "spread", "not negative, lower ends not above upper ends", "some that are")
    return numbers


def _quoted(labels: Any) -> str:
    return ", ".join(map(repr, labels))

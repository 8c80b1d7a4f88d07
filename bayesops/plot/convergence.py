"""What more draws would change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from bayesops._arguments import check_count, wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.plot._canvas import several_axes
from bayesops.plot._values import array, class_names, series, wrong_shape
from bayesops.plot.style import GREY, GRID, LEGEND, band, line

_FUNCTION = "sample_convergence"


def sample_convergence(
    samples: Prediction | Tensor | Mapping[str, Tensor],
    index: int = 0,
    *,
    classes: Sequence[str] | None = None,
    top: int = 3,
    axes: Any = None,
) -> np.ndarray:
    """Draw the mean of the first T draws with its standard error, and the standard error alone, against T.

    Parameters
    ----------
    samples : Prediction, Tensor, or mapping from labels to Tensors
        Of `bayesops.predict` with ``return_samples=True``, its draws ``[T, N, C]``; or draws ``[T]`` of one number, or
        several of them by their labels.
    index : int
        Of a prediction: which of the N images.
    classes : sequence of str, optional
        Of a prediction: names of the C outputs; otherwise numbers.
    top : int
        Of a prediction: how many outputs are drawn, those of largest mean.
    axes : two Axes, optional
        Where to draw: mean and standard error.

    Returns
    -------
    ndarray of Axes
        ``[2]``.

    Raises
    ------
    ValueError
        Fewer than two draws, a prediction without draws, an image that there is not.
    TypeError
        What is neither a prediction nor draws.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    The standard error is ``sqrt(variance / (T - 1))`` with the population variance of the first T draws, as
    `bayesops.Prediction.standard_error` has it. It is itself an estimate, and a bad one for few draws.

    Examples
    --------
    >>> prediction = bo.predict(model, images, num_samples=1000, return_samples=True)
    >>> bo.plot.sample_convergence(prediction, index=3)
    """
    if isinstance(samples, Prediction):
        draws = _of_prediction(samples, index, classes, top)
    else:
        draws = series(samples, lambda one: array(_FUNCTION, "samples", one, (1,)))
    if not draws or any(len(values) < 2 for values in draws.values()):
        wrong_value(_FUNCTION, "samples", "of two draws or more", [len(values) for values in draws.values()])
    with several_axes(_FUNCTION, axes, (2,), (7.2, 2.9)) as places:
        left, right = places
        for number, (label, values) in enumerate(draws.items()):
            count, mean, error = _running(values)
            left.fill_between(count[1:], (mean - error)[1:], (mean + error)[1:], **band(number))
            left.plot(count, mean, label=label or None, **line(number))
            right.plot(count[1:], error[1:], label=label or None, **line(number))
        left.set(xscale="log", xlabel="T", ylabel="mean ± standard error")
        right.set(xscale="log", xlabel="T", ylabel="standard error")
        if any(np.ptp(values) > 0 for values in draws.values()):
            _guide(right, draws)
            right.set_yscale("log")
        for ax in places:
            ax.grid(**GRID)
            ax.xaxis.set_major_formatter("{x:g}")
        if right.get_legend_handles_labels()[0]:
            right.legend(title="class" if isinstance(samples, Prediction) else None, **LEGEND)
    return places


def _of_prediction(
    prediction: Prediction, index: int, classes: Sequence[str] | None, top: int
) -> dict[str, np.ndarray]:
    """Draws of the `top` outputs of image `index`, by their names."""
    if prediction.samples is None:
        wrong_value(_FUNCTION, "samples", "a prediction made with return_samples=True", "one without draws")
    draws = array(_FUNCTION, "samples", prediction.samples)
    if draws.ndim != 3:
        wrong_shape(_FUNCTION, "samples", "a prediction with draws of shape [T, N, C]", draws)
    if not -draws.shape[1] <= index < draws.shape[1]:
        wrong_value(_FUNCTION, "index", f"one of {draws.shape[1]} images", index)
    top = check_count(_FUNCTION, "top", top)
    names = class_names(_FUNCTION, classes, draws.shape[2])
    chosen = np.argsort(-draws[:, index].mean(0), kind="stable")[:top]
    return {names[number]: draws[:, index, number] for number in chosen}


def _running(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return T, and mean and standard error (NaN for T = 1) of the first T draws."""
    count = np.arange(1, len(values) + 1)
    # Moments about the mean of all: the difference of squares would lose what is left otherwise.
    middle = values.mean()
    first, second = np.cumsum(values - middle) / count, np.cumsum((values - middle) ** 2) / count
    variance = np.clip(second - first**2, 0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(count > 1, np.sqrt(variance / (count - 1)), np.nan)
    return count, middle + first, error


def _guide(ax: Any, draws: dict[str, np.ndarray]) -> None:
    """Draw 1 / sqrt(T), through the end of the series with the largest error."""
    longest = max(draws.values(), key=lambda values: (len(values), values.std()))
    count, _, error = _running(longest)
    slope = error[-1] * np.sqrt(count[-1] / count[1:])
    ax.plot(count[1:], slope, color=GREY, linewidth=0.9, label="∝ 1 / √T", zorder=1)

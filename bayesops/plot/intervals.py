"""What a network says of one image: each class's probability, and how far the draws spread."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from bayesops._arguments import as_int, wrong_type, wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_softmax
from bayesops.metrics.intervals import check_level
from bayesops.plot._canvas import several_axes
from bayesops.plot._values import array, class_names, picture, wrong_shape
from bayesops.plot.style import EDGE, GRID, INK, LEGEND, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FUNCTION = "class_intervals"


def class_intervals(
    prediction: Prediction | Tensor,
    index: int = 0,
    *,
    image: Any = None,
    classes: Sequence[str] | None = None,
    level: float = 0.95,
    truth: int | None = None,
    cmap: str = "gray",
    axes: Any = None,
) -> "Axes | np.ndarray":
    """Draw the interval and the mean of each class's probability, beside the image.

    Parameters
    ----------
    prediction : Prediction or Tensor
        Of `bayesops.predict` with ``quantiles=((1 - level) / 2, (1 + level) / 2)`` or ``return_samples=True``, its mean
        ``[N, C]``; or draws of probabilities ``[T, N, C]``.
    index : int
        Which of the N images.
    image : Tensor, optional
        ``[H, W]``, ``[1, H, W]`` or ``[3, H, W]``.
    classes : sequence of str, optional
        Names; otherwise numbers.
    level : float
        Share of the draws within an interval, in (0, 1).
    truth : int, optional
        The class of the image's label, to be marked.
    cmap : str
        Colour map of a grey image; ``"gray_r"`` for ink on paper.
    axes : Axes, or two of them, optional
        Where to draw: one, or the image's and the intervals' where there is an `image`.

    Returns
    -------
    Axes or ndarray of Axes
        That of the intervals; with an image ``[2]``, the image's first.

    Raises
    ------
    ValueError
        A prediction that is no classification, or has neither the quantiles nor the draws; an index, class or level
        that there is not.
    TypeError
        Anything else than a prediction or draws, an index that is no int, a level that is no number.
    ModuleNotFoundError
        Without matplotlib.

    Examples
    --------
    >>> prediction = bo.predict(model, images, quantiles=(0.025, 0.975))
    >>> bo.plot.class_intervals(prediction, 3, image=images[3], truth=labels[3])
    """
    mean, low, high = _intervals(prediction, index, level)
    names = class_names(_FUNCTION, classes, len(mean))
    if truth is not None and not 0 <= int(truth) < len(mean):
        wrong_value(_FUNCTION, "truth", f"a class in [0, {len(mean)})", int(truth))
    shown = None if image is None else picture(_FUNCTION, "image", image)
    count = 1 if shown is None else 2
    layout: dict[str, Any] = {} if shown is None else {"width_ratios": [1, 2.7]}
    with several_axes(_FUNCTION, axes, (count,), (2.5 * count + 2.2, 2.4), **layout) as places:
        if shown is not None:
            _draw_image(places[0], shown, cmap, names[int(mean.argmax())], mean)
        _draw_intervals(places[-1], mean, low, high, level)
        places[-1].set_xticks(
            range(len(names)),
            [f"{name}\n(label)" if number == truth else name for number, name in enumerate(names)],
        )
    return places if shown is not None else places[0]


def _intervals(prediction: Any, index: int, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lower and upper end for each class of image `index`."""
    index = as_int(_FUNCTION, "index", "an int", index)
    level = check_level(_FUNCTION, level)
    ends = [(1 - level) / 2, (1 + level) / 2]
    if isinstance(prediction, Prediction):
        check_softmax(_FUNCTION, "prediction", prediction)
        mean = array(_FUNCTION, "prediction", prediction.mean)
        if mean.ndim != 2:
            wrong_shape(_FUNCTION, "prediction", "one with a mean of shape [N, C]", mean)
        quantiles = _quantiles(prediction, ends)
    elif isinstance(prediction, Tensor):
        draws = array(_FUNCTION, "prediction", prediction, (3,))
        mean, quantiles = draws.mean(0), np.quantile(draws, ends, axis=0)
    else:
        wrong_type(_FUNCTION, "prediction", "a Prediction, or a tensor [T, N, C] of draws", type(prediction).__name__)
    if not -len(mean) <= index < len(mean):
        wrong_value(_FUNCTION, "index", f"one of {len(mean)} images", index)
    return mean[index], quantiles[0, index], quantiles[1, index]


def _quantiles(prediction: Prediction, ends: list[float]) -> np.ndarray:
    """Return the quantiles at `ends`: those that the prediction has, or else of its draws."""
    levels = prediction.quantile_levels
    places = [place for end in ends for place, level in enumerate(levels) if abs(level - end) < 1e-9]
    if prediction.quantiles is not None and len(places) == 2:
        return array(_FUNCTION, "prediction", prediction.quantiles)[places]
    if prediction.samples is None:
        wanted = f"made with quantiles=({ends[0]:.6g}, {ends[1]:.6g}) or return_samples=True"
        wrong_value(_FUNCTION, "prediction", wanted, f"one with quantiles at {levels} and no draws")
    return np.quantile(array(_FUNCTION, "prediction", prediction.samples), ends, axis=0)


def _draw_image(ax: Any, image: np.ndarray, cmap: str, answer: str, mean: np.ndarray) -> None:
    ax.imshow(image, cmap=cmap, vmin=0, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    ax.set_title(f"answer {answer}", loc="center")
    inside = mean[mean > 0]
    ax.set_xlabel(f"entropy {abs((inside * np.log(inside)).sum()):.2f} nats")


def _draw_intervals(ax: Any, mean: np.ndarray, low: np.ndarray, high: np.ndarray, level: float) -> None:
    classes = np.arange(len(mean))
    ax.bar(
        classes, high - low, 0.5, low, color=PALE, edgecolor=EDGE, linewidth=0.4, label=f"{100 * level:g} % interval"
    )  # fmt: skip
    ax.plot(classes, mean, "o", color=INK, markersize=5, clip_on=False, zorder=3, label="mean")
    ax.set_xlim(-0.6, len(mean) - 0.4)
    ax.set_ylim(-0.03, 1.03)
    ax.set_yticks([0, 0.5, 1])
    ax.grid(axis="y", **GRID)
    ax.set_axisbelow(True)
    ax.set_ylabel("probability")
    ax.legend(**LEGEND)

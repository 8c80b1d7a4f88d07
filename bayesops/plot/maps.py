"""Dense predictions: the image, its label, the prediction, and what is uncertain where."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from bayesops._arguments import wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.plot._canvas import several_axes
from bayesops.plot._map_columns import (
    FUNCTION,
    answer_columns,
    count_classes,
    given_columns,
    image_column,
    label_column,
)
from bayesops.plot._map_panels import draw_columns
from bayesops.plot._values import class_names

_WIDTH = 1.8  # of a column, in inches
_BARS = 0.75  # what titles and colour bars need of the height


def uncertainty_maps(
    image: Any,
    label: Any,
    prediction: Prediction | Tensor,
    aleatoric: Any = None,
    epistemic: Any = None,
    *,
    classes: Sequence[str] | None = None,
    class_colours: Sequence[Any] | None = None,
    ignore_index: int = -100,
    indices: Sequence[int] | None = None,
    unit: str = "",
    cmap: str = "gray",
    axes: Any = None,
) -> np.ndarray:
    """Draw image, label, prediction, aleatoric and epistemic uncertainty side by side, one row for each image.

    A column's rows share a colour bar, so that they can be compared; those of uncertainty begin at 0. Pixels of the
    label that are ignored are hatched.

    Parameters
    ----------
    image : Tensor
        ``[N, 3, H, W]`` or ``[N, 1, H, W]``; for N = 1 also ``[3, H, W]``, ``[1, H, W]`` or ``[H, W]``. Values in
        [0, 1], or uint8; what leaves [0, 1] (images that were normalised) is scaled from its least to its greatest.
    label : Tensor or None
        ``[N, H, W]``, for N = 1 also ``[H, W]``: integer classes, or floating point quantities (NaN is ignored). None
        leaves the column out.
    prediction : Prediction or Tensor
        Of `bayesops.predict`, its mean ``[N, C, H, W]`` (quantities: C = 1); or a tensor like this mean, or a map like
        `label`.
    aleatoric, epistemic : Tensor, optional
        ``[N, H, W]``; NaN is ignored. Of a `Prediction` they are, unless given, its expected entropy and mutual
        information; for quantities its aleatoric variance and variance. A column without maps is left out.
    classes : sequence of str, optional
        Names; otherwise numbers.
    class_colours : sequence of colours, optional
        One for each class; otherwise they go from dark to light, and can be told apart in grey.
    ignore_index : int
        The class of pixels that have no label.
    indices : sequence of int, optional
        Which of the N images; otherwise all.
    unit : str
        Written under the colour bars of maps that were given; those of a `Prediction` have their names there.
    cmap : str
        Colour map of grey images.
    axes : array of Axes, optional
        ``[R, columns]``, or ``[columns]`` for one row.

    Returns
    -------
    ndarray of Axes
        ``[R, columns]``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a class or an image that there is not.
    TypeError
        What is neither tensor nor array.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    The order of the columns is that of Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for
    computer vision?", 2017, figure 1.

    Examples
    --------
    >>> prediction = bo.predict(model, images)
    >>> bo.plot.uncertainty_maps(images, labels, prediction, indices=[0, 5])
    """
    pictures = image_column(image)
    size = pictures.maps.shape[:3]
    answer, num_classes, uncertain = answer_columns(prediction, size)
    uncertain |= given_columns({"aleatoric": aleatoric, "epistemic": epistemic}, size, unit)
    columns = [pictures, answer, *(uncertain[name] for name in ("aleatoric", "epistemic") if name in uncertain)]
    if label is not None:
        columns.insert(1, label_column(label, size, answer.kind, ignore_index))
    rows = list(range(size[0]) if indices is None else indices)
    if not rows or not all(-size[0] <= row < size[0] for row in rows):
        wrong_value(FUNCTION, "indices", f"some of {size[0]} images", rows)
    names = []
    if answer.kind == "classes":
        names = class_names(FUNCTION, classes, count_classes(columns, classes, num_classes))
        if class_colours is not None and len(class_colours) != len(names):
            wrong_value(FUNCTION, "class_colours", f"{len(names)} colours", len(class_colours))
    height = len(rows) * (_WIDTH * size[1] / size[2] + 0.1) + _BARS
    with several_axes(FUNCTION, axes, (len(rows), len(columns)), (_WIDTH * len(columns), height)) as places:
        draw_columns(places, columns, rows, names, class_colours, cmap)
    return places

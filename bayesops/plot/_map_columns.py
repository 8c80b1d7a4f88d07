"""What `uncertainty_maps` draws: its arguments, read as columns of maps of one size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesops._arguments import wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.plot._values import array, picture, wrong_shape

FUNCTION = "uncertainty_maps"
Size = tuple[int, ...]  # N, H, W


@dataclass(frozen=True, eq=False)
class Column:
    """Maps of one kind, one for each image.

    Attributes
    ----------
    title : str
        Above the column.
    kind : str
        ``"image"``, ``"classes"``, ``"quantities"`` or ``"uncertainty"``: columns of classes share their colours, and
        so do those of quantities.
    maps : ndarray
        ``[N, H, W]``, images also ``[N, H, W, 3]``; masked where there is no value.
    legend : str
        Below the colour bar.
    """

    title: str
    kind: str
    maps: np.ndarray
    legend: str = ""


def image_column(image: Any) -> Column:
    """Read the images."""
    values = array(FUNCTION, "image", image, (2, 3, 4))
    pictures = [picture(FUNCTION, "image", one) for one in (values if values.ndim == 4 else [values])]
    return Column("image", "image", np.stack(pictures))


def answer_columns(prediction: Any, size: Size) -> tuple[Column, int, dict[str, Column]]:
    """Read the prediction: its column, the number of classes, and the columns of uncertainty that it brings along.

    The number is 0 for quantities, and for a map of classes, which does not say how many there are.
    """
    if not isinstance(prediction, Prediction):
        return *_answer(array(FUNCTION, "prediction", prediction, (2, 3, 4)), size), {}
    answer, num_classes = _answer(array(FUNCTION, "prediction", prediction.mean, (4,)), size)
    if answer.kind == "classes":
        told = (
            ("aleatoric", prediction.expected_entropy, "expected entropy, nats"),
            ("epistemic", prediction.mutual_information, "mutual information, nats"),
        )
    else:
        told = (
            ("aleatoric", prediction.aleatoric_variance, "mean of the variances"),
            ("epistemic", prediction.variance, "variance of the draws"),
        )
    columns = {
        name: Column(name, "uncertainty", array(FUNCTION, "prediction", value).reshape(size), legend)
        for name, value, legend in told
        if value is not None
    }
    return answer, num_classes, columns


def _answer(values: np.ndarray, size: Size) -> tuple[Column, int]:
    if values.ndim < 4:
        maps = _maps("prediction", values, size)
        kind = "quantities" if maps.dtype.kind == "f" else "classes"
        return Column("prediction", kind, maps), 0
    if (len(values), *values.shape[2:]) != size:
        wrong_shape(FUNCTION, "prediction", f"of shape [{size[0]}, C, {size[1]}, {size[2]}], as the images are", values)
    if values.shape[1] == 1:
        return Column("prediction", "quantities", values[:, 0]), 0
    return Column("prediction", "classes", values.argmax(1)), values.shape[1]


def label_column(label: Any, size: Size, kind: str, ignore_index: int) -> Column:
    """Read the labels, which must be of the prediction's `kind`; what is ignored is masked."""
    maps = _maps("label", array(FUNCTION, "label", label, (2, 3)), size)
    floating = maps.dtype.kind == "f"
    if floating != (kind == "quantities"):
        wanted = "floating point" if kind == "quantities" else "an integer type"
        wrong_value(FUNCTION, "label", f"of {wanted}, as the prediction is of {kind}", maps.dtype)
    return Column("label", kind, np.ma.masked_where(np.isnan(maps) if floating else maps == ignore_index, maps))


def count_classes(columns: Sequence[Column], classes: Sequence[str] | None, num_classes: int) -> int:
    """Return how many classes there are: the prediction's, or those with names, or those that occur."""
    occurring = {column.title: np.ma.compressed(column.maps) for column in columns if column.kind == "classes"}
    if not num_classes:
        num_classes = len(classes) if classes else max(int(v.max(initial=0)) for v in occurring.values()) + 1
    for argument, values in occurring.items():
        outside = values[(values < 0) | (values >= num_classes)]
        if outside.size:
            wrong_value(FUNCTION, argument, f"classes in [0, {num_classes}), or ignore_index", int(outside[0]))
    return num_classes


def given_columns(given: dict[str, Any], size: Size, legend: str) -> dict[str, Column]:
    """Read maps of uncertainty, those that there are."""
    return {
        name: Column(
            name, "uncertainty", np.ma.masked_invalid(_maps(name, array(FUNCTION, name, value, (2, 3)), size)), legend
        )
        for name, value in given.items()
        if value is not None
    }


def _maps(argument: str, values: np.ndarray, size: Size) -> np.ndarray:
    """Return maps ``[N, H, W]``."""
    if values.ndim == 2 and size[0] == 1:
        values = values[None]
    if values.shape != size:
        wrong_shape(FUNCTION, argument, f"of shape {list(size)}, as the images are", values)
    return values

"""What is drawn, as NumPy arrays: tensors of any device, with or without gradients, arrays and lists become such."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from torch import Tensor

from bayesops._arguments import wrong_type, wrong_value


def array(function: str, argument: str, value: Any, dims: Sequence[int] | None = None) -> np.ndarray:
    """Return `value` as an array, floating point as float64, with one of the numbers of dimensions in `dims`."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        result = (value.double() if value.is_floating_point() else value).numpy()
    else:
        try:
            result = np.asarray(_without_tensors(value))
        except (TypeError, ValueError):
            wrong_type(function, argument, "a tensor, an array or numbers", type(value).__name__)
    if result.dtype.kind not in "buif":
        wrong_type(function, argument, "a tensor, an array or numbers", type(value).__name__)
    if dims is not None and result.ndim not in dims:
        wrong_shape(function, argument, f"of {' or '.join(map(str, dims))} dimensions", result)
    if not result.size:
        wrong_shape(function, argument, "not empty", result)
    return result.astype(np.float64) if result.dtype.kind == "f" else result


def _without_tensors(value: Any) -> Any:
    """Numbers in place of the tensors in a list of them, as they are collected in a loop."""
    if not isinstance(value, (list, tuple)):
        return value
    return [each.item() if isinstance(each, Tensor) and each.numel() == 1 else each for each in value]


def wrong_shape(function: str, argument: str, wanted: str, got: Any) -> NoReturn:
    """Complain of the shape of `got`."""
    wrong_value(function, argument, wanted, f"shape {tuple(got.shape)}")


def series(value: Any, check: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a mapping from labels as it is, anything else as the series without a label; all `check`-ed."""
    if not isinstance(value, Mapping):
        return {"": check(value)}
    return {str(label): check(one) for label, one in value.items()}


def results(function: str, value: Any, kind: type) -> dict[str, Any]:
    """Return `series` of results of a measure, all of them `kind`."""

    def check(one: Any) -> Any:
        if not isinstance(one, kind):
            wrong_type(function, "data", f"a {kind.__name__}, or a mapping from labels to such", type(one).__name__)
        return one

    checked = series(value, check)
    if not checked:
        wrong_value(function, "data", "one series or more", "an empty mapping")
    return checked


def class_names(function: str, classes: Sequence[str] | None, count: int) -> list[str]:
    """Return the names of `count` classes: their numbers, where there are none."""
    if classes is None:
        return [str(number) for number in range(count)]
    if len(classes) != count:
        wrong_value(function, "classes", f"{count} names", len(classes))
    return [str(name) for name in classes]


def picture(function: str, argument: str, image: Any) -> np.ndarray:
    """Return an image ``[H, W]``, ``[1, H, W]`` or ``[3, H, W]`` as ``[H, W]`` or ``[H, W, 3]`` with values in [0, 1].

    uint8 is divided by 255; what leaves [0, 1] (images that were normalised) is scaled from its least to its greatest.
    """
    values = array(function, argument, image, (2, 3))
    if values.ndim == 3:
        if len(values) not in (1, 3):
            wrong_shape(function, argument, "of shape [H, W], [1, H, W] or [3, H, W]", values)
        values = values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)
    if values.dtype == np.uint8:
        return values / 255
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if (low < 0 or high > 1) and high > low else np.clip(values, 0, 1)

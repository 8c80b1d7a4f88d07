"""Where a picture is drawn: on the caller's Axes, or on a figure of its own, which pyplot knows nothing of."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesops._arguments import wrong_type, wrong_value
from bayesops._optional import require
from bayesops.plot.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@contextmanager
def one_axes(function: str, ax: "Axes | None", size: tuple[float, float] = (4.4, 3.2)) -> Iterator["Axes"]:
    """Yield `ax`; or the Axes of a new figure of `size` (inches), the library's style holding within the block."""
    with several_axes(function, None if ax is None else [ax], (1,), size, argument="ax") as axes:
        yield axes[0]


@contextmanager
def several_axes(
    function: str,
    axes: Any,
    shape: tuple[int, ...],
    size: tuple[float, float],
    *,
    argument: str = "axes",
    **layout: Any,
) -> Iterator[np.ndarray]:
    """Yield `axes` as an array of `shape`; or those of a new figure, made by ``Figure.subplots(**layout)``."""
    require(function, "matplotlib", "plot")
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if axes is not None:
        given = np.asarray(axes, dtype=object)
        for each in given.flat:
            if not isinstance(each, Axes):
                wrong_type(function, argument, "matplotlib Axes", type(each).__name__)
        # One row may come without its dimension.
        if [size for size in given.shape if size > 1] != [size for size in shape if size > 1]:
            wrong_value(function, argument, f"{'x'.join(map(str, shape))} Axes", f"shape {given.shape}")
        yield given.reshape(shape)
        return
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure.subplots(rows, columns, squeeze=False, **layout).reshape(shape)

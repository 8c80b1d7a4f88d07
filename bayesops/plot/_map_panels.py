"""How `uncertainty_maps` draws its columns, and their colour bars."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bayesops.plot._map_columns import Column
from bayesops.plot.style import CLASS_MAP, GREY, QUANTITY_MAP, UNCERTAINTY_MAP

_LETTERS = 22  # that fit below the colour bar of a column


def draw_columns(
    axes: np.ndarray, columns: Sequence[Column], rows: Sequence[int], names: Sequence[str], colours: Any, cmap: str
) -> None:
    """Draw the `rows` of all columns onto `axes` ``[R, columns]``."""
    last: dict[str, tuple[list[int], Any]] = {}  # columns that share a colour bar, and what the bar is of
    for place, column in enumerate(columns):
        alike = [other.maps[rows] for other in columns if other.kind == column.kind]
        shared = column.kind in ("classes", "quantities")
        options = _colours(column.kind, alike if shared else [column.maps[rows]], names, colours, cmap)
        for ax, row in zip(axes[:, place], rows, strict=True):
            image = _panel(ax, column.maps[row], options)
        axes[0, place].set_title(column.title, loc="center")
        if np.ma.is_masked(column.maps[rows]):
            axes[-1, place].set_xlabel("hatched: ignored", fontsize="small")
        if column.kind != "image":
            key = column.kind if shared else column.title
            last[key] = [*last.get(key, ([], None))[0], place], image
    for key, (places, image) in last.items():
        _bar(axes[:, places], image, columns[places[-1]].legend, names if key == "classes" else ())


def _colours(kind: str, maps: list[np.ndarray], names: Sequence[str], colours: Any, cmap: str) -> dict[str, Any]:
    """Return the arguments of ``imshow``."""
    import matplotlib
    from matplotlib.colors import BoundaryNorm, ListedColormap

    if kind == "image":
        return {"cmap": cmap, "vmin": 0, "vmax": 1}
    if kind == "classes":
        if colours is None:
            colours = matplotlib.colormaps[CLASS_MAP](np.linspace(0.05, 0.9, len(names)))
        edges = np.arange(len(names) + 1) - 0.5
        return {"cmap": ListedColormap(list(colours)), "norm": BoundaryNorm(edges, len(names))}
    known = np.concatenate([np.ma.compressed(one) for one in maps])
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    if kind == "uncertainty":
        return {"cmap": UNCERTAINTY_MAP, "vmin": 0, "vmax": high or 1}
    return {"cmap": QUANTITY_MAP, "vmin": low, "vmax": high if high > low else low + 1}


def _panel(ax: Any, values: np.ndarray, options: dict[str, Any]) -> Any:
    # Masked pixels are transparent, and show the hatches behind.
    ax.patch.set(facecolor="white", edgecolor=GREY, hatch="//////", linewidth=0)
    image = ax.imshow(values, interpolation="nearest", **options)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    return image


def _bar(axes: np.ndarray, image: Any, legend: str, names: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    wide = axes.shape[1] > 1
    # panchor: columns with a bar stay level with those that have none.
    bar = axes[0, 0].figure.colorbar(
        image, ax=axes.ravel().tolist(), location="bottom", aspect=30 if wide else 14, shrink=0.95, pad=0.03,
        panchor=False,
    )  # fmt: skip
    if names:
        crowded = max((len(a + b) / 2 for a, b in pairwise(names)), default=0)
        upright = crowded > _LETTERS * axes.shape[1] / len(names)
        bar.set_ticks(range(len(names)), labels=names, rotation=90 if upright else 0)
        bar.ax.minorticks_off()
        bar.ax.tick_params(length=0)
    else:
        bar.ax.xaxis.set_major_locator(MaxNLocator(3 if not wide else 6))
    bar.set_label(legend)

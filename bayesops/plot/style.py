"""One look for every picture of the library; readable in grey. Imports nothing, so that any module may have it."""

from typing import Any

INK, PALE, GREY = "#1b3a5c", "#b8c4d0", "#8a8a8a"
EDGE = "#444444"
GRID: Any = {"color": "#e4e4e4", "linewidth": 0.6}
LEGEND: Any = {"frameon": True, "framealpha": 0.9, "edgecolor": "none", "fontsize": "small"}

# Colours of several series: as grey they are dark, middle, light. Line style, marker and hatch tell them apart, too.
COLOURS = (INK, "#b5482f", "#7fa3c7", "#4f7d3a", "#b07a2a", "#8c4a6b")

# Our titles are centred all the same: there `set_title` of a caller who is outside of this style replaces them. Legends
# and colours of series are for what a caller draws into the same figure.
STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9.5,
    "axes.titlelocation": "left", "axes.axisbelow": True, "axes.prop_cycle": f"cycler('color', {COLOURS!r})",
    "legend.framealpha": LEGEND["framealpha"], "legend.edgecolor": LEGEND["edgecolor"],
    "legend.fontsize": LEGEND["fontsize"],
}  # fmt: skip
LINE_STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "P", "v")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "|||")

UNCERTAINTY_MAP = "magma"  # perceptually uniform, monotone as grey: dark is certain
QUANTITY_MAP = "viridis"
CLASS_MAP = "cubehelix"  # neighbours differ in hue as well as in lightness, and lightness alone orders them


def band(number: int) -> dict[str, Any]:
    """Return how the uncertainty around the line of series `number` is shaded, as arguments of ``fill_between``."""
    colour, hatch = COLOURS[number % len(COLOURS)], HATCHES[number % len(HATCHES)]
    return {"facecolor": (colour, 0.2), "edgecolor": (colour, 0.5), "linewidth": 0.5, "hatch": hatch}


def line(number: int, *, marker: bool = False) -> dict[str, Any]:
    """Return how the line of series `number` is drawn, as arguments of ``Axes.plot``."""
    style = {"color": COLOURS[number % len(COLOURS)], "linestyle": LINE_STYLES[number % len(LINE_STYLES)]}
    if marker:
        style |= {"marker": MARKERS[number % len(MARKERS)], "markersize": 4.5}
    return style

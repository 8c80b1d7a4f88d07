"""One weight's posterior in the course of training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bayesops._arguments import wrong_type, wrong_value
from bayesops.plot._canvas import several_axes
from bayesops.plot._values import array
from bayesops.plot.style import GREY, GRID, INK, LEGEND, LINE_STYLES

_FUNCTION = "weight_posterior"
_DENSITIES = 5  # that are drawn where nobody says which


def weight_posterior(
    history: Mapping[int, tuple[Any, Any]],
    epochs: Sequence[int] | None = None,
    *,
    prior: tuple[float, float] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw how one weight's normal posterior changed in training: its densities, and its standard deviation.

    Parameters
    ----------
    history : mapping from int to pair
        For each epoch (or step) the weight's mean and its standard deviation.
    epochs : sequence of int, optional
        Whose densities are drawn; otherwise those of at most 5, the first and the last among them, about evenly spaced
        on a logarithmic scale. The standard deviation is drawn for all.
    prior : pair of float, optional
        Mean and standard deviation of a normal prior, to compare with.
    axes : two Axes, optional
        Where to draw: densities and standard deviation.

    Returns
    -------
    ndarray of Axes
        ``[2]``.

    Raises
    ------
    ValueError
        No history, a standard deviation that is not above 0, an epoch that is not there.
    TypeError
        A history that is no mapping to pairs.
    ModuleNotFoundError
        Without matplotlib.

    Examples
    --------
    >>> history = {}
    >>> for epoch in range(1, 101):
    ...     train_one_epoch()
    ...     sigma = torch.nn.functional.softplus(layer.weight_rho[0, 0])
    ...     history[epoch] = layer.weight_mu[0, 0].item(), sigma.item()
    >>> bo.plot.weight_posterior(history, epochs=(1, 5, 20, 50, 100))
    """
    if not isinstance(history, Mapping):
        wanted = "a mapping from epochs to pairs (mean, standard deviation)"
        wrong_type(_FUNCTION, "history", wanted, type(history).__name__)
    if not history:
        wrong_value(_FUNCTION, "history", "one epoch or more", "none")
    times = sorted(history)
    posteriors = {time: _normal("history", history[time]) for time in times}
    shown = _spread_out(times) if epochs is None else list(epochs)
    missing = [epoch for epoch in shown if epoch not in posteriors]
    if missing or not shown:
        wrong_value(_FUNCTION, "epochs", "some that the history has", missing or "none")
    normals = [posteriors[epoch] for epoch in shown]
    compared = None if prior is None else _normal("prior", prior)
    low = min(mean - 4 * sigma for mean, sigma in normals)
    high = max(mean + 4 * sigma for mean, sigma in normals)
    places = np.linspace(low, high, 801)
    with several_axes(_FUNCTION, axes, (2,), (7.2, 2.9), width_ratios=[1.5, 1]) as drawn:
        left, right = drawn
        for number, (epoch, normal) in enumerate(zip(shown, normals, strict=True)):
            # Later is darker, as grey as well; the line style tells neighbours apart.
            shade = _paler(INK, 0.75 * (1 - number / max(len(shown) - 1, 1)))
            style = LINE_STYLES[(len(shown) - 1 - number) % len(LINE_STYLES)]
            left.plot(places, _density(places, *normal), color=shade, linestyle=style, label=f"{epoch}")
        if compared is not None:
            left.plot(places, _density(places, *compared), color=GREY, linewidth=0.9, label="prior", zorder=1)
        left.set(xlabel="weight", ylabel="density", ylim=(0, None))
        left.legend(title="epoch", **LEGEND)
        right.plot(times, [posteriors[time][1] for time in times], color=INK)
        right.plot(shown, [sigma for _, sigma in normals], "o", color=INK, markersize=4.5)
        if compared is not None:
            right.axhline(compared[1], color=GREY, linewidth=0.9)
        right.set(xlabel="epoch", ylabel="standard deviation", ylim=(0, None))
        for ax in drawn:
            ax.grid(**GRID)
    return drawn


def _normal(argument: str, pair: Any) -> tuple[float, float]:
    values = array(_FUNCTION, argument, pair, (1,))
    if len(values) != 2 or not np.isfinite(values).all() or not values[1] > 0:
        wrong_value(_FUNCTION, argument, "a mean and a standard deviation above 0", pair)
    return float(values[0]), float(values[1])


def _density(places: np.ndarray, mean: float, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((places - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def _spread_out(times: list[int]) -> list[int]:
    """Return at most `_DENSITIES` of `times`, about evenly spaced in the logarithm of their rank."""
    ranks = np.geomspace(1, len(times), min(_DENSITIES, len(times))).round().astype(int)
    return [times[rank - 1] for rank in np.unique(ranks)]


def _paler(colour: str, share: float) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(part + share * (1 - part) for part in to_rgb(colour))

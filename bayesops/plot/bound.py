"""The terms of the evidence lower bound in the course of training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesops._arguments import check_count, wrong_type, wrong_value
from bayesops.plot._canvas import one_axes
from bayesops.plot._values import array, wrong_shape
from bayesops.plot.style import GREY, GRID, LEGEND, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesops.losses import ELBOTerms

_FUNCTION = "elbo_terms"


def elbo_terms(
    history: "Sequence[ELBOTerms]",
    num_data: int,
    *,
    steps: Any = None,
    xlabel: str = "step",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the negative log likelihood, the divergence over N and their sum, -ELBO / N, over time.

    Parameters
    ----------
    history : sequence of ELBOTerms
        What `bayesops.losses.ELBO.terms` returned: triples of loss, negative log likelihood and divergence, at each
        step or as means over an epoch.
    num_data : int
        N, as the ELBO has it.
    steps : Tensor, optional
        ``[len(history)]``, when that was; otherwise 1, 2, …
    xlabel : str
        What `steps` are.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        `ax`, or that of a new figure.

    Raises
    ------
    ValueError
        No history, an N below 1, steps that do not fit.
    TypeError
        A history that does not consist of triples.
    ModuleNotFoundError
        Without matplotlib.

    Notes
    -----
    The loss is drawn, too, where it is not the sum: with a `kl_weight` other than 1 something else than the bound was
    minimised.

    Examples
    --------
    >>> history = []
    >>> for images, labels in loader:
    ...     history.append(elbo.terms(images, labels))
    ...     ...
    >>> bo.plot.elbo_terms(history, num_data=len(training_set))
    """
    num_data = check_count(_FUNCTION, "num_data", num_data)
    loss, nll, kl = _terms(history)
    share = kl / num_data
    places = np.arange(1, len(nll) + 1) if steps is None else array(_FUNCTION, "steps", steps, (1,))
    if len(places) != len(nll):
        wrong_shape(_FUNCTION, "steps", f"of shape [{len(nll)}], as the history is long", places)
    with one_axes(_FUNCTION, ax, (4.8, 3.0)) as ax:
        total = nll + share
        if not np.allclose(loss, total, rtol=1e-3):
            ax.plot(places, loss, color=GREY, linewidth=1, label="loss, KL weighted")
        for number, (label, values) in enumerate(
            (("−ELBO / N", total), ("negative log likelihood", nll), ("KL / N", share))
        ):
            ax.plot(places, values, label=label, **line(number))
        ax.set(xlabel=xlabel, ylabel="nats for each example")
        if nll.min() >= 0:  # that of a density may lie below
            ax.set_ylim(bottom=0)
        ax.grid(**GRID)
        ax.legend(**LEGEND)
    return ax


def _terms(history: Any) -> list[np.ndarray]:
    """Loss, negative log likelihood and divergence, an array each."""
    if not isinstance(history, Sequence) or not all(isinstance(terms, tuple) and len(terms) == 3 for terms in history):
        wrong_type(_FUNCTION, "history", "a sequence of ELBOTerms", type(history).__name__)
    if not history:
        wrong_value(_FUNCTION, "history", "one step or more", "none")
    return [array(_FUNCTION, "history", values, (1,)) for values in zip(*history, strict=True)]

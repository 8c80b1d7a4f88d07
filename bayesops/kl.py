"""The divergence of a whole model's posterior from its prior."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bayesops._arguments import wrong_type, wrong_value
from bayesops.nn.gaussian import GaussianLayer


def kl_divergence(module: nn.Module, num_samples: int = 1) -> Tensor:
    """KL(q || prior) of all Gaussian layers in `module`, in nats.

    The closed form where a layer's prior has one, the Monte Carlo estimate log q(w) − log p(w) otherwise (see
    `GaussianConv2d.kl_loss`). A layer that is used in several places counts once; two layers that share their
    parameters draw by themselves, and count twice.

    Parameters
    ----------
    module : Module
        A model, or one layer.
    num_samples : int
        Draws of each Monte Carlo estimate. They are fresh, or those of the `bayesops.sampling` block.

    Returns
    -------
    Tensor
        float64 ``[]``, on the first layer's device: the sum. Divide by the number of training data to add it to a mean
        negative log likelihood (`bayesops.losses.ELBO` does).

    Raises
    ------
    ValueError
        Where there is no Gaussian layer: the objective would silently lack its prior. `num_samples` below 1.
    TypeError
        Something else than a module.

    Examples
    --------
    >>> loss = cross_entropy(model(x), y) + bo.kl_divergence(model) / len(training_set)
    """
    layers = gaussian_layers("kl_divergence", module)
    return _total(layers, lambda layer: layer.kl_loss(num_samples=num_samples))  # type: ignore[return-value]


def gaussian_layers(operator: str, module: nn.Module, argument: str = "module") -> list[GaussianLayer]:
    """Gaussian layers of `module`, each once; `operator` and `argument` name the caller's where there are none."""
    if not isinstance(module, nn.Module):
        wrong_type(operator, argument, "a torch.nn.Module", type(module).__name__)
    layers = [layer for layer in module.modules() if isinstance(layer, GaussianLayer)]
    if not layers:
        wrong_value(operator, argument, "one with Gaussian layers (bayesops.nn.Gaussian...)", type(module).__name__)
    return layers


def closed_form_kl(layers: list[GaussianLayer]) -> Tensor | None:
    """Sum of what has a closed form; None where nothing has."""
    return _total(layers, lambda layer: layer._closed_form_kl())


def monte_carlo_kl(layers: list[GaussianLayer]) -> Tensor | None:
    """Estimate, at one draw, of the sum of what has no closed form; None where all has one."""
    return _total(layers, lambda layer: layer._monte_carlo_kl())


def _total(layers: list[GaussianLayer], term: Callable[[GaussianLayer], Tensor | None]) -> Tensor | None:
    terms = [value for value in map(term, layers) if value is not None]
    return torch.stack([value.to(terms[0].device) for value in terms]).sum() if terms else None

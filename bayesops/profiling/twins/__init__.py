"""What a Bayesian model is measured against: a network that draws nothing, and one that draws in plain PyTorch."""

from collections.abc import Callable
from typing import Any

from torch import nn

from bayesops.convert._copying import copied_with
from bayesops.profiling.twins import bernoulli, gaussian

_FAMILIES = (bernoulli, gaussian)


def bayesian_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers of `model` that draw, by name, each once."""
    kinds = tuple(kind for family in _FAMILIES for kind in family.LAYERS)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def deterministic(model: nn.Module) -> nn.Module:
    """Copy `model`, nothing drawn: layers of `torch.nn`, masks left out, Gaussian weights at their mean."""
    return replaced(model, lambda layer: _family(layer).deterministic(layer))


def naive(model: nn.Module) -> nn.Module:
    """Copy `model`, masks and noise drawn by torch at each call: what a user would write."""
    return replaced(model, lambda layer: _family(layer).naive(layer))


def layers_with_shared_draws(model: nn.Module) -> list[str]:
    """Name the layers of `model` that make one draw for a whole batch: a larger batch does not make more of them."""
    return [name for name, layer in bayesian_layers(model).items() if not _family(layer).draws_for_each_example(layer)]


def convolutions(layer: Any) -> int:
    """How many convolutions one draw of `layer` takes: of mean and variance, or of Flipout's mean and deviation."""
    return 2 if getattr(layer, "estimator", None) in ("local_reparam", "flipout") else 1


def _family(layer: nn.Module) -> Any:
    return next(family for family in _FAMILIES if isinstance(layer, family.LAYERS))


def replaced(model: nn.Module, make: Callable[[Any], nn.Module]) -> nn.Module:
    """Copy `model` with another layer in place of each that draws."""
    return copied_with(model, make, bayesian_layers(model).values())

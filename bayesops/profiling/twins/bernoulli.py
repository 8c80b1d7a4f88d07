"""Twins of the Bernoulli layers: masks left out, and masks drawn by torch."""

from typing import Any

import torch
from torch import Tensor, nn

from bayesops.nn import BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear, Dropout
from bayesops.profiling.twins.plain import apply, plain_layer
from bayesops.reference.masked_conv import expand_mask, mask_shape

LAYERS: tuple[type[nn.Module], ...] = (BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear, Dropout)


def deterministic(layer: Any) -> nn.Module:
    """Return torch's layer with the same parameters; for dropout, one that passes its input on."""
    return nn.Identity() if isinstance(layer, Dropout) else plain_layer(layer, layer.weight, layer.bias)


def naive(layer: Any) -> nn.Module:
    """Return a layer whose mask is drawn by torch and multiplied to the weight at each call."""
    return _NaiveDropout(layer) if isinstance(layer, Dropout) else _NaiveBernoulli(layer)


def draws_for_each_example(layer: Any) -> bool:
    """Whether the examples of a batch meet draws of their own."""
    return isinstance(layer, Dropout) or bool(layer.per_example)


class _NaiveBernoulli(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.plain = plain_layer(layer, layer.weight, layer.bias)
        self.p, self.rescale, self.per_example = layer.p, layer.rescale, layer.per_example
        self.granularity = layer.granularity
        self.groups = getattr(layer, "groups", 1)

    def forward(self, input: Tensor) -> Tensor:
        if not self.per_example:
            return self._once(input)
        return torch.cat([self._once(example) for example in input.split(1)])

    def _once(self, input: Tensor) -> Tensor:
        weight = self.plain.weight
        mask = torch.bernoulli(weight.new_full(mask_shape(weight, self.granularity, self.groups), 1 - self.p))
        weight = weight * expand_mask(mask, weight, self.granularity, self.groups)
        if self.rescale:
            weight = weight / (1 - self.p) ** (2 if self.granularity == "channel" else 1)
        return apply(self.plain, input, weight, self.plain.bias)


class _NaiveDropout(nn.Module):
    def __init__(self, layer: Dropout) -> None:
        super().__init__()
        self.p = layer.p
        self.drop = torch.feature_dropout if layer.granularity == "channel" else torch.dropout

    def forward(self, input: Tensor) -> Tensor:
        return self.drop(input, self.p, True)

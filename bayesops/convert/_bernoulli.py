"""A plain layer becomes a Bernoulli layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bayesops.convert._selection import constructor_arguments
from bayesops.nn import BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear

_LAYERS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Conv1d: BernoulliConv1d,
    nn.Conv2d: BernoulliConv2d,
    nn.Conv3d: BernoulliConv3d,
    nn.Linear: BernoulliLinear,
}


@dataclass(frozen=True)
class BernoulliPosterior:
    """Weights that are kept with probability ``1 - p``; the fields are those of `bayesops.nn.BernoulliConv2d`."""

    p: float = 0.5
    granularity: str = "weight"
    rescale: bool = True

    def layer(self, plain: Any) -> nn.Module:
        """Make the Bernoulli layer with the parameters (the very tensors) of `plain`."""
        with torch.device("meta"):  # no storage, no initialisation: the parameters come from `plain`
            bernoulli = _LAYERS[type(plain)](*constructor_arguments(plain), **vars(self))
        bernoulli.weight, bernoulli.bias = plain.weight, plain.bias
        return bernoulli

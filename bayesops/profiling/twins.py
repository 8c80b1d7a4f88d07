"""What a Bernoulli model is measured against: the same network without masks, and with masks in plain PyTorch."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesops.nn import BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear, Dropout
from bayesops.reference.masked_conv import expand_mask, mask_shape

_CONVOLUTIONS: dict[type[nn.Module], type[nn.Module]] = {
    BernoulliConv1d: nn.Conv1d,
    BernoulliConv2d: nn.Conv2d,
    BernoulliConv3d: nn.Conv3d,
}
BAYESIAN: tuple[type[nn.Module], ...] = (*_CONVOLUTIONS, BernoulliLinear, Dropout)


def bayesian_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers of `model` that draw, by name, each once."""
    return {name: module for name, module in model.named_modules() if isinstance(module, BAYESIAN)}


def deterministic(model: nn.Module) -> nn.Module:
    """Copy `model`, masks left out: layers of `torch.nn` with the same parameters; dropout passes its input on."""
    return _replace(model, lambda layer: nn.Identity() if isinstance(layer, Dropout) else _plain(layer))


def naive(model: nn.Module) -> nn.Module:
    """Copy `model`, its masks drawn by torch and multiplied to the weights at each call: what a user would write."""
    return _replace(model, lambda layer: _NaiveDropout(layer) if isinstance(layer, Dropout) else _NaiveLayer(layer))


def _replace(model: nn.Module, make: Callable[[Any], nn.Module]) -> nn.Module:
    model = copy.deepcopy(model)
    made = {layer: make(layer).train(layer.training) for layer in bayesian_layers(model).values()}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in made:
                parent._modules[name] = made[child]
    return made.get(model, model)


def _plain(layer: Any) -> Any:
    plain: Any
    with torch.device("meta"):  # the parameters come from `layer`
        if isinstance(layer, BernoulliLinear):
            plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
        else:
            plain = next(torch_type for ours, torch_type in _CONVOLUTIONS.items() if isinstance(layer, ours))(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                layer.groups, layer.bias is not None, layer.padding_mode,
            )  # fmt: skip
    plain.weight, plain.bias = layer.weight, layer.bias
    return plain


class _NaiveLayer(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.plain = _plain(layer)
        self.p, self.rescale, self.per_example = layer.p, layer.rescale, layer.per_example
        self.granularity = layer.granularity
        self.groups = getattr(layer, "groups", 1)

    def forward(self, input: Tensor) -> Tensor:
        if not self.per_example:
            return self._once(input)
        return torch.cat([self._once(example) for example in input.split(1)])

    def _once(self, input: Tensor) -> Tensor:
        weight = self.plain.weight
        mask = torch.bernoulli(torch.full(mask_shape(weight, self.granularity, self.groups), 1 - self.p).to(weight))
        weight = weight * expand_mask(mask, weight, self.granularity, self.groups)
        if self.rescale:
            weight = weight / (1 - self.p) ** (2 if self.granularity == "channel" else 1)
        if isinstance(self.plain, nn.Linear):
            return functional.linear(input, weight, self.plain.bias)
        return self.plain._conv_forward(input, weight, self.plain.bias)


class _NaiveDropout(nn.Module):
    def __init__(self, layer: Dropout) -> None:
        super().__init__()
        self.p = layer.p
        self.drop = torch.feature_dropout if layer.granularity == "channel" else torch.dropout

    def forward(self, input: Tensor) -> Tensor:
        return self.drop(input, self.p, True)

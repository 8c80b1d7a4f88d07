"""Twins of the Gaussian layers: the mean alone, and each estimator in the few lines that one would write in PyTorch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bayesops.nn import GaussianConv1d, GaussianConv2d, GaussianConv3d, GaussianLinear
from bayesops.profiling.twins.plain import apply, plain_layer

LAYERS: tuple[type[nn.Module], ...] = (GaussianConv1d, GaussianConv2d, GaussianConv3d, GaussianLinear)


def deterministic(layer: Any) -> nn.Module:
    """Return torch's layer with the means as its parameters."""
    return plain_layer(layer, layer.weight_mu, layer.bias_mu)


def naive(layer: Any) -> nn.Module:
    """Return a layer that draws with torch, by the same estimator, at each call."""
    return _ESTIMATORS[layer.estimator](layer)


def draws_for_each_example(layer: Any) -> bool:
    """Whether the examples of a batch meet draws of their own; under Flipout they share that of the deviation."""
    return bool(layer.estimator == "local_reparam")


class _NaiveGaussian(nn.Module):
    plain: Any

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.plain = deterministic(layer)
        self.rho, self.log_alpha, self.bias_rho = layer.weight_rho, layer.weight_log_alpha, layer.bias_rho

    def convolve(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return apply(self.plain, input, weight, bias)

    def deviation(self) -> Tensor:
        if self.rho is not None:
            return softplus(self.rho)
        return torch.exp(self.log_alpha / 2) * self.plain.weight.abs()

    def drawn_bias(self) -> Tensor | None:
        bias: Tensor | None = self.plain.bias
        return None if bias is None else bias + softplus(self.bias_rho) * torch.randn_like(bias)


class _LocalReparameterisation(_NaiveGaussian):
    def forward(self, input: Tensor) -> Tensor:
        mean = self.convolve(input, self.plain.weight, self.plain.bias)
        bias_variance = None if self.bias_rho is None else softplus(self.bias_rho) ** 2
        variance = self.convolve(input**2, self.deviation() ** 2, bias_variance)
        return mean + torch.sqrt(variance) * torch.randn_like(mean)


class _WeightSampling(_NaiveGaussian):
    def forward(self, input: Tensor) -> Tensor:
        mu = self.plain.weight
        return self.convolve(input, mu + self.deviation() * torch.randn_like(mu), self.drawn_bias())


class _Flipout(_NaiveGaussian):
    def forward(self, input: Tensor) -> Tensor:
        mu = self.plain.weight
        mean = self.convolve(input, mu, self.drawn_bias())
        deviation = self.deviation() * torch.randn_like(mu)
        return mean + self.signs(mean) * self.convolve(input * self.signs(input), deviation, None)

    def signs(self, like: Tensor) -> Tensor:
        """One for each example and channel."""
        space = self.plain.weight.dim() - 2
        shape = like.shape[: like.dim() - space] + (1,) * space
        return 2 * torch.randint(0, 2, shape, dtype=like.dtype, device=like.device) - 1


_ESTIMATORS: dict[str, type[_NaiveGaussian]] = {
    "local_reparam": _LocalReparameterisation,
    "weight_sample": _WeightSampling,
    "flipout": _Flipout,
}

"""Weight sampling in plain PyTorch: for each sample, draw the weight and the bias, convolve."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bayesops import random

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def sampled_conv(
    input: Tensor,
    weight_mu: Tensor,
    weight_rho: Tensor | None = None,
    bias_mu: Tensor | None = None,
    bias_rho: Tensor | None = None,
    *,
    seed: int | Tensor,
    weight_log_alpha: Tensor | None = None,
    stream: int = 0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`bayesops.ops.sampled_conv1d`, ``2d``, ``3d`` or `sampled_linear`, by the number of the weight's dimensions.

    Images ``[N, I, *]`` or, where `seed` is ``[S]``, also ``[S, N, I, *]``.
    """
    sigma = standard_deviation(weight_mu, weight_rho, weight_log_alpha)

    def draw(images: Tensor, seed: Tensor) -> Tensor:
        weight = weight_mu + sigma * random.normal(seed, weight_mu.shape, stream).to(input.dtype)
        bias = draw_bias(bias_mu, bias_rho, seed, stream)
        return convolve(images, weight, bias, stride, padding, dilation, groups)

    seeds = torch.as_tensor(seed, dtype=torch.int64)
    if seeds.dim() == 0:
        return draw(input, seeds)
    per_sample = input.dim() > weight_mu.dim()
    return torch.stack([draw(input[s] if per_sample else input, seeds[s]) for s in range(len(seeds))])


def standard_deviation(mu: Tensor, rho: Tensor | None, log_alpha: Tensor | None) -> Tensor:
    """``softplus(rho)``, or ``sqrt(alpha) |mu|``."""
    if rho is not None:
        return functional.softplus(rho)
    assert log_alpha is not None
    return torch.exp(log_alpha / 2) * mu.abs()


def draw_bias(mu: Tensor | None, rho: Tensor | None, seed: Tensor, stream: int) -> Tensor | None:
    """Draw a bias, from a stream of its own."""
    if mu is None or rho is None:
        return mu
    return mu + functional.softplus(rho) * random.normal(seed, mu.shape, stream ^ 0x80000000).to(mu.dtype)


def convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> Tensor:
    """PyTorch's convolution, or linear map, by the number of the weight's dimensions."""
    if weight.dim() == 2:
        return functional.linear(images, weight, bias)
    return _CONVOLUTIONS[weight.dim() - 2](images, weight, bias, stride, padding, dilation, groups)

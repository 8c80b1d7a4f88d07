"""Flipout in plain PyTorch: one weight draw per sample, of which each example flips the deviation's signs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bayesops import random
from bayesops.reference.sampled_conv import convolve, draw_bias, standard_deviation


def flipout_conv(
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
    """`bayesops.ops.flipout_conv1d`, ``2d``, ``3d`` or `flipout_linear`, by the number of the weight's dimensions.

    Images ``[N, I, *]`` or, where `seed` is ``[S]``, also ``[S, N, I, *]``.
    """
    sigma = standard_deviation(weight_mu, weight_rho, weight_log_alpha)
    geometry = (stride, padding, dilation, groups)

    def draw(images: Tensor, seed: Tensor) -> Tensor:
        examples, inputs, *space = images.shape
        signs = random.signs(seed, (examples, inputs + len(weight_mu)), stream).to(images.dtype)
        signs = signs.reshape(*signs.shape, *[1] * len(space))  # one for each example and channel, whatever the pixel
        deviation = sigma * random.normal(seed, weight_mu.shape, stream).to(images.dtype)
        mean = convolve(images, weight_mu, draw_bias(bias_mu, bias_rho, seed, stream), *geometry)
        return mean + signs[:, inputs:] * convolve(images * signs[:, :inputs], deviation, None, *geometry)

    seeds = torch.as_tensor(seed, dtype=torch.int64)
    if seeds.dim() == 0:
        return draw(input, seeds)
    per_sample = input.dim() > weight_mu.dim()
    return torch.stack([draw(input[s] if per_sample else input, seeds[s]) for s in range(len(seeds))])

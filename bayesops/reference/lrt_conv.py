"""Local reparameterisation in plain PyTorch: convolve means and variances, then draw each output by itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bayesops import random
from bayesops.reference.sampled_conv import convolve


def lrt_conv(
    input: Tensor,
    weight_mu: Tensor,
    weight_var: Tensor,
    bias_mu: Tensor | None = None,
    bias_var: Tensor | None = None,
    *,
    seed: int | Tensor,
    stream: int = 0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`bayesops.ops.lrt_conv1d`, ``2d``, ``3d`` or `lrt_linear`, by the number of the weight's dimensions.

    Images ``[N, I, *]`` or, where `seed` is ``[S]``, also ``[S, N, I, *]``.
    """

    def draw(images: Tensor, seed: Tensor) -> Tensor:
        mean = convolve(images, weight_mu, bias_mu, stride, padding, dilation, groups)
        variance = convolve(images**2, weight_var, bias_var, stride, padding, dilation, groups)
        certain = variance == 0  # the square root has no finite derivative there
        deviation = torch.where(certain, 0, torch.where(certain, 1, variance).sqrt())
        examples, channels, *space = mean.shape
        noise = random.normal(seed, (examples, *space, channels), stream).movedim(-1, 1)
        return mean + deviation * noise.to(mean.dtype)

    seeds = torch.as_tensor(seed, dtype=torch.int64)
    if seeds.dim() == 0:
        return draw(input, seeds)
    per_sample = input.dim() > weight_mu.dim()
    return torch.stack([draw(input[s] if per_sample else input, seeds[s]) for s in range(len(seeds))])

"""The masked convolution in plain PyTorch: for each sample and example, draw the mask, multiply, convolve."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bayesops import random

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def masked_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    p: float,
    seed: int | Tensor,
    mask: Tensor | None = None,
    granularity: str = "weight",
    rescale: bool = True,
    per_example: bool = False,
    stream: int = 0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`bayesops.ops.masked_conv1d`, ``2d``, ``3d`` or `masked_linear`, by the number of the weight's dimensions.

    Images ``[N, I, *]`` or, where `seed` is ``[S]``, also ``[S, N, I, *]``.
    """

    def convolve(images: Tensor, kernel: Tensor) -> Tensor:
        if weight.dim() == 2:
            return functional.linear(images, kernel, bias)
        return _CONVOLUTIONS[weight.dim() - 2](images, kernel, bias, stride, padding, dilation, groups)

    def draw(images: Tensor, base: Tensor) -> Tensor:
        effective = weight * expand_mask(base, weight, granularity, groups)
        kept = (1 - p) ** 2 if granularity == "channel" else 1 - p
        return convolve(images, effective / kept if rescale else effective)

    def sample(images: Tensor, masks: Tensor) -> Tensor:
        if not per_example:
            return draw(images, masks)
        return torch.cat([draw(images[n : n + 1], masks[n]) for n in range(len(images))])

    seeds = torch.as_tensor(seed, dtype=torch.int64)
    num_examples = input.shape[-(weight.dim() - 2) - 2]
    shape = mask_shape(weight, granularity, groups)
    if per_example:
        shape = (num_examples, *shape)
    if mask is None:
        mask = random.bernoulli_mask(seeds, shape, p, stream)
    if seeds.dim() == 0:
        return sample(input, mask)
    masks = mask.expand(len(seeds), *shape)
    per_sample = input.dim() > weight.dim()
    return torch.stack([sample(input[s] if per_sample else input, masks[s]) for s in range(len(seeds))])


def mask_shape(weight: Tensor, granularity: str, groups: int = 1) -> tuple[int, ...]:
    """Return the shape of one mask: what one random bit switches, by name."""
    out_channels, in_per_group = weight.shape[:2]
    return {
        "weight": tuple(weight.shape),
        "kernel": (out_channels, in_per_group),
        "in_channel": (in_per_group * groups,),
        "out_channel": (out_channels,),
        "channel": (in_per_group * groups + out_channels,),
    }[granularity]


def expand_mask(mask: Tensor, weight: Tensor, granularity: str, groups: int = 1) -> Tensor:
    """Spread the mask of `mask_shape` to one factor for each weight, in the weight's dtype."""
    out_channels, in_per_group, *window = weight.shape
    if granularity == "channel":
        inputs, outputs = mask.split([in_per_group * groups, out_channels])
        of_outputs = expand_mask(outputs, weight, "out_channel", groups)
        return expand_mask(inputs, weight, "in_channel", groups) * of_outputs
    if granularity == "in_channel":  # output channel o reads the input channels of its group
        mask = mask.view(groups, 1, in_per_group).expand(groups, out_channels // groups, in_per_group)
        mask = mask.reshape(out_channels, in_per_group)
    elif granularity == "out_channel":
        mask = mask.view(out_channels, 1).expand(out_channels, in_per_group)
    if granularity != "weight":
        mask = mask.view(out_channels, in_per_group, *[1] * len(window))
    return mask.expand(weight.shape).to(weight.dtype)

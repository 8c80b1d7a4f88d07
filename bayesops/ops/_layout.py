"""Shapes and memory formats of convolutions: which strides the compiled operators give their outputs."""

import math
from collections.abc import Sequence

from torch import Tensor


def output_size(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """Spatial size of a convolution's output; `padding` holds (before, after) for each dimension."""
    return [
        (n + padding[2 * i] + padding[2 * i + 1] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i, n in enumerate(size)
    ]


def is_channels_last(images: Tensor, spatial_dims: int) -> bool:
    """Whether neighbouring channels are neighbours in memory, for ``[..., C, *]`` with `spatial_dims` dims in ``*``."""
    channel = images.dim() - spatial_dims - 1
    if spatial_dims == 0 or images.stride(channel) != 1:
        return False
    return math.prod(images.shape[channel + 1 :]) > 1


def empty_images(like: Tensor, shape: Sequence[int], spatial_dims: int, channels_last: bool) -> Tensor:
    """Allocate an ``[..., C, *]`` of `like`'s dtype and device, contiguous or with each image channels-last."""
    if not channels_last:
        return like.new_empty(shape)
    channel = len(shape) - spatial_dims - 1
    physical = [*shape[:channel], *shape[channel + 1 :], shape[channel]]
    return like.new_empty(physical).movedim(-1, channel)


def empty_output(
    input: Tensor,
    weight: Tensor,
    samples: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Allocate a convolution's output ``[*samples, N, O, *]``, channels-last where the input is."""
    spatial = weight.dim() - 2
    size = output_size(input.shape[input.dim() - spatial :], weight.shape[2:], stride, padding, dilation)
    shape = [*samples, input.shape[-spatial - 2], weight.shape[0], *size]
    return empty_images(input, shape, spatial, is_channels_last(input, spatial))


def empty_input_gradient(grad_output: Tensor, input_size: Sequence[int], spatial_dims: int) -> Tensor:
    """Allocate the gradient of a convolution's input, of size `input_size`."""
    channels_last = _input_gradient_is_channels_last(grad_output, len(input_size), spatial_dims)
    return empty_images(grad_output, input_size, spatial_dims, channels_last)


def input_gradient_with_layout(gradient: Tensor, grad_output: Tensor, spatial_dims: int) -> Tensor:
    """Give an input's gradient the strides that `empty_input_gradient` gives, copied only where they differ."""
    channels_last = _input_gradient_is_channels_last(grad_output, gradient.dim(), spatial_dims)
    return with_layout(gradient, spatial_dims, channels_last)


def _input_gradient_is_channels_last(grad_output: Tensor, input_dims: int, spatial_dims: int) -> bool:
    """Whether it is: as the output's gradient, unless it is summed over the samples that share the input."""
    return input_dims == grad_output.dim() and is_channels_last(grad_output, spatial_dims)


def with_layout(images: Tensor, spatial_dims: int, channels_last: bool) -> Tensor:
    """Give `images` the strides that `empty_images` gives, copied only where they differ."""
    if not channels_last:
        return images.contiguous()
    channel = images.dim() - spatial_dims - 1
    return images.movedim(channel, -1).contiguous().movedim(-1, channel)

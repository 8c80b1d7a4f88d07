"""Convolutions with a weight for each sample (or example), done by the library's own, and how many those are.

Everywhere below, ``input`` is ``[N, I, *]`` (shared by all samples) or ``[S, N, I, *]``, ``weights`` is
``[S or nothing, N if per_example, O, I / groups, *]``, and an output ``[S, N, O, *]``, or ``[N, O, *]`` where neither
of them has samples. Where the input alone has samples, they are more examples of one weight.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bayesops.ops._layout import empty_images, is_channels_last, output_size
from bayesops.ops._sample_folding import Folding


class Geometry(NamedTuple):
    """Where a convolution reads: one number for each spatial dimension (none for linear), padding two."""

    stride: Sequence[int]
    padding: Sequence[int]  # (before, after) for each dimension
    dilation: Sequence[int]
    groups: int


# Multiply-adds of one sample from which a convolution for each of them should pay. Grouped convolutions are known to be
# several times slower than plain ones, and a launch takes as long as some 10^9 multiply-adds of a large GPU: this is an
# estimate, to be replaced by what a device measures (bench_masked_conv.py has both ways).
ALONE_FROM = 2**29


def runs_alone(
    input_size: Sequence[int], weights_size: Sequence[int], geometry: Geometry, *, per_example: bool = False
) -> bool:
    """Choose by shape between a convolution for each sample and one for all of them (`_sample_folding`).

    The operator ``convolve_samples`` does the former, and what follows each.

    Samples that share their images are output channels of one convolution, which nothing is faster than. With images
    of their own they are groups of one convolution; or, where each has enough to do, they have one each. (Windows of
    one pixel make a batched product instead: `is_product`.)
    """
    spatial = len(geometry.stride)
    if spatial == 0 or per_example or len(input_size) < spatial + 3 or len(weights_size) < spatial + 3:
        return False
    size = _image_size(input_size, weights_size, geometry)
    work = input_size[1] * math.prod(size) * math.prod(weights_size[1:])
    # Of nothing there is no loop, whatever ALONE_FROM: other ways return zeros for it.
    return input_size[0] > 0 and work > 0 and work >= ALONE_FROM


def is_product(input: Tensor, weights_size: Sequence[int], geometry: Geometry, *, per_example: bool = False) -> bool:
    """Whether each sample's convolution is a matrix product, rows being pixels: windows of 1, channels-last images."""
    spatial = len(geometry.stride)
    has_samples = input.dim() == len(weights_size) == spatial + 3 and not per_example
    one_pixel = math.prod(weights_size[len(weights_size) - spatial :]) == 1 and not any(geometry.padding)
    return spatial > 0 and has_samples and one_pixel and geometry.groups == 1 and is_channels_last(input, spatial)


def convolve(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Return the convolution of images with one weight for all samples."""
    results = convolve_in_groups(input, weight, geometry).flatten(2, 3)
    return results if input.dim() == len(geometry.stride) + 3 else results.squeeze(0)


def convolve_samples(
    input: Tensor, weights: Tensor, geometry: Geometry, *following: Any, channels_last: bool, epilogue: Sequence[Any]
) -> Tensor:
    """Convolve each sample's images with its own weight, one after another, and finish each: ``[S, N, O, *]``.

    What follows is what the operator ``bayesops::conv_epilogue`` takes: bias, base and signs, and an `Epilogue`.
    """
    if _is_uneven(geometry.padding):
        images, padding, _ = _padded(input.flatten(0, 1), geometry.padding)
        input = images.unflatten(0, input.shape[:2])
    else:  # flattening would copy what is a part of something larger
        padding = list(geometry.padding[0::2])
    return torch.ops.bayesops.convolve_samples(
        input, weights, geometry.stride, padding, geometry.dilation, geometry.groups, *following, channels_last,
        *epilogue,
    )  # fmt: skip


def convolve_in_groups(
    input: Tensor, weights: Tensor, geometry: Geometry, *, per_example: bool = False
) -> Tensor:  # fmt: skip
    """Convolve each sample's (and example's) images with its own weight, all of them at once.

    Returns ``[S or 1, N, groups, O / groups, *]``: a view of what the library's convolution wrote, in whatever order it
    lies there. Nothing is copied.
    """
    spatial = len(geometry.stride)
    if _is_all_examples(input.shape, weights.shape, spatial, per_example):
        results = convolve_in_groups(input.flatten(0, 1), weights, geometry)
        return results.squeeze(0).unflatten(0, input.shape[:2])
    lead = weights.shape[: weights.dim() - spatial - 2 - per_example]
    samples, examples = lead.numel(), input.shape[-spatial - 2]
    size = _image_size(input.shape, weights.shape, geometry)
    shape = [samples, examples, geometry.groups, weights.shape[-spatial - 2] // geometry.groups, *size]
    if 0 in shape or input.numel() == 0:
        return input.new_zeros(shape)
    if spatial == 0:
        rows = _linear(input, weights, per_example).unsqueeze(-2)  # all are one group
        return rows if lead else rows.unsqueeze(0)
    if is_product(input, weights.shape, geometry, per_example=per_example):
        return _product(input, weights, geometry).unsqueeze(2)
    folding = Folding.of(input.shape, weights.shape, spatial, geometry.groups, per_example)
    folded = _convolution(folding.images(input), folding.kernels(weights), geometry, folding.all_groups)
    return folding.unfold_output(folded, samples, examples)


def input_gradient(
    grad_output: Tensor, weights: Tensor, input_size: Sequence[int], geometry: Geometry, *, per_example: bool = False
) -> Tensor:
    """Return the gradient of the input: of its size, hence summed over the samples that share it."""
    spatial = len(geometry.stride)
    if _is_all_examples(input_size, weights.shape, spatial, per_example):
        samples, examples, *image = input_size
        gradient = input_gradient(grad_output.flatten(0, 1), weights, [samples * examples, *image], geometry)
        return gradient.unflatten(0, (samples, examples))
    if grad_output.numel() == 0 or weights.numel() == 0 or 0 in input_size:
        return grad_output.new_zeros(input_size)
    if spatial == 0:
        rows = grad_output.unsqueeze(-2) @ weights if per_example else grad_output @ weights
        return (rows.squeeze(-2) if per_example else rows).sum_to_size(input_size)
    if runs_alone(input_size, weights.shape, geometry, per_example=per_example):
        images = _unread(grad_output[0], input_size[1:], spatial)
        return _stacked(
            [
                _image_gradient(gradient, images, weight, geometry, geometry.groups)
                for gradient, weight in zip(grad_output.unbind(0), weights.unbind(0), strict=True)
            ],
            spatial,
        )
    folding = Folding.of(input_size, weights.shape, spatial, geometry.groups, per_example)
    folded = folding.output(grad_output)
    images = _unread(folded, folding.images_size(input_size), spatial)
    gradient = _image_gradient(folded, images, folding.kernels(weights), geometry, folding.all_groups)
    return folding.unfold_images(gradient, input_size)


def weight_gradients(
    grad_output: Tensor, input: Tensor, weights_size: Sequence[int], geometry: Geometry, *, per_example: bool = False
) -> Tensor:
    """Return the gradient of each sample's (and example's) weight: of the weights' size."""
    spatial = len(geometry.stride)
    if _is_all_examples(input.shape, weights_size, spatial, per_example):
        return weight_gradients(grad_output.flatten(0, 1), input.flatten(0, 1), weights_size, geometry)
    if grad_output.numel() == 0 or input.numel() == 0 or 0 in weights_size:
        return input.new_zeros(weights_size)
    if spatial == 0:
        if per_example:
            return grad_output.unsqueeze(-1) * input.unsqueeze(-2)
        return grad_output.transpose(-1, -2) @ input
    if runs_alone(input.shape, weights_size, geometry, per_example=per_example):
        weight = _unread(input[0], weights_size[1:], spatial)
        return _stacked(
            [
                _kernel_gradient(gradient, images, weight, geometry, geometry.groups)
                for gradient, images in zip(grad_output.unbind(0), input.unbind(0), strict=True)
            ],
            spatial,
        )
    folding = Folding.of(input.shape, weights_size, spatial, geometry.groups, per_example)
    images = folding.images(input)
    weight = _unread(images, folding.kernels_size(weights_size), spatial)
    gradient = _kernel_gradient(folding.output(grad_output), images, weight, geometry, folding.all_groups)
    return folding.unfold_kernels(gradient, weights_size)


def _is_all_examples(input_size: Sequence[int], weights_size: Sequence[int], spatial: int, per_example: bool) -> bool:
    return len(input_size) == spatial + 3 and len(weights_size) == spatial + 2 + per_example


def _image_size(input_size: Sequence[int], weights_size: Sequence[int], geometry: Geometry) -> list[int]:
    """Spatial size of an output."""
    spatial = len(geometry.stride)
    image, window = (size[len(size) - spatial :] for size in (input_size, weights_size))
    return output_size(image, window, geometry.stride, geometry.padding, geometry.dilation)


def _linear(input: Tensor, weights: Tensor, per_example: bool) -> Tensor:
    if per_example:
        return torch.matmul(weights, input.unsqueeze(-1)).squeeze(-1)
    if weights.dim() > input.dim():  # one wide product
        rows = input @ weights.flatten(0, 1).transpose(0, 1)
        return rows.unflatten(1, weights.shape[:2]).transpose(0, 1)
    return input @ weights.transpose(-1, -2)


def _product(input: Tensor, weights: Tensor, geometry: Geometry) -> Tensor:
    """Multiply the pixels of each sample, ``[S, N, I, *]``, with its weight of one pixel: one batched product."""
    for dim, step in enumerate(geometry.stride, start=3):
        input = input.movedim(dim, 0)[::step].movedim(0, dim)
    pixels = input.movedim(2, -1)
    rows = torch.bmm(pixels.flatten(1, -2), weights.flatten(2).transpose(1, 2))
    return rows.unflatten(1, pixels.shape[1:-1]).movedim(-1, 2)


def _unread(like: Tensor, shape: Sequence[int], spatial: int) -> Tensor:
    """Stand in for a tensor of which a gradient is asked: its shape is read, and its memory format, here `like`'s."""
    return empty_images(like, shape, spatial, is_channels_last(like, spatial))


def _stacked(parts: list[Tensor], spatial: int) -> Tensor:
    """Stack ``[S][A, B, *]``; where the channels ``B`` are last in the parts, they stay so."""
    channels_last = is_channels_last(parts[0], spatial)
    if not channels_last:
        return torch.stack(parts)
    return torch.stack([part.movedim(1, -1) for part in parts]).movedim(-1, 2)


def _is_uneven(padding: Sequence[int]) -> bool:
    return list(padding[0::2]) != list(padding[1::2])


def _padded(images: Tensor, padding: Sequence[int]) -> tuple[Tensor, list[int], list[int] | None]:
    """Images, the padding that the library's convolution is to add, and what has been added because sides differ."""
    before, after = list(padding[0::2]), list(padding[1::2])
    if not _is_uneven(padding):
        return images, before, None
    pads = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return functional.pad(images, pads), [0] * len(before), pads


def _convolution(images: Tensor, weight: Tensor, geometry: Geometry, groups: int) -> Tensor:
    images, padding, _ = _padded(images, geometry.padding)
    return torch.convolution(
        images, weight, None, geometry.stride, padding, geometry.dilation, False, [0] * len(padding), groups
    )


def _image_gradient(grad_output: Tensor, images: Tensor, weight: Tensor, geometry: Geometry, groups: int) -> Tensor:
    gradient, _, pads = _backward(grad_output, images, weight, geometry, groups, [True, False, False])
    return gradient if pads is None else functional.pad(gradient, [-n for n in pads])


def _kernel_gradient(grad_output: Tensor, images: Tensor, weight: Tensor, geometry: Geometry, groups: int) -> Tensor:
    return _backward(grad_output, images, weight, geometry, groups, [False, True, False])[1]


def _backward(
    grad_output: Tensor, images: Tensor, weight: Tensor, geometry: Geometry, groups: int, wanted: list[bool]
) -> tuple[Tensor, Tensor, list[int] | None]:
    """Return the gradients of padded images and of the weight, and the padding."""
    images, padding, pads = _padded(images, geometry.padding)
    of_images, of_weight, _ = torch.ops.aten.convolution_backward(
        grad_output, images, weight, None, geometry.stride, padding, geometry.dilation, False, [0] * len(padding),
        groups, wanted,
    )  # fmt: skip
    return of_images, of_weight, pads

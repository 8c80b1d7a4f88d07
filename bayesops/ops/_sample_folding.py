"""Convolutions with a weight for each sample (or example) as one convolution of the library's own.

A draw is an output-channel block where the images are shared, and a group of the convolution where they are not: with
one weight for several samples of shared images, the samples' output channels stand side by side within each group:
``[N, I, *]`` with ``[g S O/g, I/g, *]`` gives ``[N, g S O/g, *]``. With images or examples of their own, each draw is
``g`` groups.

Everywhere below, ``input`` is ``[N, I, *]`` (shared by all samples) or ``[S, N, I, *]``, ``weights`` is
``[S or nothing, N if per_example, O, I / groups, *]``, and an output ``[S, N, O, *]``, or ``[N, O, *]`` where neither
of them has samples. Where the input alone has samples, they are more examples of one weight.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bayesops.ops._layout import output_size


class Geometry(NamedTuple):
    """Where a convolution reads: one number for each spatial dimension (none for linear), padding two."""

    stride: Sequence[int]
    padding: Sequence[int]  # (before, after) for each dimension
    dilation: Sequence[int]
    groups: int


def convolve(input: Tensor, weights: Tensor, geometry: Geometry) -> Tensor:
    """Return the convolution of each sample's images with its own weight."""
    spatial = len(geometry.stride)
    results = convolve_in_groups(input, weights, geometry).flatten(2, 3)
    sampled = spatial + 3 in (input.dim(), weights.dim())
    return results if sampled else results.squeeze(0)


def convolve_in_groups(
    input: Tensor, weights: Tensor, geometry: Geometry, *, per_example: bool = False
) -> Tensor:  # fmt: skip
    """Convolve each sample's (and example's) images with its own weight, to ``[S or 1, N, groups, O / groups, *]``.

    That is a view of what the library's convolution wrote, in whatever order it lies there: nothing is copied.
    """
    spatial = len(geometry.stride)
    if _is_all_examples(input.shape, weights.shape, spatial, per_example):
        return convolve_in_groups(input.flatten(0, 1), weights, geometry).squeeze(0).unflatten(0, input.shape[:2])
    lead = weights.shape[: weights.dim() - spatial - 2 - per_example]
    samples, examples = lead.numel(), input.shape[-spatial - 2]
    size = output_size(
        input.shape[input.dim() - spatial :], weights.shape[weights.dim() - spatial :],
        geometry.stride, geometry.padding, geometry.dilation,
    )  # fmt: skip
    shape = [samples, examples, geometry.groups, weights.shape[-spatial - 2] // geometry.groups, *size]
    if 0 in shape or input.numel() == 0:
        return input.new_zeros(shape)
    if spatial == 0:
        rows = _linear(input, weights, per_example).unsqueeze(-2)  # all are one group
        return rows if lead else rows.unsqueeze(0)
    folding = _Folding.of(input.shape, weights.shape, geometry, per_example)
    pads, padding = _padding(geometry.padding)
    images = folding.images(input)
    if pads is not None:
        images = functional.pad(images, pads)
    folded = torch.convolution(
        images, folding.kernels(weights), None, geometry.stride, padding, geometry.dilation, False, [0] * spatial,
        folding.all_groups,
    )  # fmt: skip
    return folding.unfold_output(folded, samples, examples)


def input_gradient(
    grad_output: Tensor, weights: Tensor, input_size: Sequence[int], geometry: Geometry, *, per_example: bool = False
) -> Tensor:
    """Return the gradient of the input: of its size, hence summed over the samples that share it."""
    if _is_all_examples(input_size, weights.shape, len(geometry.stride), per_example):
        samples, examples, *image = input_size
        gradient = input_gradient(grad_output.flatten(0, 1), weights, [samples * examples, *image], geometry)
        return gradient.unflatten(0, (samples, examples))
    if grad_output.numel() == 0 or weights.numel() == 0 or 0 in input_size:
        return grad_output.new_zeros(input_size)
    if len(geometry.stride) == 0:
        rows = grad_output.unsqueeze(-2) @ weights if per_example else grad_output @ weights
        return (rows.squeeze(-2) if per_example else rows).sum_to_size(input_size)
    folding = _Folding.of(input_size, weights.shape, geometry, per_example)
    input = grad_output.new_empty(input_size)  # its shape is all that is read
    gradient = _backward(grad_output, input, weights, geometry, folding, input_wanted=True)
    return folding.unfold_images(gradient, input_size)


def weight_gradients(
    grad_output: Tensor, input: Tensor, weights_size: Sequence[int], geometry: Geometry, *, per_example: bool = False
) -> Tensor:
    """Return the gradient of each sample's (and example's) weight: of the weights' size."""
    if _is_all_examples(input.shape, weights_size, len(geometry.stride), per_example):
        return weight_gradients(grad_output.flatten(0, 1), input.flatten(0, 1), weights_size, geometry)
    if grad_output.numel() == 0 or input.numel() == 0 or 0 in weights_size:
        return input.new_zeros(weights_size)
    if len(geometry.stride) == 0:
        if per_example:
            return grad_output.unsqueeze(-1) * input.unsqueeze(-2)
        return grad_output.transpose(-1, -2) @ input
    folding = _Folding.of(input.shape, weights_size, geometry, per_example)
    weights = input.new_empty(weights_size)  # its shape is all that is read
    gradient = _backward(grad_output, input, weights, geometry, folding, input_wanted=False)
    return folding.unfold_kernels(gradient, weights_size)


def _is_all_examples(input_size: Sequence[int], weights_size: Sequence[int], spatial: int, per_example: bool) -> bool:
    return len(input_size) == spatial + 3 and len(weights_size) == spatial + 2 + per_example


def _linear(input: Tensor, weights: Tensor, per_example: bool) -> Tensor:
    if per_example:
        return torch.matmul(weights, input.unsqueeze(-1)).squeeze(-1)
    if weights.dim() > input.dim():  # one wide product
        rows = input @ weights.flatten(0, 1).transpose(0, 1)
        return rows.unflatten(1, weights.shape[:2]).transpose(0, 1)
    return input @ weights.transpose(-1, -2)


def _padding(padding: Sequence[int]) -> tuple[list[int] | None, list[int]]:
    """Split padding into pads for `functional.pad` (None unless sides differ) and the convolution's own."""
    before, after = list(padding[0::2]), list(padding[1::2])
    if before == after:
        return None, before
    pads = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return pads, [0] * len(before)


class _Folding(NamedTuple):
    """How the samples and examples of one call stand in the channels and groups of the one convolution."""

    spatial: int
    groups: int
    draws: int  # weights, of samples and examples
    sampled: bool  # there is a sample axis
    per_sample: bool  # the input has it, too
    per_example: bool

    @classmethod
    def of(
        cls, input_size: Sequence[int], weights_size: Sequence[int], geometry: Geometry, per_example: bool
    ) -> "_Folding":
        spatial = len(geometry.stride)
        lead = weights_size[: len(weights_size) - spatial - 2]
        draws = 1
        for size in lead:
            draws *= size
        sampled, per_sample = len(lead) > per_example, len(input_size) == spatial + 3
        return cls(spatial, geometry.groups, draws, sampled, per_sample, per_example)

    @property
    def is_wide(self) -> bool:
        return self.sampled and not self.per_sample and not self.per_example

    @property
    def all_groups(self) -> int:
        return self.groups if self.is_wide else self.groups * self.draws

    def images(self, input: Tensor) -> Tensor:
        if self.per_example:
            if self.sampled and not self.per_sample:
                input = input.expand(self.draws // input.shape[0], *input.shape)
            return input.reshape(1, -1, *input.shape[-self.spatial :])
        return input.transpose(0, 1).flatten(1, 2) if self.per_sample else input

    def kernels(self, weights: Tensor) -> Tensor:
        if self.is_wide:
            weights = weights.unflatten(1, (self.groups, -1)).transpose(0, 1)
        return weights.reshape(-1, *weights.shape[-self.spatial - 1 :])

    def output(self, output: Tensor) -> Tensor:
        """Bring an output ``[S, N, O, *]`` into the form of the one convolution's output."""
        image = output.shape[-self.spatial :]
        if self.per_example:
            return output.reshape(1, -1, *image)
        if not self.sampled:
            return output
        if self.per_sample:
            return output.transpose(0, 1).flatten(1, 2)
        grouped = output.unflatten(2, (self.groups, -1))  # S N g O/g *
        return grouped.permute(1, 2, 0, *range(3, grouped.dim())).flatten(1, 3)

    def unfold_output(self, folded: Tensor, samples: int, examples: int) -> Tensor:
        """Bring the one convolution's output into the form ``[S or 1, N, groups, O / groups, *]``, as a view."""
        if self.per_example:
            return folded.unflatten(1, (samples, examples, self.groups, -1)).squeeze(0)
        if not self.sampled:
            return folded.unflatten(1, (self.groups, -1)).unsqueeze(0)
        if self.per_sample:
            return folded.unflatten(1, (samples, self.groups, -1)).transpose(0, 1)
        return folded.unflatten(1, (self.groups, samples, -1)).movedim(2, 0)

    def unfold_images(self, images: Tensor, shape: Sequence[int]) -> Tensor:
        if self.per_example:
            if self.sampled and not self.per_sample:
                return images.reshape(-1, *shape).sum(0)
            return images.reshape(shape)
        return images.unflatten(1, (shape[0], shape[2])).transpose(0, 1) if self.per_sample else images

    def unfold_kernels(self, kernels: Tensor, shape: Sequence[int]) -> Tensor:
        if not self.is_wide:
            return kernels.reshape(shape)
        grouped = kernels.unflatten(0, (self.groups, shape[0], shape[1] // self.groups))  # g S O/g I/g *
        return grouped.transpose(0, 1).reshape(shape)


def _backward(
    grad_output: Tensor, input: Tensor, weights: Tensor, geometry: Geometry, folding: _Folding, input_wanted: bool
) -> Tensor:
    pads, padding = _padding(geometry.padding)
    images = folding.images(input)
    if pads is not None:
        images = functional.pad(images, pads)
    image_grad, kernel_grad, _ = torch.ops.aten.convolution_backward(
        folding.output(grad_output), images, folding.kernels(weights), None, geometry.stride, padding,
        geometry.dilation, False, [0] * folding.spatial, folding.all_groups, [input_wanted, not input_wanted, False],
    )  # fmt: skip
    if not input_wanted:
        return kernel_grad
    return image_grad if pads is None else functional.pad(image_grad, [-n for n in pads])

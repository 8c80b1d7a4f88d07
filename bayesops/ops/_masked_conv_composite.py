"""The masked convolution as a composite: all masked weights written once, then one convolution of the library's own.

This is how the operators run on CUDA, where cuDNN's convolution is hard to beat and what counts is that no mask and no
unscaled copy is ever written: `masked_weight` draws, masks and scales in one pass. It runs on any device, and the tests
hold it on the CPU against the reference.

A draw (or an example) of its own is an output-channel block where the images are shared, and a group of the convolution
where they are not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bayesops.ops._layout import is_channels_last, output_size, with_layout


class Options(NamedTuple):
    """The arguments that the three operators share."""

    p: float
    granularity: int
    rescale: bool
    per_example: bool
    stream: int
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int

    def weights(self, weight: Tensor, seed: Tensor, mask: Tensor | None, num_examples: int) -> Tensor:
        """Masked weights ``[S or nothing, N if per example, *weight.shape]``."""
        return torch.ops.bayesops.masked_weight(
            weight, seed, mask, self.p, self.granularity, self.rescale, num_examples if self.per_example else 0,
            self.groups, self.stream,
        )  # fmt: skip


def masked_conv(
    input: Tensor, weight: Tensor, bias: Tensor | None, seed: Tensor, mask: Tensor | None, *options: Any
) -> Tensor:
    """Take and return what the operator ``bayesops::masked_conv`` does."""
    o = Options(*options)
    spatial = weight.dim() - 2
    shape = _output_shape(input.shape, weight, seed, o)
    if 0 in shape or input.numel() == 0:
        output = input.new_zeros(shape)
    else:
        output = _convolve(input, o.weights(weight, seed, mask, input.shape[-spatial - 2]), shape, seed, o)
    if bias is not None:
        output = output + bias.view(-1, *[1] * spatial)
    return with_layout(output, spatial, is_channels_last(input, spatial))


def masked_conv_input_grad(
    grad_output: Tensor, weight: Tensor, seed: Tensor, mask: Tensor | None, input_size: Sequence[int], *options: Any
) -> Tensor:
    """Take and return what the operator ``bayesops::masked_conv_input_grad`` does."""
    spatial = weight.dim() - 2
    input = grad_output.new_zeros(input_size)
    gradient = _gradients(grad_output, input, weight, seed, mask, Options(*options), input_wanted=True)
    summed = gradient.dim() < grad_output.dim()
    return with_layout(gradient, spatial, not summed and is_channels_last(grad_output, spatial))


def masked_conv_weight_grad(
    grad_output: Tensor, input: Tensor, seed: Tensor, mask: Tensor | None, weight_size: Sequence[int], *options: Any
) -> Tensor:
    """Take and return what the operator ``bayesops::masked_conv_weight_grad`` does."""
    # The mask of each term is what the operator makes of a weight of ones.
    ones = input.new_ones(weight_size)
    return _gradients(grad_output, input, ones, seed, mask, Options(*options), input_wanted=False).contiguous()


def _gradients(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    seed: Tensor,
    mask: Tensor | None,
    o: Options,
    input_wanted: bool,
) -> Tensor:
    spatial = weight.dim() - 2
    if grad_output.numel() == 0 or input.numel() == 0 or weight.numel() == 0:
        return torch.zeros_like(input if input_wanted else weight)
    weights = o.weights(weight, seed, mask, input.shape[-spatial - 2])
    if spatial == 0:
        return _linear_gradient(grad_output, input, weights, o.per_example, input_wanted)
    images, kernels, groups = _fold(input, weights, seed, o)
    pads, padding = _padding(o.padding)
    padded = images if pads is None else functional.pad(images, pads)
    grad = _fold_output(grad_output, padded.shape[0], seed, input.dim() == spatial + 3, o)
    image_grad, kernel_grad, _ = torch.ops.aten.convolution_backward(
        grad, padded, kernels, None, o.stride, padding, o.dilation, False, [0] * spatial, groups,
        [input_wanted, not input_wanted, False],
    )  # fmt: skip
    if not input_wanted:
        return (_unfold_kernels(kernel_grad, weights.shape, seed, input.dim() == spatial + 3, o) * weights).reshape(
            -1, *weight.shape
        ).sum(0)  # fmt: skip
    if pads is not None:
        image_grad = functional.pad(image_grad, [-n for n in pads])
    return _unfold_images(image_grad, input.shape, seed, o)


def _convolve(input: Tensor, weights: Tensor, shape: list[int], seed: Tensor, o: Options) -> Tensor:
    spatial = len(o.stride)
    if spatial == 0:
        return _linear(input, weights, o.per_example)
    images, kernels, groups = _fold(input, weights, seed, o)
    pads, padding = _padding(o.padding)
    if pads is not None:
        images = functional.pad(images, pads)
    folded = torch.convolution(images, kernels, None, o.stride, padding, o.dilation, False, [0] * spatial, groups)
    return _unfold_output(folded, shape, seed, input.dim() == spatial + 3, o)


def _linear(input: Tensor, weights: Tensor, per_example: bool) -> Tensor:
    if per_example:
        return torch.matmul(weights, input.unsqueeze(-1)).squeeze(-1)
    return torch.matmul(input, weights.transpose(-1, -2))


def _linear_gradient(grad: Tensor, input: Tensor, weights: Tensor, per_example: bool, input_wanted: bool) -> Tensor:
    if input_wanted:
        rows = grad.unsqueeze(-2) @ weights if per_example else grad @ weights
        return (rows.squeeze(-2) if per_example else rows).sum_to_size(input.shape)
    terms = grad.unsqueeze(-1) * input.unsqueeze(-2) if per_example else grad.transpose(-1, -2) @ input
    return (terms * weights).reshape(-1, *weights.shape[-2:]).sum(0)


def _padding(padding: Sequence[int]) -> tuple[list[int] | None, list[int]]:
    """Split padding into pads for `functional.pad` (None unless sides differ) and the convolution's own."""
    before, after = list(padding[0::2]), list(padding[1::2])
    if before == after:
        return None, before
    pads = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return pads, [0] * len(before)


def _output_shape(input_shape: Sequence[int], weight: Tensor, seed: Tensor, o: Options) -> list[int]:
    spatial = weight.dim() - 2
    size = output_size(input_shape[len(input_shape) - spatial :], weight.shape[2:], o.stride, o.padding, o.dilation)
    return [*seed.shape, input_shape[-spatial - 2], weight.shape[0], *size]


# With one mask for several samples of shared images, the samples' output channels stand side by side within each group:
# [N, I, *] with [g S O/g, I/g, *] gives [N, g S O/g, *]. With images or examples of their own, each draw is g groups.


def _is_wide(seed: Tensor, per_sample: bool, o: Options) -> bool:
    return not per_sample and not o.per_example and seed.dim() == 1


def _fold(input: Tensor, weights: Tensor, seed: Tensor, o: Options) -> tuple[Tensor, Tensor, int]:
    """Images, kernels and groups of the one convolution."""
    spatial = len(o.stride)
    per_sample = input.dim() == spatial + 3
    out_per_group = weights.shape[-spatial - 2] // o.groups
    if _is_wide(seed, per_sample, o):
        kernels = weights.unflatten(1, (o.groups, out_per_group)).transpose(0, 1)
        return input, kernels.reshape(-1, *weights.shape[-spatial - 1 :]), o.groups
    kernels = weights.reshape(-1, *weights.shape[-spatial - 1 :])
    if o.per_example:
        if seed.dim() == 1 and not per_sample:
            input = input.expand(seed.shape[0], *input.shape)
        image = input.shape[-spatial:]
        return input.reshape(1, -1, *image), kernels, o.groups * (kernels.shape[0] // weights.shape[-spatial - 2])
    if per_sample:
        return input.transpose(0, 1).flatten(1, 2), kernels, o.groups * seed.shape[0]
    return input, kernels, o.groups


def _fold_output(output: Tensor, batch: int, seed: Tensor, per_sample: bool, o: Options) -> Tensor:
    """Bring the operator's output ``[S, N, O, *]`` into the form of the one convolution's output."""
    spatial = len(o.stride)
    image = output.shape[-spatial:]
    if o.per_example:
        return output.reshape(1, -1, *image)
    if seed.dim() == 0:
        return output
    if per_sample:
        return output.transpose(0, 1).flatten(1, 2)
    grouped = output.unflatten(2, (o.groups, -1))  # S N g O/g *
    return grouped.permute(1, 2, 0, *range(3, grouped.dim())).reshape(batch, -1, *image)


def _unfold_output(folded: Tensor, shape: list[int], seed: Tensor, per_sample: bool, o: Options) -> Tensor:
    if o.per_example or seed.dim() == 0:
        return folded.reshape(shape)
    samples, _, channels, *_ = shape
    if per_sample:
        return folded.unflatten(1, (samples, channels)).transpose(0, 1)
    grouped = folded.unflatten(1, (o.groups, samples, channels // o.groups))  # N g S O/g *
    return grouped.permute(2, 0, 1, *range(3, grouped.dim())).reshape(shape)


def _unfold_images(images: Tensor, shape: Sequence[int], seed: Tensor, o: Options) -> Tensor:
    spatial = len(o.stride)
    per_sample = len(shape) == spatial + 3
    if o.per_example:
        if seed.dim() == 1 and not per_sample:
            return images.reshape(seed.shape[0], *shape).sum(0)
        return images.reshape(shape)
    if per_sample:
        return images.unflatten(1, (shape[0], shape[2])).transpose(0, 1)
    return images


def _unfold_kernels(kernels: Tensor, shape: Sequence[int], seed: Tensor, per_sample: bool, o: Options) -> Tensor:
    if not _is_wide(seed, per_sample, o):
        return kernels.reshape(shape)
    grouped = kernels.unflatten(0, (o.groups, shape[0], shape[1] // o.groups))  # g S O/g I/g *
    return grouped.transpose(0, 1).reshape(shape)

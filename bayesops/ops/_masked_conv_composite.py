"""The masked convolution as a composite: all masked weights written once, then one convolution of the library's own.

This is how the operators run on CUDA, where cuDNN's convolution is hard to beat and what counts is that no mask and no
unscaled copy is ever written: `masked_weight` draws, masks and scales in one pass, and `masked_weight_grad` draws again
as it sums. It runs on any device, and the tests hold it on the CPU against the reference. Which convolutions there are:
`_sample_convolution`; what follows them: `_composite_epilogue`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bayesops.ops._composite_epilogue import convolve_and_finish
from bayesops.ops._layout import input_gradient_with_layout, is_channels_last
from bayesops.ops._sample_convolution import Geometry, input_gradient, weight_gradients


class Options(NamedTuple):
    """The arguments that the operators share."""

    p: float
    granularity: int
    rescale: bool
    per_example: bool
    stream: int
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.stride, self.padding, self.dilation, self.groups)

    def num_examples(self, input_size: Sequence[int], weight_dims: int) -> int:
        """Masks of each sample, or 0: one for all examples."""
        return input_size[-weight_dims] if self.per_example else 0

    def weights(
        self, weight: Tensor, seed: Tensor, mask: Tensor | None, input_size: Sequence[int], images: Tensor
    ) -> Tensor:
        """Masked weights ``[S or nothing, N if per example, *weight.shape]``, as `Folding` wants them for `images`."""
        num_examples = self.num_examples(input_size, weight.dim())
        if self.per_example and num_examples == 0:  # which the operator takes for one mask for all examples
            return weight.new_empty([*seed.shape, 0, *weight.shape])
        return torch.ops.bayesops.masked_weight(
            weight, seed, mask, self.p, self.granularity, self.rescale, num_examples, self.groups, self.stream,
            is_channels_last(images, weight.dim() - 2) and not self.per_example,
        )  # fmt: skip


def masked_conv(
    input: Tensor, weight: Tensor, bias: Tensor | None, seed: Tensor, mask: Tensor | None, *options: Any
) -> Tensor:
    """Take and return what the operators ``bayesops::masked_conv`` and ``bayesops::masked_conv_fused`` do."""
    shared = len(Options._fields)
    o, epilogue = Options(*options[:shared]), options[shared:]
    weights = o.weights(weight, seed, mask, input.shape, input)
    return convolve_and_finish(input, weights, o.geometry, bias, seed, epilogue, per_example=o.per_example)


def masked_conv_input_grad(
    grad_output: Tensor, weight: Tensor, seed: Tensor, mask: Tensor | None, input_size: Sequence[int], *options: Any
) -> Tensor:
    """Take and return what the operator ``bayesops::masked_conv_input_grad`` does."""
    o = Options(*options)
    weights = o.weights(weight, seed, mask, input_size, grad_output)
    gradient = input_gradient(grad_output, weights, input_size, o.geometry, per_example=o.per_example)
    return input_gradient_with_layout(gradient, grad_output, weight.dim() - 2)


def masked_conv_weight_grad(
    grad_output: Tensor, input: Tensor, seed: Tensor, mask: Tensor | None, weight_size: Sequence[int], *options: Any
) -> Tensor:
    """Take and return what the operator ``bayesops::masked_conv_weight_grad`` does."""
    o = Options(*options)
    num_examples = o.num_examples(input.shape, len(weight_size))
    if o.per_example and num_examples == 0:  # which the operator takes for one mask for all examples
        return input.new_zeros(weight_size)
    examples = [num_examples] if o.per_example else []
    gradients = weight_gradients(
        grad_output, input, [*seed.shape, *examples, *weight_size], o.geometry, per_example=o.per_example
    )
    return torch.ops.bayesops.masked_weight_grad(
        gradients, seed, mask, o.p, o.granularity, o.rescale, num_examples, o.groups, o.stream
    )

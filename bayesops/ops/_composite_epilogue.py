"""Convolutions of the library's own and what follows them: one pass over their results.

It reads them where the convolutions left them (`_sample_convolution`), and writes ``[S, N, O, *]`` in the memory format
of the input. Float32 (or float64) is what it computes in, and it rounds once. In 16 bits the results of the convolution
itself are rounded before: the library stores them in the dtype of its inputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops.ops._epilogue import Epilogue
from bayesops.ops._layout import is_channels_last, with_layout
from bayesops.ops._sample_convolution import Geometry, convolve_in_groups, convolve_samples, is_product, runs_alone


def convolve_and_finish(
    input: Tensor,
    weights: Tensor,
    geometry: Geometry,
    bias: Tensor | None,
    seed: Tensor,
    epilogue: Sequence[Any],
    *,
    base: Tensor | None = None,
    signs: Tensor | None = None,
    per_example: bool = False,
) -> Tensor:
    """Return ``act((convolution * signs + bias + base) * scale + shift + residual)``.

    Parameters
    ----------
    input, weights : Tensor
        As in `_sample_convolution`. Where the input is channels-last, the output is.
    bias : Tensor or None
        ``[O]``, or one for each sample ``[S, O]``.
    seed : Tensor
        ``[]`` or ``[S]``: whether the output has samples.
    epilogue : sequence
        An `Epilogue`; of the operators without one, nothing.
    base : Tensor or None
        ``[S or 1, N, groups, O / groups, *]``: of several samples, it may be the same for all.
    signs : Tensor or None
        ``[S or 1, N, O]``.
    per_example : bool
        Whether each example has a weight of its own.
    """
    spatial = len(geometry.stride)
    channels_last, parts = is_channels_last(input, spatial), Epilogue(*epilogue)
    product = is_product(input, weights.shape, geometry, per_example=per_example)
    if not product and runs_alone(input.shape, weights.shape, geometry, per_example=per_example):
        following = bias, base, signs
        return convolve_samples(input, weights, geometry, *following, channels_last=channels_last, epilogue=parts)
    result = convolve_in_groups(input, weights, geometry, per_example=per_example)
    something = any(part is not None and part is not False for part in (bias, base, *epilogue))
    if something or not _is_whole(result):
        output = torch.ops.bayesops.conv_epilogue(result, bias, base, signs, spatial, channels_last, *parts)
    else:  # nothing follows, and where the layout is right already, nothing is written
        output = with_layout(result.flatten(2, 3), spatial, channels_last)
    return output if seed.dim() else output.squeeze(0)


def _is_whole(results: Tensor) -> bool:
    """Whether one step leads through the channels of all groups."""
    return results.shape[2] == 1 or results.stride(2) == results.shape[3] * results.stride(3)

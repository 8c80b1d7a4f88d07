"""What follows a convolution of the library's own: one pass over its results, by ``bayesops::conv_epilogue``.

It reads them where the convolutions left them (`_sample_convolution`), and writes ``[S, N, O, *]`` in the memory format
of the input. Float32 (or float64) is what it computes in, and it rounds once. In 16 bits the results of the convolution
itself are rounded before: the library stores them in the dtype of its inputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops.ops._epilogue import Epilogue
from bayesops.ops._layout import empty_images, is_channels_last, with_layout


def finish(
    results: Sequence[Tensor],
    bias: Tensor | None,
    input: Tensor,
    seed: Tensor,
    epilogue: Sequence[Any],
    *,
    base: Tensor | None = None,
    signs: Tensor | None = None,
) -> Tensor:
    """Return ``act((results * signs + bias + base) * scale + shift + residual)``.

    Parameters
    ----------
    results : sequence of Tensor
        The samples in parts: each ``[S' or 1, N, groups, O / groups, *]``, in any layout.
    base : Tensor or None
        ``[S or 1, N, groups, O / groups, *]``: of several samples, it may be the same for all.
    bias : Tensor or None
        ``[O]``, or one for each sample ``[S, O]``.
    input : Tensor
        What was convolved: channels-last where the output is to be.
    seed : Tensor
        ``[]`` or ``[S]``: whether the output has samples.
    epilogue : sequence
        An `Epilogue`; of the operators without one, nothing.
    signs : Tensor or None
        ``[S or 1, N, O]``.
    """
    spatial = results[0].dim() - 4
    channels_last = is_channels_last(input, spatial)
    if len(results) > 1:
        return _finish_each(results, bias, base, signs, spatial, channels_last, Epilogue(*epilogue))
    (result,) = results
    something = any(part is not None and part is not False for part in (bias, base, *epilogue))
    if something or not _is_whole(result):
        output = torch.ops.bayesops.conv_epilogue(
            result, bias, base, signs, spatial, channels_last, *Epilogue(*epilogue)
        )  # fmt: skip
    else:  # nothing follows, and where the layout is right already, nothing is written
        output = with_layout(result.flatten(2, 3), spatial, channels_last)
    return output if seed.dim() else output.squeeze(0)


def _finish_each(
    results: Sequence[Tensor], bias: Tensor | None, base: Tensor | None, signs: Tensor | None, spatial: int,
    channels_last: bool, epilogue: Epilogue,
) -> Tensor:  # fmt: skip
    """Finish results of one sample each, every one while a cache may still hold it."""
    _, examples, groups, channels, *image = results[0].shape
    shape = [len(results), examples, groups * channels, *image]
    output = empty_images(results[0], shape, spatial, channels_last)

    def of_sample(tensor: Tensor | None, dim: int) -> Tensor | None:
        """Its part of a tensor that has samples, if it is of `dim` dimensions."""
        if tensor is None or tensor.dim() != dim or tensor.shape[0] == 1:
            return tensor
        return tensor[sample : sample + 1]

    for sample, result in enumerate(results):
        torch.ops.bayesops.conv_epilogue_into(
            output[sample : sample + 1], result, of_sample(bias, 2), of_sample(base, result.dim()), of_sample(signs, 3),
            spatial, channels_last, *epilogue._replace(residual=of_sample(epilogue.residual, output.dim())),
        )  # fmt: skip
    return output


def _is_whole(results: Tensor) -> bool:
    """Whether one step leads through the channels of all groups."""
    return results.shape[2] == 1 or results.stride(2) == results.shape[3] * results.stride(3)

"""What follows a convolution of the library's own: one pass over its results, by ``bayesops::conv_epilogue``.

It reads them where the convolution left them, folded (`_sample_folding`) or not, and writes ``[S, N, O, *]`` in the
memory format of the input. Float32 (or float64) is what it computes in, and it rounds once. In 16 bits the results of
the convolution itself are rounded before: the library stores them in the dtype of its inputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops.ops._epilogue import Epilogue
from bayesops.ops._layout import is_channels_last, with_layout


def finish(
    results: Tensor,
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
    results, base : Tensor
        ``[S or 1, N, groups, O / groups, *]``, in any layout; of several samples, `base` may be the same for all.
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
    spatial = results.dim() - 4
    channels_last = is_channels_last(input, spatial)
    something = any(part is not None and part is not False for part in (bias, base, *epilogue))
    if something or not _is_whole(results):
        output = torch.ops.bayesops.conv_epilogue(
            results, bias, base, signs, spatial, channels_last, *Epilogue(*epilogue)
        )  # fmt: skip
    else:  # nothing follows, and where the layout is right already, nothing is written
        output = with_layout(results.flatten(2, 3), spatial, channels_last)
    return output if seed.dim() else output.squeeze(0)


def _is_whole(results: Tensor) -> bool:
    """Whether one step leads through the channels of all groups."""
    return results.shape[2] == 1 or results.stride(2) == results.shape[3] * results.stride(3)

"""Argument checks that the convolutions and linear maps share, whatever their weight is; as in `_arguments`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bayesops._arguments import Seed, as_int, wrong_value
from bayesops.ops._arguments import LARGE, check_like_input, padding_pairs, per_dim

IntPerDim = int | Sequence[int]
Padding = int | Sequence[int] | str


def check_weight(operator: str, argument: str, dims: int, weight: Tensor, input: Tensor, groups: int) -> int:
    """Check that `weight` is ``[O, I / groups, *]`` with `dims` dimensions in ``*``; return `groups`."""
    check_like_input(operator, argument, weight, input)
    if weight.dim() != dims + 2:
        window = "".join(f", k{d}" for d in range(dims))
        wrong_value(operator, argument, f"of shape [O, I / groups{window}]", f"shape {tuple(weight.shape)}")
    groups = as_int(operator, "groups", "an int", groups)
    if groups < 1 or weight.shape[0] % groups:
        wrong_value(operator, "groups", f"a positive divisor of the {weight.shape[0]} output channels", groups)
    return groups


def check_shape(operator: str, argument: str, tensor: Tensor, shape: torch.Size, input: Tensor) -> None:
    """Check that `tensor` is like `input`, and of this shape."""
    check_like_input(operator, argument, tensor, input)
    if tensor.shape != shape:
        wrong_value(operator, argument, f"of shape {tuple(shape)}", f"shape {tuple(tensor.shape)}")


def window(
    operator: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    stride: IntPerDim,
    padding: Padding,
    dilation: IntPerDim,
) -> tuple[list[int], list[int], list[int]]:
    """Return stride, padding (before, after) and dilation of each spatial dimension; the window must fit."""
    if dims == 0:
        return [], [], []
    strides = per_dim(operator, "stride", stride, dims, 1)
    dilations = per_dim(operator, "dilation", dilation, dims, 1)
    paddings = padding_pairs(operator, padding, weight.shape[2:], strides, dilations)
    if input.dim() < weight.dim():
        return strides, paddings, dilations  # reported by check_input_shape
    for d in range(dims):
        room = input.shape[d - dims] + paddings[2 * d] + paddings[2 * d + 1]
        reach = dilations[d] * (weight.shape[d + 2] - 1) + 1
        if reach >= LARGE:
            wrong_value(operator, "dilation", "such that the window reaches over less than 2**31 elements", reach)
        if room < reach:
            wanted = f"at least {reach} long with its padding in spatial dimension {d} (the reach of the window)"
            wrong_value(operator, "input", wanted, room)
    return strides, paddings, dilations


def check_input_shape(operator: str, dims: int, input: Tensor, seed: Tensor, channels: int) -> None:
    """Check that `input` is ``[N, I, *]``, or ``[S, N, I, *]`` where `seed` is ``[S]``, of `channels` channels."""
    per_sample = input.dim() == dims + 3
    if per_sample and seed.dim() == 0:
        wanted = f"of {dims + 2} dimensions where seed is one draw (for one input per sample, seed must be [S])"
        wrong_value(operator, "input", wanted, f"shape {tuple(input.shape)}")
    if not per_sample and input.dim() != dims + 2:
        space = "".join(f", {'DHW'[3 - dims + d] if dims > 1 else 'L'}" for d in range(dims))
        wrong_value(operator, "input", f"of shape [N, I{space}] or [S, N, I{space}]", f"shape {tuple(input.shape)}")
    if input.shape[-dims - 1] != channels:
        got = f"{input.shape[-dims - 1]} in shape {tuple(input.shape)}"
        wrong_value(operator, "input", f"of {channels} channels (weight.shape[1] * groups)", got)
    if per_sample and input.shape[0] != seed.shape[0]:
        wanted = f"of first dimension {seed.shape[0]}, the number of seeds"
        wrong_value(operator, "input", wanted, f"shape {tuple(input.shape)}")


def has_rows_per_sample(input: Tensor, seed: Seed) -> bool:
    """Whether a linear map's input ``[S, *, I]`` has a sample dimension: S seeds, and three or more dimensions."""
    return isinstance(seed, Tensor) and seed.dim() == 1 and input.dim() >= 3


def flatten_rows(operator: str, input: Tensor, per_sample: bool) -> tuple[Tensor, torch.Size | None]:
    """Make a linear map's input ``[*, I]`` rows ``[N, I]``, or ``[S, *, I]`` ``[S, N, I]`` if `per_sample`.

    Also returns the dimensions ``*``, which `unflatten_rows` puts back; None where the input has this form already.
    """
    if input.dim() == 0:
        wrong_value(operator, "input", "of at least one dimension, [*, I]", "shape ()")
    kept = 2 if per_sample else 1
    if input.dim() == kept + 1:
        return input, None
    leading = input.shape[kept - 1 : -1]
    return input.reshape(*input.shape[: kept - 1], leading.numel(), input.shape[-1]), leading


def unflatten_rows(output: Tensor, leading: torch.Size | None) -> Tensor:
    """Give the output ``[..., N, O]`` the dimensions that `flatten_rows` took from the input."""
    return output if leading is None else output.reshape(*output.shape[:-2], *leading, output.shape[-1])

"""How the masked convolution behaves in PyTorch's transforms: fake tensors, autograd, vmap and autocast.

The three operators (F the convolution, I the gradient of its input, W the gradient of its weight) are bilinear and
closed under differentiation: each one's gradients are the other two with the same mask arguments. So every order of
derivative exists, and masks are drawn again rather than saved.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops._sums import sum_keeping
from bayesops.ops._dispatch import batch_first, batched, call, register_autocast, register_autograd, vmap_by_loop
from bayesops.ops._layout import empty_input_gradient, empty_output

F = torch.ops.bayesops.masked_conv.default
I = torch.ops.bayesops.masked_conv_input_grad.default  # noqa: E741  the names of the formulas
W = torch.ops.bayesops.masked_conv_weight_grad.default


# --- fake tensors: shapes and strides ---------------------------------------------------------------------------------


@torch.library.register_fake("bayesops::masked_conv")
def _fake_forward(
    input: Tensor, weight: Tensor, bias: Tensor | None, seed: Tensor, mask: Tensor | None, p: float, granularity: int,
    rescale: bool, per_example: bool, stream: int, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    return empty_output(input, weight, seed.shape, stride, padding, dilation)


@torch.library.register_fake("bayesops::masked_conv_input_grad")
def _fake_input_grad(
    grad_output: Tensor, weight: Tensor, seed: Tensor, mask: Tensor | None, input_size: Sequence[int], *_: Any
) -> Tensor:
    return empty_input_gradient(grad_output, input_size, weight.dim() - 2)


@torch.library.register_fake("bayesops::masked_conv_weight_grad")
def _fake_weight_grad(
    grad_output: Tensor, input: Tensor, seed: Tensor, mask: Tensor | None, weight_size: Sequence[int], *_: Any
) -> Tensor:
    return grad_output.new_empty(weight_size)


# --- autograd ---------------------------------------------------------------------------------------------------------


def _save_forward(ctx: Any, inputs: tuple, output: Tensor) -> None:
    input, weight, _, seed, mask, *ctx.options = inputs
    ctx.save_for_backward(input, weight, seed, mask)


def _backward_forward(ctx: Any, grad: Tensor) -> tuple:
    input, weight, seed, mask = ctx.saved_tensors
    needs_input, needs_weight, needs_bias, *_ = ctx.needs_input_grad
    return (
        call(I, grad, weight, seed, mask, input.shape, *ctx.options) if needs_input else None,
        call(W, grad, input, seed, mask, weight.shape, *ctx.options) if needs_weight else None,
        sum_keeping(grad, [seed.dim() + 1]) if needs_bias else None,
        *[None] * 11,
    )


def _save_input_grad(ctx: Any, inputs: tuple, output: Tensor) -> None:
    grad_output, weight, seed, mask, _, *ctx.options = inputs
    ctx.save_for_backward(grad_output, weight, seed, mask)


def _backward_input_grad(ctx: Any, cotangent: Tensor) -> tuple:
    grad_output, weight, seed, mask = ctx.saved_tensors
    needs_output, needs_weight, *_ = ctx.needs_input_grad
    return (
        F(cotangent, weight, None, seed, mask, *ctx.options) if needs_output else None,
        W(grad_output, cotangent, seed, mask, weight.shape, *ctx.options) if needs_weight else None,
        *[None] * 12,
    )


def _save_weight_grad(ctx: Any, inputs: tuple, output: Tensor) -> None:
    grad_output, input, seed, mask, _, *ctx.options = inputs
    ctx.save_for_backward(grad_output, input, seed, mask)


def _backward_weight_grad(ctx: Any, cotangent: Tensor) -> tuple:
    grad_output, input, seed, mask = ctx.saved_tensors
    needs_output, needs_input, *_ = ctx.needs_input_grad
    return (
        F(input, cotangent, None, seed, mask, *ctx.options) if needs_output else None,
        I(grad_output, cotangent, seed, mask, input.shape, *ctx.options) if needs_input else None,
        *[None] * 12,
    )


register_autograd(F, _save_forward, _backward_forward)
register_autograd(I, _save_input_grad, _backward_input_grad)
register_autograd(W, _save_weight_grad, _backward_weight_grad)


# --- vmap -------------------------------------------------------------------------------------------------------------
#
# A batch over seeds (or masks) is a batch of samples: one call. Where only the images are batched and one mask serves
# the batch of examples, the batch is more examples: one call. All else goes one by one.


@torch.library.register_vmap("bayesops::masked_conv")
def _vmap_forward(
    info: Any, in_dims: tuple, input: Tensor, weight: Tensor, bias: Tensor | None, seed: Tensor, mask: Tensor | None,
    *options: Any,
) -> tuple[Tensor, int]:  # fmt: skip
    input_dim, weight_dim, bias_dim, seed_dim, mask_dim, *_ = in_dims
    per_example = options[3]
    if weight_dim is not None or bias_dim is not None or seed.dim() != (seed_dim is not None):
        return vmap_by_loop(F, info.batch_size, in_dims, (input, weight, bias, seed, mask, *options))
    input = batch_first(input, input_dim)
    if seed_dim is None and mask_dim is None and not per_example:
        output = F(input.flatten(0, 1), weight, bias, seed, mask, *options)
        return output.unflatten(0, input.shape[:2]), 0
    seeds, masks = _samples(info.batch_size, seed, seed_dim, mask, mask_dim)
    return F(input, weight, bias, seeds, masks, *options), 0


@torch.library.register_vmap("bayesops::masked_conv_input_grad")
def _vmap_input_grad(
    info: Any, in_dims: tuple, grad_output: Tensor, weight: Tensor, seed: Tensor, mask: Tensor | None,
    input_size: Sequence[int], *options: Any,
) -> tuple[Tensor, int]:  # fmt: skip
    grad_dim, weight_dim, seed_dim, mask_dim, *_ = in_dims
    batch, per_example = info.batch_size, options[3]
    if weight_dim is not None or seed.dim() != (seed_dim is not None):
        return vmap_by_loop(I, batch, in_dims, (grad_output, weight, seed, mask, input_size, *options))
    grad_output = batched(grad_output, grad_dim, batch)
    if seed_dim is None and mask_dim is None and not per_example:
        examples, *image = input_size
        gradient = I(grad_output.flatten(0, 1), weight, seed, mask, [batch * examples, *image], *options)
        return gradient.unflatten(0, (batch, examples)), 0
    seeds, masks = _samples(batch, seed, seed_dim, mask, mask_dim)
    return I(grad_output, weight, seeds, masks, [batch, *input_size], *options), 0


@torch.library.register_vmap("bayesops::masked_conv_weight_grad")
def _vmap_weight_grad(info: Any, in_dims: tuple, *args: Any) -> tuple[Tensor, int]:
    # The operator sums over samples, and here every sample's own sum is wanted.
    return vmap_by_loop(W, info.batch_size, in_dims, args)


def _samples(
    batch: int, seed: Tensor, seed_dim: int | None, mask: Tensor | None, mask_dim: int | None
) -> tuple[Tensor, Tensor | None]:
    """Seeds ``[batch]`` and a mask with the batch as its sample axis (or without one: the same for all samples)."""
    seeds = seed if seed_dim is not None else seed.expand(batch)
    if mask is not None and mask_dim is not None:
        mask = mask.movedim(mask_dim, 0).contiguous()
    return seeds.contiguous(), mask


# --- autocast ---------------------------------------------------------------------------------------------------------

for _op in (F, I, W):
    register_autocast(_op)

"""How weight sampling and Flipout behave in PyTorch's transforms: fake tensors, autograd, vmap and autocast.

Of each family the three operators (F the convolution, I the gradient of its input, W the gradients of its weight's mean
and standard deviation) are linear in the images and in the pair (mu, sigma), and closed under differentiation: each
one's gradients are the other two at the same seed. So every order of derivative exists, and noise is drawn again rather
than saved.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops._sums import sum_keeping
from bayesops.ops._dispatch import batch_first, batched, call, register_autocast, register_autograd, vmap_by_loop
from bayesops.ops._layout import empty_input_gradient, empty_output


def _register(family: str, noise_by_example: bool) -> None:
    """Register the rules of ``bayesops::{family}``; `noise_by_example` says whether an example's place in N matters."""
    F = getattr(torch.ops.bayesops, family).default
    I = getattr(torch.ops.bayesops, f"{family}_input_grad").default  # noqa: E741  the names of the formulas
    W = getattr(torch.ops.bayesops, f"{family}_weight_grad").default

    # --- autograd -----------------------------------------------------------------------------------------------------

    def save_forward(ctx: Any, inputs: tuple, output: Tensor) -> None:
        input, mu, sigma, bias, seed, *ctx.options = inputs
        ctx.save_for_backward(input, mu, sigma, seed)
        ctx.bias_per_sample = bias is not None and bias.dim() == 2

    def backward_forward(ctx: Any, grad: Tensor) -> tuple:
        input, mu, sigma, seed = ctx.saved_tensors
        needs_input, needs_mu, needs_sigma, needs_bias, *_ = ctx.needs_input_grad
        grad_mu = grad_sigma = grad_bias = None
        if needs_mu or needs_sigma:
            grad_mu, grad_sigma = call(W, grad, input, seed, mu.shape, *ctx.options)
        if needs_bias:
            kept = (0, 2) if ctx.bias_per_sample else (seed.dim() + 1,)
            grad_bias = sum_keeping(grad, kept)
        return (
            call(I, grad, mu, sigma, seed, input.shape, *ctx.options) if needs_input else None,
            grad_mu,
            grad_sigma,
            grad_bias,
            *[None] * 6,
        )

    def save_input_grad(ctx: Any, inputs: tuple, output: Tensor) -> None:
        grad_output, mu, sigma, seed, _, *ctx.options = inputs
        ctx.save_for_backward(grad_output, mu, sigma, seed)

    def backward_input_grad(ctx: Any, cotangent: Tensor) -> tuple:
        grad_output, mu, sigma, seed = ctx.saved_tensors
        needs_output, needs_mu, needs_sigma, *_ = ctx.needs_input_grad
        grad_mu = grad_sigma = None
        if needs_mu or needs_sigma:
            grad_mu, grad_sigma = W(grad_output, cotangent, seed, mu.shape, *ctx.options)
        return (
            F(cotangent, mu, sigma, None, seed, *ctx.options) if needs_output else None,
            grad_mu,
            grad_sigma,
            *[None] * 7,
        )

    def save_weight_grad(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        grad_output, input, seed, _, *ctx.options = inputs
        ctx.save_for_backward(grad_output, input, seed)

    def backward_weight_grad(ctx: Any, mu: Tensor, sigma: Tensor) -> tuple:
        grad_output, input, seed = ctx.saved_tensors
        needs_output, needs_input, *_ = ctx.needs_input_grad
        return (
            F(input, mu, sigma, None, seed, *ctx.options) if needs_output else None,
            I(grad_output, mu, sigma, seed, input.shape, *ctx.options) if needs_input else None,
            *[None] * 7,
        )

    register_autograd(F, save_forward, backward_forward)
    register_autograd(I, save_input_grad, backward_input_grad)
    register_autograd(W, save_weight_grad, backward_weight_grad)

    # --- vmap ---------------------------------------------------------------------------------------------------------
    #
    # A batch over seeds is a batch of samples: one call. Where only the images are batched, the batch is more examples
    # if an example's place does not matter, else samples of equal seeds: one call. All else goes one by one.

    def vmap_forward(
        info: Any, in_dims: tuple, input: Tensor, mu: Tensor, sigma: Tensor, bias: Tensor | None, seed: Tensor,
        *options: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        input_dim, mu_dim, sigma_dim, bias_dim, seed_dim, *_ = in_dims
        if mu_dim is not None or sigma_dim is not None or seed.dim() != (seed_dim is not None):
            return vmap_by_loop(F, info.batch_size, in_dims, (input, mu, sigma, bias, seed, *options))
        input, bias = batch_first(input, input_dim), batch_first(bias, bias_dim)
        if seed_dim is None and bias_dim is None and not noise_by_example:
            output = F(input.flatten(0, 1), mu, sigma, bias, seed, *options)
            return output.unflatten(0, input.shape[:2]), 0
        return F(input, mu, sigma, bias, batched(seed, seed_dim, info.batch_size).contiguous(), *options), 0

    def vmap_input_grad(
        info: Any, in_dims: tuple, grad_output: Tensor, mu: Tensor, sigma: Tensor, seed: Tensor,
        input_size: Sequence[int], *options: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        grad_dim, mu_dim, sigma_dim, seed_dim, *_ = in_dims
        batch = info.batch_size
        if mu_dim is not None or sigma_dim is not None or seed.dim() != (seed_dim is not None):
            return vmap_by_loop(I, batch, in_dims, (grad_output, mu, sigma, seed, input_size, *options))
        grad_output = batched(grad_output, grad_dim, batch)
        if seed_dim is None and not noise_by_example:
            examples, *image = input_size
            gradient = I(grad_output.flatten(0, 1), mu, sigma, seed, [batch * examples, *image], *options)
            return gradient.unflatten(0, (batch, examples)), 0
        seeds = batched(seed, seed_dim, batch).contiguous()
        return I(grad_output, mu, sigma, seeds, [batch, *input_size], *options), 0

    def vmap_weight_grad(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
        # The operator sums over samples, and here every sample's own sum is wanted.
        return vmap_by_loop(W, info.batch_size, in_dims, args)

    # --- registration -------------------------------------------------------------------------------------------------

    for op, fake, vmap in (
        (F, _fake_forward, vmap_forward),
        (I, _fake_input_grad, vmap_input_grad),
        (W, _fake_weight_grad, vmap_weight_grad),
    ):
        torch.library.register_fake(op, fake)
        torch.library.register_vmap(op, vmap)
        register_autocast(op)


# --- fake tensors: shapes and strides ---------------------------------------------------------------------------------


def _fake_forward(
    input: Tensor, mu: Tensor, sigma: Tensor, bias: Tensor | None, seed: Tensor, stream: int, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    return empty_output(input, mu, seed.shape, stride, padding, dilation)


def _fake_input_grad(
    grad_output: Tensor, mu: Tensor, sigma: Tensor, seed: Tensor, input_size: Sequence[int], *_: Any
) -> Tensor:
    return empty_input_gradient(grad_output, input_size, mu.dim() - 2)


def _fake_weight_grad(
    grad_output: Tensor, input: Tensor, seed: Tensor, weight_size: Sequence[int], *_: Any
) -> tuple[Tensor, Tensor]:
    return grad_output.new_empty(weight_size), grad_output.new_empty(weight_size)


_register("sampled_conv", noise_by_example=False)
_register("flipout_conv", noise_by_example=True)

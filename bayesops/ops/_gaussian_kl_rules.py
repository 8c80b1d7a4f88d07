"""How gaussian_kl behaves in PyTorch's transforms: fake tensors, autograd, vmap.

Its gradient is an operator, too. The gradient of that one, which second derivatives ask for, is left to PyTorch: of the
same in plain operations.
"""

from typing import Any

import torch
from torch import Tensor

from bayesops._dtypes import at_least_float32
from bayesops._sums import total
from bayesops.ops._dispatch import call, register_autograd, vmap_by_loop
from bayesops.ops._softplus_rules import sigmoid, softplus

_operator = torch.ops.bayesops.gaussian_kl.default
_gradient = torch.ops.bayesops.gaussian_kl_grad.default

# Below this rho is the logarithm of softplus(rho), whatever the dtype.
_LOW = -40.0

# --- fake tensors -----------------------------------------------------------------------------------------------------


@torch.library.register_fake("bayesops::gaussian_kl")
def _fake(mu: Tensor, rho: Tensor, prior_mu: float, prior_sigma: float) -> Tensor:
    return mu.new_empty((), dtype=torch.float64)


@torch.library.register_fake("bayesops::gaussian_kl_grad")
def _fake_gradient(grad: Tensor, mu: Tensor, rho: Tensor, prior_mu: float, prior_sigma: float) -> tuple[Tensor, Tensor]:
    return mu.new_empty(mu.shape), mu.new_empty(mu.shape)


# --- autograd ---------------------------------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    mu, rho, *ctx.prior = inputs
    ctx.save_for_backward(mu, rho)


def _backward(ctx: Any, grad: Tensor) -> tuple:
    return *call(_gradient, grad, *ctx.saved_tensors, *ctx.prior), None, None


def _save_gradient(ctx: Any, inputs: tuple, outputs: tuple[Tensor, Tensor]) -> None:
    grad, mu, rho, *ctx.prior = inputs
    ctx.save_for_backward(grad, mu, rho)


def _backward_gradient(ctx: Any, *cotangents: Tensor) -> tuple:
    grad, mu, rho = ctx.saved_tensors
    _, pullback, *_ = torch.func.vjp(lambda mu, rho: gaussian_kl_grad(grad, mu, rho, *ctx.prior), mu, rho)
    of_grad = None
    if ctx.needs_input_grad[0]:
        slopes = call(_gradient, torch.ones_like(grad), mu, rho, *ctx.prior)
        of_grad = total(cotangents[0] * slopes[0] + cotangents[1] * slopes[1], torch.float64).to(grad.dtype)
    return of_grad, *pullback(cotangents), None, None


register_autograd(_operator, _save, _backward)
register_autograd(_gradient, _save_gradient, _backward_gradient)


def gaussian_kl_grad(
    grad: Tensor, mu: Tensor, rho: Tensor, prior_mu: float, prior_sigma: float
) -> tuple[Tensor, Tensor]:
    """Take and return what the operator ``bayesops::gaussian_kl_grad`` does; differentiable, for second derivatives."""
    dtype = mu.dtype
    mu, rho = at_least_float32(mu), at_least_float32(rho)
    grad = grad.to(mu.dtype)
    near = rho.clamp_min(_LOW)
    log_slope = sigmoid(near) / softplus(near)
    pull = softplus(rho) * sigmoid(rho) / prior_sigma**2
    grad_mu = (mu - prior_mu) * (grad / prior_sigma**2)
    return grad_mu.to(dtype).contiguous(), ((pull - log_slope) * grad).to(dtype).contiguous()


# --- vmap -------------------------------------------------------------------------------------------------------------


@torch.library.register_vmap("bayesops::gaussian_kl")
def _vmap(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    return vmap_by_loop(_operator, info.batch_size, in_dims, args)


@torch.library.register_vmap("bayesops::gaussian_kl_grad")
def _vmap_gradient(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    return vmap_by_loop(_gradient, info.batch_size, in_dims, args)

"""The variance softplus(rho)² of a Gaussian posterior, and how its operator behaves in transforms and on CUDA.

Its gradient is an operator, too. The gradient of that one is left to PyTorch, of the composite below: the same in plain
operations. CUDA runs the composites of both.
"""

from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import batched, call, register_autograd
from bayesops.ops._softplus_rules import by_operator, sigmoid, softplus

_operator = torch.ops.bayesops.softplus_variance.default
_gradient = torch.ops.bayesops.softplus_variance_grad.default


def variance_of(rho: Tensor) -> Tensor:
    """Return softplus(rho)², of rho's shape and dtype, contiguous: neither threads nor rho's layout show in it.

    By the operator where that is the faster way; its kernel is the CPU's.
    """
    return call(_operator, rho) if rho.is_cpu and by_operator(rho) else softplus_variance(rho)


# --- fake tensors -----------------------------------------------------------------------------------------------------


@torch.library.register_fake("bayesops::softplus_variance")
def _fake(rho: Tensor) -> Tensor:
    return rho.new_empty(rho.shape)


@torch.library.register_fake("bayesops::softplus_variance_grad")
def _fake_gradient(grad: Tensor, rho: Tensor) -> Tensor:
    return rho.new_empty(rho.shape)


# --- autograd ---------------------------------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor]:
    return (call(_gradient, grad, *ctx.saved_tensors),)


def _save_gradient(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward_gradient(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    _, pullback, *_ = torch.func.vjp(softplus_variance_grad, *ctx.saved_tensors)
    of_grad, of_rho = pullback(cotangent)
    return of_grad, of_rho


register_autograd(_operator, _save, _backward)
register_autograd(_gradient, _save_gradient, _backward_gradient)

# --- composites -------------------------------------------------------------------------------------------------------


def softplus_variance(rho: Tensor) -> Tensor:
    """Take and return what the operator ``bayesops::softplus_variance`` does."""
    return softplus(rho).square()


def softplus_variance_grad(grad: Tensor, rho: Tensor) -> Tensor:
    """Take and return what the operator ``bayesops::softplus_variance_grad`` does; differentiable."""
    return grad * (2 * softplus(rho)) * sigmoid(rho)


def _softplus_variance_on_cuda(rho: Tensor) -> Tensor:
    return softplus_variance(rho).contiguous()


def _softplus_variance_grad_on_cuda(grad: Tensor, rho: Tensor) -> Tensor:
    return softplus_variance_grad(grad, rho).contiguous()


torch.library.impl("bayesops::softplus_variance", "cuda", _softplus_variance_on_cuda)
torch.library.impl("bayesops::softplus_variance_grad", "cuda", _softplus_variance_grad_on_cuda)

# --- vmap -------------------------------------------------------------------------------------------------------------


@torch.library.register_vmap("bayesops::softplus_variance")
def _vmap(info: Any, in_dims: tuple, rho: Tensor) -> tuple[Any, Any]:
    return _operator(rho), in_dims[0]  # element by element


@torch.library.register_vmap("bayesops::softplus_variance_grad")
def _vmap_gradient(info: Any, in_dims: tuple, *args: Tensor) -> tuple[Any, Any]:
    return _gradient(*(batched(arg, dim, info.batch_size) for arg, dim in zip(args, in_dims, strict=True))), 0

"""The variance softplus(rho)² of a Gaussian posterior, and how its operator behaves in transforms and on CUDA.

Its gradient is an operator, too. The gradient of that one is left to PyTorch, of the composite below: the same in plain
operations. CUDA runs the composites of both.
"""

from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import call
from bayesops.ops._elementwise_rules import register_elementwise
from bayesops.ops._softplus_rules import by_operator, sigmoid, softplus


def variance_of(rho: Tensor) -> Tensor:
    """Return softplus(rho)², of rho's shape and dtype, contiguous: neither threads nor rho's layout show in it.

    By the operator where that is the faster way; its kernel is the CPU's.
    """
    return call(_operator, rho) if rho.is_cpu and by_operator(rho) else softplus_variance(rho)


def _backward_of_gradient(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    _, pullback, *_ = torch.func.vjp(softplus_variance_grad, *ctx.saved_tensors)
    of_grad, of_rho = pullback(cotangent)
    return of_grad, of_rho


_operator, _ = register_elementwise("softplus_variance", _backward_of_gradient)

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

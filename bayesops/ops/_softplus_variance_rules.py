"""The variance softplus(rho)² of a Gaussian posterior, and how its operator behaves in transforms.

Its gradient is an operator, too. The gradient of that one is left to PyTorch: of the same in plain operations.
"""

from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import call
from bayesops.ops._elementwise_rules import register_elementwise
from bayesops.ops._softplus_rules import by_operator, sigmoid, softplus


def variance_of(rho: Tensor) -> Tensor:
    """Return softplus(rho)², of rho's shape and dtype, contiguous: neither threads nor rho's layout show in it."""
    return call(_operator, rho) if by_operator(rho) else softplus(rho).square()


def _backward_of_gradient(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    _, pullback, *_ = torch.func.vjp(softplus_variance_grad, *ctx.saved_tensors)
    of_grad, of_rho = pullback(cotangent)
    return of_grad, of_rho


_operator, _ = register_elementwise("softplus_variance", _backward_of_gradient)


def softplus_variance_grad(grad: Tensor, rho: Tensor) -> Tensor:
    """Take and return what the operator ``bayesops::softplus_variance_grad`` does; differentiable."""
    return grad * (2 * softplus(rho)) * sigmoid(rho)

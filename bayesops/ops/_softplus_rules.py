"""The standard deviation softplus(rho) of a Gaussian posterior, and how its operator behaves in transforms.

PyTorch's softplus and sigmoid round a tensor's last few elements otherwise than the rest, and so those at the end of
each thread's share, from 32768 elements on: which threads run would show. In the operator, it is the element alone that
counts.

Its gradient is an operator, too, whose own derivatives are put together from it: every order exists.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bayesops.ops._dispatch import call
from bayesops.ops._elementwise_rules import register_elementwise

# For fewer elements PyTorch's operation takes no longer than the Python of our autograd kernel.
_MANY = 8192


def softplus(rho: Tensor) -> Tensor:
    """Return softplus(rho), contiguous, of rho's shape and dtype: neither threads nor rho's layout show in its bits."""
    return call(_operator, rho) if by_operator(rho) else functional.softplus(rho.contiguous())


def sigmoid(rho: Tensor) -> Tensor:
    """Return the derivative of `softplus`, likewise."""
    return call(_gradient, torch.ones_like(rho), rho) if by_operator(rho) else torch.sigmoid(rho.contiguous())


def by_operator(rho: Tensor) -> bool:
    """Whether the operator is the faster way, or the only one to hide threads; on the CPU it has no float16."""
    if rho.is_cpu and rho.dtype == torch.float16:
        return False
    if rho.numel() >= _MANY:
        return True
    # A transform may hide a batch of many.
    return not torch.compiler.is_compiling() and torch._C._functorch.is_functorch_wrapped_tensor(rho)


def _backward_of_gradient(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, Tensor | None]:
    grad, rho = ctx.saved_tensors
    needs_grad, needs_rho = ctx.needs_input_grad[:2]
    of_grad = call(_gradient, cotangent, rho) if needs_grad else None
    if not needs_rho:
        return of_grad, None
    slope = sigmoid(rho)
    return of_grad, cotangent * grad * slope * (1 - slope)


_operator, _gradient = register_elementwise("softplus", _backward_of_gradient)

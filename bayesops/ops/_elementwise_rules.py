"""How an operator of each element by itself, and the operator that is its gradient, behave in transforms."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from bayesops.ops._dispatch import batched, call, register_autograd

Backward = Callable[[Any, Tensor], tuple[Tensor | None, Tensor | None]]


def register_elementwise(name: str, backward_of_gradient: Backward) -> tuple[OpOverload, OpOverload]:
    """Register ``bayesops::name(x)`` and ``bayesops::name_grad(grad, x)``; return them.

    `backward_of_gradient` takes a context, with grad and x saved, and a cotangent; it returns the gradients of both.
    """
    operator = getattr(torch.ops.bayesops, name).default
    gradient = getattr(torch.ops.bayesops, f"{name}_grad").default

    def fake(x: Tensor) -> Tensor:
        return x.new_empty(x.shape)

    def fake_gradient(grad: Tensor, x: Tensor) -> Tensor:
        return x.new_empty(x.shape)

    def save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor]:
        return (call(gradient, grad, *ctx.saved_tensors),)

    def vmap(info: Any, in_dims: tuple, x: Tensor) -> tuple[Any, Any]:
        return operator(x), in_dims[0]

    def vmap_gradient(info: Any, in_dims: tuple, *args: Tensor) -> tuple[Any, Any]:
        return gradient(*(batched(arg, dim, info.batch_size) for arg, dim in zip(args, in_dims, strict=True))), 0

    torch.library.register_fake(f"bayesops::{name}")(fake)
    torch.library.register_fake(f"bayesops::{name}_grad")(fake_gradient)
    register_autograd(operator, save, backward)
    register_autograd(gradient, save, backward_of_gradient)
    torch.library.register_vmap(f"bayesops::{name}")(vmap)
    torch.library.register_vmap(f"bayesops::{name}_grad")(vmap_gradient)
    return operator, gradient

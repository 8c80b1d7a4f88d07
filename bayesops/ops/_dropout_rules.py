"""How dropout behaves in PyTorch's transforms: fake tensors, autograd and vmap.

Dropout is linear and its own transpose: the gradient is the operator applied to the incoming gradient with the same
seed, summed over the samples where they shared their input.
"""

from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import call, register_autograd, vmap_by_loop
from bayesops.ops._layout import empty_images, is_channels_last

_operator = torch.ops.bayesops.dropout.default


@torch.library.register_fake("bayesops::dropout")
def _fake(
    input: Tensor, seed: Tensor, mask: Tensor | None, p: float, granularity: int, stream: int, shared_input: bool
) -> Tensor:
    samples = seed.dim() and not shared_input
    spatial = input.dim() - 2 - samples
    shape = [*seed.shape, *input.shape] if shared_input else input.shape
    return empty_images(input, shape, spatial, is_channels_last(input, spatial))


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, seed, mask, *ctx.options, ctx.shared_input = inputs
    ctx.save_for_backward(seed, mask)


def _backward(ctx: Any, grad: Tensor) -> tuple:
    seed, mask = ctx.saved_tensors
    gradient = call(_operator, grad, seed, mask, *ctx.options, False)
    return gradient.sum(0) if ctx.shared_input and seed.dim() else gradient, *[None] * 6


register_autograd(_operator, _setup_context, _backward)


@torch.library.register_vmap("bayesops::dropout")
def _vmap(
    info: Any, in_dims: tuple, input: Tensor, seed: Tensor, mask: Tensor | None, *options: Any
) -> tuple[Tensor, int]:
    input_dim, seed_dim, mask_dim, *_ = in_dims
    if seed.dim() != (seed_dim is not None):
        return vmap_by_loop(_operator, info.batch_size, in_dims, (input, seed, mask, *options))
    if seed_dim is None:
        seed = seed.expand(info.batch_size).contiguous()
    if mask is not None and mask_dim is not None:
        mask = mask.movedim(mask_dim, 0).contiguous()
    if input_dim is not None:
        input = input.movedim(input_dim, 0)
    return _operator(input, seed, mask, *options[:-1], input_dim is None), 0

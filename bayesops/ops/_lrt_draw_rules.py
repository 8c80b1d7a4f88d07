"""How lrt_draw behaves: fake tensors, no derivatives, vmap, autocast, CUDA."""

from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import batch_first, refuse_autograd, register_autocast, vmap_by_loop
from bayesops.ops._layout import empty_images, is_channels_last

_operator = torch.ops.bayesops.lrt_draw.default


@torch.library.register_fake("bayesops::lrt_draw")
def _fake(mean: Tensor, std: Tensor, seed: Tensor, *_: Any) -> Tensor:
    spatial = mean.dim() - 2
    return empty_images(mean, [*seed.shape, *mean.shape], spatial, is_channels_last(mean, spatial))


refuse_autograd(_operator)
register_autocast(_operator, float16=False)  # as lrt_conv does

# --- CUDA -------------------------------------------------------------------------------------------------------------


def lrt_draw(mean: Tensor, std: Tensor, seed: Tensor, stream: int, *epilogue: Any) -> Tensor:
    """Take and return what the operator ``bayesops::lrt_draw`` does: noise and all that follows in one pass."""
    return torch.ops.bayesops.lrt_epilogue_fused(
        mean, std, True, None, None, seed, stream, mean.dim() - 2, *epilogue
    )  # fmt: skip


# --- vmap -------------------------------------------------------------------------------------------------------------
#
# A batch over seeds is a batch of samples, whose residuals may be batched with them.


@torch.library.register_vmap("bayesops::lrt_draw")
def _vmap(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    *_, seed_dim, _, scale_dim, shift_dim, residual_dim, _ = in_dims
    shared = in_dims[:2] == (None, None) and scale_dim is None and shift_dim is None
    if not shared or seed_dim is None or args[2].dim() != 1:
        return vmap_by_loop(_operator, info.batch_size, in_dims, args)
    mean, std, seed, stream, scale, shift, residual, relu = args
    return _operator(mean, std, seed, stream, scale, shift, batch_first(residual, residual_dim), relu), 0

"""How max_pool2d_activation behaves: fake tensors, no derivatives, vmap."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import refuse_autograd
from bayesops.ops._layout import empty_images, is_channels_last

_operator = torch.ops.bayesops.max_pool2d_activation.default


def pooled_size(
    size: Sequence[int], kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil_mode: bool
) -> list[int]:
    """Spatial size of the result, 0 or less where no window fits."""
    pooled = []
    for n, kernel, step, pad in zip(size, kernel_size, stride, padding, strict=True):
        windows = (n + 2 * pad - kernel + (step - 1 if ceil_mode else 0)) // step + 1
        # The last one may reach over the end, but has to begin before it.
        pooled.append(windows - 1 if ceil_mode and (windows - 1) * step >= n + pad else windows)
    return pooled


@torch.library.register_fake("bayesops::max_pool2d_activation")
def _fake(
    input: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    activation: int,
) -> Tensor:
    shape = [*input.shape[:-2], *pooled_size(input.shape[-2:], kernel_size, stride, padding, ceil_mode)]
    return empty_images(input, shape, 2, is_channels_last(input, 2))


refuse_autograd(_operator)

# --- vmap -------------------------------------------------------------------------------------------------------------


@torch.library.register_vmap("bayesops::max_pool2d_activation")
def _vmap(info: Any, in_dims: tuple, input: Tensor, *arguments: Any) -> tuple[Tensor, int]:
    images = input.movedim(in_dims[0], 0)
    if images.dim() == 4:  # one image for each element of the batch
        return _operator(images, *arguments), 0
    return _operator(images.flatten(0, 1), *arguments).unflatten(0, images.shape[:2]), 0

"""How logit_noise_cross_entropy behaves in PyTorch's transforms: fake tensors, autograd and vmap.

Where a gradient is wanted, the operator that runs forms it together with the loss, while a draw's noise is at hand. The
gradient of that one, which second derivatives ask for, is left to PyTorch: the composite below is the gradient in plain
operations.
"""

from typing import Any

import torch
from torch import Tensor

from bayesops._sums import total
from bayesops.ops._dispatch import register_autograd, vmap_by_loop
from bayesops.ops._layout import empty_images, is_channels_last

_operator = torch.ops.bayesops.logit_noise_cross_entropy.default
_gradients = torch.ops.bayesops.logit_noise_cross_entropy_gradients.default

# How the compiled operators name a reduction.
REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}

# --- fake tensors -----------------------------------------------------------------------------------------------------


@torch.library.register_fake("bayesops::logit_noise_cross_entropy")
def _fake(
    logits: Tensor, log_var: Tensor, target: Tensor, seed: Tensor, stream: int, weight: Tensor | None,
    ignore_index: int, mean_of_losses: bool, reduction: int,
) -> Tensor:  # fmt: skip
    return logits.new_empty(target.shape if reduction == REDUCTIONS["none"] else (), dtype=_computing(logits))


@torch.library.register_fake("bayesops::logit_noise_cross_entropy_gradients")
def _fake_gradients(logits: Tensor, log_var: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    losses = _fake(logits, log_var, *others)

    def like(images: Tensor) -> Tensor:
        spatial = images.dim() - 2
        return empty_images(losses, images.shape, spatial, is_channels_last(images, spatial))

    return losses, like(logits), like(log_var)


def _computing(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


# --- autograd ---------------------------------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple, outputs: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, log_var, target, seed, ctx.stream, weight, *ctx.options = inputs
    ctx.save_for_backward(logits, log_var, target, seed, weight, *outputs[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, *second: Tensor | None) -> tuple:
    logits, log_var, target, seed, weight, *gradients = ctx.saved_tensors
    ignore_index, mean_of_losses, reduction = ctx.options
    results: list[Tensor | None] = [None, None]
    if grad is not None:
        factor = grad.unsqueeze(1) if reduction == REDUCTIONS["none"] else grad
        results = [gradient * factor for gradient in gradients]
    if any(cotangent is not None for cotangent in second):
        scale = _weights(target, weight, ignore_index, reduction, _computing(logits))
        noise = _noise(logits, seed, ctx.stream)

        def composite(logits: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
            return _composite_gradients(logits, log_var, target, noise, scale, mean_of_losses)

        outputs, pullback, *_ = torch.func.vjp(composite, *(t.to(_computing(logits)) for t in (logits, log_var)))
        filled = [torch.zeros_like(o) if c is None else c for o, c in zip(outputs, second, strict=True)]
        results = [b if a is None else a + b for a, b in zip(results, pullback(tuple(filled)), strict=True)]
    cast = [None if r is None else r.to(t.dtype) for r, t in zip(results, (logits, log_var), strict=True)]
    return *cast, *[None] * 7


def _weights(target: Tensor, weight: Tensor | None, ignore_index: int, reduction: int, dtype: torch.dtype) -> Tensor:
    """Return the factors of the places' losses, ``[N, *]``."""
    counts = target != ignore_index
    weights = counts.to(dtype) if weight is None else weight.to(dtype)[target.where(counts, 0)].where(counts, 0)
    return weights / total(weights) if reduction == REDUCTIONS["mean"] else weights


def _noise(logits: Tensor, seed: Tensor, stream: int) -> Tensor:
    """``[T, N, C, *]``."""
    examples, classes, *space = logits.shape
    noise = torch.ops.bayesops.random_normal.default(seed, [examples, *space, classes], stream)
    return noise.movedim(-1, 2).to(_computing(logits))


def _composite_gradients(
    logits: Tensor, log_var: Tensor, target: Tensor, noise: Tensor, scale: Tensor, mean_of_losses: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of the sum of ``scale * loss`` in plain PyTorch.

    Without its softmax, in which threads show where the dimension is not the last.
    """
    sigma = (log_var / 2).exp()
    noisy = logits + sigma * noise
    log_probability = noisy - noisy.logsumexp(2, keepdim=True)
    hit = target.unsqueeze(1) == torch.arange(logits.shape[1], device=target.device).reshape(
        -1, *[1] * (logits.dim() - 2)
    )
    of_target = torch.where(hit, log_probability, 0).sum(2, keepdim=True)
    draws = torch.full_like(of_target, 1 / len(noise)) if mean_of_losses else (of_target - of_target.logsumexp(0)).exp()
    away = (log_probability.exp() - hit.to(noise.dtype)) * draws
    of_sigma = (away * noise).sum(0).sum_to_size(log_var.shape)
    factor = scale.unsqueeze(1)
    return away.sum(0) * factor, of_sigma * (sigma / 2) * factor


register_autograd(_operator, _save, _backward, saving=_gradients)
register_autograd(_gradients, _save, _backward)

# --- vmap -------------------------------------------------------------------------------------------------------------
#
# The noise of a place goes by its number in the batch: calls of several batches are several calls.


@torch.library.register_vmap("bayesops::logit_noise_cross_entropy")
def _vmap(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    return vmap_by_loop(_operator, info.batch_size, in_dims, args)


@torch.library.register_vmap("bayesops::logit_noise_cross_entropy_gradients")
def _vmap_gradients(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    return vmap_by_loop(_gradients, info.batch_size, in_dims, args)

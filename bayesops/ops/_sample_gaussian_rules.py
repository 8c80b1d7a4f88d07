"""How sample_gaussian behaves in PyTorch's transforms: fake tensors, autograd and vmap.

Its gradient is an operator, too, which draws eps again. The gradient of that one, which second derivatives ask for, is
left to PyTorch: the formulas below are the gradient in plain operations.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bayesops.ops._dispatch import call, register_autograd, vmap_by_loop
from bayesops.ops._softplus_rules import sigmoid, softplus

_operator = torch.ops.bayesops.sample_gaussian.default
_gradient = torch.ops.bayesops.sample_gaussian_grad.default

# How the compiled operators name a prior.
NO_PRIOR, GAUSSIAN, LAPLACE, MIXTURE = range(4)

# --- fake tensors -----------------------------------------------------------------------------------------------------


@torch.library.register_fake("bayesops::sample_gaussian")
def _fake(mu: Tensor, spread: Tensor, seed: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    def log() -> Tensor:
        return mu.new_empty(seed.shape, dtype=torch.float64)

    return mu.new_empty([*seed.shape, *mu.shape]), log(), log()


@torch.library.register_fake("bayesops::sample_gaussian_grad")
def _fake_gradient(
    grad_weights: Tensor | None, grad_log_q: Tensor | None, grad_log_prior: Tensor | None, mu: Tensor, *_: Any
) -> tuple[Tensor, Tensor]:
    return mu.new_empty(mu.shape), mu.new_empty(mu.shape)


# --- autograd ---------------------------------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple, outputs: tuple) -> None:
    """Save for either operator: both take tensors, then the same options."""
    *tensors, ctx.stream, ctx.alpha, ctx.prior, ctx.parameters = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *cotangents: Tensor | None) -> tuple:
    options = ctx.stream, ctx.alpha, ctx.prior, ctx.parameters
    return *call(_gradient, *cotangents, *ctx.saved_tensors, *options), None, *[None] * len(options)


def _backward_gradient(ctx: Any, *cotangents: Tensor | None) -> tuple:
    *differentiable, seed = ctx.saved_tensors
    mu = differentiable[3]
    eps = torch.ops.bayesops.random_normal.default(seed, list(mu.shape), ctx.stream).to(mu.dtype)
    given = [i for i, tensor in enumerate(differentiable) if tensor is not None]

    def gradient(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        arguments: list[Any] = [None] * len(differentiable)
        for i, tensor in zip(given, tensors, strict=True):
            arguments[i] = tensor
        grad_weights, grad_log_q, grad_log_prior, mu, spread = arguments
        return _composite_gradient(
            grad_weights, grad_log_q, grad_log_prior, mu, spread, eps, seed.dim(), ctx.alpha, ctx.prior, ctx.parameters
        )

    outputs, pullback, *_ = torch.func.vjp(gradient, *(differentiable[i] for i in given))
    filled = [torch.zeros_like(o) if c is None else c for o, c in zip(outputs, cotangents, strict=True)]
    results: list[Tensor | None] = [None] * (len(differentiable) + 5)
    for i, result in zip(given, pullback(tuple(filled)), strict=True):
        results[i] = result
    return tuple(results)


def _composite_gradient(
    grad_weights: Tensor | None, grad_log_q: Tensor | None, grad_log_prior: Tensor | None, mu: Tensor, spread: Tensor,
    eps: Tensor, samples: int, alpha: bool, prior: int, parameters: Sequence[float],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """sample_gaussian_grad in plain PyTorch; eps is ``[S, *shape]`` where `samples` is 1, else ``[*shape]``."""
    root = torch.exp(spread / 2) if alpha else None
    sigma = softplus(spread) if root is None else root * mu.abs()
    of_weights = torch.zeros_like(eps) if grad_weights is None else grad_weights
    if grad_log_prior is not None and prior != NO_PRIOR:
        factor = grad_log_prior.to(mu.dtype).reshape(*grad_log_prior.shape, *[1] * mu.dim())
        of_weights = of_weights + factor * _SCORES[prior](mu + sigma * eps, *parameters)
    of_mu, of_sigma = of_weights, of_weights * eps
    if samples:
        of_mu, of_sigma = of_mu.sum(0), of_sigma.sum(0)
    of_log_q = mu.new_zeros(()) if grad_log_q is None else -grad_log_q.sum().to(mu.dtype)
    if root is None:
        slope = sigmoid(spread)
        return of_mu, of_sigma * slope + of_log_q * (slope / sigma)
    away = torch.where(mu == 0, 0.0, of_log_q / torch.where(mu == 0, 1.0, mu))
    return of_mu + of_sigma * root * mu.sign() + away, (of_sigma * sigma + of_log_q) / 2


# --- derivatives of the priors' log densities -------------------------------------------------------------------------


def _gaussian_score(w: Tensor, mu: float, sigma: float) -> Tensor:
    return (mu - w) / sigma**2


def _laplace_score(w: Tensor, mu: float, scale: float) -> Tensor:
    return -(w - mu).sign() / scale


def _mixture_score(w: Tensor, pi: float, sigma1: float, sigma2: float) -> Tensor:
    precisions = sigma1**-2, sigma2**-2
    if pi in (0.0, 1.0):
        return -w * precisions[0 if pi else 1]
    odds = math.log(pi / sigma1) - math.log((1 - pi) / sigma2) - w.square() * (precisions[0] - precisions[1]) / 2
    first = sigmoid(odds)
    return -w * (precisions[0] * first + precisions[1] * (1 - first))


_SCORES: dict[int, Callable[..., Tensor]] = {
    GAUSSIAN: _gaussian_score,
    LAPLACE: _laplace_score,
    MIXTURE: _mixture_score,
}


register_autograd(_operator, _save, _backward)
register_autograd(_gradient, _save, _backward_gradient)

# --- vmap -------------------------------------------------------------------------------------------------------------


@torch.library.register_vmap("bayesops::sample_gaussian")
def _vmap(info: Any, in_dims: tuple, mu: Tensor, spread: Tensor, seed: Tensor, *options: Any) -> tuple[Any, Any]:
    mu_dim, spread_dim, seed_dim, *_ = in_dims
    if mu_dim is None and spread_dim is None and seed_dim is not None and seed.dim() == 1:
        return _operator(mu, spread, seed, *options), (0, 0, 0)
    return vmap_by_loop(_operator, info.batch_size, in_dims, (mu, spread, seed, *options))


@torch.library.register_vmap("bayesops::sample_gaussian_grad")
def _vmap_gradient(info: Any, in_dims: tuple, *args: Any) -> tuple[Any, Any]:
    # The operator sums over samples, and here every sample's own gradient is wanted.
    return vmap_by_loop(_gradient, info.batch_size, in_dims, args)

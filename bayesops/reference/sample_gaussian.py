"""Weights of a Gaussian posterior in plain PyTorch: draw, and add the log densities."""

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

from bayesops import random
from bayesops.priors import Prior


def sample_gaussian(
    mu: Tensor,
    rho: Tensor | None = None,
    *,
    seed: int | Tensor,
    log_alpha: Tensor | None = None,
    stream: int = 0,
    prior: Prior | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`bayesops.ops.sample_gaussian`: weights ``[*shape]`` or ``[S, *shape]``, log densities ``[]`` or ``[S]``."""
    seeds = torch.as_tensor(seed, dtype=torch.int64)
    eps = random.normal(seeds, mu.shape, stream).to(mu.dtype)
    if rho is not None:
        sigma = functional.softplus(rho)
    else:
        assert log_alpha is not None
        sigma = torch.exp(log_alpha / 2) * mu.abs()
    weights = mu + sigma * eps

    def total(log_density: Tensor) -> Tensor:
        return log_density.double().flatten(seeds.dim()).sum(-1) if mu.dim() else log_density.double()

    # log N(w; mu, sigma²) in terms of eps, which (w − mu) / sigma has lost some digits of.
    log_q = Normal(torch.zeros_like(eps), 1.0).log_prob(eps) - sigma.log()
    log_prior = torch.zeros_like(eps) if prior is None else prior.log_prob(weights)
    return weights, total(log_q), total(log_prior)

"""Weights of a Gaussian posterior with log q − log prior under a scale mixture, forward and backward: bar 9."""

import math
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal

from bayesops import ops, priors
from benchmarks import groups
from benchmarks.places import Place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide, Target

SIZES = [
    pytest.param(2**16, marks=pytest.mark.cpu_only),
    2**20,
    pytest.param(2**22, marks=pytest.mark.cpu_only),
    pytest.param(2**24, marks=pytest.mark.device_only),
    pytest.param(2**27, marks=pytest.mark.device_only),
]
FILLS_DEVICE = 2**24  # fewer are done before the next call has come
PI, SIGMA1, SIGMA2 = 0.25, 1.0, 0.0025
PRIOR = priors.ScaleMixture(PI, SIGMA1, SIGMA2)
Sample = tuple[Tensor, Tensor]  # weights, log q - log prior


def eager(mu: Tensor, rho: Tensor) -> Sample:
    """Spell it out with torch.distributions."""
    sigma = F.softplus(rho)
    weights = mu + sigma * torch.randn_like(mu)
    log_q = Normal(mu, sigma).log_prob(weights).sum()
    parts = [
        math.log(PI) + Normal(0.0, SIGMA1).log_prob(weights),
        math.log(1 - PI) + Normal(0.0, SIGMA2).log_prob(weights),
    ]
    return weights, log_q - torch.logsumexp(torch.stack(parts), 0).sum()


def by_hand(mu: Tensor, rho: Tensor) -> Sample:
    """Work out everything that can be: log q from eps, the mixture from the squares; constants are left out."""
    sigma, eps = F.softplus(rho), torch.randn_like(mu)
    weights = torch.addcmul(mu, sigma, eps)
    squares = weights.square()
    wide, narrow = (math.log(p / s) - squares * (0.5 / s**2) for p, s in ((PI, SIGMA1), (1 - PI, SIGMA2)))
    return weights, -(0.5 * eps.square() + sigma.log()).sum() - torch.logaddexp(wide, narrow).sum()


def ours(mu: Tensor, rho: Tensor) -> Sample:
    sample = ops.sample_gaussian(mu, rho, seed=0, prior=PRIOR)
    return sample.weights, sample.log_q - sample.log_prior


def blitz(mu: Tensor, rho: Tensor) -> Callable[[], Any]:
    """Use the parts of BLiTZ's layers, which sample weights and add the log densities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = import_module("blitz.modules.weight_sampler")
    q = sampler.TrainableRandomDistribution(mu.detach().clone(), rho.detach().clone())
    prior = sampler.PriorWeightDistribution(PI, SIGMA1, SIGMA2)
    gradient = torch.randn_like(mu)

    def call() -> Any:
        weights = q.sample()
        difference = q.log_posterior() - prior.log_prior(weights)
        return torch.autograd.grad((weights, difference), (q.mu, q.rho), (gradient, torch.ones_like(difference)))

    return call


def limit(place: Place, count: int) -> Limit:
    """Time 32 bytes a parameter, 12 there and 20 back, by copies of the same size, or a Philox word for each draw."""
    source, target = (torch.randn(count, device=place.device) for _ in range(2))
    return Limit(
        "32 bytes a parameter, or a Philox word for each of its two draws, whichever takes longer",
        lambda: max(4 * place.copy_seconds(source, target), 2 * count / place.word_rate()),
    )


@pytest.mark.parametrize("count", SIZES)
def test_sample_gaussian(side_by_side: SideBySide, place: Place, count: int, threads: int | None) -> None:
    device = place.device
    mu = torch.randn(count, device=device).mul_(0.1).requires_grad_()
    rho = torch.randn(count, device=device).mul_(0.5).sub_(5).requires_grad_()
    gradient = torch.randn(count, device=device)

    def both_ways(function: Callable[[Tensor, Tensor], Sample]) -> Callable[[], Any]:
        def call() -> Any:
            weights, difference = function(mu, rho)
            return torch.autograd.grad((weights, difference), (mu, rho), (gradient, torch.ones_like(difference)))

        return call

    peer: list[Callable[[], Any]] = []

    def call_peer() -> Any:
        if not peer:
            peer.append(blitz(mu, rho))
        return peer[0]()

    side_by_side(
        Case(
            group=groups.SAMPLE_GAUSSIAN.title,
            name=f"{count} parameters",
            threads=threads,
            parameters={"count": count, "prior": "scale mixture"},
            ours=both_ways(ours),
            rivals=[
                Rival("eager", both_ways(eager)),
                Rival("eager, by hand", both_ways(by_hand)),
                Rival("eager, compiled", both_ways(torch.compile(eager, dynamic=False)), optional=True),
                *([] if threads is None else [Rival("blitz", call_peer, optional=True)]),
            ],
            limit=limit(place, count),
            target=Target({"eager": 10.0}),
            on_device=Target({"eager": 10.0}, achieved=0.7 if count >= FILLS_DEVICE else None),
            memory=threads is None,
        )
    )

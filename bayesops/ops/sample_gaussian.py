"""Weights of a Gaussian posterior, with the two terms of the variational objective, in one pass.

Source: Blundell, Cornebise, Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML 2015: log q(w) −
log p(w) of a drawn weight estimates the divergence under any prior (eq. 2), with sigma = softplus(rho) (section 3.2).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bayesops import priors
from bayesops._arguments import Seed, check_floating, check_stream, seed_tensor, wrong_type, wrong_value
from bayesops._sums import expand, sum_keeping
from bayesops.ops._arguments import check_like_input
from bayesops.ops._dispatch import call
from bayesops.ops._sample_gaussian_rules import GAUSSIAN, LAPLACE, MIXTURE, NO_PRIOR

_operator = torch.ops.bayesops.sample_gaussian.default


class GaussianSample(NamedTuple):
    """What `sample_gaussian` returns.

    Attributes
    ----------
    weights : Tensor
        ``[*shape]``, or ``[S, *shape]``.
    log_q, log_prior : Tensor
        float64 ``[]`` or ``[S]``: log densities of all weights of a sample together, in nats.
    """

    weights: Tensor
    log_q: Tensor
    log_prior: Tensor


def sample_gaussian(
    mu: Tensor,
    rho: Tensor | None = None,
    *,
    seed: Seed,
    log_alpha: Tensor | None = None,
    stream: int = 0,
    prior: priors.Prior | torch.distributions.Distribution | None = None,
) -> GaussianSample:
    """Draw weights mu + sigma eps and return them with log q(weights) and log prior(weights).

    Parameters
    ----------
    mu : Tensor
        Means, of any shape.
    rho : Tensor, optional
        Of the shape of `mu`; sigma = softplus(rho).
    seed : int or int64 Tensor
        ``[]`` for one draw, ``[S]`` for S draws. eps is ``bayesops.random.normal(seed, mu.shape, stream)``.
    log_alpha : Tensor, optional
        In place of `rho`, of a shape that broadcasts to `mu`'s: sigma = sqrt(alpha) |mu|.
    stream : int
        Which layer: draws of different streams are independent. In [0, 2**32).
    prior : Prior or torch.distributions.Distribution, optional
        Whose log density is wanted. `Gaussian` and `Laplace` with numbers and `ScaleMixture` are part of the pass, all
        others follow it in plain PyTorch. Without a prior `log_prior` is 0.

    Returns
    -------
    GaussianSample
        ``(weights, log_q, log_prior)``. The sums are float64, and the same bits for every number of threads and every
        instruction set. An improper prior's density has the constant that its `log_prob` gives it.

    Raises
    ------
    ValueError
        A shape that does not fit, a stream out of range.
    TypeError
        `mu` not floating, both or neither of `rho` and `log_alpha`, a seed that is not int64, not a prior.
    RuntimeError
        Tensors on different devices.

    Notes
    -----
    All three results are differentiable in `mu` and `rho` (or `log_alpha`), with eps held fixed: nothing but the
    arguments is kept for the backward pass. bfloat16 and float16 compute in float32, and log densities are those of the
    weights before they are rounded. log sigma keeps its digits where sigma vanishes. Under autocast, 16-bit arguments
    are cast to float32.

    Examples
    --------
    >>> sample = bo.ops.sample_gaussian(mu, rho, seed=0, prior=bo.priors.ScaleMixture(0.5, 1.0, 0.0025))
    >>> kl = sample.log_q - sample.log_prior
    """
    operator = "sample_gaussian"
    check_stream(operator, stream)
    check_floating(operator, "mu", mu)
    spread = _check_spread(operator, mu, rho, log_alpha)
    seed = seed_tensor(operator, seed, mu.device)
    if torch.is_autocast_enabled(mu.device.type) and mu.dtype != torch.float64:
        mu, spread = mu.float(), spread.float()
    law = None if prior is None else _check_prior(operator, prior)
    kind, parameters = _fused(law)
    weights, log_q, log_prior = call(_operator, mu, spread, seed, stream, rho is None, kind, parameters)
    if law is not None and kind == NO_PRIOR:
        log_prior = _sum(law, weights, seed.dim())
    return GaussianSample(weights, log_q, log_prior)


def _check_spread(operator: str, mu: Tensor, rho: Tensor | None, log_alpha: Tensor | None) -> Tensor:
    if (rho is None) == (log_alpha is None):
        wrong_type(operator, "rho", "given, or else 'log_alpha'", "neither" if rho is None else "both")
    if rho is not None:
        check_like_input(operator, "rho", rho, mu)
        if rho.shape != mu.shape:
            wrong_value(operator, "rho", f"of mu's shape {tuple(mu.shape)}", f"shape {tuple(rho.shape)}")
        return rho
    assert log_alpha is not None
    check_like_input(operator, "log_alpha", log_alpha, mu)
    try:
        return expand(log_alpha, mu.shape)
    except RuntimeError:
        wanted = f"of a shape that broadcasts to {tuple(mu.shape)}"
        return wrong_value(operator, "log_alpha", wanted, f"shape {tuple(log_alpha.shape)}")


def _check_prior(operator: str, prior: Any) -> priors.Prior:
    if isinstance(prior, (priors.Prior, torch.distributions.Distribution)):
        return priors.as_prior(prior)
    wanted = "a bayesops.priors.Prior, a torch.distributions.Distribution or None"
    return wrong_type(operator, "prior", wanted, type(prior).__name__)


def _fused(prior: priors.Prior | None) -> tuple[int, list[float]]:
    """Return the kind and the parameters of a prior that the compiled operator knows; of others, those of none."""
    kind = NO_PRIOR
    parameters: tuple[float | Tensor, ...] = ()
    # A subclass may mean something else.
    if type(prior) is priors.Gaussian:
        kind, parameters = GAUSSIAN, (prior.mu, prior.sigma)
    elif type(prior) is priors.Laplace:
        kind, parameters = LAPLACE, (prior.mu, prior.scale)
    elif type(prior) is priors.ScaleMixture:
        kind, parameters = MIXTURE, (prior.pi, prior.sigma1, prior.sigma2)
    numbers = [parameter for parameter in parameters if not isinstance(parameter, Tensor)]
    return (kind, numbers) if len(numbers) == len(parameters) else (NO_PRIOR, [])


def _sum(prior: priors.Prior, weights: Tensor, samples: int) -> Tensor:
    if weights.dtype in (torch.bfloat16, torch.float16):
        weights = weights.float()
    log_density = prior.log_prob(weights).double()
    if log_density.shape != weights.shape:
        wanted = f"one whose log_prob has the weights' shape {tuple(weights.shape)}"
        wrong_value("sample_gaussian", "prior", wanted, f"shape {tuple(log_density.shape)}")
    return sum_keeping(log_density, range(samples))

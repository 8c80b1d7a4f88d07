"""Priors of weights: log densities for Monte Carlo, and the closed form of KL(q || prior) where there is one.

q is a normal distribution of mean `mu` and standard deviation `sigma`, for each weight by itself. Every prior is a
module, so that one with tensors in it moves and is saved with the layer that holds it.

    bo.nn.GaussianConv2d(3, 16, 5, prior=bo.priors.ScaleMixture(0.5, 1.0, 0.0025))
"""

import copy
import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from bayesops._arguments import wrong_type, wrong_value
from bayesops._sums import expand

__all__ = ["Distribution", "Gaussian", "Laplace", "LogUniform", "Prior", "ScaleMixture", "as_prior"]

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Prior(nn.Module):
    """What every prior offers.

    Attributes
    ----------
    has_closed_form : bool
        Whether `kl` gives a tensor. Where it does not, log q − log prior of a drawn weight estimates the divergence.
    """

    has_closed_form = True

    def log_prob(self, w: Tensor) -> Tensor:
        """Return the log density at each weight, in nats: a tensor of the shape of `w`."""
        raise NotImplementedError

    def kl(self, mu: Tensor, sigma: Tensor) -> Tensor | None:
        """Return KL(N(mu, sigma²) || prior) of each weight, in nats, float64; None where no closed form is known.

        `sigma` is a standard deviation, and `mu` and `sigma` may broadcast. The gradient reaches both.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:  # noqa: D102  as in torch
        return ", ".join(f"{name}={_text(getattr(self, name))}" for name in self._named())

    def _named(self) -> tuple[str, ...]:
        return ()

    def _hold(self, name: str, value: float | Tensor) -> None:
        """Keep a number as it is, a tensor as a buffer and a parameter as a parameter."""
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                wrong_type(type(self).__name__, name, "a number or a floating tensor", value.dtype)
            if isinstance(value, nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)
            return
        if isinstance(value, bool) or not isinstance(value, Real):
            wrong_type(type(self).__name__, name, "a number or a floating tensor", type(value).__name__)
        if not math.isfinite(value):
            wrong_value(type(self).__name__, name, "finite", value)
        setattr(self, name, float(value))

    def _hold_positive(self, name: str, value: float | Tensor) -> None:
        self._hold(name, value)
        if isinstance(value, Tensor):
            if not value.is_meta and not bool((value > 0).all()):
                wrong_value(type(self).__name__, name, "greater than 0 everywhere", f"minimum {value.min().item()}")
        elif not value > 0:
            wrong_value(type(self).__name__, name, "greater than 0", value)


class Gaussian(Prior):
    """The normal distribution N(mu, sigma²).

    Parameters
    ----------
    mu, sigma : float or Tensor
        Mean and standard deviation. A tensor (of a shape that broadcasts to the weight's) becomes a buffer: a mean at
        the weights of a trained network is MOPED's (Krishnan et al., "Specifying weight priors in Bayesian deep neural
        networks with empirical Bayes", AAAI 2020). An `nn.Parameter` stays one, and is learned.

    Raises
    ------
    ValueError
        `sigma` not greater than 0.
    """

    mu: float | Tensor
    sigma: float | Tensor

    def __init__(self, mu: float | Tensor = 0.0, sigma: float | Tensor = 1.0) -> None:
        super().__init__()
        self._hold("mu", mu)
        self._hold_positive("sigma", sigma)

    def log_prob(self, w: Tensor) -> Tensor:  # noqa: D102  as in Prior
        mu, sigma = _each(self.mu, w), _each(self.sigma, w)
        z = (w - mu) / sigma
        return -0.5 * z * z - _log(sigma) - _LOG_SQRT_2PI

    def kl(self, mu: Tensor, sigma: Tensor) -> Tensor:  # noqa: D102  as in Prior
        mean, deviation = _each(_double(self.mu), mu), _each(_double(self.sigma), mu)
        ratio = (sigma.double() / deviation).square()
        return 0.5 * (ratio - 1.0 - ratio.log() + ((mu.double() - mean) / deviation).square())

    def _named(self) -> tuple[str, ...]:
        return "mu", "sigma"


class Laplace(Prior):
    """The Laplace distribution, of density exp(−|w − mu| / scale) / (2 scale).

    Parameters
    ----------
    mu, scale : float or Tensor
        Location, and mean distance from it.

    Raises
    ------
    ValueError
        `scale` not greater than 0.
    """

    mu: float | Tensor
    scale: float | Tensor

    def __init__(self, mu: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        super().__init__()
        self._hold("mu", mu)
        self._hold_positive("scale", scale)

    def log_prob(self, w: Tensor) -> Tensor:  # noqa: D102  as in Prior
        mu, scale = _each(self.mu, w), _each(self.scale, w)
        return -(w - mu).abs() / scale - _log(scale) - math.log(2.0)

    def kl(self, mu: Tensor, sigma: Tensor) -> Tensor:
        """Return E|w − m| / scale + log(2 scale) − H(q), where |w − m| is folded normal.

        With d = mu − m, E|w − m| = sigma sqrt(2/π) exp(−d² / (2 sigma²)) + d erf(d / (sigma sqrt 2)).
        """
        sigma, scale = sigma.double(), _each(_double(self.scale), mu)
        distance = mu.double() - _each(_double(self.mu), mu)
        z = distance / sigma
        folded = sigma * math.sqrt(2.0 / math.pi) * torch.exp(-0.5 * z * z) + distance * torch.erf(z * math.sqrt(0.5))
        return folded / scale + _log(scale) + math.log(2.0) - sigma.log() - _LOG_SQRT_2PI - 0.5

    def _named(self) -> tuple[str, ...]:
        return "mu", "scale"


class ScaleMixture(Prior):
    """Two normal distributions around 0: pi N(0, sigma1²) + (1 − pi) N(0, sigma2²).

    Blundell et al., "Weight uncertainty in neural networks", ICML 2015, eq. 7: `sigma1` large, `sigma2` much smaller.
    A spike and slab whose parts are N(0, 1) and N(0, 10), written with standard deviations as in TensorFlow
    Probability's `tfd.Normal(0., 10.)`, is ``ScaleMixture(0.5, 1.0, 10.0)`` when both parts weigh the same.

    Parameters
    ----------
    pi : float
        Weight of the first component, in [0, 1].
    sigma1, sigma2 : float
        Standard deviations.

    Raises
    ------
    ValueError
        `pi` outside [0, 1], or a standard deviation not greater than 0.

    Notes
    -----
    The density is added in log space, so its logarithm is finite however far in the tail a weight lies. There is no
    closed form of the divergence from a normal distribution.
    """

    has_closed_form = False
    pi: float
    sigma1: float
    sigma2: float

    def __init__(self, pi: float, sigma1: float, sigma2: float) -> None:
        super().__init__()
        for name, value in (("pi", pi), ("sigma1", sigma1), ("sigma2", sigma2)):
            if isinstance(value, Tensor):
                wrong_type("ScaleMixture", name, "a number", "a tensor")
            self._hold(name, value)
        if not 0.0 <= pi <= 1.0:
            wrong_value("ScaleMixture", "pi", "in [0, 1], the weight of the first component", pi)
        self._hold_positive("sigma1", sigma1)
        self._hold_positive("sigma2", sigma2)

    def log_prob(self, w: Tensor) -> Tensor:  # noqa: D102  as in Prior
        parts = []
        for weight, sigma in ((self.pi, self.sigma1), (1.0 - self.pi, self.sigma2)):
            if weight > 0.0:
                z = w / sigma
                parts.append(-0.5 * z * z + (math.log(weight) - math.log(sigma) - _LOG_SQRT_2PI))
        if len(parts) == 1:
            return parts[0]
        # As torch.logaddexp, which rounds the end of each thread's share otherwise than the rest.
        return torch.maximum(*parts) + torch.log1p(torch.exp(-(parts[0] - parts[1]).abs()))

    def kl(self, mu: Tensor, sigma: Tensor) -> None:
        """Return None: there is no closed form."""
        return

    def _named(self) -> tuple[str, ...]:
        return "pi", "sigma1", "sigma2"


class LogUniform(Prior):
    """The improper prior of variational dropout, p(log|w|) = constant, that is p(w) ∝ 1 / |w|.

    Kingma, Salimans and Welling, "Variational dropout and the local reparameterization trick", NIPS 2015. The
    divergence depends on alpha = sigma² / mu² alone, and falls as alpha grows.

    Notes
    -----
    `kl` is the approximation of Molchanov, Ashukha and Vetrov, "Variational dropout sparsifies deep neural networks",
    ICML 2017, eq. 14, with the sign of a divergence: k1 − k1 sigmoid(k2 + k3 log alpha) + log(1 + 1/alpha) / 2, whose
    constant is such that it tends to 0 as alpha goes to infinity. It is off by less than 0.01 nats per weight for every
    alpha (tests/test_priors.py integrates).

    The constant of an improper density is free: `log_prob` has the one with which E[log q − log prior] is `kl`, the
    same in expectation whichever of the two is used. It is infinite at w = 0.
    """

    _K1, _K2, _K3 = 0.63576, 1.87320, 1.48695
    # (log(2 π e) + Euler's gamma + log 2) / 2
    _CONSTANT = _LOG_SQRT_2PI + 0.5 + 0.5 * (0.57721566490153286 + math.log(2.0))

    def log_prob(self, w: Tensor) -> Tensor:  # noqa: D102  as in Prior
        return -w.abs().log() - self._CONSTANT

    def kl(self, mu: Tensor, sigma: Tensor) -> Tensor:  # noqa: D102  as in Prior
        # In terms of 1 / alpha, which is 0 with a gradient of 0 where the mean is 0. Without torch.sigmoid: that rounds
        # the end of each thread's share otherwise than the rest.
        inverse = (mu.double() / sigma.double()).square()
        odds = torch.exp(self._K3 * inverse.clamp(1e-300, 1e200).log() - self._K2)
        return self._K1 * (odds / (1 + odds)) + 0.5 * torch.log1p(inverse)


class Distribution(Prior):
    """Any distribution of `torch.distributions` over single weights.

    Parameters
    ----------
    distribution : torch.distributions.Distribution
        Of scalars (an empty event shape); its batch shape must broadcast to the weight's. Its tensors are its own:
        they stay on their device and out of the state dict.

    Raises
    ------
    TypeError
        Not a distribution of torch.
    ValueError
        A distribution of vectors.

    Notes
    -----
    `kl` is `torch.distributions.kl_divergence`, where torch knows it for a normal distribution and this one.
    """

    def __init__(self, distribution: torch.distributions.Distribution) -> None:
        super().__init__()
        if not isinstance(distribution, torch.distributions.Distribution):
            wrong_type(
                "Distribution", "distribution", "a torch.distributions.Distribution", type(distribution).__name__
            )
        if distribution.event_shape:
            wanted = "a distribution of scalars (event shape ())"
            wrong_value("Distribution", "distribution", wanted, f"event shape {tuple(distribution.event_shape)}")
        self.distribution = distribution
        self.has_closed_form = self.kl(torch.zeros(()), torch.ones(())) is not None

    def log_prob(self, w: Tensor) -> Tensor:  # noqa: D102  as in Prior
        # The check of the argument asks for its answer: on a GPU everything would wait, and no graph could be captured.
        distribution = self.distribution if w.device.type == "cpu" else without_checks(self.distribution)
        return distribution.log_prob(w)

    def kl(self, mu: Tensor, sigma: Tensor) -> Tensor | None:  # noqa: D102  as in Prior
        q = torch.distributions.Normal(mu.double(), sigma.double(), validate_args=False)
        try:
            return torch.distributions.kl_divergence(q, self.distribution).double()
        except NotImplementedError:
            return None

    def extra_repr(self) -> str:  # noqa: D102  as in torch
        return repr(self.distribution)


def without_checks(distribution: torch.distributions.Distribution) -> torch.distributions.Distribution:
    """Return a copy that does not check its arguments, nor do the distributions that it is made of."""
    unchecked = copy.copy(distribution)
    unchecked._validate_args = False
    for name, part in vars(distribution).items():
        if isinstance(part, torch.distributions.Distribution):
            setattr(unchecked, name, without_checks(part))
    return unchecked


def as_prior(
    value: Any, function: str = "as_prior", argument: str = "prior", device: torch.device | str | None = None
) -> Prior:
    """Return `value` as a prior: a `Prior` itself, a distribution of torch wrapped, None as ``Gaussian(0.0, 1.0)``.

    A prior's tensors are moved to `device`, where its parameter is. Errors name `function` and `argument`.

    Raises
    ------
    TypeError
        Anything else.
    """
    if value is None:
        return Gaussian(0.0, 1.0)
    if isinstance(value, Prior):
        # On "meta" they would be lost, and what is made there is moved as a whole.
        return value if device is None or torch.device(device).type == "meta" else value.to(device)
    if isinstance(value, torch.distributions.Distribution):
        return Distribution(value)
    wanted = "a bayesops.priors.Prior, a torch.distributions.Distribution or None"
    return wrong_type(function, argument, wanted, type(value).__name__)


def _log(value: float | Tensor) -> float | Tensor:
    return value.log() if isinstance(value, Tensor) else math.log(value)


def _each(value: float | Tensor, weight: Tensor) -> float | Tensor:
    """Expand the one number that all weights share, if it is learned: threads would show in its gradient."""
    one = isinstance(value, Tensor) and value.numel() == 1 and value.dim() <= weight.dim()
    return expand(value, weight.shape) if one else value  # type: ignore[arg-type]


def _double(value: float | Tensor) -> float | Tensor:
    return value.double() if isinstance(value, Tensor) else value


def _text(value: float | Tensor) -> str:
    return f"tensor{tuple(value.shape)}" if isinstance(value, Tensor) else str(value)

"""A plain layer becomes a Gaussian layer around its weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from bayesops._arguments import wrong_value
from bayesops.convert._selection import constructor_arguments
from bayesops.nn import GaussianConv1d, GaussianConv2d, GaussianConv3d, GaussianLinear
from bayesops.priors import Gaussian, as_prior

_LAYERS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Conv1d: GaussianConv1d,
    nn.Conv2d: GaussianConv2d,
    nn.Conv3d: GaussianConv3d,
    nn.Linear: GaussianLinear,
}


@dataclass(frozen=True)
class GaussianPosterior:
    """Normal distributions of mean w and standard deviation ``max(delta |w|, floor)``; see `bayesops.convert`."""

    delta: float = 0.1
    floor: float = 1e-4
    prior: Any = None
    bias_prior: Any = None
    prior_at_weight: bool = False
    estimator: str = "local_reparam"
    variance: str = "rho"
    # Spread of each parameter that was converted: what shares its mean shares its spread.
    _spread: dict[nn.Parameter, nn.Parameter] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("delta", "floor"):
            value: Any = getattr(self, name)
            if not isinstance(value, (int, float, Real)) or not 0.0 < float(value) < math.inf:
                wrong_value("convert", name, "a finite number greater than 0", repr(value))
        if self.prior_at_weight:
            for name in ("prior", "bias_prior"):
                if not isinstance(as_prior(getattr(self, name), "convert", name), Gaussian):
                    wrong_value("convert", name, "a bayesops.priors.Gaussian with prior_at_weight", getattr(self, name))

    def layer(self, plain: Any) -> nn.Module:
        """Make the Gaussian layer whose means are the parameters (the very tensors) of `plain`."""
        prior, bias_prior = self._priors(plain)
        with torch.device("meta"):  # no storage, no initialisation: the parameters come from `plain`
            gaussian = _LAYERS[type(plain)](
                *constructor_arguments(plain), prior=prior, bias_prior=bias_prior, estimator=self.estimator,
                variance=self.variance,
            )  # fmt: skip
        gaussian.weight_mu, gaussian.bias_mu = plain.weight, plain.bias
        if self.variance == "alpha":
            gaussian.weight_log_alpha = self._spread_of(plain.weight, self._log_alpha)
        else:
            gaussian.weight_rho = self._spread_of(plain.weight, self._rho)
        if plain.bias is not None:
            gaussian.bias_rho = self._spread_of(plain.bias, self._rho)
        return gaussian

    def _priors(self, plain: Any) -> tuple[Any, Any]:
        device = plain.weight.device
        of_weight = as_prior(self.prior, "convert", device=device)
        of_bias = None if self.bias_prior is None else as_prior(self.bias_prior, "convert", "bias_prior", device)
        if not self.prior_at_weight:
            return of_weight, of_bias

        def around(parameter: Tensor | None, prior: Any) -> Gaussian | None:
            return None if parameter is None else Gaussian(parameter.detach().clone(), prior.sigma)

        return around(plain.weight, of_weight), around(plain.bias, of_bias or of_weight)

    def _spread_of(self, mean: nn.Parameter, value: Callable[[Tensor], Tensor]) -> nn.Parameter:
        if mean not in self._spread:
            self._spread[mean] = nn.Parameter(value(mean.detach()), requires_grad=mean.requires_grad)
        return self._spread[mean]

    def _log_alpha(self, mean: Tensor) -> Tensor:
        return torch.full_like(mean, 2 * math.log(self.delta))

    def _rho(self, mean: Tensor) -> Tensor:
        """Inverse of softplus at the standard deviation, log(exp(sigma) - 1), without overflow or cancellation."""
        sigma = (self.delta * mean.double().abs()).clamp_min(self.floor)
        return (sigma + torch.log(-torch.expm1(-sigma))).to(mean.dtype)

"""The distribution of one parameter of a Gaussian layer, and its divergence from the prior."""

from typing import NamedTuple

import torch
from torch import Tensor

from bayesops import ops
from bayesops._arguments import wrong_value
from bayesops._sums import expand, total
from bayesops.ops._softplus_rules import softplus
from bayesops.priors import Gaussian, Laplace, LogUniform, Prior


class Posterior(NamedTuple):
    """The distribution of a layer's weight, or of its bias."""

    mu: Tensor
    rho: Tensor | None
    log_alpha: Tensor | None
    prior: Prior
    stream_bit: int

    def closed_form_kl(self) -> Tensor:
        """KL(q || prior), summed, float64 ``[]``. Standard deviations are at least float32."""
        if self.rho is not None and type(self.prior) is Gaussian:  # a subclass may mean something else
            prior_mu, prior_sigma = self.prior.mu, self.prior.sigma
            if not isinstance(prior_mu, Tensor) and not isinstance(prior_sigma, Tensor):
                return ops.gaussian_kl(self.mu, self.rho, prior_mu, prior_sigma)
            if isinstance(prior_mu, Tensor) and not isinstance(prior_sigma, Tensor) and self._fits(prior_mu):
                # Weights around those of a trained network, say.
                offset = self.mu.to(self._dtype) - expand(prior_mu, self.mu.shape)
                return ops.gaussian_kl(offset, self.rho.to(offset.dtype), 0.0, prior_sigma)
        mu = self.mu.to(self._dtype)
        if self.rho is not None:
            sigma = softplus(self.rho.double())  # whose gradient is 0 / 0 where it is subnormal
        else:
            assert self.log_alpha is not None
            relative = torch.exp(self.log_alpha.to(self._dtype) / 2)
            if isinstance(self.prior, LogUniform):
                mu, sigma = torch.ones_like(mu), relative  # it depends on alpha alone: no 0 / 0 where a mean is 0
            else:
                sigma = relative * mu.abs()
        wanted = f"one whose kl has the parameter's shape {tuple(mu.shape)}"
        if type(self.prior) in (Gaussian, Laplace):
            for of_prior in (*self.prior.parameters(), *self.prior.buffers()):
                if not self._fits(of_prior):
                    wrong_value("kl_loss", "prior", wanted, tuple(of_prior.shape))
        terms = self.prior.kl(mu, sigma)
        if terms is None or terms.shape != mu.shape:
            wrong_value("kl_loss", "prior", wanted, "None" if terms is None else tuple(terms.shape))
        return total(terms, torch.float64)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.promote_types(self.mu.dtype, torch.float32)

    def _fits(self, of_prior: Tensor) -> bool:
        try:
            return torch.broadcast_shapes(of_prior.shape, self.mu.shape) == self.mu.shape
        except RuntimeError:
            return False

    def monte_carlo_kl(self, seed: Tensor, stream: int) -> Tensor:
        """Log q − log prior at the draws of `seed` (averaged where it is ``[S]``), float64 ``[]``."""
        sample = ops.sample_gaussian(
            self.mu, self.rho, seed=seed, log_alpha=self.log_alpha, stream=stream ^ self.stream_bit, prior=self.prior
        )
        difference: Tensor = sample.log_q - sample.log_prior
        return difference.mean() if seed.dim() else difference

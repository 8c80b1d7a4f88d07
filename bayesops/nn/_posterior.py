"""The distribution of one parameter of a Gaussian layer, and its divergence from the prior."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bayesops import ops
from bayesops.ops._arguments import wrong_value
from bayesops.priors import Gaussian, LogUniform, Prior


class Posterior(NamedTuple):
    """The distribution of a layer's weight, or of its bias."""

    mu: Tensor
    rho: Tensor | None
    log_alpha: Tensor | None
    prior: Prior
    stream_bit: int

    def closed_form_kl(self) -> Tensor:
        """KL(q || prior), summed, float64 ``[]``. Standard deviations are at least float32."""
        dtype = torch.promote_types(self.mu.dtype, torch.float32)
        mu = self.mu.to(dtype)
        if self.rho is not None:
            rho = self.rho.to(dtype)
            if type(self.prior) is Gaussian and not isinstance(self.prior.mu + self.prior.sigma, Tensor):
                kl: Tensor = _NormalKL.apply(mu, rho, self.prior.mu, self.prior.sigma)
                return kl
            sigma = functional.softplus(rho)
        else:
            assert self.log_alpha is not None
            relative = torch.exp(self.log_alpha.to(dtype) / 2)
            if isinstance(self.prior, LogUniform):
                mu, sigma = torch.ones_like(mu), relative  # it depends on alpha alone: no 0 / 0 where a mean is 0
            else:
                sigma = relative * mu.abs()
        terms = self.prior.kl(mu, sigma)
        if terms is None or terms.shape != mu.shape:
            got = "None" if terms is None else f"{tuple(terms.shape)}"
            wrong_value("kl_loss", "prior", f"one whose kl has the parameter's shape {tuple(mu.shape)}", got)
        return terms.sum(dtype=torch.float64)

    def monte_carlo_kl(self, seed: Tensor, stream: int) -> Tensor:
        """Log q − log prior at the draws of `seed` (averaged where it is ``[S]``), float64 ``[]``."""
        sample = ops.sample_gaussian(
            self.mu, self.rho, seed=seed, log_alpha=self.log_alpha, stream=stream ^ self.stream_bit, prior=self.prior
        )
        difference: Tensor = sample.log_q - sample.log_prior
        return difference.mean() if seed.dim() else difference


class _NormalKL(torch.autograd.Function):
    """Sum of KL(N(mu, softplus(rho)²) || N(mean, deviation²)), float64 ``[]``: `priors.Gaussian.kl` in a few passes.

    Elementwise float64 and its graph would take longer than a layer's own forward and backward pass. Here
    squares and logarithms are of the parameters' dtype and their sums float64, which loses less than rounding the
    parameters did; the backward pass keeps the parameters alone.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(mu: Tensor, rho: Tensor, mean: float, deviation: float) -> Tensor:
        sigma = functional.softplus(rho)
        variances = torch.linalg.vector_norm(sigma, dtype=torch.float64).square()
        distances = torch.linalg.vector_norm(mu - mean if mean else mu, dtype=torch.float64).square()
        logarithms = sigma.log().sum(dtype=torch.float64)
        constant = mu.numel() * (math.log(deviation) - 0.5)
        return (variances + distances) * (0.5 / deviation**2) - logarithms + constant

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float, float], output: Tensor) -> None:
        mu, rho, ctx.mean, ctx.deviation = inputs
        ctx.save_for_backward(mu, rho)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        mu, rho = ctx.saved_tensors
        grad, precision = grad.to(mu.dtype), 1 / ctx.deviation**2
        grad_mu = grad_rho = None
        if ctx.needs_input_grad[0]:
            grad_mu = (mu - ctx.mean if ctx.mean else mu) * (grad * precision)
        if ctx.needs_input_grad[1]:
            sigma = functional.softplus(rho)
            grad_rho = (sigma * precision - sigma.reciprocal()) * torch.sigmoid(rho) * grad
        return grad_mu, grad_rho, None, None

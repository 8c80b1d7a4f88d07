"""The divergence of a Gaussian posterior from a Gaussian prior in plain PyTorch, element by element."""

from torch import Tensor
from torch.nn import functional

from bayesops.priors import Gaussian


def gaussian_kl(mu: Tensor, rho: Tensor, prior_mu: float = 0.0, prior_sigma: float = 1.0) -> Tensor:
    """`bayesops.ops.gaussian_kl`: float64 ``[]``."""
    return Gaussian(prior_mu, prior_sigma).kl(mu, functional.softplus(rho)).sum()

"""The standard deviation of a Gaussian posterior in plain PyTorch."""

from torch import Tensor
from torch.nn import functional


def softplus(rho: Tensor) -> Tensor:
    """Return ``log(1 + exp(rho))``, and rho itself above 20."""
    return functional.softplus(rho)

"""The divergence of a Gaussian posterior from a Gaussian prior, in one pass over its parameters.

Source: Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B, for any mean and deviation of the
prior; sigma = softplus(rho) as in Blundell et al., "Weight uncertainty in neural networks", ICML 2015, section 3.2.
"""

import math

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_type, wrong_value
from bayesops.ops import _gaussian_kl_rules  # noqa: F401  registers fake, autograd and vmap
from bayesops.ops._arguments import check_like_input
from bayesops.ops._dispatch import call

_operator = torch.ops.bayesops.gaussian_kl.default


def gaussian_kl(mu: Tensor, rho: Tensor, prior_mu: float = 0.0, prior_sigma: float = 1.0) -> Tensor:
    """Sum KL(N(mu, softplus(rho)²) || N(prior_mu, prior_sigma²)) over all elements, in nats.

    Parameters
    ----------
    mu : Tensor
        Means, of any shape.
    rho : Tensor
        Of the shape of `mu`; sigma = softplus(rho).
    prior_mu, prior_sigma : float
        Mean and standard deviation of the prior, the same for every element.

    Returns
    -------
    Tensor
        float64 ``[]``; on the CPU the same bits for every number of threads and every instruction set.

    Raises
    ------
    ValueError
        `rho` not of mu's shape, a `prior_mu` that is not finite, a `prior_sigma` that is not greater than 0 and finite.
    TypeError
        `mu` not floating, `rho` not of its dtype, a mean or deviation of the prior that is no number.
    RuntimeError
        Tensors on different devices.

    Notes
    -----
    Nothing but the arguments is kept for the backward pass. Terms are of the dtype of `mu`, but float32 at least, and
    their sum is float64; log sigma and its slope keep their digits where sigma vanishes. `bayesops.priors.Gaussian.kl`
    is the same element by element in float64, and takes tensors as the prior's parameters.

    Examples
    --------
    >>> kl = bo.ops.gaussian_kl(mu, rho, 0.0, 0.1)
    """
    operator = "gaussian_kl"
    check_floating(operator, "mu", mu)
    check_like_input(operator, "rho", rho, mu)
    if rho.shape != mu.shape:
        wrong_value(operator, "rho", f"of mu's shape {tuple(mu.shape)}", f"shape {tuple(rho.shape)}")
    for argument, value in (("prior_mu", prior_mu), ("prior_sigma", prior_sigma)):
        if not isinstance(value, (int, float)):
            wrong_type(operator, argument, "a number", type(value).__name__)
        if not math.isfinite(value):
            wrong_value(operator, argument, "finite", value)
    if prior_sigma <= 0.0:
        wrong_value(operator, "prior_sigma", "greater than 0", prior_sigma)
    if mu.dtype == torch.float16 or mu.dtype != rho.dtype:  # float16 has no CPU kernel; autocast lets dtypes differ
        dtype = torch.promote_types(torch.promote_types(mu.dtype, rho.dtype), torch.float32)
        mu, rho = mu.to(dtype), rho.to(dtype)
    return call(_operator, mu, rho, float(prior_mu), float(prior_sigma))

"""Training objectives."""

from bayesops.losses.elbo import ELBO, ELBOTerms
from bayesops.losses.likelihoods import gaussian_nll, laplace_nll
from bayesops.losses.logit_noise import LogitNoiseCrossEntropy
from bayesops.losses.regularisation import dropout_regularisation

__all__ = ["ELBO", "ELBOTerms", "LogitNoiseCrossEntropy", "dropout_regularisation", "gaussian_nll", "laplace_nll"]

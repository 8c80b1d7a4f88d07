"""Training objectives."""

from bayesops.losses.elbo import ELBO, ELBOTerms

__all__ = ["ELBO", "ELBOTerms"]

"""Bayesian layers with the constructors of `torch.nn`."""

from bayesops.nn._stochastic import freeze_noise, use_mean
from bayesops.nn.bernoulli import BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear
from bayesops.nn.dropout import Dropout

__all__ = [
    "BernoulliConv1d",
    "BernoulliConv2d",
    "BernoulliConv3d",
    "BernoulliLinear",
    "Dropout",
    "freeze_noise",
    "use_mean",
]

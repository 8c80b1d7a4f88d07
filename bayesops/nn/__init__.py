"""Bayesian layers with the constructors of `torch.nn`."""

from bayesops.nn._stochastic import freeze_noise, use_mean
from bayesops.nn.bernoulli import BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear
from bayesops.nn.dropout import Dropout
from bayesops.nn.gaussian import GaussianConv1d, GaussianConv2d, GaussianConv3d, GaussianLinear
from bayesops.nn.logit_noise import LogitNoise

__all__ = [
    "BernoulliConv1d", "BernoulliConv2d", "BernoulliConv3d", "BernoulliLinear", "Dropout", "GaussianConv1d",
    "GaussianConv2d", "GaussianConv3d", "GaussianLinear", "LogitNoise", "freeze_noise", "use_mean",
]  # fmt: skip

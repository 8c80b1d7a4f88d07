"""The operators: compiled kernels behind plain functions. Use them in your own layers and training loops.

Those that draw take their randomness as a `seed`. All work under `torch.compile`, `torch.export` and autocast; all but
`max_pool2d` and `add_predictive_moments`, which are made for prediction, under autograd (any order); all but
`add_predictive_moments` under `torch.func.vmap`.
"""

from bayesops.ops import _cuda_composites  # noqa: F401  registers what CUDA runs
from bayesops.ops.dropout import dropout
from bayesops.ops.flipout_conv import flipout_conv1d, flipout_conv2d, flipout_conv3d, flipout_linear
from bayesops.ops.gaussian_kl import gaussian_kl
from bayesops.ops.logit_noise_cross_entropy import logit_noise_cross_entropy
from bayesops.ops.lrt_conv import lrt_conv1d, lrt_conv2d, lrt_conv3d, lrt_linear
from bayesops.ops.masked_conv import masked_conv1d, masked_conv2d, masked_conv3d, masked_linear
from bayesops.ops.max_pool import max_pool2d
from bayesops.ops.predictive_moments import add_predictive_moments
from bayesops.ops.sample_gaussian import GaussianSample, sample_gaussian
from bayesops.ops.sampled_conv import sampled_conv1d, sampled_conv2d, sampled_conv3d, sampled_linear

__all__ = [
    "GaussianSample",
    "add_predictive_moments",
    "dropout",
    "flipout_conv1d",
    "flipout_conv2d",
    "flipout_conv3d",
    "flipout_linear",
    "gaussian_kl",
    "logit_noise_cross_entropy",
    "lrt_conv1d",
    "lrt_conv2d",
    "lrt_conv3d",
    "lrt_linear",
    "masked_conv1d",
    "masked_conv2d",
    "masked_conv3d",
    "masked_linear",
    "max_pool2d",
    "sample_gaussian",
    "sampled_conv1d",
    "sampled_conv2d",
    "sampled_conv3d",
    "sampled_linear",
]

"""What every operator means, in a few lines of plain PyTorch (or NumPy, for the streams).

One module per operator, under the operator's name. Nothing here is fast; the tests compare the compiled operators with
it.
"""

from bayesops.reference import (
    dropout,
    flipout_conv,
    fused,
    gaussian_kl,
    logit_noise_cross_entropy,
    lrt_conv,
    masked_conv,
    max_pool,
    predictive_moments,
    random,
    sample_gaussian,
    sampled_conv,
    softplus,
)

__all__ = [
    "dropout",
    "flipout_conv",
    "fused",
    "gaussian_kl",
    "logit_noise_cross_entropy",
    "lrt_conv",
    "masked_conv",
    "max_pool",
    "predictive_moments",
    "random",
    "sample_gaussian",
    "sampled_conv",
    "softplus",
]

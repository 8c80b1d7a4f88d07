"""The statistics of the three estimators: which moments they share, and in which they differ.

The outputs of one layer are linear in its weights, so their mean and covariance under the posterior have a closed form.
Each estimator draws 20000 times; its sample moments, about the known mean, are compared in units of their standard
error. Seeds are fixed, so a run is as good as the last one; the rates of false alarms are for a choice of other seeds
(or streams): two-sided, by the normal approximation and the union bound over all entries compared.
"""

import pytest
import torch
from torch.nn import functional

import bayesops as bo

pytestmark = pytest.mark.cpu_only  # the draws of CUDA are those of the CPU, as other tests say

SAMPLES = 20000
EXAMPLES, CHANNELS, SIDE = 2, 2, 4


@pytest.fixture(scope="module")
def posterior():
    """Two equal examples, so that what a shared weight does to both is plain to see; mean and sigma of the weight."""
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(1, 3, SIDE, SIDE, generator=generator).double()
    mu = torch.randn(CHANNELS, 3, 3, 3, generator=generator).double()
    sigma = 0.2 + torch.rand(CHANNELS, 3, 3, 3, generator=generator).double()
    bias = torch.randn(CHANNELS, generator=generator).double()
    bias_sigma = 0.2 + torch.rand(CHANNELS, generator=generator).double()
    return image.expand(EXAMPLES, -1, -1, -1).contiguous(), mu, sigma, bias, bias_sigma


def draws(name, posterior):
    """``[S, N * O * H * W]``."""
    input, mu, sigma, bias, bias_sigma = (t.float() for t in posterior)
    seeds = bo.random.sample_seeds(11, SAMPLES)
    if name == "lrt":
        output = bo.ops.lrt_conv2d(input, mu, sigma**2, bias, bias_sigma**2, seed=seeds, padding=1)
    else:
        rhos = [s.expm1().log() for s in (sigma, bias_sigma)]
        operator = {"sampled": bo.ops.sampled_conv2d, "flipout": bo.ops.flipout_conv2d}[name]
        output = operator(input, mu, rhos[0], bias, rhos[1], seed=seeds, padding=1)
    return output.double().flatten(1)


def analytic_mean(posterior):
    input, mu, _, bias, _ = posterior
    return functional.conv2d(input, mu, bias, padding=1).flatten()


def analytic_covariance(name, posterior):
    """Covariance of all outputs, ``[N * O * H * W] * 2``."""
    input, _, sigma, _, bias_sigma = posterior
    patches = functional.unfold(input, 3, padding=1)  # N, I * 9, H * W
    by_weight = torch.einsum("nkp,ok,mkq->nopmq", patches, sigma.flatten(1) ** 2, patches)
    by_bias = (bias_sigma**2).view(1, -1, 1, 1, 1).expand_as(by_weight)
    same_example = torch.eye(EXAMPLES).view(EXAMPLES, 1, 1, EXAMPLES, 1)
    if name == "sampled":  # all examples and pixels see one weight and one bias
        covariance = by_weight + by_bias
    elif name == "flipout":  # pixels see one weight; between examples its signs are independent
        covariance = by_weight * same_example + by_bias
    else:  # each output has noise of its own
        same_pixel = torch.eye(SIDE * SIDE).view(1, 1, SIDE * SIDE, 1, SIDE * SIDE)
        covariance = (by_weight + by_bias) * same_example * same_pixel
    # Output channels have weights of their own.
    full = torch.zeros(*covariance.shape[:4], CHANNELS, covariance.shape[4], dtype=covariance.dtype)
    for o in range(CHANNELS):
        full[:, o, :, :, o] = covariance[:, o]
    return full.reshape(-1, EXAMPLES * CHANNELS * SIDE * SIDE)


NAMES = ("sampled", "flipout", "lrt")


@pytest.mark.parametrize("name", NAMES)
def test_mean_and_marginal_variance(name, posterior):
    """All three agree in them. Each output is Gaussian, so the standard errors are exact; 64 outputs, 5.2 sigma.

    False alarms: 128 * 2e-7 = 3e-5.
    """
    deviations = draws(name, posterior) - analytic_mean(posterior)
    variance = analytic_covariance("sampled", posterior).diagonal()
    assert torch.equal(analytic_covariance(name, posterior).diagonal(), variance)
    z_of_mean = deviations.mean(0) / (variance / SAMPLES).sqrt()
    z_of_variance = (deviations.square().mean(0) - variance) / (variance * (2 / SAMPLES) ** 0.5)
    assert z_of_mean.abs().max() < 5.2
    assert z_of_variance.abs().max() < 5.2


@pytest.mark.parametrize("name", NAMES)
def test_covariance(name, posterior):
    """Of all pairs of outputs: pixels, channels and examples; 2080 pairs, 5.5 sigma.

    The variance of a product of two Gaussians is at most three times the product of their variances, whatever their
    dependence (Cauchy and Schwarz). False alarms: at most 2080 * 4e-8 = 8e-5.
    """
    deviations = draws(name, posterior) - analytic_mean(posterior)
    expected = analytic_covariance(name, posterior)
    sizes = expected.diagonal().sqrt()
    error = (3 / SAMPLES) ** 0.5 * sizes[:, None] * sizes
    assert ((deviations.T @ deviations / SAMPLES - expected) / error).abs().max() < 5.5


def test_what_tells_them_apart_is_large(posterior):
    """The differences between the analytic covariances are many times the errors above: the test tells them apart."""
    sampled, flipout, lrt = (analytic_covariance(name, posterior) for name in NAMES)
    error = (3 / SAMPLES) ** 0.5 * sampled.diagonal().max()
    pixels = EXAMPLES * CHANNELS * SIDE * SIDE // 2  # of the first example
    assert (sampled - flipout)[:pixels, pixels:].abs().max() > 20 * error
    assert (flipout - lrt)[:pixels, :pixels].abs().max() > 20 * error


def test_noise_of_a_batchs_mean():
    """What Flipout is for: over 64 equal examples the noise averages out, which under one sampled weight it does not.

    The variance of the mean output over the batch is 1/64 of that of one output under Flipout and local
    reparameterisation, and all of it under weight sampling; 4000 draws, 5 sigma. False alarms: 3 * 6e-7 = 2e-6.
    """
    batch, samples = 64, 4000
    input, mu, sigma = torch.ones(batch, 1), torch.zeros(1, 1), torch.ones(1, 1)
    seeds = bo.random.sample_seeds(3, samples)
    for operator, spread, expected in [
        (bo.ops.sampled_linear, sigma.expm1().log(), 1.0),
        (bo.ops.flipout_linear, sigma.expm1().log(), 1 / batch),
        (bo.ops.lrt_linear, sigma**2, 1 / batch),
    ]:
        squares = operator(input, mu, spread, seed=seeds).mean((1, 2)).double().square()
        error = (squares.var() / samples).sqrt()
        assert abs(squares.mean() - expected) < 5 * error

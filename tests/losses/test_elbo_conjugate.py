"""A Bayesian linear model with known noise, whose bound, gradient and posterior are known in closed form.

y = X w + noise, w ~ N(0, s0²), q = N(mu, diag(s²)). With c_j = Σ_i X_ij²,

    E[-log p(y | w)] = (|y - X mu|² + Σ_j c_j s_j²) / (2 noise²) + constant,

and where the columns of X are orthogonal the posterior is itself of q's form: precision c_j / noise² + 1 / s0² (Bishop,
"Pattern recognition and machine learning", 2006, eqs. 3.53 and 3.54).
"""

import math

import pytest
import torch
from torch.nn import functional

import bayesops as bo

ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]
NOISE, PRIOR_SIGMA, EXAMPLES, FEATURES = 0.5, 0.8, 24, 4


class OpenGaussian(bo.priors.Gaussian):
    """A normal prior whose closed form is not used."""

    has_closed_form = False


def problem(orthogonal):
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(EXAMPLES, FEATURES, generator=generator)
    if orthogonal:  # columns of different lengths: data that speak more and less
        inputs = torch.linalg.qr(inputs).Q * torch.tensor([0.3, 1.0, 2.0, 6.0])
    target = inputs @ torch.tensor([[0.5], [-1.0], [1.5], [0.0]]) + NOISE * torch.randn(
        EXAMPLES, 1, generator=generator
    )
    return inputs, target


def negative_log_likelihood(output, target):
    return 0.5 * ((target - output) / NOISE).square().mean() + math.log(NOISE) + 0.5 * math.log(2 * math.pi)


def layer_and_elbo(estimator, num_samples, prior=bo.priors.Gaussian):
    layer = bo.nn.GaussianLinear(
        FEATURES, 1, bias=False, prior=prior(0.0, PRIOR_SIGMA), estimator=estimator, rho_init=-1.0
    )
    elbo = bo.losses.ELBO(layer, EXAMPLES, num_samples=num_samples, nll=negative_log_likelihood)
    return layer, elbo


def exact_bound(layer, inputs, target):
    """-ELBO / N."""
    sigma = functional.softplus(layer.weight_rho)
    misfit = (target - inputs @ layer.weight_mu.T).square().sum() + (inputs.square() @ sigma.square().T).sum()
    nll = misfit / (2 * NOISE**2) + EXAMPLES * (math.log(NOISE) + 0.5 * math.log(2 * math.pi))
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(layer.weight_mu, sigma), torch.distributions.Normal(0.0, PRIOR_SIGMA)
    ).sum()
    return (nll + kl) / EXAMPLES


@pytest.mark.parametrize("prior", [bo.priors.Gaussian, OpenGaussian], ids=["closed", "monte carlo"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_bound_and_its_gradient_are_unbiased(estimator, prior):
    """Nine means of 100 calls, each within 6 of its standard errors: false alarm in 3e-7 of runs (Student's t)."""
    inputs, target = problem(orthogonal=False)
    layer, elbo = layer_and_elbo(estimator, 50, prior)
    exact = exact_bound(layer, inputs, target)
    parameters = list(layer.parameters())
    expected = torch.cat([exact.reshape(1), *(g.flatten() for g in torch.autograd.grad(exact, parameters))])
    estimates = []
    for seed in range(100):
        loss = elbo(inputs, target, seed=seed)
        gradients = torch.autograd.grad(loss, parameters)
        estimates.append(torch.cat([loss.reshape(1), *(g.flatten() for g in gradients)]).detach().double())
    estimates = torch.stack(estimates)
    standard_error = estimates.std(0) / math.sqrt(len(estimates))
    error = (estimates.mean(0) - expected).abs()
    assert (error < 6 * standard_error + 1e-6).all(), error / standard_error
    assert (standard_error < 0.1 * expected.abs().max()).all()  # the means say something


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_training_recovers_the_exact_posterior(estimator):
    """Means within 0.1 posterior standard deviations, standard deviations within 5 %.

    Adam with a falling step, and the average of the last iterates: what is left of the gradients' noise stayed below
    half of these tolerances for each of 20 other seeds.
    """
    inputs, target = problem(orthogonal=True)
    layer, elbo = layer_and_elbo(estimator, 32)
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    averages = [torch.zeros_like(p) for p in layer.parameters()]
    for step in range(400):
        optimizer.zero_grad()
        elbo(inputs, target, seed=step).backward()
        optimizer.step()
        scheduler.step()
        if step >= 200:
            for average, parameter in zip(averages, layer.parameters(), strict=True):
                average += parameter.detach() / 200
    precision = inputs.square().sum(0) / NOISE**2 + 1 / PRIOR_SIGMA**2
    mean, deviation = (inputs.T @ target).squeeze() / NOISE**2 / precision, precision.rsqrt()
    mu, sigma = averages[0].squeeze(), functional.softplus(averages[1]).squeeze()
    assert ((mu - mean) / deviation).abs().max() < 0.1
    assert (sigma / deviation - 1).abs().max() < 0.05
    assert deviation.max() / deviation.min() > 5  # from nearly the prior to well known

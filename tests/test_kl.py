"""The divergence of a whole model."""

import math

import pytest
import torch
from torch import nn

import bayesops as bo

MIXTURE = bo.priors.ScaleMixture(0.25, 1.0, 0.1)


def network(**options):
    return nn.Sequential(
        bo.nn.GaussianConv2d(1, 3, 3, **options), nn.ReLU(), nn.Flatten(),
        nn.Linear(27, 4), nn.ModuleDict({"head": bo.nn.GaussianLinear(4, 2, bias=False, **options)}),
    )  # fmt: skip


def test_is_the_sum_over_layers():
    model = network()
    expected = model[0].kl_loss() + model[4]["head"].kl_loss()
    kl = bo.kl_divergence(model)
    torch.testing.assert_close(kl, expected)
    assert kl.dtype == torch.float64
    assert kl.shape == ()
    torch.testing.assert_close(bo.kl_divergence(model[0]), model[0].kl_loss())


def test_against_torch():
    model = network(prior=bo.priors.Gaussian(0.0, 0.5))
    parameters = dict(model.named_parameters())
    expected = torch.zeros((), dtype=torch.float64)
    for name, mu in parameters.items():
        if name.endswith("_mu"):
            sigma = nn.functional.softplus(parameters[name.replace("_mu", "_rho")]).double()
            q = torch.distributions.Normal(mu.double(), sigma)
            prior = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 0.5)
            expected += torch.distributions.kl_divergence(q, prior).sum()
    torch.testing.assert_close(bo.kl_divergence(model), expected, rtol=1e-6, atol=0)


def test_a_shared_layer_counts_once():
    layer = bo.nn.GaussianLinear(4, 4)
    torch.testing.assert_close(bo.kl_divergence(nn.Sequential(layer, nn.ReLU(), layer)), layer.kl_loss())


def test_layers_that_share_parameters_draw_by_themselves():
    model = bo.convert(tied_model(), "gaussian")
    assert model[0].weight_mu is model[1].weight_mu
    torch.testing.assert_close(bo.kl_divergence(model), 2 * model[0].kl_loss())


def tied_model():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight, model[1].bias = model[0].weight, model[0].bias
    return model


def test_monte_carlo_is_that_of_the_block():
    model = network(prior=MIXTURE)
    with bo.sampling(seed=3):
        expected = model[0].kl_loss() + model[4]["head"].kl_loss()
    with bo.sampling(seed=3):
        torch.testing.assert_close(bo.kl_divergence(model), expected)
    with bo.sampling(seed=3):
        many = bo.kl_divergence(model, num_samples=50)
    assert many != expected
    torch.manual_seed(1)
    fresh = bo.kl_divergence(model)
    assert bo.kl_divergence(model) != fresh  # outside, every call draws


def test_small_terms_are_not_lost_in_large_ones():
    """In float32 a sum near 2**27 would drop terms below 8."""
    large = bo.nn.GaussianLinear(1, 1, bias=False, prior=bo.priors.Gaussian(0.0, 1e-4))
    small = bo.nn.GaussianLinear(1, 1, bias=False)
    with torch.no_grad():
        large.weight_mu.fill_(1.6)
        small.weight_mu.zero_()
    assert large.kl_loss() > 2**26
    difference = bo.kl_divergence(nn.Sequential(large, small)) - large.kl_loss()
    sigma = math.log1p(math.exp(-5))
    assert difference.item() == pytest.approx(0.5 * (sigma**2 - 1) - math.log(sigma), rel=1e-6)


def test_gradients_reach_every_gaussian_parameter():
    for prior in (None, MIXTURE):
        model = network(prior=prior)
        bo.kl_divergence(model).backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is None) == name.startswith("3.")


@pytest.mark.parametrize("model", [nn.Linear(2, 2), bo.nn.BernoulliLinear(2, 2)], ids=lambda m: type(m).__name__)
def test_a_model_without_gaussian_layers_is_refused(model):
    with pytest.raises(ValueError, match=r"kl_divergence: argument 'module' must be one with Gaussian layers .*Linear"):
        bo.kl_divergence(model)


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"kl_divergence: argument 'module' must be a torch\.nn\.Module, got str"):
        bo.kl_divergence("model")


def test_num_samples_is_checked():
    with pytest.raises(ValueError, match="'num_samples' must be an int of at least 1, got 0"):
        bo.kl_divergence(network(), num_samples=0)

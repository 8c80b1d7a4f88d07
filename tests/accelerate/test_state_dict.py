"""State dicts of the peers, read into Gaussian layers."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo
from bayesops.accelerate._state_dict import SOURCES, _rho_of_log_sigma

X = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))
SOURCE = {
    "bayesian-torch reparameterisation": "bayesian-torch",
    "bayesian-torch Flipout": "bayesian-torch",
    "BayesianCNN, weights": "pytorch-bayesiancnn",
    "BayesianCNN, outputs": "pytorch-bayesiancnn",
}


def theirs(peer):
    return nn.ModuleDict({
        "conv": peer.layer("Conv2d", 2, 4, 3), "norm": nn.BatchNorm2d(4), "head": peer.layer("Linear", 64, 5),
        "plain": nn.Linear(5, 2),
    })  # fmt: skip


def ours(estimator="weight_sample", **options):
    return nn.ModuleDict({
        "conv": bo.nn.GaussianConv2d(2, 4, 3, estimator=estimator, **options),
        "norm": nn.BatchNorm2d(4),
        "head": bo.nn.GaussianLinear(64, 5, estimator=estimator, **options),
        "plain": nn.Linear(5, 2),
    })  # fmt: skip


@pytest.mark.parametrize("auto", [True, False])
def test_the_layers_become_the_same(peer, auto, tools):
    """With one seed, our layer draws what the peer's accelerated layer draws: the parameters mean the same."""
    source, model = theirs(peer), ours(peer.estimator)
    with torch.no_grad():
        source["norm"].running_mean.normal_()
    name = SOURCE.get(peer.name, peer.name)
    assert bo.import_state_dict(model, source.state_dict(), "auto" if auto else name) is model
    for key in ("conv", "head"):
        mu, sigma, bias_mu, bias_sigma = peer.gaussian(source[key])
        layer = model[key]
        assert torch.equal(layer.weight_mu, mu)
        assert torch.equal(layer.bias_mu, bias_mu)
        torch.testing.assert_close(functional.softplus(layer.weight_rho), sigma, rtol=1e-5, atol=0)
        torch.testing.assert_close(functional.softplus(layer.bias_rho), bias_sigma, rtol=1e-5, atol=0)
    for key in ("norm", "plain"):
        for mine, other in zip(model[key].state_dict().values(), source[key].state_dict().values(), strict=True):
            assert torch.equal(mine, other)
    outputs = []
    for layer in (model["conv"], bo.accelerate(source["conv"]).model):
        with bo.sampling(seed=3):
            outputs.append(tools.output_of(layer(X)))
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_a_model_that_is_one_layer(peer):
    source, layer = peer.layer("Linear", 5, 4), bo.nn.GaussianLinear(5, 4, prior=bo.priors.Gaussian(torch.zeros(4, 5)))
    bo.import_state_dict(layer, source.state_dict())
    assert torch.equal(layer.weight_mu, peer.gaussian(source)[0])


def test_the_sampler_of_blitz_counts(tools):
    """After a change of dtype its two parameters are no longer one."""
    source = tools.package("blitz.modules").BayesianLinear(5, 4).double().float()
    with torch.no_grad():
        source.weight_sampler.mu.fill_(2.0)
    layer = bo.import_state_dict(bo.nn.GaussianLinear(5, 4), source.state_dict())
    assert (layer.weight_mu == 2).all()


def test_saved_noise_and_priors_of_the_peers_are_left_out(tools):
    layer = tools.package("torchbnn").BayesLinear(0, 0.1, 5, 4)
    layer.freeze()
    state = layer.state_dict()
    assert "weight_eps" in state
    bo.import_state_dict(bo.nn.GaussianLinear(5, 4), state)
    state = tools.package("bayesian_torch.layers").LinearFlipout(5, 4).state_dict()
    state |= {"eps_weight": torch.zeros(4, 5), "prior_bias_mu": torch.zeros(4)}  # older versions
    bo.import_state_dict(bo.nn.GaussianLinear(5, 4), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_log_sigma_of_any_size(dtype):
    """softplus(rho) is sigma, from the smallest to the largest: in float64, to a few units in the last place."""
    log_sigma = torch.tensor([-1e4, -745.0, -100.0, -41.0, -39.0, -30.0, -10.0, -1.0, 0.0, 1.0, 5.0, 50.0, 80.0])
    state = {
        "weight_mu": torch.zeros(1, 13), "weight_log_sigma": log_sigma[None], "bias_mu": torch.zeros(1),
        "bias_log_sigma": torch.zeros(1),
    }  # fmt: skip
    layer = bo.import_state_dict(bo.nn.GaussianLinear(13, 1, dtype=dtype), state)
    rho = layer.weight_rho.detach()[0]
    assert rho.dtype == dtype
    assert rho.isfinite().all()
    torch.testing.assert_close(rho, _rho_of_log_sigma(log_sigma).to(dtype), rtol=0, atol=0)

    exact = _rho_of_log_sigma(log_sigma.double())
    assert exact.dtype == torch.float64
    for value, result in zip(log_sigma.double().tolist(), exact.tolist(), strict=True):
        # log softplus(rho), by a route of its own: log1p(y) = y - y²/2 + ... for small y = exp(rho)
        if result > 30:
            back = math.log(result)
        elif result > -30:
            back = math.log(math.log1p(math.exp(result)))
        else:
            back = result
        assert back == pytest.approx(value, rel=1e-13, abs=1e-13)


def test_every_fault_is_named():
    model = ours()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {
        "conv.mu_kernel": torch.zeros(4, 2, 5, 5), "conv.rho_kernel": torch.zeros(4, 2, 3, 3),
        "conv.mu_bias": torch.zeros(4), "norm.weight": torch.zeros(7), "extra.weight": torch.zeros(1),
    }  # fmt: skip
    with pytest.raises(ValueError, match="import_state_dict") as error:
        bo.import_state_dict(model, state)
    assert str(error.value) == (
        "import_state_dict: argument 'state_dict' must fit ModuleDict as one of bayesian-torch, but\n"
        "  norm.weight: shape (7,), where norm.weight is of shape (4,)\n"
        "  missing: norm.bias\n  missing: norm.running_mean\n  missing: norm.running_var\n"
        "  missing: norm.num_batches_tracked\n  missing: plain.weight\n  missing: plain.bias\n"
        "  conv.mu_kernel: shape (4, 2, 5, 5), where conv.weight_mu is of shape (4, 2, 3, 3)\n"
        "  missing: conv.rho_bias, for conv.bias_rho\n"
        "  missing: head.mu_kernel or head.mu_weight, for head.weight_mu\n"
        "  missing: head.rho_kernel or head.rho_weight, for head.weight_rho\n"
        "  missing: head.mu_bias, for head.bias_mu\n  missing: head.rho_bias, for head.bias_rho\n"
        "  left over: extra.weight"
    )
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_biases_that_we_do_not_have_are_left_over(peer):
    layer = bo.nn.GaussianLinear(5, 4, bias=False)
    with pytest.raises(ValueError, match=r"left over: .*bias"):
        bo.import_state_dict(layer, peer.layer("Linear", 5, 4).state_dict())


def test_wrong_arguments():
    layer = bo.nn.GaussianLinear(5, 4)
    state = {"mu_kernel": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"'source' must be 'auto' or one of 'bayesian-torch', .*, got 'pyro'"):
        bo.import_state_dict(layer, state, "pyro")
    with pytest.raises(ValueError, match=r"'source' must be one of .* got 'auto' and keys of none of them"):
        bo.import_state_dict(layer, {"weight_mu": torch.zeros(1), "weight_rho": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"got 'auto' and keys of bayesian-torch and pytorch-bayesiancnn"):
        bo.import_state_dict(layer, state | {"b.W_mu": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"'model' must be a model with Gaussian layers of bayesops.nn, got Linear"):
        bo.import_state_dict(nn.Linear(5, 4), state)
    alpha = nn.Sequential(bo.nn.GaussianLinear(5, 4, variance="alpha"))
    with pytest.raises(ValueError, match=r"layers with variance='rho', got 0 with variance='alpha'"):
        bo.import_state_dict(alpha, state)
    with pytest.raises(TypeError, match=r"'state_dict' must be a mapping of names to tensors, got list"):
        bo.import_state_dict(layer, [state])
    with pytest.raises(TypeError, match=r"'model' must be a torch.nn.Module, got dict"):
        bo.import_state_dict(state, state)


def test_the_sources_are_documented():
    for source in SOURCES:
        assert f'"{source}"' in bo.import_state_dict.__doc__

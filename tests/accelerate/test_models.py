"""Whole models of each peer, before and after: outputs, the peer's own losses, and `bayesops.predict`."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo


class WithDivergence(nn.Module):
    """The form that bayesian-torch's own models have: divergences are added up along the way."""

    def __init__(self, conv, linear):
        super().__init__()
        self.conv, self.linear = conv, linear

    def forward(self, x):
        x, kl = self.conv(x)
        x = functional.max_pool2d(functional.relu(x), 2).flatten(1)
        x, kl_of_linear = self.linear(x)
        return x, kl + kl_of_linear


def network(peer):
    """Convolution, pooling, linear: on images of 8 x 8."""
    conv, linear = peer.layer("Conv2d", 1, 4, 3), peer.layer("Linear", 36, 5)
    if peer.name.startswith("bayesian-torch"):
        return WithDivergence(conv, linear)
    return nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), linear)


IMAGES = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_model_before_and_after(peer, tools):
    """Means and variances of the outputs. Bounds of 6 standard errors: two false alarms in a thousand million each."""
    count = 3000
    model = network(peer)
    fast = bo.accelerate(model)
    assert len(fast.replaced) == 2
    assert fast.left == {}
    with torch.no_grad():
        theirs = torch.stack([tools.output_of(model(IMAGES)) for _ in range(count)]).double()
    ours = tools.many_draws(fast.model, IMAGES, count).double()
    error = (ours.var(0) / count + theirs.var(0) / count).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 6 * error).all()
    squares = [(draws - draws.mean(0)).square() for draws in (ours, theirs)]
    error = sum(s.var(0) / count for s in squares).sqrt()
    assert ((squares[0].mean(0) - squares[1].mean(0)).abs() < 6 * error).all()


def test_predict_makes_the_draws_of_the_loop(peer, tools):
    model = bo.accelerate(network(peer)).model.eval()
    prediction = bo.predict(
        lambda x: tools.output_of(model(x)), IMAGES, num_samples=5, seed=1, link="identity", return_samples=True
    )
    for seed, sample in zip(bo.random.sample_seeds(1, 5), prediction.samples, strict=True):
        with bo.sampling(seed), torch.no_grad():
            torch.testing.assert_close(sample, tools.output_of(model(IMAGES)), rtol=1e-4, atol=1e-5)
    assert (prediction.variance > 0).all()


def test_the_original_is_as_it_was(peer):
    model = network(peer)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    fast = bo.accelerate(model).model
    fast.train(not model.training)
    torch.manual_seed(1)
    expected = model(IMAGES)
    fast(IMAGES)
    torch.manual_seed(1)
    again = model(IMAGES)
    torch.testing.assert_close(again, expected)
    assert [type(module) for module in model.modules()] == kinds
    assert model.training != fast.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items() if "eps" not in name)


def test_a_model_that_has_run_can_be_accelerated(peer, tools):
    """Calls leave tensors of the graph behind, which cannot be copied."""
    model = network(peer)
    tools.output_of(model(IMAGES)).sum().backward()
    fast = bo.accelerate(model).model
    assert tools.output_of(fast(IMAGES)).shape == (3, 5)


def test_optimisers_see_the_same_gradients_from_both(peer, tools):
    """Through the noise of one seed: a step of the accelerated model moves the original's output."""
    model = network(peer)
    fast = bo.accelerate(model).model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with bo.sampling(seed=1):
            loss = functional.cross_entropy(tools.output_of(fast(IMAGES)), torch.tensor([0, 1, 2]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(a is b for a, b in zip(model.parameters(), fast.parameters(), strict=True))


# --- bayesian-torch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Reparameterization", "Flipout"])
def test_bayesian_torch_divergences(kind, tools):
    layers = tools.package("bayesian_torch.layers")
    get_kl_loss = tools.package("bayesian_torch.models.dnn_to_bnn").get_kl_loss
    prior = {"prior_mean": 0.1, "prior_variance": 0.5}
    model = nn.Sequential(
        getattr(layers, f"Conv2d{kind}")(1, 4, 3, **prior), getattr(layers, f"Linear{kind}")(6, 5, bias=False, **prior)
    )
    fast = bo.accelerate(model).model
    for ours, theirs in zip([*fast, fast], [*model, model], strict=True):
        kl, expected = get_kl_loss(ours), get_kl_loss(theirs)
        torch.testing.assert_close(kl, expected, rtol=1e-5, atol=1e-5)
        assert kl.shape == expected.shape
        parameters = list(ours.parameters())
        ours_grad, theirs_grad = torch.autograd.grad(kl, parameters), torch.autograd.grad(expected, parameters)
        for a, b in zip(ours_grad, theirs_grad, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)
    output, kl = fast[0](IMAGES)
    torch.testing.assert_close(kl, model[0].kl_loss(), rtol=1e-5, atol=1e-5)
    assert isinstance(fast[0](IMAGES, return_kl=False), torch.Tensor)
    assert output.shape == (3, 4, 6, 6)


def test_bayesian_torch_priors_may_differ_from_weight_to_weight_and_change(tools):
    layer = tools.package("bayesian_torch.layers").LinearReparameterization(5, 4)
    fast = bo.accelerate(layer).model
    for change in (
        lambda: layer.prior_weight_mu.normal_(),
        lambda: layer.prior_weight_mu.data.fill_(2.0),
        lambda: fast.prior_bias_sigma.data.uniform_(0.5, 1.0),
    ):
        before = fast.kl_loss()
        change()
        assert not torch.equal(fast.kl_loss(), before)
        torch.testing.assert_close(fast.kl_loss(), layer.kl_loss(), rtol=1e-5, atol=1e-5)
    compiled = torch.compile(fast, backend="eager", fullgraph=True)
    assert compiled(torch.randn(2, 5))[0].shape == (2, 4)


def test_bayesian_torch_from_a_deterministic_network(tools):
    """`dnn_to_bnn` makes layers that return their output alone."""
    dnn_to_bnn = tools.package("bayesian_torch.models.dnn_to_bnn").dnn_to_bnn
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    dnn_to_bnn(model, {
        "prior_mu": 0.0, "prior_sigma": 1.0, "posterior_mu_init": 0.0, "posterior_rho_init": -3.0, "type": "Flipout",
        "moped_enable": True, "moped_delta": 0.5,
    })  # fmt: skip
    fast = bo.accelerate(model).model.eval()
    prediction = bo.predict(fast, IMAGES, num_samples=20)
    assert prediction.mean.shape == (3, 5)
    assert (prediction.variance > 0).all()
    fast[0].dnn_to_bnn_flag = False
    assert isinstance(fast[0](IMAGES), tuple)
    assert isinstance(model[0](IMAGES), torch.Tensor)


# --- torchbnn ---------------------------------------------------------------------------------------------------------


def test_torchbnn_loss_and_freeze(tools):
    torchbnn = tools.package("torchbnn")
    model = nn.Sequential(torchbnn.BayesConv2d(0, 0.1, 1, 4, 3), nn.Flatten(), torchbnn.BayesLinear(0, 0.1, 144, 5))
    fast = bo.accelerate(model).model
    for reduction in ("mean", "sum"):
        loss = torchbnn.BKLLoss(reduction)
        assert torch.equal(loss(fast), loss(model))
    loss(fast).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())

    utils = tools.package("torchbnn.utils")
    utils.freeze(fast)
    assert torch.equal(fast(IMAGES), fast(IMAGES))
    assert model[0].weight_eps is None  # of the copy alone
    conv = fast[0]
    with torch.no_grad():
        weight = conv.weight_mu + conv.weight_log_sigma.exp() * conv.weight_eps
        bias = conv.bias_mu + conv.bias_log_sigma.exp() * conv.bias_eps
        torch.testing.assert_close(conv(IMAGES), functional.conv2d(IMAGES, weight, bias))
    utils.unfreeze(fast)
    assert not torch.equal(fast(IMAGES), fast(IMAGES))


@pytest.mark.parametrize(("padding", "mode"), [(2, "circular"), ((1, 3), "circular"), (1, "reflect")])
def test_torchbnn_padding_is_the_peers(padding, mode, tools):
    """That of torch 1.2: `circular` pads by half as much, and others are zeros."""
    layer = tools.package("torchbnn").BayesConv2d(0, 0.1, 1, 4, 3, padding=padding, padding_mode=mode)
    with torch.no_grad():
        layer.weight_log_sigma.fill_(-200.0)
        layer.bias_log_sigma.fill_(-200.0)
    torch.testing.assert_close(bo.accelerate(layer).model(IMAGES), layer(IMAGES), rtol=1e-5, atol=1e-6)


# --- BLiTZ ------------------------------------------------------------------------------------------------------------


def blitz_network(tools, **options):
    modules = tools.package("blitz.modules")

    class Network(nn.Sequential):
        pass

    tools.package("blitz.utils").variational_estimator(Network)
    conv = modules.BayesianConv2d(1, 4, (3, 3), prior_pi=0.5, **options)
    return Network(conv, nn.Flatten(), modules.BayesianLinear(144, 5, prior_pi=0.5, **options))


@pytest.mark.parametrize("bias", [True, False])
def test_blitz_densities_are_those_of_the_weights_that_were_drawn(bias, tools):
    model = blitz_network(tools, bias=bias)
    fast = bo.accelerate(model).model
    assert fast.nn_kl_divergence() == 0
    with bo.sampling(seed=7):
        fast(IMAGES)
    log_q = log_prior = 0.0
    for stream, layer in ((0, model[0]), (1, model[2])):
        samplers = [(layer.weight_sampler, layer.weight_prior_dist, stream)]
        if bias:
            samplers.append((layer.bias_sampler, layer.bias_prior_dist, stream ^ 0x80000000))
        for sampler, prior, stream_of_draw in samplers:
            sampler.sample()  # for its sigma
            w = sampler.mu + sampler.sigma * bo.random.normal(7, sampler.mu.shape, stream_of_draw)
            log_q, log_prior = log_q + sampler.log_posterior(w), log_prior + prior.log_prior(w)
    torch.testing.assert_close(fast.nn_kl_divergence(), log_q - log_prior, rtol=1e-4, atol=1e-2)
    trained = [p for name, p in model.named_parameters() if "sampler" in name and (bias or "bias" not in name)]
    ours = torch.autograd.grad(fast.nn_kl_divergence(), trained)
    for a, b in zip(ours, torch.autograd.grad(log_q - log_prior, trained), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-2)


def test_blitz_estimator_trains_and_freezes(tools):
    fast = bo.accelerate(blitz_network(tools)).model
    labels = torch.tensor([0, 1, 2])
    loss = fast.sample_elbo(IMAGES, labels, nn.CrossEntropyLoss(), sample_nbr=2, complexity_cost_weight=1e-3)
    loss.backward()
    assert all(p.grad is not None for name, p in fast.named_parameters() if "sampler" in name)
    fast.freeze_()
    frozen = fast(IMAGES)
    conv, linear = fast[0], fast[2]
    features = functional.conv2d(IMAGES, conv.weight_mu, conv.bias_mu).flatten(1)
    torch.testing.assert_close(frozen, functional.linear(features, linear.weight_mu, linear.bias_mu))
    fast.unfreeze_()
    assert not torch.equal(fast(IMAGES), fast(IMAGES))


def test_blitz_has_no_density_of_many_draws(tools):
    layer = bo.accelerate(tools.package("blitz.modules").BayesianLinear(5, 4)).model
    tools.many_draws(layer, torch.randn(2, 5), 3)
    with pytest.raises(RuntimeError, match=r"log_prior: the last call .* many draws at once"):
        layer.log_prior  # noqa: B018
    layer(torch.randn(2, 5))
    density = layer.log_prior
    assert density.isfinite()
    bo.predict(layer, torch.randn(2, 5), num_samples=3)
    assert torch.equal(layer.log_prior, density)  # that of the user's own last call


def test_blitz_densities_under_vmap(tools):
    layer, x = bo.accelerate(tools.package("blitz.modules").BayesianLinear(5, 4)).model, torch.randn(2, 5)

    def divergence(seed):
        with bo.sampling(seed):
            layer(x)
        return layer.log_variational_posterior - layer.log_prior

    seeds = bo.random.sample_seeds(0, 3)
    together = torch.vmap(divergence)(seeds)
    torch.testing.assert_close(together, torch.stack([divergence(seed) for seed in seeds]), rtol=1e-5, atol=1e-3)


# --- PyTorch-BayesianCNN ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["weights", "outputs"])
def test_bayesian_cnn_networks(variant, tools):
    layers = tools.BBB[variant]
    model = tools.Wrapper()
    model.conv, model.flatten, model.linear = layers.Conv2d(1, 4, 3), nn.Flatten(), layers.Linear(144, 5, bias=False)
    fast = bo.accelerate(model)
    operator = {"weights": "sampled", "outputs": "lrt"}[variant]
    assert f"BBBConv2d -> bayesops.ops.{operator}_conv2d" in fast.replaced["conv"]
    output, kl = fast.model(IMAGES)
    torch.testing.assert_close(kl, model(IMAGES)[1], rtol=1e-5, atol=1e-3)
    (output.square().sum() + kl).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())

    conv = fast.model.conv
    plain = functional.conv2d(IMAGES, model.conv.W_mu, model.conv.bias_mu)
    torch.testing.assert_close(conv.eval()(IMAGES, sample=False), plain)
    assert not torch.equal(conv(IMAGES), plain)
    assert not torch.equal(conv.train()(IMAGES, sample=False), plain)  # in training it always draws


def test_bayesian_cnn_elsewhere_draws_outputs(tools):
    kind = tools.BBB["weights"].Linear
    moved = type("BBBLinear", (kind,), {"__module__": "my_project.bayesian_layers"})
    assert "sampled_linear" in bo.accelerate(kind(5, 4)).replaced[""]
    assert "local reparameterisation" in bo.accelerate(moved(5, 4)).replaced[""]

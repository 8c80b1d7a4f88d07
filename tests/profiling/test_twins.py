"""What a model is measured against: twins that draw nothing, that draw in PyTorch, and that are of peer libraries."""

import sys

import pytest
import torch
from torch import nn

from bayesops import sampling
from bayesops.nn import (
    BernoulliConv1d,
    BernoulliConv2d,
    BernoulliConv3d,
    BernoulliLinear,
    Dropout,
    GaussianConv1d,
    GaussianConv2d,
    GaussianConv3d,
    GaussianLinear,
)
from bayesops.profiling import twins
from bayesops.profiling.twins import peers

LAYERS = {
    "1d": (lambda **mask: BernoulliConv1d(4, 6, 3, stride=2, groups=2, **mask), (5, 4, 9)),
    "2d": (lambda **mask: BernoulliConv2d(4, 6, 3, padding="same", padding_mode="circular", **mask), (5, 4, 6, 6)),
    "2d-groups": (lambda **mask: BernoulliConv2d(4, 6, 3, dilation=2, groups=2, bias=False, **mask), (5, 4, 6, 6)),
    "3d": (lambda **mask: BernoulliConv3d(2, 3, 2, **mask), (5, 2, 3, 3, 3)),
    "linear": (lambda **mask: BernoulliLinear(7, 5, **mask), (5, 7)),
}
GAUSSIAN_LAYERS = {
    "1d": (lambda **kind: GaussianConv1d(4, 6, 3, stride=2, groups=2, **kind), (5, 4, 9)),
    "2d": (lambda **kind: GaussianConv2d(4, 6, 3, padding="same", padding_mode="circular", **kind), (5, 4, 6, 6)),
    "2d-groups": (lambda **kind: GaussianConv2d(4, 6, 3, dilation=2, groups=2, bias=False, **kind), (5, 4, 6, 6)),
    "3d": (lambda **kind: GaussianConv3d(2, 3, 2, **kind), (5, 2, 3, 3, 3)),
    "linear": (lambda **kind: GaussianLinear(7, 5, **kind), (5, 2, 7)),
}
ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]


@pytest.mark.parametrize("name", LAYERS)
def test_twins_agree_with_a_layer_that_drops_nothing(name):
    make, shape = LAYERS[name]
    layer, input = make(p=0.0), torch.randn(shape)
    with sampling(0):
        expected = layer(input)
    torch.testing.assert_close(twins.deterministic(layer)(input), expected)
    torch.testing.assert_close(twins.naive(layer)(input), expected)


@pytest.mark.parametrize("granularity", ["weight", "kernel", "in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("per_example", [False, True])
def test_the_naive_twin_has_the_layers_law(granularity, per_example):
    # Mean and variance of the output over masks; 3000 draws, so a relative error of 0.2 in the variance is 5 standard
    # errors even of the coarsest masks.
    layer = BernoulliConv2d(4, 2, 2, groups=2, p=0.3, granularity=granularity, per_example=per_example)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 1)
        twin, input = twins.naive(layer), torch.rand(2, 4, 2, 2)
        ours = torch.stack([layer(input) for _ in range(3000)])
        theirs = torch.stack([twin(input) for _ in range(3000)])
    torch.testing.assert_close(theirs.mean(0), ours.mean(0), rtol=0.1, atol=0)
    torch.testing.assert_close(theirs.var(0), ours.var(0), rtol=0.2, atol=0)
    same = twin(input[:1].expand(20, -1, -1, -1))
    assert (same == same[0]).all() != per_example


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", GAUSSIAN_LAYERS)
def test_twins_agree_with_a_layer_that_has_no_spread(name, estimator):
    make, shape = GAUSSIAN_LAYERS[name]
    layer, input = make(estimator=estimator, rho_init=-30.0), torch.randn(shape)
    with sampling(0):
        expected = layer(input)
    torch.testing.assert_close(twins.deterministic(layer)(input), expected)
    torch.testing.assert_close(twins.naive(layer)(input), expected)


@pytest.mark.parametrize("variance", ["rho", "alpha"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_naive_gaussian_twin_has_the_layers_law(estimator, variance):
    # Over 8000 draws: the mean of each output, its variance, and that of sums over pixels and over examples, which tell
    # the estimators apart. Means lie within 6 standard errors of each other; a ratio of variances has a standard error
    # of at most 0.032 (a kurtosis below 5), so 0.2 is 6 of them. A false alarm is less likely than 1e-5 in all.
    draws = 8000
    layer = GaussianConv2d(2, 2, 2, estimator=estimator, variance=variance, rho_init=-1.0, log_alpha_init=0.0)
    twin, input = twins.naive(layer), torch.rand(3, 2, 3, 3)
    with torch.no_grad():
        theirs, ours = (torch.stack([draw(input) for _ in range(draws)]) for draw in (twin, layer))
    error = ((theirs.var(0) + ours.var(0)) / draws).sqrt()
    assert ((theirs.mean(0) - ours.mean(0)).abs() < 6 * error).all()
    for pooled in (lambda output: output, lambda output: output.sum((-2, -1)), lambda output: output.sum(1)):
        torch.testing.assert_close(pooled(theirs).var(0), pooled(ours).var(0), rtol=0.2, atol=0)


def test_twins_of_dropout():
    model = nn.Sequential(nn.Linear(8, 50), Dropout(0.5), Dropout(0.5, "channel")).eval()
    input = torch.randn(3, 8)
    torch.testing.assert_close(twins.deterministic(model)(input), model[0](input))
    assert (twins.naive(model)(input) == 0).float().mean() > 0.5
    assert isinstance(model[1], Dropout)


def test_a_layer_used_twice_has_one_twin():
    layer = BernoulliLinear(4, 4)
    twin = twins.deterministic(nn.Sequential(layer, nn.ReLU(), layer))
    assert twin[0] is twin[2]
    assert type(twin[0]) is nn.Linear


def test_layers_with_shared_draws_are_those_whose_batch_meets_one_draw():
    model = nn.Sequential(
        BernoulliLinear(4, 4), BernoulliLinear(4, 4, per_example=True), Dropout(),
        *(GaussianLinear(4, 4, estimator=estimator) for estimator in ESTIMATORS),
    )  # fmt: skip
    for name, layer in twins.bayesian_layers(model).items():
        with torch.no_grad():
            output = layer.train()(torch.ones(50, 4)) if isinstance(layer, Dropout) else layer(torch.ones(50, 4))
        varies = not (output == output[0]).all()
        # Under Flipout the examples' signs differ, but they share the deviation's draw.
        is_flipout = getattr(layer, "estimator", None) == "flipout"
        assert (name in twins.layers_with_shared_draws(model)) == (not varies or is_flipout), name


PEER_CASES = [
    ("bayesian-torch", "bayesian_torch", "weight_sample"),
    ("bayesian-torch", "bayesian_torch", "flipout"),
    ("torchbnn", "torchbnn", "weight_sample"),
    ("blitz", "blitz", "weight_sample"),
]


@pytest.mark.parametrize("variance", ["rho", "alpha"])
@pytest.mark.parametrize(("peer", "package", "estimator"), PEER_CASES)
def test_a_peers_twin_has_the_layers_law(peer, package, estimator, variance):
    # 4000 draws: a ratio of variances has a standard error of at most 0.045 (a kurtosis below 5), so 0.27 is 6 of them,
    # and means lie within 6 standard errors. A false alarm is less likely than 1e-5 in all.
    pytest.importorskip(package)
    draws = 4000
    layer = GaussianConv2d(2, 2, 2, estimator=estimator, variance=variance, rho_init=-1.0, log_alpha_init=0.0)
    with torch.no_grad():
        layer.bias_mu.copy_(torch.tensor([0.5, -2.0]))
        layer.bias_rho.fill_(-1.5)
    twin, input = peers.twin(layer, peer), torch.rand(3, 2, 3, 3)
    with torch.no_grad():
        theirs, ours = (torch.stack([draw(input) for _ in range(draws)]) for draw in (twin, layer))
    error = ((theirs.var(0) + ours.var(0)) / draws).sqrt()
    assert ((theirs.mean(0) - ours.mean(0)).abs() < 6 * error).all()
    torch.testing.assert_close(theirs.var(0), ours.var(0), rtol=0.27, atol=0)


@pytest.mark.parametrize(("peer", "package", "estimator"), PEER_CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_peers_twin_of_a_network_has_its_shapes(peer, package, estimator, bias):
    pytest.importorskip(package)
    options = {"estimator": estimator, "bias": bias}
    model = nn.Sequential(
        GaussianConv2d(2, 4, 3, stride=2, padding=1, **options), nn.ReLU(), nn.Flatten(), Dropout(0.5),
        GaussianLinear(36, 5, **options),
    )  # fmt: skip
    twin = peers.twin(model, peer)
    assert twin(torch.rand(3, 2, 6, 6)).shape == (3, 5)
    assert not any(type(layer).__module__.startswith("bayesops.nn") for layer in twin.modules())
    assert isinstance(model[0], GaussianConv2d)


@pytest.mark.parametrize(
    ("layer", "peer", "message"),
    [
        (lambda: BernoulliLinear(2, 2), "torchbnn", "no layer that masks weights"),
        (lambda: Dropout(0.5), "torchbnn", "dropout alone is PyTorch's"),
        (lambda: GaussianLinear(2, 2, estimator="local_reparam"), "bayesian-torch", "no Linear by local_reparam"),
        (lambda: GaussianConv2d(2, 2, 3, estimator="flipout"), "torchbnn", "no Conv2d by flipout"),
        (
            lambda: GaussianConv2d(2, 2, 3, estimator="weight_sample", padding="same"),
            "bayesian-torch",
            "pads with zeros, and not by 'zeros', 'same'",
        ),
    ],
)
def test_a_peer_that_lacks_a_layer_says_so(layer, peer, message):
    pytest.importorskip(peer.replace("-", "_"))
    with pytest.raises(peers.NoTwin, match=message):
        peers.twin(layer(), peer)


def test_a_peer_that_is_not_installed_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchbnn.modules", None)
    with pytest.raises(peers.NoTwin, match="is not installed"):
        peers.twin(GaussianLinear(2, 2, estimator="weight_sample"), "torchbnn")

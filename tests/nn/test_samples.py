"""Layers as the engine calls them: with S seeds at once, and with what follows them in the same pass."""

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.ops.fused import Epilogue
from bayesops.reference.fused import finish
from bayesops.sampling import Streams, sampling_many

SEEDS = torch.tensor([3, -8, 21])
CONVOLUTIONS = {
    1: (bo.nn.BernoulliConv1d, bo.nn.GaussianConv1d),
    2: (bo.nn.BernoulliConv2d, bo.nn.GaussianConv2d),
    3: (bo.nn.BernoulliConv3d, bo.nn.GaussianConv3d),
}
GEOMETRIES = {
    "plain": {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2},
    "same": {"kernel_size": 4, "padding": "same"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    "replicate": {"kernel_size": 3, "padding": 1, "padding_mode": "replicate", "stride": 2},
    "circular": {"kernel_size": 3, "padding": "same", "padding_mode": "circular", "dilation": 2},
}
KINDS = ("bernoulli", "bernoulli-per-example", "local_reparam", "weight_sample", "flipout", "alpha")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=[0, 1, 2, 3])
def dims(request):
    return request.param


def options_of(kind):
    if kind.startswith("bernoulli"):
        return {"p": 0.3, "granularity": "channel", "per_example": kind.endswith("example")}
    options = {"rho_init": -1.0, "log_alpha_init": -1.0}
    return options | ({"variance": "alpha"} if kind == "alpha" else {"estimator": kind})


def layer_of(kind, dims, geometry="plain"):
    """A layer from 4 channels to 6."""
    if dims == 0:
        linear = bo.nn.BernoulliLinear if kind.startswith("bernoulli") else bo.nn.GaussianLinear
        return linear(4, 6, **options_of(kind))
    bernoulli, gaussian = CONVOLUTIONS[dims]
    conv = bernoulli if kind.startswith("bernoulli") else gaussian
    return conv(4, 6, **GEOMETRIES[geometry], **options_of(kind))


def images(dims, *lead):
    return torch.randn(*lead, 4, *[6] * dims)


def one_by_one(layer, inputs):
    """The layer's draws for each seed by itself, of its own input."""
    outputs = []
    for seed, input in zip(SEEDS, inputs, strict=True):
        with bo.sampling(seed=seed):
            outputs.append(layer(input))
    return torch.stack(outputs)


def at_once(function):
    with torch.no_grad(), sampling_many(SEEDS, Streams()):
        return function()


def epilogue_for(output):
    """All parts, the residual of the output's shape."""
    return Epilogue(torch.rand(6) + 0.5, torch.randn(6), torch.randn_like(output), True)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_fused_is_forward_and_its_epilogue(kind, dims, geometry):
    layer, input = layer_of(kind, dims, geometry), images(dims, 2)
    with bo.sampling(seed=4):
        plain = layer(input).detach()
    epilogue = epilogue_for(plain)
    with torch.no_grad(), bo.sampling(seed=4):
        output, nothing = layer.forward_fused(input, epilogue), layer.forward_fused(input, Epilogue())
    torch.testing.assert_close(output, finish(plain, epilogue, dims))
    assert torch.equal(nothing, plain)


def test_fused_draws_a_fresh_seed_as_forward_does(kind, dims):
    layer, input = layer_of(kind, dims), images(dims, 2)
    torch.manual_seed(1)
    plain = layer(input)
    torch.manual_seed(1)
    with torch.no_grad():
        assert torch.equal(layer.forward_fused(input, Epilogue()), plain)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("shared", [True, False])
def test_many_seeds_are_the_draws_of_each(kind, dims, geometry, shared):
    layer, input = layer_of(kind, dims, geometry), images(dims, *[] if shared else [3], 2)
    expected = one_by_one(layer, [input] * 3 if shared else input).detach()
    torch.testing.assert_close(at_once(lambda: layer(input)), expected)
    for residual in (torch.randn_like(expected), torch.randn_like(expected[0])):
        epilogue = epilogue_for(expected)._replace(residual=residual)
        output = at_once(lambda e=epilogue: layer.forward_fused(input, e))
        torch.testing.assert_close(output, finish(expected, epilogue, dims))


def test_layers_have_the_streams_of_single_draws():
    model = nn.Sequential(layer_of("bernoulli", 2, "reflect"), nn.ReLU(), bo.nn.BernoulliConv2d(6, 4, 3))
    input = images(2, 3, 2)
    torch.testing.assert_close(at_once(lambda: model(input)), one_by_one(model, input).detach())


def test_the_mean_of_samples(kind, dims):
    layer, input = layer_of(kind, dims, "reflect").use_mean(), images(dims, 3, 2)
    expected = torch.stack([layer(part) for part in input]).detach()
    torch.testing.assert_close(at_once(lambda: layer(input)), expected)
    epilogue = epilogue_for(expected)
    torch.testing.assert_close(at_once(lambda: layer.forward_fused(input, epilogue)), finish(expected, epilogue, dims))
    # A shared input has one mean, unless what is added differs between samples.
    one = epilogue._replace(residual=None)
    torch.testing.assert_close(at_once(lambda: layer.forward_fused(input[0], one)), finish(expected[0], one, dims))
    torch.testing.assert_close(
        at_once(lambda: layer.forward_fused(input[0], epilogue)), finish(expected[0], epilogue, dims)
    )


def test_noise_that_is_kept_is_every_samples(kind, dims):
    layer, input = layer_of(kind, dims, "reflect").freeze_noise(9, stream=2), images(dims, 3, 2)
    expected = torch.stack([layer(part) for part in input]).detach()
    torch.testing.assert_close(at_once(lambda: layer(input)), expected)
    epilogue = epilogue_for(expected)
    torch.testing.assert_close(at_once(lambda: layer.forward_fused(input, epilogue)), finish(expected, epilogue, dims))
    # A shared input has one result, unless what is added differs between samples.
    torch.testing.assert_close(at_once(lambda: layer(input[0])), expected[0])
    torch.testing.assert_close(
        at_once(lambda: layer.forward_fused(input[0], epilogue)), finish(expected[0], epilogue, dims)
    )


def test_fused_wants_no_gradient(kind):
    layer = layer_of(kind, 2)
    with pytest.raises(RuntimeError, match="for prediction and has no derivative"):
        layer.forward_fused(images(2, 2), Epilogue(relu=True))


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_dropout(dims, granularity):
    layer, input = bo.nn.Dropout(0.4, granularity), images(dims, 3, 2)
    assert torch.equal(at_once(lambda: layer(input)), one_by_one(layer, input))
    layer.freeze_noise(9)
    assert torch.equal(at_once(lambda: layer(input)), torch.stack([layer(part) for part in input]))
    assert torch.equal(at_once(lambda: layer.use_mean()(input)), input)

"""The two freezes, under their own names: the mean in place of a draw, and a draw that is kept."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo


def network():
    return nn.Sequential(
        bo.nn.BernoulliConv2d(2, 4, 3, p=0.3), nn.ReLU(), bo.nn.Dropout(0.4), nn.Flatten(),
        bo.nn.BernoulliLinear(36, 5, p=0.3),
    )  # fmt: skip


X = torch.randn(3, 2, 5, 5)


def draw(model, seed):
    with bo.sampling(seed=seed):
        return model(X)


def test_trap_9_frozen_noise_is_the_same_at_every_call():
    model = network()
    assert bo.nn.freeze_noise(model, 7) is model
    assert torch.equal(model(X), model(X))
    assert torch.equal(draw(model, 1), model(X))  # a block's seed does not change it
    bo.nn.freeze_noise(model, None)
    assert not torch.equal(model(X), model(X))


def test_frozen_noise_is_the_draw_of_a_block():
    model = network()
    expected = draw(model, 7)
    assert torch.equal(bo.nn.freeze_noise(model, 7)(X), expected)
    assert torch.equal(bo.nn.freeze_noise(model, torch.tensor(7))(X), expected)
    assert not torch.equal(bo.nn.freeze_noise(model, 8)(X), expected)


def test_each_layer_is_frozen_at_a_stream_of_its_own():
    model = nn.Sequential(*[bo.nn.BernoulliLinear(6, 6, bias=False) for _ in range(3)])
    for layer in model:
        layer.load_state_dict(model[0].state_dict())
    model[1].stream = 0
    bo.nn.freeze_noise(model, 3)
    inputs = torch.randn(4, 6)
    for layer, stream in zip(model, (1, 0, 2), strict=True):
        assert torch.equal(layer(inputs), bo.ops.masked_linear(inputs, layer.weight, p=0.5, seed=3, stream=stream))


def test_frozen_noise_leaves_torchs_generator_alone(generator_state):
    model, state = bo.nn.freeze_noise(network(), 1), generator_state()
    model(X)
    assert torch.equal(generator_state(), state)


def test_a_frozen_layer_trains():
    layer = bo.nn.BernoulliLinear(6, 3).freeze_noise(2)
    layer(torch.randn(4, 6)).sum().backward()
    assert layer.weight.grad.count_nonzero() > 0


def test_freezing_is_copied_and_shown():
    layer = bo.nn.BernoulliLinear(6, 3).freeze_noise(2)
    inputs = torch.randn(4, 6)
    assert torch.equal(copy.deepcopy(layer)(inputs), layer(inputs))
    assert repr(layer).endswith("frozen_seed=2)")
    assert "frozen" not in repr(layer.freeze_noise(None))
    assert repr(layer.use_mean()).endswith("use_mean=True)")


def test_a_prediction_with_frozen_noise_has_no_variance():
    model = bo.nn.freeze_noise(network(), 2)
    prediction = bo.predict(model, X, num_samples=5, link="identity")
    torch.testing.assert_close(prediction.mean, model(X))
    assert prediction.variance.max() < 1e-12


@pytest.mark.parametrize(("granularity", "kept"), [("weight", 0.7), ("out_channel", 0.7), ("channel", 0.49)])
@pytest.mark.parametrize("rescale", [True, False])
def test_mean_of_a_bernoulli_layer(granularity, kept, rescale):
    layer = bo.nn.BernoulliConv2d(
        2, 4, 3, padding=1, padding_mode="circular", p=0.3, granularity=granularity, rescale=rescale
    )
    plain = nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")
    with torch.no_grad():
        plain.weight.copy_(layer.weight if rescale else kept * layer.weight)
        plain.bias.copy_(layer.bias)
    torch.testing.assert_close(layer.use_mean()(X), plain(X))
    linear, inputs = bo.nn.BernoulliLinear(6, 3, p=0.3, granularity=granularity, rescale=rescale), torch.randn(2, 6)
    expected = functional.linear(inputs, linear.weight if rescale else kept * linear.weight, linear.bias)
    torch.testing.assert_close(linear.use_mean()(inputs), expected)
    mask = torch.zeros({"weight": (3, 6), "out_channel": (3,), "channel": (9,)}[granularity], dtype=torch.bool)
    torch.testing.assert_close(linear(inputs, mask=mask), linear.bias.expand(2, 3))  # a mask given is obeyed


def test_mean_over_a_model(generator_state):
    model = network()
    expected = functional.conv2d(X, model[0].weight, model[0].bias).relu().flatten(1)
    expected = functional.linear(expected, model[4].weight, model[4].bias)
    assert bo.nn.use_mean(model) is model
    state = generator_state()
    torch.testing.assert_close(model(X), expected)
    torch.testing.assert_close(draw(model, 1), expected)
    assert torch.equal(generator_state(), state)
    bo.nn.use_mean(model, False)
    assert not torch.equal(model(X), model(X))


def test_the_mean_comes_before_frozen_noise():
    layer, inputs = bo.nn.BernoulliLinear(6, 3).freeze_noise(1), torch.randn(2, 6)
    frozen = layer(inputs)
    mean = layer.use_mean()(inputs)
    assert not torch.equal(mean, frozen)
    assert torch.equal(layer.use_mean(False)(inputs), frozen)


@pytest.mark.cpu_only
@pytest.mark.parametrize("function", [lambda m: bo.nn.use_mean(m), lambda m: bo.nn.freeze_noise(m, 1)])
def test_a_model_without_bayesian_layers_is_refused(function):
    with pytest.raises(ValueError, match=r"'model' must be a module with Bayesian layers .* got ReLU"):
        function(nn.ReLU())


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.5,), TypeError, "BernoulliLinear: argument 'seed' must be an int"),
        ((torch.arange(2),), ValueError, "BernoulliLinear: argument 'seed' must be one draw"),
        ((1, -1), ValueError, "BernoulliLinear: argument 'stream'"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        bo.nn.BernoulliLinear(2, 2).freeze_noise(*arguments)


MAKERS = {
    "BernoulliConv1d": lambda **options: bo.nn.BernoulliConv1d(3, 4, 1, **options),
    "BernoulliConv2d": lambda **options: bo.nn.BernoulliConv2d(3, 4, 1, **options),
    "BernoulliConv3d": lambda **options: bo.nn.BernoulliConv3d(3, 4, 1, **options),
    "BernoulliLinear": lambda **options: bo.nn.BernoulliLinear(3, 4, **options),
    "Dropout": bo.nn.Dropout,
    "FourierConv2d": lambda **options: bo.optical.FourierConv2d(3, 4, 1, p=0.5, **options),
    "GaussianConv1d": lambda **options: bo.nn.GaussianConv1d(3, 4, 1, **options),
    "GaussianConv2d": lambda **options: bo.nn.GaussianConv2d(3, 4, 1, **options),
    "GaussianConv3d": lambda **options: bo.nn.GaussianConv3d(3, 4, 1, **options),
    "GaussianLinear": lambda **options: bo.nn.GaussianLinear(3, 4, **options),
}


def images_for(kind):
    return torch.randn(2, 3, *[5] * int(kind[-2] if kind[-2].isdigit() else 0))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_stream_may_be_given_or_set(kind):
    layer, images = MAKERS[kind](stream=5), images_for(kind)
    again = MAKERS[kind]()
    again.load_state_dict(layer.state_dict())
    assert (layer.stream, again.stream) == (5, None)
    assert "stream=5" in repr(layer)
    assert "stream" not in repr(again)
    drawn = []
    for stream in (5, None, np.int64(5)):
        again.stream = stream
        with bo.sampling(seed=3):
            drawn.append(again(images))
    with bo.sampling(seed=3):
        expected = layer(images)
    assert torch.equal(drawn[0], expected)
    assert torch.equal(drawn[2], expected)
    assert not torch.equal(drawn[1], expected)
    assert type(again.stream) is int
    copied = pickle.loads(pickle.dumps(layer))
    with bo.sampling(seed=3):
        assert torch.equal(copied(images), expected)


@pytest.mark.parametrize("kind", [*MAKERS, "LogitNoise"])
@pytest.mark.parametrize(("stream", "error"), [(-1, ValueError), (2**32, ValueError), ("a", TypeError)])
def test_a_stream_is_checked_when_it_is_set(kind, stream, error):
    make = MAKERS.get(kind, bo.nn.LogitNoise)
    layer = make()
    with pytest.raises(error, match=f"{kind}: argument 'stream' must be "):
        layer.stream = stream
    assert layer.stream is None
    with pytest.raises(error, match=f"{kind}: argument 'stream' must be "):
        make(stream=stream)


# Without noise dropout returns what it gets, and torch's own linear says so by itself.
@pytest.mark.parametrize(("kind", "mean"), [
    *((kind, False) for kind in MAKERS),
    *((kind, True) for kind in MAKERS if kind not in ("BernoulliLinear", "Dropout")),
])  # fmt: skip
def test_an_input_that_is_no_tensor_is_named(kind, mean):
    with pytest.raises(TypeError, match=f"{kind}: argument 'input' must be a tensor, got list"):
        MAKERS[kind]().use_mean(mean)([1.0, 2.0, 3.0])


def test_noise_on_what_is_no_tensor_is_named():
    with pytest.raises(TypeError, match="LogitNoise: argument 'output' must be a pair of tensors, got one with float"):
        bo.nn.LogitNoise()((1.0, 2.0))

"""A deterministic network becomes a Bayesian one, and nothing of it is lost."""

import copy

import pytest
import torch
from torch import nn

import bayesops as bo


def network():
    return nn.Sequential(
        nn.Conv2d(3, 6, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=3, bias=False),
        nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"),
        nn.Flatten(), nn.Linear(4 * 8 * 5, 7),
    )  # fmt: skip


X = torch.randn(2, 3, 8, 8)


def test_trap_3_everything_is_kept():
    """Weights, stride, padding, dilation, groups, bias and padding mode: with p = 0 the network computes the same."""
    model = network().eval()
    converted = bo.convert(model, p=0.0)
    torch.testing.assert_close(converted(X), model(X))
    assert [type(m) for m in converted] == [
        bo.nn.BernoulliConv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, bo.nn.BernoulliConv2d, nn.Flatten,
        bo.nn.BernoulliLinear,
    ]  # fmt: skip
    for before, after in zip(model, converted, strict=True):
        for name in ("stride", "padding", "dilation", "groups", "padding_mode", "kernel_size", "in_channels"):
            assert getattr(before, name, None) == getattr(after, name, None)


def test_trap_3_draws_differ():
    converted = bo.convert(network().eval(), p=0.3)
    assert (bo.predict(converted, X, num_samples=10).variance > 0).all()


def test_mean_of_draws_is_the_trained_layer():
    layer = nn.Linear(6, 3)
    inputs = torch.randn(4, 6)
    prediction = bo.predict(bo.convert(layer, p=0.3), inputs, num_samples=20000, link="identity")
    error = (prediction.mean - layer(inputs)).abs()
    assert (error < 6 * (prediction.variance / 20000).sqrt()).all()


def test_the_original_is_untouched():
    model = network()
    before = copy.deepcopy(model.state_dict())
    converted = bo.convert(model)
    with torch.no_grad():
        for parameter in converted.parameters():
            parameter.zero_()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert isinstance(model[0], nn.Conv2d)


def test_state_dict_keys_mode_and_requires_grad():
    model = network().eval()
    model[4].weight.requires_grad_(False)
    converted = bo.convert(model)
    assert list(converted.state_dict()) == list(model.state_dict())
    assert not any(m.training for m in converted.modules())
    assert not converted[4].weight.requires_grad
    assert converted[6].weight.requires_grad
    assert bo.convert(network().train())[0].training


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_dtype(dtype):
    assert {p.dtype for p in bo.convert(network().to(dtype)).parameters()} == {dtype}


def test_options_reach_the_layers():
    converted = bo.convert(network(), p=0.2, granularity="out_channel", rescale=False)
    for layer in (converted[0], converted[6]):
        assert (layer.p, layer.granularity, layer.rescale) == (0.2, "out_channel", False)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_each_dimension(dims):
    layer = getattr(nn, f"Conv{dims}d")(4, 6, 3, padding="same", dilation=2)
    converted = bo.convert(layer, p=0.0)
    assert isinstance(converted, getattr(bo.nn, f"BernoulliConv{dims}d"))
    inputs = torch.randn(2, 4, *[7] * dims)
    torch.testing.assert_close(converted(inputs), layer(inputs))


def converted_names(model):
    return {name for name, module in model.named_modules() if type(module).__name__.startswith("Bernoulli")}


def test_where():
    model = network()
    assert converted_names(bo.convert(model, where=lambda name, module: name == "4")) == {"4"}
    assert converted_names(bo.convert(model, where="0")) == {"0"}
    assert converted_names(bo.convert(model, where=["0", "6"])) == {"0", "6"}
    assert converted_names(bo.convert(model, where=nn.Conv2d)) == {"0", "4"}
    assert converted_names(bo.convert(model, where=(nn.Linear, "4"))) == {"4", "6"}
    assert converted_names(bo.convert(model, where=[])) == set()


def test_shared_layers_and_tied_weights_stay_so():
    shared = nn.Linear(5, 5)
    tied = nn.Linear(5, 5)
    tied.weight = shared.weight
    converted = bo.convert(nn.ModuleDict({"a": shared, "b": shared, "c": tied}))
    assert converted["a"] is converted["b"]
    assert converted["a"].weight is converted["c"].weight


def test_layers_that_are_more_than_a_convolution_are_left():
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(5, 5))
    hooked = nn.Linear(5, 5)
    hooked.register_forward_hook(lambda *_: None)
    attention = nn.MultiheadAttention(4, 2)
    model = nn.Sequential(normed, hooked, attention, nn.Linear(5, 5))
    assert converted_names(bo.convert(model)) == {"3"}


def test_twice_is_once():
    once = bo.convert(network(), p=0.2)
    twice = bo.convert(once, p=0.7)
    assert twice[0].p == 0.2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"posterior": "laplace"}, ValueError, "'posterior' must be 'bernoulli', got 'laplace'"),
        ({"p": 1.0}, ValueError, r"'p' must be in \[0, 1\)"),
        ({"granularity": "pixel"}, ValueError, "'granularity' must be one of"),
        ({"where": "9"}, ValueError, "'where' must be names of modules of the model, got '9'"),
        ({"where": ["1"]}, ValueError, "'where' must be names of plain layers.*BatchNorm2d"),
        ({"where": 5}, TypeError, "'where' must be a predicate, names or types, got int"),
        ({"where": [5]}, TypeError, "'where' must be a predicate, names or types, got 5"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        bo.convert(network(), **options)

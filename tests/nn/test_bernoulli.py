"""The Bernoulli layers: torch's constructors, parameters and padding; masks that can be replayed."""

import copy

import pytest
import torch
from torch import nn

import bayesops as bo

PAIRS = {
    1: (bo.nn.BernoulliConv1d, nn.Conv1d),
    2: (bo.nn.BernoulliConv2d, nn.Conv2d),
    3: (bo.nn.BernoulliConv3d, nn.Conv3d),
}
CONSTRUCTIONS = {
    "plain": {"kernel_size": 3},
    "all": {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False},
    "same": {"kernel_size": 4, "padding": "same"},
    "valid": {"kernel_size": 2, "padding": "valid"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    "replicate": {"kernel_size": 3, "padding": 1, "padding_mode": "replicate", "stride": 2},
    "circular": {"kernel_size": 3, "padding": "same", "padding_mode": "circular", "dilation": 2},
}


@pytest.mark.parametrize("case", CONSTRUCTIONS, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_is_torchs_layer_at_p_zero(dims, case):
    ours, torchs = PAIRS[dims]
    torch.manual_seed(3)
    layer = ours(4, 6, **CONSTRUCTIONS[case], p=0.0)
    torch.manual_seed(3)
    plain = torchs(4, 6, **CONSTRUCTIONS[case])
    assert list(layer.state_dict()) == list(plain.state_dict())
    for a, b in zip(layer.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)  # initialised alike
    input = torch.randn(2, 4, *[7] * dims)
    torch.testing.assert_close(layer(input), plain(input))
    assert repr(layer).startswith(repr(plain).replace("Conv", "BernoulliConv")[:-1])


def test_linear_is_torchs_layer_at_p_zero():
    for bias in (True, False):
        torch.manual_seed(3)
        layer = bo.nn.BernoulliLinear(5, 7, bias, p=0.0)
        torch.manual_seed(3)
        plain = nn.Linear(5, 7, bias)
        for a, b in zip(layer.parameters(), plain.parameters(), strict=True):
            assert torch.equal(a, b)
        for shape in ((5,), (3, 5), (2, 3, 5)):
            input = torch.randn(shape)
            torch.testing.assert_close(layer(input), plain(input))


def test_non_square_kernel():
    layer = bo.nn.BernoulliConv2d(2, 3, (3, 5), stride=(1, 2), padding=(1, 2))
    assert layer(torch.randn(1, 2, 6, 8)).shape == (1, 3, 6, 4)


@pytest.mark.parametrize("granularity", ["weight", "kernel", "in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("per_example", [False, True])
def test_draws_and_replay(granularity, per_example, device):
    layer = bo.nn.BernoulliConv2d(4, 6, 3, groups=2, p=0.4, granularity=granularity, per_example=per_example)
    shape = {"weight": (6, 2, 3, 3), "kernel": (6, 2), "in_channel": (4,), "out_channel": (6,), "channel": (10,)}[
        granularity
    ]
    shape = (5, *shape) if per_example else shape
    input = torch.randn(5, 4, 6, 6)
    with bo.sampling(seed=8):
        drawn = layer(input)
    mask = bo.random.bernoulli_mask(8, shape, 0.4, device=device)
    assert torch.equal(layer(input, mask=mask), drawn)


def test_draws_in_both_modes():
    layer, input = bo.nn.BernoulliLinear(8, 8), torch.randn(3, 8)
    for mode in (True, False):
        layer.train(mode)
        assert not torch.equal(layer(input), layer(input))


def test_rescale():
    layer = bo.nn.BernoulliLinear(8, 4, bias=False, p=0.75, rescale=False)
    mask = torch.ones(4, 8, dtype=torch.bool)
    input = torch.randn(3, 8)
    torch.testing.assert_close(layer(input, mask=mask), input @ layer.weight.T)
    layer.rescale = True
    torch.testing.assert_close(layer(input, mask=mask), 4 * input @ layer.weight.T)


def test_trains():
    """A few steps on a line: the loss falls."""
    torch.manual_seed(0)
    input = torch.randn(64, 4)
    target = input @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    layer = bo.nn.BernoulliLinear(4, 1, p=0.05)
    optimiser = torch.optim.Adam(layer.parameters(), 0.05)
    losses = []
    for _ in range(300):
        optimiser.zero_grad()
        loss = (layer(input) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-50:]) < 0.3 * sum(losses[:50])


@pytest.mark.cpu_only
def test_repr():
    layer = bo.nn.BernoulliConv2d(3, 4, 3, p=0.1, granularity="kernel", rescale=False, per_example=True)
    assert repr(layer) == (
        "BernoulliConv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), p=0.1, granularity='kernel', rescale=False, "
        "per_example=True)"
    )
    layer = bo.nn.BernoulliLinear(3, 4)
    assert repr(layer) == "BernoulliLinear(in_features=3, out_features=4, bias=True, p=0.5, granularity='weight')"


def test_copies_and_pickles():
    import pickle

    layer, input = bo.nn.BernoulliConv2d(2, 3, 3), torch.randn(1, 2, 5, 5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with bo.sampling(seed=1):
            expected = layer(input)
        with bo.sampling(seed=1):
            assert torch.equal(other(input), expected)


@pytest.mark.cpu_only
def test_is_no_deterministic_layer():
    """Tools that look for torch's layers (fusion, quantisation) must not take ours for one."""
    assert not isinstance(bo.nn.BernoulliConv2d(1, 1, 1), nn.Conv2d)
    assert not isinstance(bo.nn.BernoulliLinear(1, 1), nn.Linear)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_channels_last_goes_through(mode):
    layer = bo.nn.BernoulliConv2d(3, 8, 3, padding=1, padding_mode=mode).to(memory_format=torch.channels_last)
    input = torch.randn(2, 3, 7, 7).to(memory_format=torch.channels_last)
    assert layer(input).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.2}, r"BernoulliConv2d: argument 'p' must be in \[0, 1\)"),
        ({"granularity": "pixel"}, "BernoulliConv2d: argument 'granularity' must be one of"),
        ({"groups": 3}, "in_channels must be divisible by groups"),
        ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided convolutions"),
        ({"padding_mode": "mirror"}, "padding_mode must be one of"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        bo.nn.BernoulliConv2d(4, 6, 3, **options)

"""The dropout layer."""

import pytest
import torch

import bayesops as bo


@pytest.mark.parametrize("granularity", ["element", "channel"])
@pytest.mark.parametrize("shape", [(6,), (3, 6), (3, 6, 5), (3, 6, 5, 4), (2, 6, 3, 4, 5)], ids=str)
def test_any_shape_in_either_mode(shape, granularity):
    layer, input = bo.nn.Dropout(0.5, granularity), torch.rand(shape) + 1
    for mode in (True, False):
        layer.train(mode)
        with bo.sampling(seed=4):
            output = layer(input)
        assert output.shape == input.shape
        kept = output != 0
        torch.testing.assert_close(output[kept], 2 * input[kept])
        if granularity == "channel" and len(shape) > 2:
            flat = kept.flatten(2)
            assert (flat.all(2) | ~flat.any(2)).all()


def test_replay(device):
    layer, input = bo.nn.Dropout(0.3), torch.randn(4, 5)
    with bo.sampling(seed=2):
        drawn = layer(input)
    assert torch.equal(layer(input, mask=bo.random.bernoulli_mask(2, (4, 5), 0.3, device=device)), drawn)


def test_stream():
    layer, input = bo.nn.Dropout(0.3, stream=5), torch.randn(4, 5)
    with bo.sampling(seed=2):
        assert torch.equal(layer(input), bo.ops.dropout(input, p=0.3, seed=2, stream=5))


@pytest.mark.cpu_only
def test_repr():
    assert repr(bo.nn.Dropout(0.3)) == "Dropout(p=0.3, granularity='element')"
    assert repr(bo.nn.Dropout(0.3, "channel", stream=2)) == "Dropout(p=0.3, granularity='channel', stream=2)"


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.0,), "Dropout: argument 'p'"), ((0.5, "pixel"), "Dropout: argument 'granularity' must be one of 'element'")],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        bo.nn.Dropout(*arguments)

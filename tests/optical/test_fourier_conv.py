"""Ideal optics are the electronic convolution, masks included."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import bayesops as bo

GEOMETRIES = {
    "plain": {"kernel_size": 3},
    "even": {"kernel_size": 4},
    "oblong": {"kernel_size": (2, 5), "padding": (0, 3), "stride": (1, 2), "dilation": (3, 1)},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 3, "dilation": 2, "padding": 2},
    "all": {"kernel_size": 2, "stride": 3, "padding": 2, "dilation": (2, 3), "groups": 2, "bias": False},
    "same": {"kernel_size": 4, "padding": "same"},
    "valid": {"kernel_size": (1, 2), "padding": "valid"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "padding": 1, "padding_mode": "circular", "stride": 2},
    "whole image": {"kernel_size": (7, 8)},
}
DETECTORS = {
    "complex": {},
    "split": {"detection": "intensity", "sign": "split"},
    "reference": {"detection": "intensity", "sign": "reference"},
}


def rounding(dtype, *tensors):
    """Of sums of products, relative to the largest of them."""
    scale = max(tensor.abs().max().item() for tensor in tensors)
    return {"rtol": 0, "atol": 30 * torch.finfo(dtype).eps * scale}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("case", GEOMETRIES)
def test_ideal_optics_are_the_electronic_convolution(case, detector, dtype):
    torch.manual_seed(3)
    plain = nn.Conv2d(4, 6, **GEOMETRIES[case], dtype=dtype)
    torch.manual_seed(3)
    layer = bo.optical.FourierConv2d(4, 6, **GEOMETRIES[case], dtype=dtype, **DETECTORS[detector])
    assert torch.equal(layer.weight, plain.weight)  # initialised alike
    input = torch.randn(3, 4, 7, 8, dtype=dtype, requires_grad=True)
    ours, theirs = layer(input), plain(input)
    torch.testing.assert_close(ours, theirs, **rounding(dtype, theirs))
    cotangent = torch.randn_like(theirs)
    of_ours = torch.autograd.grad(ours, [input, *layer.parameters()], cotangent)
    of_theirs = torch.autograd.grad(theirs, [input, *plain.parameters()], cotangent)
    for a, b in zip(of_ours, of_theirs, strict=True):
        torch.testing.assert_close(a, b, **rounding(dtype, b))


@pytest.mark.parametrize("options", [{}, {"p": 0.3}, {"p": 0.3, "per_example": True}], ids=str)
@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("case", ["plain", "all", "reflect", "circular"])
def test_a_batch_without_examples(case, detector, options):
    layer = bo.optical.FourierConv2d(
        4, 6, **GEOMETRIES[case], **DETECTORS[detector], input_bits=8, readout_noise=0.1, **options
    )
    input = torch.randn(0, 4, 7, 8, requires_grad=True)
    output = layer(input)
    assert output.shape == nn.Conv2d(4, 6, **GEOMETRIES[case])(input).shape
    output.sum().backward()
    assert input.grad.shape == input.shape
    assert torch.equal(layer.weight.grad, torch.zeros_like(layer.weight))


@pytest.mark.parametrize("per_example", [False, True])
def test_gradcheck(per_example):
    layer = bo.optical.FourierConv2d(
        4, 4, 3, 2, 1, 2, 2, dtype=torch.float64, p=0.3, per_example=per_example
    )  # fmt: skip
    input = torch.randn(2, 4, 6, 5, dtype=torch.float64, requires_grad=True)

    def function(*_):
        with bo.sampling(seed=5):
            return layer(input)

    assert torch.autograd.gradcheck(function, (input, layer.weight, layer.bias))
    assert torch.autograd.gradgradcheck(function, (input, layer.weight, layer.bias))


@pytest.mark.parametrize("granularity", ["weight", "kernel", "in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("rescale", [False, True])
def test_masks_are_those_of_the_bernoulli_layer(granularity, per_example, rescale):
    options = {"padding": 1, "groups": 2, "p": 0.4, "rescale": rescale}
    options |= {"granularity": granularity, "per_example": per_example}
    electronic = bo.nn.BernoulliConv2d(4, 6, 3, **options)
    optical = bo.optical.FourierConv2d(4, 6, 3, **options)
    optical.load_state_dict(electronic.state_dict())
    input = torch.randn(5, 4, 6, 6)
    for stream in (None, 9):
        electronic.stream = optical.stream = stream
        with bo.sampling(seed=8):
            expected = electronic(input)
        with bo.sampling(seed=8):
            torch.testing.assert_close(optical(input), expected)
    shape = {"weight": (6, 2, 3, 3), "kernel": (6, 2), "in_channel": (4,), "out_channel": (6,), "channel": (10,)}
    shape = (5, *shape[granularity]) if per_example else shape[granularity]
    mask = bo.random.bernoulli_mask(1, shape, 0.5)
    torch.testing.assert_close(optical(input, mask=mask), electronic(input, mask=mask))
    torch.testing.assert_close(optical.use_mean()(input), electronic.use_mean()(input))


def test_a_fresh_mask_at_each_call_unless_it_is_frozen():
    layer, input = bo.optical.FourierConv2d(2, 3, 3, p=0.5).eval(), torch.randn(1, 2, 6, 6)
    assert not torch.equal(layer(input), layer(input))
    layer.freeze_noise(4)
    assert torch.equal(layer(input), layer(input))
    with bo.sampling(seed=4):
        drawn = layer.freeze_noise(None)(input)
    assert torch.equal(layer.freeze_noise(4)(input), drawn)


def test_half_precision_is_computed_in_float32():
    layer = bo.optical.FourierConv2d(3, 4, 3, dtype=torch.bfloat16)
    input = torch.randn(2, 3, 6, 6, dtype=torch.bfloat16)
    output = layer(input)
    assert output.dtype == torch.bfloat16
    expected = functional.conv2d(input.float(), layer.weight.float(), layer.bias.float())
    torch.testing.assert_close(output.float(), expected, rtol=2e-2, atol=2e-2)


def test_trains_through_all_faults():
    """Edges are learned by a layer of few bits, signs recovered, noise and all."""
    torch.manual_seed(0)
    images, edges = torch.rand(16, 1, 8, 8), torch.tensor([[[[1.0, -1.0]]]])
    target = functional.conv2d(images, edges)
    layer = bo.optical.FourierConv2d(
        1, 1, (1, 2), input_bits=6, kernel_bits=6, detection="intensity", sign="split", readout_noise=0.01,
        readout_bits=8,
    )  # fmt: skip
    optimiser = torch.optim.Adam(layer.parameters(), 0.03)
    for _ in range(200):
        optimiser.zero_grad()
        (layer(images) - target).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(layer.weight.data, edges, rtol=0, atol=0.1)


def test_repr():
    layer = bo.optical.FourierConv2d(3, 4, 3, input_bits=8, detection="intensity", readout_noise=0.1, p=0.2)
    assert repr(layer) == (
        "FourierConv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), p=0.2, granularity='weight', detection='intensity', "
        "sign='lost', input_bits=8, readout_noise=0.1)"
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input_bits": 0}, ValueError, "'input_bits' must be in 1 to 32, or None, got 0"),
        ({"kernel_bits": 8.0}, TypeError, "'kernel_bits' must be an int or None, got float"),
        ({"readout_bits": True}, TypeError, "'readout_bits' must be an int or None, got bool"),
        ({"detection": "phase"}, ValueError, "'detection' must be one of 'complex', 'intensity', got 'phase'"),
        ({"detection": "intensity", "sign": "guess"}, ValueError, "'sign' must be one of 'lost', 'split', 'reference'"),
        ({"sign": "split"}, ValueError, "'sign' must be left alone with detection='complex'"),
        ({"readout_noise": -0.1}, ValueError, "'readout_noise' must be finite and at least 0, got -0.1"),
        ({"readout_noise": "low"}, TypeError, "'readout_noise' must be a number, got str"),
        ({"p": 1.0}, ValueError, r"'p' must be in \[0, 1\)"),
    ],
)
def test_errors_of_the_constructor(options, error, message):
    with pytest.raises(error, match=f"^FourierConv2d: argument {message}"):
        bo.optical.FourierConv2d(2, 3, 3, **options)


@pytest.mark.parametrize(
    ("input", "mask", "error", "message"),
    [
        (torch.randn(2, 6, 6), None, ValueError, r"'input' must be of shape \[N, 2, H, W\], got shape \(2, 6, 6\)"),
        (torch.randn(1, 3, 6, 6), None, ValueError, r"'input' must be of shape \[N, 2, H, W\]"),
        (torch.randn(1, 2, 4, 6), None, ValueError, r"as large as the kernel's reach, \(5, 5\), got \(4, 6\)"),
        (torch.randn(1, 2, 6, 6).double(), None, TypeError, "'weight' must be of the input's dtype"),
        (torch.randn(1, 2, 6, 6).int(), None, TypeError, "'input' must be float32"),
        (torch.randn(1, 2, 6, 6), torch.ones(3, 2), TypeError, "'mask' must be a bool tensor"),
        (torch.randn(1, 2, 6, 6), torch.ones(3, 2) > 0, ValueError, r"'mask' must be of shape \(3, 2, 3, 3\)"),
    ],
)
def test_errors_of_a_call(input, mask, error, message):
    with pytest.raises(error, match=f"^FourierConv2d: argument .*{message}"):
        bo.optical.FourierConv2d(2, 3, 3, dilation=2)(input, mask)

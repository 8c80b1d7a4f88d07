"""What is read of a field: signs, noise from our streams, bits, full scales."""

import pytest
import torch
from torch.nn import functional

import bayesops as bo

INTENSITY = {"detection": "intensity"}
INPUT = torch.randn(3, 2, 9, 8, generator=torch.Generator().manual_seed(1))


def make(**options):
    torch.manual_seed(2)
    return bo.optical.FourierConv2d(2, 4, 3, bias=False, **options)


def full_scale(field):
    return field.abs().amax((1, 2, 3), keepdim=True)


def normals(seed, exposures, field):
    examples, channels, *pixels = field.shape
    return bo.random.normal(seed, (exposures, examples, *pixels, channels)).movedim(-1, 2)


def test_a_camera_alone_loses_the_sign():
    layer = make(**INTENSITY)
    torch.testing.assert_close(layer(INPUT), functional.conv2d(INPUT, layer.weight).abs())


def test_the_bias_is_added_behind_the_detector():
    layer = bo.optical.FourierConv2d(2, 4, 3, **INTENSITY)
    expected = functional.conv2d(INPUT, layer.weight).abs() + layer.bias[:, None, None]
    torch.testing.assert_close(layer(INPUT), expected)


@pytest.mark.parametrize("sign", ["split", "reference"])
def test_known_remedies_recover_the_sign_of_a_dark_field_as_well(sign):
    layer = make(**INTENSITY, sign=sign)
    layer.weight.data.zero_()
    assert torch.equal(layer(INPUT), torch.zeros(3, 4, 7, 6))


def read(values, noise, size):
    """A reading on a scale from 0 to the largest value of each example."""
    full = full_scale(values)
    return (values + size * full * noise).clamp(min=0).minimum(full)


def test_noise_of_a_field_is_drawn_from_our_stream():
    layer = make(readout_noise=0.05)
    field = functional.conv2d(INPUT, layer.weight)
    noisy = field + 0.05 * full_scale(field) * normals(6, 1, field)[0]
    expected = noisy.maximum(-full_scale(field)).minimum(full_scale(field))
    with bo.sampling(seed=6):
        torch.testing.assert_close(layer(INPUT), expected)
    torch.testing.assert_close(layer.use_mean()(INPUT), field)


def test_noise_of_intensities_is_drawn_from_our_stream():
    size, field = 0.02, functional.conv2d(INPUT, make().weight)
    noise = normals(6, 1, field)[0]
    expected = {"lost": read(field.square(), noise, size).sqrt()}
    wave = full_scale(field)
    expected["reference"] = read((field + wave).square(), noise, size).sqrt() - wave
    first, second = normals(6, 2, field)
    weight, lowest = make().weight, INPUT.amin((1, 2, 3), keepdim=True)
    parts = [functional.conv2d(INPUT - lowest, part) for part in (weight.clamp(min=0), -weight.clamp(max=0))]
    amplitudes = [read(part.square(), eps, size).sqrt() for part, eps in zip(parts, (first, second), strict=True)]
    expected["split"] = amplitudes[0] - amplitudes[1] + lowest * weight.sum((1, 2, 3))[:, None, None]
    for sign, wanted in expected.items():
        with bo.sampling(seed=6):
            torch.testing.assert_close(make(**INTENSITY, sign=sign, readout_noise=size)(INPUT), wanted)


@pytest.mark.parametrize("bits", [1, 4])
def test_bits_of_a_reading(bits):
    layer = make(**INTENSITY, readout_bits=bits)
    intensity = functional.conv2d(INPUT, layer.weight).square()
    step = full_scale(intensity) / (2**bits - 1)
    shown = layer(INPUT).square() / step
    torch.testing.assert_close(shown, shown.round(), rtol=0, atol=1e-4)
    assert (shown - intensity / step).abs().max() < 0.501


def test_bits_of_what_is_shown():
    """Few bits change the result by no more than half a step of each pixel and weight; many by next to nothing."""
    exact, errors = make()(INPUT), []
    for bits in (3, 6, 16):
        error = (make(input_bits=bits, kernel_bits=bits)(INPUT) - exact).abs().max()
        steps = [(values.max() - values.min()) / (2**bits - 1) for values in (INPUT, make().weight)]
        bound = 18 * (steps[0] / 2 * make().weight.abs().max() + steps[1] / 2 * (INPUT.abs().max() + steps[0]))
        assert 0 < error < bound
        errors.append(error)
    assert errors[0] > 4 * errors[1] > 100 * errors[2]


@pytest.mark.parametrize("options", [{}, *({**INTENSITY, "sign": s} for s in ("lost", "split", "reference"))], ids=str)
def test_an_example_does_not_depend_on_the_others_of_its_batch(options):
    layer = make(input_bits=4, kernel_bits=4, readout_bits=6, **options)
    brighter = torch.cat([INPUT[:1], 100 * INPUT[1:]])
    torch.testing.assert_close(layer(brighter)[:1], layer(INPUT[:1]))


def test_gradients_are_finite_where_nothing_is_seen():
    layer = make(**INTENSITY, readout_noise=0.1, readout_bits=3, kernel_bits=3)
    dark = torch.zeros(1, 2, 5, 5, requires_grad=True)
    gradients = torch.autograd.grad(layer(dark).sum(), [dark, layer.weight])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_split_kernel_has_gradients_at_weights_of_zero():
    layer = make(**INTENSITY, sign="split")
    layer.weight.data.zero_()
    layer(INPUT).sum().backward()
    weight = torch.zeros_like(layer.weight, requires_grad=True)
    functional.conv2d(INPUT, weight).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=1e-4, atol=1e-3)

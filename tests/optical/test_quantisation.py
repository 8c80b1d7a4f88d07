"""Numbers of few bits: how many levels, how large an error, and zero."""

import pytest
import torch

from bayesops.optical.quantisation import quantise, value_range

GENERATOR = torch.Generator().manual_seed(1)
VALUES = {
    "signed": torch.randn(4000, generator=GENERATOR),
    "not negative": torch.rand(4000, generator=GENERATOR),
    "not positive": -torch.rand(4000, generator=GENERATOR) - 1,
    "half a step off": torch.linspace(-1.5, 1.5, 4001),
}


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
@pytest.mark.parametrize("case", VALUES)
def test_levels_and_errors(case, bits):
    values = VALUES[case]
    low, high = value_range(values, (0,))
    shown = quantise(values, bits, low, high)
    step = (high - low) / (2**bits - 1)
    assert (shown - values).abs().max() <= 0.50001 * step
    assert len((shown / step).round().unique()) <= 2**bits
    torch.testing.assert_close(shown / step, (shown / step).round(), rtol=0, atol=1e-3)
    if case == "half a step off" or (case == "not negative" and bits < 8):
        assert len((shown / step).round().unique()) == 2**bits
    assert torch.equal(quantise(torch.zeros(1), bits, low, high), torch.zeros(1))


def test_no_limit_of_bits_but_a_range():
    values = torch.tensor([-2.0, -0.3, 0.7, 9.0])
    shown = quantise(values, None, torch.tensor(0.0), torch.tensor(1.0))
    torch.testing.assert_close(shown, torch.tensor([0.0, 0.0, 0.7, 1.0]))


def test_nothing_but_zeros():
    zeros = torch.zeros(3, requires_grad=True)
    shown = quantise(zeros, 8, *value_range(zeros, (0,)))
    assert torch.equal(shown, zeros)
    assert torch.equal(*torch.autograd.grad(shown.sum(), zeros), torch.ones(3))


def test_gradients_pass_straight_through():
    values = torch.randn(10, requires_grad=True)
    weights = torch.randn(10)
    shown = quantise(values, 2, *value_range(values, (0,)))
    (gradient,) = torch.autograd.grad((shown * weights).sum(), values)
    assert torch.equal(gradient, weights)

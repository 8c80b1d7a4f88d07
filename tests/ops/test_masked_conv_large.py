"""Sizes past 2**31 elements: indices must not wrap."""

import os

import pytest
import torch

from bayesops import ops

_LENGTH = 2**31 + 4096
_TAIL = 1000
_BYTES = 14 * 2**30  # input, output and output gradient in bfloat16, and some more


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.cpu_only
@pytest.mark.slow
@pytest.mark.skipif(_free_bytes() < _BYTES, reason=f"needs {_BYTES >> 30} GiB of free memory")
def test_more_than_two_to_the_31_elements() -> None:
    """The far end of a long signal gives what it gives by itself, and so does its share of the weight's gradient."""
    torch.manual_seed(0)
    signal = torch.zeros(1, 1, _LENGTH, dtype=torch.bfloat16)
    signal[..., -_TAIL:] = torch.randn(_TAIL).bfloat16()
    weight = torch.randn(1, 1, 3).bfloat16()
    end = signal[..., -_TAIL - 1 :].clone()

    output = ops.masked_conv1d(signal, weight, p=0.3, seed=1, padding=1)
    expected = ops.masked_conv1d(end, weight, p=0.3, seed=1, padding=1)
    assert output.shape == signal.shape
    assert torch.equal(output[..., -_TAIL:], expected[..., 1:])
    assert output[..., -_TAIL:].abs().sum() > 0

    def weight_gradient(gradient: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        options = 0.3, 0, True, False, 0, [1], [1, 1], [1], 1
        return torch.ops.bayesops.masked_conv_weight_grad(
            gradient, signal, torch.tensor(1), None, weight.shape, *options
        )

    gradient = torch.zeros_like(output)
    gradient[..., -_TAIL:] = 1
    assert torch.equal(weight_gradient(gradient, signal), weight_gradient(gradient[..., -_TAIL - 1 :].clone(), end))

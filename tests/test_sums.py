"""Sums of everything, in which threads must not show."""

import pytest
import torch

from bayesops import _sums


@pytest.fixture
def with_threads():
    """Return a function that calls another one under each of several numbers of threads, and gives all results."""
    before = torch.get_num_threads()

    def with_threads(function):
        results = []
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            results.append(function())
        return results

    yield with_threads
    torch.set_num_threads(before)


SHAPES = [(), (3, 0), (70,), (333, 97), (32768,), (333, 333), (5, 1, 90001)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_total(shape, dtype, with_threads):
    values = torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_()
    first, *others = with_threads(lambda: _sums.total(values))
    assert first.dtype == dtype
    assert all(torch.equal(first, other) for other in others)
    size = values.double().abs().sum().item()
    torch.testing.assert_close(first.double(), values.double().sum(), rtol=0, atol=torch.finfo(dtype).eps * (size + 1))
    (gradient,) = torch.autograd.grad(first, values)
    assert torch.equal(gradient, torch.ones_like(values))
    assert _sums.total(values, torch.float64).dtype == torch.float64


@pytest.mark.parametrize("shape", [(1, 1, 40000), (2, 1, 40000), (2, 3, 4), (1, 5, 70, 200)], ids=str)
def test_sum_keeping(shape, with_threads):
    values = torch.randn(shape, dtype=torch.float64)
    for kept in ([], [1], [0, 1], range(len(shape))):
        first, *others = with_threads(lambda kept=kept: _sums.sum_keeping(values, kept))
        assert all(torch.equal(first, other) for other in others)
        summed = [d for d in range(len(shape)) if d not in kept]
        torch.testing.assert_close(first, values.sum(summed) if summed else values)


@pytest.mark.parametrize("value", [torch.tensor(0.3), torch.tensor([[0.3]]), torch.tensor([0.1, 0.2])], ids=str)
@pytest.mark.parametrize("shape", [(3, 2), (50000, 2), (70001, 1, 2)], ids=str)
def test_expand(shape, value, with_threads):
    value = value.clone().double().requires_grad_()
    cotangent = torch.randn(shape, dtype=torch.float64)

    def run():
        result = _sums.expand(value, shape)
        return result, torch.autograd.grad(result, value, cotangent)[0]

    (expanded, gradient), *others = with_threads(run)
    assert torch.equal(expanded, value.expand(shape))
    assert all(torch.equal(gradient, other) for _, other in others)
    (expected,) = torch.autograd.grad(value.expand(shape), value, cotangent)
    torch.testing.assert_close(gradient, expected)

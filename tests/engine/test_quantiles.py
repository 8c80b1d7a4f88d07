"""The sketch: exact while it holds all draws, within its bound beyond."""

import pytest
import torch

from bayesops.engine.quantiles import _DRAWS, _LEAST_DRAWS, QuantileSketch

LEVELS = (0.0, 0.025, 0.5, 0.9, 1.0)


def sketch_of(draws, chunk):
    sketch = QuantileSketch()
    for part in draws.split(chunk):
        sketch.add(part)
    return sketch


@pytest.mark.parametrize("count", [1, 2, 10, 333])
@pytest.mark.parametrize("chunk", [1, 7, 400])
def test_exact_for_few_draws(count, chunk):
    draws = torch.randn(count, 3, 2)
    expected = torch.quantile(draws, torch.tensor(LEVELS), dim=0)
    torch.testing.assert_close(sketch_of(draws, chunk).quantiles(LEVELS), expected)


@pytest.mark.parametrize("count", [1024, 1025, 5000, 20_000])
@pytest.mark.parametrize("chunk", [50, 999, 3000])
def test_rank_of_many_draws(count, chunk):
    """The bound of the docstring, and the rounding of a rank to a draw's weight."""
    draws = torch.stack([torch.randperm(count).float() for _ in range(4)], 1)  # a value is its rank
    found = sketch_of(draws, chunk).quantiles(LEVELS)
    levels = torch.tensor(LEVELS)[:, None]
    merges = max(0.0, torch.tensor(count / _DRAWS).log2().ceil().item())
    bound = count * (merges / (2 * _DRAWS)) + 2 ** (merges + 1)
    assert ((found - levels * (count - 1)).abs() <= bound).all()


def test_memory_grows_with_the_logarithm():
    sketch = QuantileSketch()
    for _ in range(100):
        sketch.add(torch.randn(1000, 1))
    draws = sum(buffer.shape[1] for buffer in sketch._levels.values()) + sketch._count
    assert draws <= _DRAWS * 8


def test_large_draws_keep_fewer_of_them():
    sketch = QuantileSketch()
    sketch.add(torch.zeros(1, 2**20))
    assert sketch._size == _LEAST_DRAWS


@pytest.mark.parametrize("counts", [(5, 9), (3000, 2500), (0, 40), (2000, 3)])
def test_merged_sketches(counts):
    first, second = torch.randn(counts[0], 2), torch.randn(counts[1], 2)
    sketch = sketch_of(first, 100) if counts[0] else QuantileSketch()
    sketch.merge(sketch_of(second, 64))
    both = torch.cat([first, second])
    ranks = (both <= sketch.quantiles([0.25, 0.75])[:, None]).float().mean(1)
    tolerance = 0.003 + 1 / len(both)
    assert ((ranks - torch.tensor([[0.25], [0.75]])).abs() <= tolerance).all()

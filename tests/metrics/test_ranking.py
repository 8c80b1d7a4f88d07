"""Sums over the smallest keys: exact up to the limit, rounded keys beyond, bounded memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesops.metrics._ranking import Ranking, _rounded


def ranking_of(keys, values, limit=10**6, batch=None):
    ranking = Ranking(limit)
    for k, v in zip(keys.split(batch or len(keys)), values.split(batch or len(keys)), strict=True):
        ranking.add(k, v)
    return ranking


def assert_equal_groups(found, expected):
    assert torch.equal(found.key, expected.key)
    assert torch.equal(found.count, expected.count)
    torch.testing.assert_close(found.total, expected.total, rtol=1e-12, atol=1e-12)


def mean_over_orders(keys, values, orders=2000):
    """Sums of the r smallest, equal keys in an order by chance, on average."""
    sums = np.zeros(len(keys))
    for _ in range(orders):
        order = np.lexsort((np.random.default_rng(_).random(len(keys)), keys))
        sums += np.cumsum(values[order])
    return sums / orders


def test_groups():
    keys = torch.tensor([0.5, -1.0, torch.inf, 0.5, -0.0, 0.0])
    groups = ranking_of(keys, torch.tensor([1.0, 2, 4, 8, 16, 32])).groups()
    assert groups.key.tolist() == [-1, 0, 0.5, torch.inf]
    assert groups.count.tolist() == [1, 2, 2, 1]
    assert groups.total.tolist() == [2, 48, 9, 4]
    assert (groups.count.dtype, groups.total.dtype) == (torch.int64, torch.float64)


def test_equal_keys_count_with_their_mean():
    """All orders of the equal ones, on average: 2000 orders, sums of at most 4 values, five standard errors."""
    keys, values = np.array([1.0, 0, 1, 1, 0, 1]), np.array([1.0, 0, 0, 1, 1, 0])
    groups = ranking_of(torch.tensor(keys).float(), torch.tensor(values).float()).groups()
    found = groups.sum_of_first(torch.arange(1, 7))
    np.testing.assert_allclose(found, mean_over_orders(keys, values), atol=5 * 1 / 2000**0.5)
    assert found.tolist() == [0.5, 1, 1.5, 2, 2.5, 3]
    assert groups.sum_of_first(torch.zeros(1, dtype=torch.int64)).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_mean_of_means_is_that_of_the_listed_ones(pairs):
    keys, values = torch.tensor(pairs).float().unbind(1)
    groups = ranking_of(keys, values).groups()
    ranks = torch.arange(1, len(pairs) + 1)
    assert groups.mean_of_means().item() == pytest.approx((groups.sum_of_first(ranks) / ranks).mean().item(), abs=1e-12)
    assert torch.equal(groups.ranks(len(pairs)), ranks)


def test_the_mean_of_means_of_many():
    """Differences of digamma lose digits where ranks are high: 1e-10 is far above what is left."""
    values = torch.rand(1_000_000)
    groups = ranking_of(torch.arange(1_000_000).float(), values).groups()
    expected = (values.double().cumsum(0) / torch.arange(1, 1_000_001)).mean()
    assert groups.mean_of_means().item() == pytest.approx(expected.item(), rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(1, 60))
def test_ranks_of_equal_shares(n, parts):
    ranks = ranking_of(torch.zeros(n), torch.zeros(n)).groups().ranks(parts)
    assert ranks.tolist() == [-(-n * part // parts) for part in range(1, parts + 1)]


class TestRounding:
    @settings(max_examples=200, deadline=None)
    @given(st.floats(width=32, allow_nan=False))
    def test_to_14_bits(self, value):
        key = torch.tensor([value], dtype=torch.float32)
        rounded = _rounded(key)
        mantissa, _ = torch.frexp(rounded)
        if rounded.isfinite().all() and abs(value) > 1e-30:  # numbers with fewer bits, below the normal ones, aside
            assert (mantissa * 2**14).frac() == 0
            assert (rounded - key).abs() <= key.abs() * 2.0**-14
        assert rounded == rounded  # infinity stays, and never NaN

    def test_keeps_the_order(self):
        keys = torch.cat(
            [torch.randn(1000) * 10.0 ** torch.randint(-20, 20, (1000,)), torch.tensor([torch.inf, -torch.inf])]
        )
        assert (_rounded(keys.sort().values).diff().nan_to_num(0) >= 0).all()

    def test_whether_depends_on_the_number_alone(self):
        keys, values = torch.rand(1000), torch.rand(1000)
        assert_equal_groups(ranking_of(keys, values, 1000, 7).groups(), ranking_of(keys, values).groups())
        expected = ranking_of(_rounded(keys), values).groups()
        for batch in (1, 37, 999, 1000):
            assert_equal_groups(ranking_of(keys, values, 999, batch).groups(), expected)
        order = torch.randperm(1000)
        assert_equal_groups(ranking_of(keys[order], values[order], 100, 60).groups(), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 60), st.integers(1, 20))
def test_merging_is_adding(first, second, limit, batch):
    generator = torch.Generator().manual_seed(first + 100 * second)
    keys, values = torch.rand(2, first + second + 1, generator=generator)
    expected = ranking_of(keys, values, limit).groups()
    split = ranking_of(keys[: first + 1], values[: first + 1], limit, batch)
    other = ranking_of(keys[first + 1 :], values[first + 1 :], limit, batch) if second else split.fresh()
    count = other.count
    split.merge(other)
    assert_equal_groups(split.groups(), expected)
    assert (split.count, other.count) == (first + second + 1, count)


def test_memory_is_bounded():
    """Half a million keys between 1 and 2 are at most 2¹³ + 1 groups, and never more than twice the limit in pairs."""
    ranking = Ranking(1000)
    for _ in range(500):
        ranking.add(1 + torch.rand(1000), torch.rand(1000))
        assert ranking._pending <= 2000
    assert len(ranking.groups().key) <= 2**13 + 1
    assert ranking.count == ranking.groups().count.sum() == 500_000

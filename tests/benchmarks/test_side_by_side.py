"""The statistics of the benchmarks, on made-up times."""

from collections import Counter

import pytest

from benchmarks import side_by_side
from benchmarks.side_by_side import Rival, compare, in_turn, measure, pairs_wanted, quartiles


@pytest.fixture
def clock(monkeypatch):
    """Calls of rivals take as long as they return."""
    monkeypatch.setattr(side_by_side, "seconds_of", lambda call: call())


def test_a_speed_up_is_the_median_of_the_ratios_of_pairs():
    # The machine halves its speed on the way: the ratio of medians would be the same, that of unpaired times not.
    found = compare("rival", ours=[1.0, 2.0, 1.0, 2.0, 4.0], theirs=[3.0, 6.0, 3.0, 6.0, 4.0])
    assert found.speed_up == found.lower == found.upper == 3.0
    assert (found.ours_seconds, found.rival_seconds, found.pairs) == (2.0, 4.0, 5)


def test_quartiles():
    assert quartiles([5.0, 1.0, 4.0, 2.0, 3.0]) == (2.0, 3.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_pairs_must_be_pairs():
    with pytest.raises(ValueError, match="shorter"):
        compare("rival", [1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("pair_seconds", "pairs"), [(1e-4, 4000), (0.02, 20), (0.1, 15), (0.13, 15), (0.5, 4), (10.0, 3)]
)
def test_at_least_15_pairs_or_two_seconds(pair_seconds, pairs):
    assert pairs_wanted(pair_seconds) == pairs


def test_rivals_take_turns():
    assert in_turn([3, 3]) == [0, 1, 0, 1, 0, 1]
    order = in_turn([8, 2])
    assert Counter(order) == {0: 8, 1: 2}
    assert abs(order.index(1) - 2) <= 1  # spread over the run, not at its end


def test_each_rival_is_paired_with_the_call_of_ours_after_it(clock, fake_benchmark):
    # Rounds: A with ours 1, B with ours 2, A with ours 3, B with ours 4.
    benchmark = fake_benchmark([1.0, 2.0, 3.0, 4.0])
    rivals = [Rival("A", lambda: 6.0), Rival("B", lambda: 8.0)]
    measured = measure(benchmark, lambda: 1.0, rivals, pairs=2)
    assert [c.rival for c in measured.comparisons] == ["A", "B"]
    assert [c.speed_up for c in measured.comparisons] == [(6 + 2) / 2, (4 + 2) / 2]
    assert measured.ours_seconds == 2.0  # beside A
    assert measured.missing == {}
    assert 0.0 <= measured.others_load <= 1.0


def test_an_optional_rival_that_fails_is_missing(clock, fake_benchmark):
    def fails():
        raise RuntimeError("no compiler\nmore")

    measured = measure(
        fake_benchmark([1.0]), lambda: 1.0, [Rival("A", lambda: 2.0), Rival("B", fails, optional=True)], pairs=1
    )
    assert [c.rival for c in measured.comparisons] == ["A"]
    assert measured.missing == {"B": "RuntimeError: no compiler"}


def test_a_rival_that_must_not_fail(clock, fake_benchmark):
    def fails():
        raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match="wrong shape"):
        measure(fake_benchmark([]), lambda: 1.0, [Rival("A", fails)])

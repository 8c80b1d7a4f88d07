"""Rejection against a direct sort, scikit-learn and closed forms; ties in any order."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score

from bayesops import metrics
from bayesops.metrics._ranking import _rounded


def sorted_curve(uncertainty, error):
    """The definition, for uncertainties that differ: risk of the k surest, for every k."""
    order = np.argsort(uncertainty)
    return np.cumsum(error[order]) / np.arange(1, len(error) + 1)


def curve_of(uncertainty, correct=None, error=None, **options):
    return metrics.Rejection(**options).update(uncertainty, error, correct=correct).compute()


class TestDirectSort:
    @settings(max_examples=50, deadline=None)
    @given(st.integers(1, 80), st.integers(1, 100), st.booleans(), st.integers(0, 2**31))
    def test_curve_areas_and_oracle(self, n, num_points, classification, seed):
        rng = np.random.default_rng(seed)
        uncertainty = rng.permutation(n) / n
        error = (
            (rng.random(n) < 0.4).astype(float) if classification else rng.random(n).astype(np.float32).astype(float)
        )
        kind = {"correct": torch.tensor(error == 0)} if classification else {"error": torch.tensor(error)}
        curve = curve_of(torch.tensor(uncertainty), num_points=num_points, **kind)
        risk, oracle = sorted_curve(uncertainty, error), sorted_curve(error, error)
        kept = np.array([-(-n * k // min(n, num_points)) for k in range(1, min(n, num_points) + 1)])
        np.testing.assert_allclose(curve.retained, kept / n)
        np.testing.assert_allclose(curve.risk, risk[kept - 1], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(curve.oracle, oracle[kept - 1], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(curve.threshold, np.sort(uncertainty.astype(np.float32))[kept - 1])
        assert curve.area.item() == pytest.approx(risk.mean(), abs=1e-10)
        assert curve.oracle_area.item() == pytest.approx(oracle.mean(), abs=1e-10)
        assert curve.excess_area.item() == pytest.approx((risk - oracle).mean(), abs=1e-10)
        whole = error.mean()
        expected = (risk - oracle) / whole if whole else 0 * risk
        np.testing.assert_allclose(curve.sparsification_error, expected[kept - 1], rtol=1e-9, atol=1e-10)
        assert curve.ause.item() == pytest.approx(expected.mean(), abs=1e-9)
        assert curve.count.item() == n
        assert curve.classification == classification

    def test_precision_is_that_of_what_is_kept(self):
        uncertainty, correct = torch.rand(500, dtype=torch.float64), torch.rand(500) < 0.7
        curve = curve_of(uncertainty, correct, num_points=50)
        for recall, precision, threshold in zip(curve.recall, curve.precision, curve.threshold, strict=True):
            kept = uncertainty.float() <= threshold
            assert kept.double().mean() == pytest.approx(recall.item())
            expected = precision_score(correct[kept].numpy(), np.ones(int(kept.sum())), zero_division=0)
            assert precision.item() == pytest.approx(expected)
            assert expected == correct[kept].double().mean()


class TestTies:
    def test_equal_uncertainties_are_flat(self):
        correct = torch.tensor([True, False, True, True])
        for order in (torch.arange(4), torch.tensor([1, 0, 3, 2])):
            curve = curve_of(torch.zeros(4), correct[order])
            assert curve.risk.tolist() == [0.25] * 4
            assert curve.area.item() == pytest.approx(0.25)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40), st.randoms())
    def test_the_order_of_the_input_does_not_matter(self, pairs, random):
        shuffled = list(pairs)
        random.shuffle(shuffled)
        curves = []
        for some in (pairs, shuffled):
            uncertainty, correct = (torch.tensor(column) for column in zip(*some, strict=True))
            curves.append(curve_of(uncertainty.float(), correct))
        assert torch.equal(curves[0].risk, curves[1].risk)
        assert torch.equal(curves[0].area, curves[1].area)

    def test_it_is_the_mean_over_all_orders(self):
        """4000 orders by chance; risks are in [0, 1], so a mean is within 5 / (2 sqrt(4000)) of its own."""
        uncertainty, error = torch.randint(0, 3, (30,)).double(), torch.rand(30)
        rng = np.random.default_rng(0)
        curves = [
            sorted_curve(uncertainty.numpy() + 1e-3 * rng.random(30), error.double().numpy()) for _ in range(4000)
        ]
        curve = curve_of(uncertainty, error=error)
        np.testing.assert_allclose(curve.risk, np.mean(curves, 0), atol=5 / (2 * 4000**0.5))
        assert curve.area.item() == pytest.approx(np.mean(curves), abs=0.01)


class TestExtremes:
    def test_all_right(self):
        curve = curve_of(torch.rand(10), torch.ones(10, dtype=torch.bool))
        assert curve.risk.abs().max() == curve.area == curve.excess_area == curve.ause == 0
        assert (curve.sparsification_error == 0).all()
        assert (curve.precision == 1).all()

    def test_all_wrong(self):
        curve = curve_of(torch.rand(10), torch.zeros(10, dtype=torch.bool))
        assert curve.risk.tolist() == [1] * 10
        assert curve.area.item() == pytest.approx(1)
        assert curve.excess_area.item() == pytest.approx(0, abs=1e-12)

    def test_the_error_itself_is_the_best_uncertainty(self):
        error = torch.rand(100)
        best, worst = curve_of(error, error=error), curve_of(-error, error=error)
        assert best.excess_area.item() == pytest.approx(0, abs=1e-12)
        assert best.ause.item() == pytest.approx(0, abs=1e-12)
        assert worst.ause > 0.3

    def test_the_oracle_of_geifman(self):
        """For many elements the oracle's area is r + (1 - r) ln(1 - r)."""
        correct = torch.arange(100_000) >= 20_000
        curve = curve_of(torch.rand(100_000), correct)
        assert curve.oracle_area.item() == pytest.approx(0.2 + 0.8 * math.log(0.8), abs=1e-5)
        assert curve.area.item() == pytest.approx(0.2, abs=0.01)  # chance

    def test_infinite_uncertainties_go_first(self):
        curve = curve_of(torch.tensor([torch.inf, 0.0, -torch.inf]), torch.tensor([False, True, True]))
        assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3])
        assert curve.threshold.tolist() == [-math.inf, 0, math.inf]

    def test_one_element(self):
        curve = curve_of(torch.tensor(0.5), torch.tensor(False))
        assert (curve.retained.tolist(), curve.risk.tolist(), curve.area.item()) == ([1], [1], pytest.approx(1))


@pytest.mark.parametrize("classification", [False, True])
def test_beyond_the_limit_it_is_the_curve_of_rounded_uncertainties(classification):
    uncertainty = torch.rand(20_000) + 0.1
    error = (uncertainty + torch.rand(20_000)).sqrt()
    kind = {"correct": error < 1} if classification else {"error": error}
    rejection = metrics.Rejection(exact_limit=1000)
    for begin in range(0, 20_000, 700):
        part = {name: values[begin : begin + 700] for name, values in kind.items()}
        rejection.update(uncertainty[begin : begin + 700], **part)
    found, expected, exact = rejection.compute(), curve_of(_rounded(uncertainty), **kind), curve_of(uncertainty, **kind)
    torch.testing.assert_close(found.risk, expected.risk, rtol=1e-12, atol=1e-12)
    assert found.area.item() == pytest.approx(expected.area.item(), rel=1e-12)
    assert torch.equal(found.threshold, expected.threshold)
    assert found.classification == classification
    # What that changes, for 20 000 elements over less than four octaves: 30 000 distinct keys.
    assert not torch.equal(found.risk, exact.risk)
    torch.testing.assert_close(found.threshold, exact.threshold, rtol=2.0**-14, atol=0)
    torch.testing.assert_close(found.oracle, exact.oracle, rtol=2.0**-13, atol=0)
    assert found.area.item() == pytest.approx(exact.area.item(), rel=1e-3)
    assert found.oracle_area.item() == pytest.approx(exact.oracle_area.item(), rel=2.0**-13)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(dtype):
    uncertainty, error = torch.rand(2, 50, dtype=dtype)
    curve, exact = curve_of(uncertainty, error=error), curve_of(uncertainty.float(), error=error.float())
    assert curve.risk.dtype == curve.area.dtype == curve.threshold.dtype == torch.float64
    assert torch.equal(curve.risk, exact.risk)


def test_what_was_given_may_be_overwritten():
    uncertainty, error = torch.rand(2, 50)
    expected = curve_of(uncertainty, error=error)
    rejection = metrics.Rejection().update(uncertainty, error)
    uncertainty.fill_(1)
    error.fill_(1)
    assert torch.equal(rejection.compute().risk, expected.risk)


def test_pixels_of_any_shape():
    uncertainty, correct = torch.rand(2, 3, 4), torch.rand(2, 3, 4) < 0.5
    assert torch.equal(curve_of(uncertainty, correct).risk, curve_of(uncertainty.flatten(), correct.flatten()).risk)


def test_errors():
    uncertainty, correct, error = torch.rand(3), torch.ones(3, dtype=torch.bool), torch.rand(3)
    name = "Rejection.update: argument"
    update = metrics.Rejection().update
    with pytest.raises(ValueError, match=f"{name} 'error' must be given, or 'correct', got neither"):
        update(uncertainty)
    with pytest.raises(ValueError, match=f"{name} 'error' must be given, or 'correct', got both"):
        update(uncertainty, error, correct=correct)
    with pytest.raises(
        TypeError, match=f"{name} 'error' must be floating; what is right or wrong is given as 'correct'"
    ):
        update(uncertainty, correct)
    with pytest.raises(TypeError, match=f"{name} 'correct' must be a bool tensor, got torch.float32"):
        update(uncertainty, correct=error)
    with pytest.raises(TypeError, match=f"{name} 'correct' must be a bool tensor, got list"):
        update(uncertainty, correct=[True])
    with pytest.raises(TypeError, match=f"{name} 'error' must be float32.*got torch.int64"):
        update(uncertainty, torch.ones(3, dtype=torch.int64))
    with pytest.raises(TypeError, match=f"{name} 'uncertainty' must be a tensor, got float"):
        update(0.5, error)
    with pytest.raises(ValueError, match=rf"{name} 'correct' must be of shape \(3,\), got shape \(1,\)"):
        update(uncertainty, correct=correct[:1])
    with pytest.raises(ValueError, match=rf"{name} 'error' must be of shape \(3,\), got shape \(1,\)"):
        update(uncertainty, error[:1])
    with pytest.raises(RuntimeError, match=f"{name} 'error' must be on the device cpu, got meta"):
        update(uncertainty, error.to("meta"))
    with pytest.raises(ValueError, match=f"{name} 'uncertainty' must be free of NaN, got 3 of them"):
        update(uncertainty * torch.nan, error)
    for wrong in (-1, torch.inf, torch.nan):
        with pytest.raises(ValueError, match=rf"{name} 'error' must be finite \(in float32\) and at least 0, got"):
            update(uncertainty, torch.tensor([0.0, 1.0, wrong]))
    for value in (0, -1, 2.0):
        kind = ValueError if isinstance(value, int) else TypeError
        with pytest.raises(kind, match=f"Rejection: argument 'num_points' must be an int of at least 1, got {value}"):
            metrics.Rejection(value)
        with pytest.raises(kind, match="Rejection: argument 'exact_limit' must be an int of at least 1, got"):
            metrics.Rejection(exact_limit=value)


def test_errors_of_two_kinds_do_not_mix():
    uncertainty, correct, error = torch.rand(3), torch.ones(3, dtype=torch.bool), torch.rand(3)
    first, second = (
        metrics.Rejection().update(uncertainty, correct=correct),
        metrics.Rejection().update(uncertainty, error),
    )
    with pytest.raises(
        ValueError, match=r"Rejection.update: argument 'error' must be 'correct', as before, got 'error'"
    ):
        first.update(uncertainty, error)
    with pytest.raises(
        ValueError, match=r"Rejection.update: argument 'correct' must be 'error', as before, got 'correct'"
    ):
        second.update(uncertainty, correct=correct)
    with pytest.raises(ValueError, match=r"Rejection.merge: argument 'other' must be of 'error', as this one, got"):
        second.merge(first)
    with pytest.raises(ValueError, match=r"RejectionCurve: precision is of right and wrong"):
        _ = second.compute().precision

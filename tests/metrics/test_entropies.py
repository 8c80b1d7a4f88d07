"""Entropies, mutual information and variation ratio: closed forms, scipy, and what a prediction carries."""

import math

import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesops import metrics


def draws(t=7, n=5, c=4, size=(), dtype=torch.float64, sharpness=3.0):
    return (sharpness * torch.randn(t, n, c, *size, dtype=torch.float64)).softmax(2).to(dtype)


class TestClosedForms:
    def test_two_members_that_disagree_share_one_bit(self):
        samples = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
        assert metrics.mutual_information(samples).item() == pytest.approx(math.log(2), rel=1e-6)
        assert metrics.mutual_information(samples, base=2).item() == pytest.approx(1, rel=1e-6)
        assert metrics.expected_entropy(samples).item() == 0
        assert metrics.predictive_entropy(samples.mean(0)).item() == pytest.approx(math.log(2), rel=1e-6)
        assert metrics.variation_ratio(samples).item() == 0.5

    @pytest.mark.parametrize("t", [1, 2, 3, 10, 77])
    def test_members_that_agree_share_nothing(self, t):
        samples = torch.randn(1, 50, 4).softmax(2).expand(t, -1, -1)
        information = metrics.mutual_information(samples)
        assert (information >= 0).all()
        assert information.max() < 1e-9
        assert metrics.variation_ratio(samples).abs().max() == 0

    def test_small_information_survives_float32(self):
        """The difference of two entropies would have an error of 1e-7, of the size of the result."""
        base = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
        spread = 1e-4 * torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
        samples = torch.stack([base + spread, base - spread])[:, None]
        exact = scipy.special.rel_entr(samples.numpy(), samples.mean(0).numpy()).sum(2).mean()
        assert metrics.mutual_information(samples.float()).item() == pytest.approx(exact, rel=0.01)
        assert metrics.mutual_information(samples).item() == pytest.approx(exact, rel=1e-6)

    @pytest.mark.parametrize(("base", "unit"), [(None, 1), (2, math.log(2)), (10, math.log(10)), (math.e, 1)])
    def test_uniform_is_the_logarithm_of_the_classes(self, base, unit):
        entropy = metrics.predictive_entropy(torch.full((1, 8), 1 / 8), base=base)
        assert entropy.item() == pytest.approx(math.log(8) / unit, rel=1e-6)

    def test_no_probability_adds_nothing(self):
        """Trap 7: 0 log 0 is 0, not NaN."""
        sure = torch.eye(3)
        assert (metrics.predictive_entropy(sure) == 0).all()
        assert (metrics.expected_entropy(sure[None]) == 0).all()
        assert (metrics.mutual_information(sure[None]) == 0).all()
        never = torch.tensor([[[0.5, 0.5, 0.0]], [[0.4, 0.6, 0.0]]])  # a class that no draw knows of
        assert metrics.mutual_information(never).isfinite().all()


class TestAgainstScipy:
    @pytest.mark.parametrize("size", [(), (3,), (2, 5)])
    def test_entropies(self, size):
        samples = draws(size=size)
        mean = samples.mean(0)
        total = torch.from_numpy(scipy.stats.entropy(mean.numpy(), axis=1))
        expected = torch.from_numpy(scipy.stats.entropy(samples.numpy(), axis=2)).mean(0)
        torch.testing.assert_close(metrics.predictive_entropy(mean), total)
        torch.testing.assert_close(metrics.expected_entropy(samples), expected)
        torch.testing.assert_close(metrics.mutual_information(samples), total - expected)
        torch.testing.assert_close(metrics.mutual_information(samples, base=2), (total - expected) / math.log(2))

    @pytest.mark.parametrize("size", [(), (4, 3)])
    def test_variation_ratio(self, size):
        samples = draws(t=30, size=size, sharpness=1.0)
        votes = samples.argmax(2).numpy()
        counts = torch.from_numpy(scipy.stats.mode(votes, axis=0).count)
        torch.testing.assert_close(metrics.variation_ratio(samples), 1 - counts.float() / 30)

    def test_classes_last(self):
        samples = draws(size=(2,))
        moved = samples.movedim(2, -1)
        for measure in (metrics.expected_entropy, metrics.mutual_information, metrics.variation_ratio):
            torch.testing.assert_close(measure(moved, dim=-1), measure(samples))
        torch.testing.assert_close(metrics.predictive_entropy(moved[0], dim=-1), metrics.predictive_entropy(samples[0]))

    def test_many_draws_are_taken_in_parts(self, monkeypatch):
        samples = draws(t=50)
        whole = metrics.mutual_information(samples), metrics.expected_entropy(samples)
        monkeypatch.setattr("bayesops.metrics._draws._ELEMENTS_AT_ONCE", 60)
        torch.testing.assert_close((metrics.mutual_information(samples), metrics.expected_entropy(samples)), whole)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**31), st.sampled_from([0.1, 1.0, 30.0]))
def test_bounds(t, c, seed, sharpness):
    samples = (sharpness * torch.randn(t, 3, c, generator=torch.Generator().manual_seed(seed))).softmax(2)
    information, expected = metrics.mutual_information(samples), metrics.expected_entropy(samples)
    total = metrics.predictive_entropy(samples.mean(0))
    assert (information >= 0).all()
    assert (information <= math.log(min(t, c)) + 1e-6).all()
    assert (expected <= total + 1e-6).all()
    torch.testing.assert_close(information + expected, total, rtol=1e-5, atol=1e-6)
    assert (metrics.variation_ratio(samples) <= 1 - 1 / min(t, c) + 1e-6).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(dtype):
    samples = draws(dtype=dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    exact = samples.double()
    for measure in (metrics.expected_entropy, metrics.mutual_information):
        assert measure(samples).dtype == wide
        torch.testing.assert_close(measure(samples).double(), measure(exact), rtol=1e-5, atol=1e-6)
    assert metrics.predictive_entropy(samples[0]).dtype == wide


def test_nan_goes_through():
    samples = draws(dtype=torch.float32)
    samples[2, 3, 1] = torch.nan
    there = torch.tensor([False, False, False, True, False])
    for measure in (metrics.expected_entropy, metrics.mutual_information):
        assert torch.equal(measure(samples).isnan(), there)
    assert torch.equal(metrics.predictive_entropy(samples[2]).isnan(), there)


@pytest.mark.parametrize("size", [(), (4, 4)])
def test_a_prediction_carries_them(prediction, size):
    made = prediction(size=size, return_samples=True)
    for measure in (metrics.expected_entropy, metrics.mutual_information, metrics.variation_ratio):
        torch.testing.assert_close(measure(made), measure(made.samples), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metrics.predictive_entropy(made, base=2), made.entropy / math.log(2))


class TestErrors:
    def test_predictions_that_do_not_carry_them(self, prediction):
        regression = prediction(link="gaussian")
        with pytest.raises(ValueError, match=r"predictive_entropy: argument 'probabilities' must be .*link='gaussian'"):
            metrics.predictive_entropy(regression)
        for name in ("expected_entropy", "mutual_information"):
            with pytest.raises(ValueError, match=rf"{name}: argument 'samples' must be .*link='softmax', got"):
                getattr(metrics, name)(regression)
        with pytest.raises(ValueError, match=r"variation_ratio: argument 'samples' must be .*return_samples=True"):
            metrics.variation_ratio(prediction())

    @pytest.mark.parametrize("name", ["expected_entropy", "mutual_information", "variation_ratio"])
    def test_draws(self, name):
        measure = getattr(metrics, name)
        with pytest.raises(ValueError, match=rf"{name}: argument 'samples' must be of shape \[T, N, C, \*\] with T"):
            measure(torch.rand(3, 4))
        with pytest.raises(ValueError, match=rf"{name}: argument 'samples' .* got shape \(0, 3, 4\)"):
            measure(torch.rand(0, 3, 4))
        with pytest.raises(ValueError, match=rf"{name}: argument 'dim' must be .* from 1 to 2, got 0"):
            measure(torch.rand(2, 3, 4), dim=0)
        with pytest.raises(TypeError, match=rf"{name}: argument 'samples' must be a tensor, got list"):
            measure([1.0])
        with pytest.raises(TypeError, match=rf"{name}: argument 'samples' must be float32.*got torch.int64"):
            measure(torch.zeros(2, 3, 4, dtype=torch.int64))

    def test_probabilities(self):
        with pytest.raises(ValueError, match=r"predictive_entropy: argument 'dim' must be .* from 0 to 1, got 2"):
            metrics.predictive_entropy(torch.rand(2, 3), dim=2)
        with pytest.raises(TypeError, match="predictive_entropy: argument 'probabilities' must be a tensor, got None"):
            metrics.predictive_entropy(None)

    @pytest.mark.parametrize(("base", "error"), [(0, ValueError), (1, ValueError), (-2, ValueError), ("e", TypeError)])
    def test_base(self, base, error):
        with pytest.raises(error, match="predictive_entropy: argument 'base' must be a number above 0, not 1"):
            metrics.predictive_entropy(torch.rand(2, 3), base=base)

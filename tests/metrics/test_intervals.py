"""Intervals are those of scipy's distributions and of torch.quantile; their coverage is what it should be."""

import numpy as np
import pytest
import scipy.stats
import torch

from bayesops import metrics

LEVELS = [0.01, 0.5, 0.95, 0.999999]


def assert_same(interval, expected, **tolerance):
    assert interval.level == expected.level
    torch.testing.assert_close(interval.lower, expected.lower, **tolerance)
    torch.testing.assert_close(interval.upper, expected.upper, **tolerance)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(level, dtype):
    mean, variance = torch.randn(7, 2, dtype=dtype), torch.rand(7, 2, dtype=dtype) + 0.1
    std = variance.double().sqrt().numpy()
    for interval, (lower, upper) in (
        (metrics.gaussian_interval(mean, variance, level), scipy.stats.norm.interval(level, mean.double(), std)),
        (
            metrics.laplace_interval(mean, variance, level),
            scipy.stats.laplace.interval(level, mean.double(), std / np.sqrt(2)),
        ),
    ):
        tolerance = 1e-5 if dtype == torch.float32 else 1e-8
        np.testing.assert_allclose(interval.lower, lower, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(interval.upper, upper, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(interval.width, upper - lower, rtol=tolerance, atol=tolerance)
        assert interval.lower.dtype == dtype
        assert interval.level == level


def test_of_a_prediction_it_is_of_all_that_is_uncertain(prediction):
    made = prediction(link="gaussian")
    for function in (metrics.gaussian_interval, metrics.laplace_interval):
        assert_same(function(made), function(made.mean, made.total_variance), rtol=0, atol=0)


@pytest.mark.parametrize("t", [1, 2, 30])
@pytest.mark.parametrize("size", [(), (3,), (3, 2)])
def test_of_draws_it_is_their_quantiles(t, size, monkeypatch):
    monkeypatch.setattr("bayesops.metrics.intervals._ELEMENTS_AT_ONCE", 64)  # several parts
    samples = torch.randn(t, 5, *size, dtype=torch.float64)
    interval = metrics.sample_interval(samples, 0.8)
    np.testing.assert_allclose(interval.lower, np.quantile(samples, 0.1, axis=0))
    np.testing.assert_allclose(interval.upper, np.quantile(samples, 0.9, axis=0))


def test_of_more_draws_than_torch_quantile_takes():
    samples = torch.arange(3.0)[:, None].expand(3, 2**23)
    assert metrics.sample_interval(samples, 0.5).width.unique().tolist() == [1.0]


def test_of_a_prediction_it_is_its_quantiles_or_its_draws(prediction):
    drawn = prediction(return_samples=True)
    expected = metrics.sample_interval(drawn.samples)
    assert_same(metrics.sample_interval(drawn), expected)
    sketched = metrics.sample_interval(prediction(quantiles=(0.025, 0.5, 0.975)))
    assert_same(sketched, expected, rtol=1e-5, atol=1e-6)


def test_coverage_counts_the_bounds():
    interval = metrics.Interval(torch.tensor([0.0, 0.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 1.0]), 0.5)
    assert metrics.coverage(interval, torch.tensor([0.0, 1.0, 1.5, -0.1])).item() == 0.5
    assert metrics.coverage(interval, torch.tensor([0.0, 1.0, torch.nan, -0.1])).isnan()


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_is_the_level_where_the_distribution_is_right(level):
    """100 000 targets: five standard errors, a false alarm in two million runs (and the seed is fixed)."""
    n = 100_000
    mean, variance = torch.randn(n), torch.rand(n) + 0.1
    noise = {
        "gaussian": torch.randn(n),
        "laplace": torch.distributions.Laplace(0.0, 0.5**0.5).sample((n,)),
    }
    for distribution, interval in (
        ("gaussian", metrics.gaussian_interval(mean, variance, level)),
        ("laplace", metrics.laplace_interval(mean, variance, level)),
    ):
        target = mean + variance.sqrt() * noise[distribution]
        error = 5 * (level * (1 - level) / n) ** 0.5
        assert metrics.coverage(interval, target).item() == pytest.approx(level, abs=error)


def test_half_precision_is_widened():
    mean, variance = torch.zeros(3, dtype=torch.bfloat16), torch.ones(3, dtype=torch.bfloat16)
    assert metrics.gaussian_interval(mean, variance).upper.tolist() == pytest.approx([1.959964] * 3)
    assert metrics.sample_interval(torch.ones(4, 3, dtype=torch.bfloat16)).upper.dtype == torch.float32


def test_a_negative_variance_makes_nan():
    assert metrics.gaussian_interval(torch.zeros(1), -torch.ones(1)).lower.isnan().all()


class TestErrors:
    @pytest.mark.parametrize("name", ["gaussian_interval", "laplace_interval"])
    def test_distributions(self, name, prediction):
        function = getattr(metrics, name)
        mean = torch.zeros(3)
        for level in (0, 1, -0.1, float("nan")):
            with pytest.raises(ValueError, match=rf"{name}: argument 'level' must be in \(0, 1\), got {level!r}"):
                function(mean, mean, level)
        with pytest.raises(ValueError, match=rf"{name}: argument 'variance' must be of shape \(3,\), got shape \(1,\)"):
            function(mean, torch.ones(1))
        with pytest.raises(TypeError, match=rf"{name}: argument 'variance' must be a tensor, got None"):
            function(mean)
        with pytest.raises(TypeError, match=rf"{name}: argument 'mean' must be a tensor, got float"):
            function(0.0, mean)
        with pytest.raises(
            ValueError, match=rf"{name}: argument 'variance' must be left out where a Prediction is giv"
        ):
            function(prediction(link="gaussian"), mean)

    def test_draws(self, prediction):
        with pytest.raises(ValueError, match=r"sample_interval: argument 'samples' must be .*quantiles=\(0.05, 0.95\)"):
            metrics.sample_interval(prediction(quantiles=(0.05,)), 0.9)
        with pytest.raises(
            ValueError, match=r"sample_interval: argument 'samples' must be .*got one with quantiles=\("
        ):
            metrics.sample_interval(prediction())
        with pytest.raises(ValueError, match=r"sample_interval: argument 'samples' must be of shape .* at least 1"):
            metrics.sample_interval(torch.zeros(0, 3))
        with pytest.raises(ValueError, match=r"sample_interval: argument 'level' must be in \(0, 1\), got 2"):
            metrics.sample_interval(torch.zeros(2, 3), 2)

    @pytest.mark.parametrize("name", ["gaussian_interval", "laplace_interval"])
    def test_levels_of_another_kind(self, name):
        for level in ("0.9", None, torch.tensor(0.9)):
            with pytest.raises(TypeError, match=rf"{name}: argument 'level' must be a number in \(0, 1\), got"):
                getattr(metrics, name)(torch.zeros(3), torch.ones(3), level)

    def test_coverage(self):
        interval = metrics.gaussian_interval(torch.zeros(3), torch.ones(3))
        with pytest.raises(ValueError, match=r"coverage: argument 'target' must be of shape \(3,\), got shape \(1,\)"):
            metrics.coverage(interval, torch.zeros(1))
        with pytest.raises(TypeError, match="coverage: argument 'interval' must be an Interval, got tuple"):
            metrics.coverage((0, 1), torch.zeros(3))
        with pytest.raises(TypeError, match="coverage: argument 'target' must be float32"):
            metrics.coverage(interval, torch.zeros(3, dtype=torch.int64))

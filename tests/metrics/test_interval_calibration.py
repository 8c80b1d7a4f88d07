"""Coverage of intervals: those of scipy's distributions, and of the functions that make them."""

import numpy as np
import pytest
import scipy.stats
import torch

from bayesops import metrics

DISTRIBUTIONS = {"gaussian": scipy.stats.norm, "laplace": scipy.stats.laplace}


def regression(n=400, size=(), dtype=torch.float64):
    mean, variance = torch.randn(n, *size, dtype=torch.float64), torch.rand(n, *size, dtype=torch.float64) + 0.1
    target = mean + 1.3 * torch.randn(n, *size, dtype=torch.float64)
    return mean.to(dtype), target.to(dtype), variance.to(dtype)


@pytest.mark.parametrize("distribution", ["gaussian", "laplace"])
@pytest.mark.parametrize("size", [(), (2, 3)])
class TestAgainst:
    def test_scipy(self, distribution, size):
        """By the probability between the target and its mirror image, which is at most the level inside."""
        mean, target, variance = regression(size=size)
        data = metrics.IntervalCalibration(distribution=distribution).update(mean, target, variance).compute()
        scale = variance.sqrt() / (1 if distribution == "gaussian" else 2**0.5)
        level = 1 - 2 * DISTRIBUTIONS[distribution].sf(((target - mean).abs() / scale).numpy())
        expected = [(level <= promised).mean() for promised in data.levels.numpy()]
        np.testing.assert_allclose(data.coverage, expected)
        assert data.error.item() == pytest.approx(np.abs(np.array(expected) - np.arange(1, 20) / 20).mean())
        assert data.count == target.numel()

    def test_the_interval_of_each_level(self, distribution, size):
        mean, target, variance = regression(size=size)
        data = metrics.IntervalCalibration((0.3, 0.9), distribution).update(mean, target, variance).compute()
        interval = getattr(metrics, f"{distribution}_interval")
        expected = [metrics.coverage(interval(mean, variance, level), target).item() for level in (0.3, 0.9)]
        assert data.coverage.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("distribution", ["gaussian", "laplace"])
def test_where_the_distribution_is_right_coverage_is_the_level(distribution):
    """200 000 targets: each of 19 coverages within five standard errors, at most 0.0056."""
    noise = (
        torch.randn(200_000)
        if distribution == "gaussian"
        else torch.distributions.Laplace(0, 0.5**0.5).sample((200_000,))
    )
    mean, variance = torch.randn(200_000), torch.rand(200_000) + 0.1
    for factor in (0.5, 1.0, 2.0):
        calibration = metrics.IntervalCalibration(distribution=distribution)
        data = calibration.update(mean, mean + variance.sqrt() * noise, variance * factor**2).compute()
        if factor == 1:
            assert (data.coverage - data.levels).abs().max() < 0.0056
        else:  # too narrow, too wide
            assert ((data.coverage > data.levels) == (factor > 1)).all()
            assert data.error > 0.1


def test_the_other_distribution_is_not_calibrated():
    noise = torch.distributions.Laplace(0, 0.5**0.5).sample((100_000,))
    calibration = metrics.IntervalCalibration()
    assert calibration.update(torch.zeros(100_000), noise, torch.ones(100_000)).compute().error > 0.03


def test_bounds_are_inside_and_no_variance_is_a_point():
    calibration = metrics.IntervalCalibration((0.5, 0.95))
    data = calibration.update(torch.zeros(3), torch.tensor([0.0, 1e-30, -1.0]), torch.zeros(3)).compute()
    assert data.coverage.tolist() == pytest.approx([1 / 3, 1 / 3])
    interval = metrics.laplace_interval(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), 0.5)
    data = metrics.IntervalCalibration((0.5,), "laplace").update(torch.zeros(1), interval.upper, torch.ones(1))
    assert data.compute().coverage.tolist() == [1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(dtype):
    batch = regression(dtype=dtype)
    data = metrics.IntervalCalibration().update(*batch).compute()
    exact = metrics.IntervalCalibration().update(*(values.double() for values in batch)).compute()
    assert torch.equal(data.coverage, exact.coverage)
    assert (data.coverage.dtype, data.levels.dtype, data.count.dtype) == (torch.float64, torch.float64, torch.int64)


def test_a_prediction(prediction):
    made, target = prediction(link="gaussian"), torch.zeros(5, 3)
    data = metrics.IntervalCalibration().update(made, target).compute()
    expected = metrics.IntervalCalibration().update(made.mean, target, made.total_variance).compute()
    assert torch.equal(data.coverage, expected.coverage)
    assert data.count == 15


def test_errors(prediction):
    name = "IntervalCalibration: argument"
    for levels in ((0.0,), (0.5, 1.0), (0.5, float("nan"))):
        with pytest.raises(ValueError, match=rf"{name} 'levels' must be in \(0, 1\), got"):
            metrics.IntervalCalibration(levels)
    for levels in ((), (0.5, 0.5), (0.9, 0.5)):
        with pytest.raises(ValueError, match=rf"{name} 'levels' must be ascending numbers, at least one, got \("):
            metrics.IntervalCalibration(levels)
    with pytest.raises(TypeError, match=rf"{name} 'levels' must be a number in \(0, 1\), got str"):
        metrics.IntervalCalibration(("0.5",))
    with pytest.raises(TypeError, match=rf"{name} 'levels' must be a sequence of numbers in \(0, 1\), got 0.5"):
        metrics.IntervalCalibration(0.5)
    with pytest.raises(ValueError, match=f"{name} 'distribution' must be one of 'gaussian', 'laplace', got 'cauchy'"):
        metrics.IntervalCalibration(distribution="cauchy")
    name, update = "IntervalCalibration.update: argument", metrics.IntervalCalibration().update
    mean, target, variance = regression(n=3)
    with pytest.raises(TypeError, match=f"{name} 'variance' must be a tensor, got None"):
        update(mean, target)
    with pytest.raises(TypeError, match=f"{name} 'target' must be a tensor, got None"):
        update(mean, None, variance)
    with pytest.raises(TypeError, match=f"{name} 'target' must be float32"):
        update(mean, target.long(), variance)
    with pytest.raises(ValueError, match=rf"{name} 'target' must be of shape \(3,\), got shape \(3, 1\)"):
        update(mean, target[:, None], variance)
    with pytest.raises(RuntimeError, match=f"{name} 'target' must be on the device cpu, got meta"):
        update(mean, target.to("meta"), variance)
    with pytest.raises(ValueError, match=f"{name} 'variance' must be at least 0, got -"):
        update(mean, target, -variance)
    with pytest.raises(ValueError, match=f"{name} 'variance' must be at least 0, got NaN"):
        update(mean, target, variance * torch.nan)
    for batch in ((mean * torch.nan, target, variance), (mean, target * torch.nan, variance)):
        with pytest.raises(ValueError, match=f"{name} 'target' must be finite, as the mean, got NaN in one of them"):
            update(*batch)
    with pytest.raises(ValueError, match=f"{name} 'variance' must be left out where a Prediction is given, got Tensor"):
        update(prediction(link="gaussian"), target, variance)

"""Intervals that should hold the truth with a given probability, and how often they do."""

import math
from collections.abc import Sequence
from numbers import Real
from statistics import NormalDist

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_type, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_device, check_shape
from bayesops.metrics._draws import check_draws
from bayesops.metrics.results import Interval

# torch.quantile takes 2**24 elements and no more.
_ELEMENTS_AT_ONCE = 2**24


def gaussian_interval(mean: Tensor | Prediction, variance: Tensor | None = None, level: float = 0.95) -> Interval:
    """Compute the central interval of a normal distribution.

    Parameters
    ----------
    mean : Tensor or Prediction
        ``[N, *]``; of a prediction, mean and total variance are taken.
    variance : Tensor
        Of the same shape; left out where a prediction is given.
    level : float
        The probability inside, in (0, 1).

    Returns
    -------
    Interval
        mean ∓ z · sqrt(variance), with z = Φ⁻¹((1 + level) / 2); at least float32.

    Raises
    ------
    ValueError
        Shapes that differ, a level outside (0, 1), a variance beside a prediction. A negative variance makes NaN.
    TypeError
        Something else than floating tensors or a prediction, a level that is no number.
    """
    return _central("gaussian_interval", "gaussian", mean, variance, level)


def laplace_interval(mean: Tensor | Prediction, variance: Tensor | None = None, level: float = 0.95) -> Interval:
    """Compute the central interval of a Laplace distribution.

    Parameters
    ----------
    mean : Tensor or Prediction
        ``[N, *]``; of a prediction, mean and total variance are taken.
    variance : Tensor
        Of the same shape: 2 b² for the scale b. Left out where a prediction is given.
    level : float
        The probability inside, in (0, 1).

    Returns
    -------
    Interval
        mean ∓ b · (−log(1 − level)); at least float32.

    Raises
    ------
    ValueError
        Shapes that differ, a level outside (0, 1), a variance beside a prediction. A negative variance makes NaN.
    TypeError
        Something else than floating tensors or a prediction, a level that is no number.
    """
    return _central("laplace_interval", "laplace", mean, variance, level)


def sample_interval(samples: Tensor | Prediction, level: float = 0.95) -> Interval:
    """Compute the central interval of the draws themselves: equally many lie below and above.

    Parameters
    ----------
    samples : Tensor or Prediction
        ``[T, N, *]``; a prediction with its draws, or with ``quantiles=((1 - level) / 2, (1 + level) / 2)``.
    level : float
        The share inside, in (0, 1).

    Returns
    -------
    Interval
        Quantiles, interpolated as by `torch.quantile`, ``[N, *]``; at least float32. NaN where a draw is NaN.

    Raises
    ------
    ValueError
        No draws, a level outside (0, 1), a prediction with neither draws nor these quantiles.
    TypeError
        Something else than a floating tensor or a prediction, a level that is no number.

    Notes
    -----
    It is an interval for what is drawn. Of a regression these are means, without the noise: for targets it is too
    narrow.
    """
    function = "sample_interval"
    level = check_level(function, level)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if isinstance(samples, Prediction):
        kept = _kept_quantiles(samples, tails)
        if kept is not None:
            return Interval(kept[0], kept[1], level)
        if samples.samples is None:
            wanted = f"draws, or a Prediction with return_samples=True or quantiles=({tails[0]:g}, {tails[1]:g})"
            wrong_value(function, "samples", wanted, f"one with quantiles={samples.quantile_levels}")
        samples = samples.samples
    check_draws(function, "samples", samples, 1)
    values = at_least_float32(samples)
    wanted_levels = values.new_tensor(tails)
    columns = values.reshape(len(values), -1).split(max(1, _ELEMENTS_AT_ONCE // len(values)), 1)
    bounds = torch.cat([part.quantile(wanted_levels, 0) for part in columns], 1)
    lower, upper = bounds.reshape(2, *samples.shape[1:])
    return Interval(lower, upper, level)


def coverage(interval: Interval, target: Tensor) -> Tensor:
    """Compute the share of targets that lie in their interval, bounds included.

    Parameters
    ----------
    interval : Interval
        Bounds ``[N, *]``.
    target : Tensor
        Of the same shape.

    Returns
    -------
    Tensor
        float64 ``[]``; NaN where a bound or a target is NaN, or there are none.

    Raises
    ------
    ValueError
        Shapes that differ.
    TypeError
        Something else than an interval and a floating tensor.
    """
    if not isinstance(interval, Interval):
        wrong_type("coverage", "interval", "an Interval", type(interval).__name__)
    check_floating("coverage", "target", target)
    check_shape("coverage", "target", target, interval.lower.shape)
    check_device("coverage", "target", target, interval.lower.device)
    inside = ((interval.lower <= target) & (target <= interval.upper)).double()
    unknown = interval.lower.isnan() | interval.upper.isnan() | target.isnan()
    return inside.where(~unknown, torch.nan).mean()


def half_width(distribution: str, level: float) -> float:
    """Return half the width of the central interval, in standard deviations."""
    if distribution == "gaussian":
        return NormalDist().inv_cdf((1 + level) / 2)
    return -math.log1p(-level) / math.sqrt(2)


def check_level(function: str, level: float, name: str = "level") -> float:
    """Return `level`, a number in (0, 1), as a float."""
    if not isinstance(level, Real):
        wrong_type(function, name, "a number in (0, 1)", type(level).__name__)
    if not 0 < level < 1:  # also false for NaN
        wrong_value(function, name, "in (0, 1)", level)
    return float(level)


def mean_and_variance(function: str, mean: Tensor | Prediction, variance: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return both, checked, in float32 at least; of a prediction, mean and total variance."""
    if isinstance(mean, Prediction):
        if variance is not None:
            wrong_value(function, "variance", "left out where a Prediction is given", type(variance).__name__)
        variance, mean = mean.total_variance, mean.mean
    check_floating(function, "mean", mean)
    if variance is None:
        wrong_type(function, "variance", "a tensor", "None")
    check_floating(function, "variance", variance)
    check_shape(function, "variance", variance, mean.shape)
    check_device(function, "variance", variance, mean.device)
    return at_least_float32(mean), at_least_float32(variance)


def _central(
    function: str, distribution: str, mean: Tensor | Prediction, variance: Tensor | None, level: float
) -> Interval:
    level = check_level(function, level)
    mean, variance = mean_and_variance(function, mean, variance)
    half = variance.sqrt() * half_width(distribution, level)
    return Interval(mean - half, mean + half, level)


def _kept_quantiles(prediction: Prediction, tails: Sequence[float]) -> tuple[Tensor, Tensor] | None:
    if prediction.quantiles is None:
        return None
    places = [
        [i for i, kept in enumerate(prediction.quantile_levels) if math.isclose(kept, tail, abs_tol=1e-9)]
        for tail in tails
    ]
    if not all(places):
        return None
    return prediction.quantiles[places[0][0]], prediction.quantiles[places[1][0]]

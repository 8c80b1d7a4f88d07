"""What T draws say: the standard errors of what is estimated from them, and what the next draw costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bayesops._arguments import wrong_value
from bayesops.engine import predict
from bayesops.engine.output import selected
from bayesops.profiling.cases import Case
from bayesops.profiling.subject import Batch, Subject
from bayesops.profiling.timing import Spread

# The variance of a draw is estimated from so many draws or more, if there is time for more: its relative standard error
# is about sqrt(2 / T) for normal draws, that of a standard error half of it.
_FEWEST_DRAWS = 100
_MOST_DRAWS = 1000


@dataclass(frozen=True)
class Precision:
    """What a number of draws costs, and what it gives.

    Attributes
    ----------
    num_samples : int
        T.
    seconds : float
        Of all T draws with `bayesops.predict`.
    seconds_per_draw : float or None
        Of each draw beyond those of the smaller T before it in the list (of all, for the smallest); None where the
        difference drowns in the spread of the times.
    error_mean, error_max : float
        Standard error of the predictive mean (of probabilities under softmax): its mean over all outputs, and its
        largest.
    entropy_error, entropy_bias : float or None
        Standard error of the entropy of the predictive mean in nats, mean over the examples, and by how much it is too
        low on average; None where the link is not softmax.
    """

    num_samples: int
    seconds: float
    seconds_per_draw: float | None
    error_mean: float
    error_max: float
    entropy_error: float | None
    entropy_bias: float | None


@dataclass(frozen=True)
class Needed:
    """The number of draws for a standard error of the predictive mean.

    Attributes
    ----------
    target : float
        The standard error.
    num_samples, seconds : int and float
        T with which no output has a larger one, and about how long they take with `bayesops.predict`.
    num_samples_typical, seconds_typical : int and float
        The same where the standard error is the target on average over the outputs (in the quadratic mean).
    """

    target: float
    num_samples: int
    seconds: float
    num_samples_typical: int
    seconds_typical: float


@dataclass(frozen=True)
class Accuracy:
    """Accuracy against T for one batch.

    Attributes
    ----------
    draws : int
        Of the run that the variances are estimated from.
    deviation_mean, deviation_max : float
        Standard deviation of one draw of an output: mean over the outputs, and largest.
    entropy_deviation, entropy_bias : float or None
        Standard deviation and bias of the entropy for one draw, by linearisation: those for T are sqrt(T) and T times
        smaller.
    table : tuple of Precision
        At each T that was asked for.
    needed : tuple of Needed
        For each target.
    """

    draws: int
    deviation_mean: float
    deviation_max: float
    entropy_deviation: float | None
    entropy_bias: float | None
    table: tuple[Precision, ...]
    needed: tuple[Needed, ...]


def measure_accuracy(
    subject: Subject, batch: Batch, cases: Sequence[Case], targets: Sequence[float], seconds: float
) -> Accuracy:
    """Estimate what draws of `batch` are worth; its `cases`, in the order of T, say what they cost.

    One long run suffices, since draws are independent: a mean of T of them has the variance of one, divided by T. The
    entropy H of the mean is linearised there: to first order its error is the mean of the draws of
    ``-sum_c p_c log mean_c``, to second order it is too low by ``sum_c var_c / mean_c / 2`` for one draw.
    """
    spreads = [case.ways["ours"].seconds for case in cases]
    curve = [(case.num_samples, spread.median) for case, spread in zip(cases, spreads, strict=True)]
    per_draw = curve[-1][1] / curve[-1][0]
    draws = max(_FEWEST_DRAWS, curve[-1][0], min(_MOST_DRAWS, int(seconds / per_draw)))
    run = predict(subject.ours, batch, draws, subject.seed, link=subject.link, output=subject.output)
    variance = run.variance.double() * draws / (draws - 1)
    if not bool(variance.isfinite().all()):
        wrong_value("profile", "model", "one whose outputs are finite", "inf or NaN")
    deviations = variance.sqrt()
    entropy_deviation, entropy_bias = _entropy(subject, batch, run.mean, variance, draws)
    mean, largest = float(deviations.mean()), float(deviations.max())
    table = []
    for place, (count, spent) in enumerate(curve):
        root = math.sqrt(count)
        table.append(
            Precision(
                num_samples=count,
                seconds=spent,
                seconds_per_draw=_further(curve, spreads, place),
                error_mean=mean / root,
                error_max=largest / root,
                entropy_error=None if entropy_deviation is None else entropy_deviation / root,
                entropy_bias=None if entropy_bias is None else entropy_bias / count,
            )
        )
    needed = []
    for target in targets:
        for_all = max(1, math.ceil(float(variance.max()) / target**2))
        typical = max(1, math.ceil(float(variance.mean()) / target**2))
        needed.append(Needed(target, for_all, time_of(curve, for_all), typical, time_of(curve, typical)))
    return Accuracy(draws, mean, largest, entropy_deviation, entropy_bias, tuple(table), tuple(needed))


def _further(curve: Sequence[tuple[int, float]], spreads: Sequence[Spread], place: int) -> float | None:
    """Return what each draw beyond those of the place before costs; None where that cannot be told from the spread."""
    (before, spent_before), (count, spent) = curve[place - 1] if place else (0, 0.0), curve[place]
    further = spent - spent_before
    doubt = max(spread.upper - spread.lower for spread in spreads[max(0, place - 1) : place + 1])
    return further / (count - before) if not place or further > doubt else None


def _entropy(
    subject: Subject, batch: Batch, mean: Tensor, variance: Tensor, draws: int
) -> tuple[float | None, float | None]:
    """Return standard deviation and bias of the entropy for one draw: means over the examples."""
    if subject.link != "softmax":
        return None, None
    classes = min(1, mean.dim() - 1)
    surprise = -mean.clamp(min=torch.finfo(mean.dtype).tiny).log()

    def linearised(outputs: Any) -> Tensor:
        return (selected(outputs, subject.output).softmax(classes) * surprise).sum(classes)

    # The same draws again: they need not be kept for it.
    run = predict(subject.ours, batch, draws, subject.seed, link="identity", output=linearised)
    deviation = (run.variance.double() * draws / (draws - 1)).sqrt().mean()
    bias = torch.where(mean > 0, variance / mean, 0).sum(classes).mean() / 2
    return float(deviation), float(bias)


def time_of(curve: Sequence[tuple[int, float]], count: int) -> float:
    """Return about how long `count` draws take, given the times of some numbers of them, in order.

    Straight lines between neighbours, from nothing to the first, and on from the last.
    """
    points = [(0, 0.0), *curve] if len(curve) == 1 or count < curve[0][0] else list(curve)
    place = next((i for i in range(1, len(points)) if count <= points[i][0]), len(points) - 1)
    (low, at_low), (high, at_high) = points[place - 1], points[place]
    slope = max(0.0, (at_high - at_low) / (high - low))
    return at_low + slope * (count - low)

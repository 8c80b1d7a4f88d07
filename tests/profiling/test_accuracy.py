"""Standard errors: of models whose variance is known, and of the entropy against many predictions."""

import math

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.nn import GaussianLinear
from bayesops.profiling import Case, Spread, Way, accuracy
from bayesops.profiling.accuracy import measure_accuracy, time_of


def case(num_samples, seconds, width=0.0):
    """Make a case of which only the time of ours is known, with quartiles `width` apart."""
    way = Way(Spread(seconds - width / 2, seconds, seconds + width / 2), Spread(1, 1, 1), Spread(1, 1, 1), None)
    return Case(2, num_samples, {"ours": way}, {}, 3, 0.0, None, 0, None, "plan")


@pytest.fixture(autouse=True)
def _a_thousand_draws(monkeypatch):
    monkeypatch.setattr(accuracy, "_FEWEST_DRAWS", 1000)


def linear(deviations, bias_deviations):
    """A layer whose weights have these standard deviations ``[out, in]``, and whose biases have these."""
    layer = GaussianLinear(deviations.shape[1], deviations.shape[0], estimator="weight_sample")
    with torch.no_grad():
        layer.weight_rho.copy_(deviations.expm1().log())
        layer.bias_rho.copy_(bias_deviations.expm1().log())
    return layer


def test_errors_of_a_model_whose_variance_is_known(subject_of):
    # The variance of sum_i w_i x_i + b is sum_i (sigma_i x_i)^2 + sigma_b^2. A standard deviation from 1000 normal
    # draws has a relative standard error of 1 / sqrt(2000) = 0.022, so 0.14 is more than 6: one false alarm in 1e8.
    deviations, bias = torch.tensor([[0.1, 0.2, 0.3], [1.0, 0.5, 0.4]]), torch.tensor([0.1, 2.0])
    rows = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])
    known = (rows.pow(2) @ deviations.pow(2).T + bias.pow(2)).sqrt()
    subject = subject_of(linear(deviations, bias), "identity")
    cases = [case(1, 1.0), case(4, 2.5), case(16, 3.0)]
    found = measure_accuracy(subject, (rows,), cases, (0.5, 100.0), 1e-6)
    assert found.draws == 1000
    assert found.deviation_mean == pytest.approx(float(known.mean()), rel=0.14)
    assert found.deviation_max == pytest.approx(float(known.max()), rel=0.14)
    assert (found.entropy_deviation, found.entropy_bias) == (None, None)
    for row, root in zip(found.table, (1, 2, 4), strict=True):
        assert row.num_samples == root**2
        assert row.error_mean == pytest.approx(found.deviation_mean / root)
        assert row.error_max == pytest.approx(found.deviation_max / root)
        assert (row.entropy_error, row.entropy_bias) == (None, None)
    assert [row.seconds for row in found.table] == [1.0, 2.5, 3.0]
    assert [row.seconds_per_draw for row in found.table] == pytest.approx([1.0, 0.5, 0.5 / 12])
    first, last = found.needed
    assert first.num_samples == math.ceil(found.deviation_max**2 / 0.25)
    assert first.num_samples_typical == pytest.approx(float(known.pow(2).mean()) / 0.25, rel=0.3, abs=1)
    assert first.seconds == pytest.approx(time_of([(1, 1.0), (4, 2.5), (16, 3.0)], first.num_samples))
    assert (last.num_samples, last.seconds, last.num_samples_typical, last.seconds_typical) == (1, 1.0, 1, 1.0)


def test_errors_are_those_of_predictions_with_other_seeds(subject_of):
    # 400 means of 25 draws each: their standard deviation has a relative standard error of 0.035 for each output, that
    # of 1000 draws one of at most 0.05 (a kurtosis below 11), together 0.06; 0.37 is 6 of them.
    torch.manual_seed(3)
    model, rows = nn.Sequential(linear(torch.full((3, 4), 0.5), torch.full((3,), 0.5))), torch.rand(2, 4)
    found = measure_accuracy(subject_of(model), (rows,), [case(25, 1.0)], (), 1e-6)
    means = torch.stack([bo.predict(model, rows, 25, seed).mean for seed in range(1, 401)])
    assert found.table[0].error_mean == pytest.approx(float(means.std(0).mean()), rel=0.37)
    assert found.needed == ()


def test_error_and_bias_of_the_entropy(subject_of):
    # Entropies of 8000 means of 25 draws each. Their deviation has a relative standard error of 0.01 and their mean one
    # of deviation / sqrt(8000), 0.011 deviations; the bias is about 0.1 deviations. What both leave out is of the next
    # order in 1 / T, at most a fifth here. Half and 0.25 leave more than 5 standard errors beside that.
    torch.manual_seed(5)
    model, rows = nn.Sequential(linear(torch.full((3, 4), 0.5), torch.full((3,), 0.5))), torch.rand(2, 4)
    found = measure_accuracy(subject_of(model), (rows,), [case(25, 1.0)], (), 1e-6)
    draws = bo.predict(model, rows, 200_000, 9, return_samples=True).samples
    entropies = torch.special.entr(draws.unflatten(0, (8000, 25)).double().mean(1)).sum(-1)
    exact = torch.special.entr(draws.double().mean(0)).sum(-1)
    (row,) = found.table
    assert row.entropy_error == pytest.approx(float(entropies.std(0).mean()), rel=0.25)
    assert row.entropy_bias == pytest.approx(float((exact - entropies.mean(0)).mean()), rel=0.5)
    assert row.entropy_bias > 0
    assert row.entropy_error == pytest.approx(found.entropy_deviation / 5)
    assert row.entropy_bias == pytest.approx(found.entropy_bias / 25)


def test_a_model_that_draws_nothing_has_no_error(subject_of):
    found = measure_accuracy(
        subject_of(bo.nn.BernoulliLinear(4, 3, p=0.0)), (torch.rand(2, 4),), [case(3, 1.0)], (0.1,), 1
    )
    assert found.deviation_max == pytest.approx(0, abs=1e-6)
    assert found.entropy_bias == pytest.approx(0, abs=1e-6)
    assert found.needed[0].num_samples == 1


def test_outputs_that_are_not_finite_are_an_error(subject_of):
    model = nn.Sequential(bo.nn.BernoulliLinear(4, 3))
    with torch.no_grad():
        model[0].weight.fill_(float("inf"))
    with pytest.raises(ValueError, match="outputs are finite"):
        measure_accuracy(subject_of(model, "identity"), (torch.ones(2, 4),), [case(3, 1.0)], (), 1)


def test_the_next_draw_is_not_told_from_noise(subject_of):
    cases = [case(1, 1.0, 0.1), case(2, 1.05, 0.1), case(4, 2.0, 0.1), case(8, 1.5), case(16, 9.5)]
    rows = measure_accuracy(subject_of(bo.nn.BernoulliLinear(4, 3)), (torch.rand(2, 4),), cases, (), 1e-6).table
    assert [row.seconds_per_draw for row in rows] == [1.0, None, pytest.approx(0.475), None, 1.0]


@pytest.mark.parametrize(
    ("curve", "count", "seconds"),
    [
        ([(10, 2.0)], 5, 1.0),
        ([(10, 2.0)], 30, 6.0),
        ([(10, 2.0), (20, 3.0)], 5, 1.0),
        ([(10, 2.0), (20, 3.0)], 10, 2.0),
        ([(10, 2.0), (20, 3.0)], 15, 2.5),
        ([(10, 2.0), (20, 3.0), (40, 9.0)], 20, 3.0),
        ([(10, 2.0), (20, 3.0), (40, 9.0)], 100, 27.0),
        ([(10, 2.0), (20, 1.0)], 100, 2.0),  # never less than what was measured
    ],
)
def test_times_between_and_beyond_those_measured(curve, count, seconds):
    assert time_of(curve, count) == pytest.approx(seconds)

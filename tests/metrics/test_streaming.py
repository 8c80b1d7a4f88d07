"""What all streaming measures promise: batches, merging, and nothing of their inputs is kept or changed."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch import Tensor

import bayesops as bo
from bayesops import metrics


def classification(classified):
    return classified(n=60, c=3, size=(4,), ignored=0.2)


def rejected(classified):
    return torch.rand(60, 4).round(decimals=1), torch.rand(60, 4)  # with ties


def entropies(classified):
    return torch.rand(60, 4), torch.rand(60, 4) < 0.5


def regression(classified):
    return torch.randn(60, 4), torch.randn(60, 4), torch.rand(60, 4)


CASES = {
    "scores": (metrics.ClassificationScores, classification),
    "reliability": (metrics.Reliability, classification),
    "adaptive": (lambda: metrics.Reliability(5, adaptive=True), classification),
    "adaptive, rounded": (lambda: metrics.Reliability(5, adaptive=True, exact_limit=20), classification),
    "class-wise": (lambda: metrics.Reliability(class_wise=True), classification),
    "class-wise, adaptive": (lambda: metrics.Reliability(5, adaptive=True, class_wise=True), classification),
    "intervals": (metrics.IntervalCalibration, regression),
    "rejection": (metrics.Rejection, rejected),
    "rejection, rounded": (lambda: metrics.Rejection(exact_limit=33), rejected),
    "entropies": (lambda: metrics.EntropyHistogram(num_classes=3), entropies),
    "iou": (lambda: metrics.MeanIoU(3), classification),
}


@pytest.fixture(params=CASES, name="case")
def _case(request, classified):
    make, batch = CASES[request.param]
    return make, batch(classified)


def streamed(measure, batch, size=60):
    for part in zip(*(values.split(size) for values in batch), strict=True):
        assert measure.update(*part) is measure
    return measure


def assert_same(found, expected, exact=False):
    assert type(found) is type(expected)
    for name, value in vars(expected).items():
        if isinstance(value, Tensor):
            tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-12, "atol": 1e-12}
            torch.testing.assert_close(getattr(found, name), value, equal_nan=True, msg=name, **tolerance)
            assert value.dtype in (torch.float64, torch.int64)
            assert not value.requires_grad
        else:
            assert getattr(found, name) == value


@pytest.mark.parametrize("size", [1, 7, 59])
def test_batches_are_one_call(case, size):
    make, batch = case
    assert_same(streamed(make(), batch, size).compute(), make().update(*batch).compute())


def test_merging_is_one_call(case):
    make, batch = case
    parts = [tuple(values[begin:end] for values in batch) for begin, end in ((0, 11), (11, 12), (12, 60))]
    first, second, third = (streamed(make(), part, 9) for part in parts)
    second_alone = second.compute()
    merged = first.merge(second).merge(make()).merge(third)
    assert merged is first
    assert_same(merged.compute(), make().update(*batch).compute())
    late = make().merge(second)  # nothing of its own yet
    assert_same(late.compute(), second_alone, exact=True)
    for measure in (late, merged):
        measure.update(*parts[0])
    assert_same(second.compute(), second_alone, exact=True)  # it stays as it is
    assert_same(late.compute(), streamed(make(), parts[1]).update(*parts[0]).compute())


def test_merging_with_itself_is_counting_twice(case):
    make, batch = case
    measure = streamed(make(), batch, 13)
    assert_same(measure.merge(measure).compute(), make().update(*batch).update(*batch).compute())


def test_compute_can_be_asked_for_at_any_time(case):
    make, batch = case
    measure = make()
    for part in zip(*(values.split(13) for values in batch), strict=True):
        measure.update(*part)
        assert_same(measure.compute(), measure.compute(), exact=True)
    assert_same(measure.compute(), make().update(*batch).compute())


def test_reset_forgets(case):
    make, batch = case
    measure = make().update(*(values[:30] for values in batch))
    measure.reset()
    with pytest.raises(RuntimeError, match=r"\.compute: nothing has been counted yet; call update first"):
        measure.compute()
    assert_same(measure.update(*batch).compute(), make().update(*batch).compute(), exact=True)


def test_nothing_counts_for_nothing(case):
    make, batch = case
    nothing = tuple(values[:0] for values in batch)
    measure = make().update(*nothing)
    with pytest.raises(RuntimeError, match=rf"{type(measure).__name__}.compute: nothing has been counted yet"):
        measure.compute()
    measure.update(*batch).update(*nothing).merge(make().update(*nothing))
    assert_same(measure.compute(), make().update(*batch).compute())
    if batch[1].dtype == torch.int64:  # targets that are all ignored
        measure.update(batch[0], torch.full_like(batch[1], -100))
        assert_same(measure.compute(), make().update(*batch).compute())


def test_copies_and_pickles(case):
    make, batch = case
    measure = streamed(make(), batch, 13)
    for other in (copy.deepcopy(measure), pickle.loads(pickle.dumps(measure))):
        assert_same(other.compute(), measure.compute(), exact=True)
        other.update(*batch)
    assert_same(measure.compute(), make().update(*batch).compute())


def test_inputs_stay_as_they_are_and_may_change_later(case):
    make, batch = case
    given = tuple(values.clone() for values in batch)
    measure = make().update(*given)
    for values, before in zip(given, batch, strict=True):
        assert torch.equal(values, before)
        values.zero_()
    assert_same(measure.compute(), make().update(*batch).compute(), exact=True)


def test_neither_gradients_nor_autocast_nor_layout_show(case):
    make, batch = case
    with torch.autocast("cpu", torch.bfloat16):
        measure = make().update(*(v.clone().requires_grad_() if v.is_floating_point() else v for v in batch))
        found = measure.compute()
    assert_same(found, make().update(*batch).compute(), exact=True)
    strided = tuple(torch.stack([values, values], -1)[..., 0] for values in batch)
    assert_same(make().update(*strided).compute(), found, exact=True)


def test_everything_is_where_the_inputs_are(case):
    """Whatever is created without a device would be on the default one, and fail."""
    make, batch = case
    expected = streamed(make(), batch, 13).compute()
    with torch.device("meta"):
        measure = streamed(make(), batch, 13).merge(make())
        found = measure.compute()
        derived = [getattr(found, name) for name in ("ece", "mce", "error", "ause", "accuracy") if hasattr(found, name)]
    assert_same(found, expected, exact=True)
    assert all(value.device.type == "cpu" for value in derived)


def test_a_refused_batch_leaves_no_trace(case):
    make, batch = case
    measure = make().update(*batch)
    broken = batch[0].clone()
    broken[7] = torch.nan
    with pytest.raises(ValueError, match=r"\.update: argument"):
        measure.update(broken, *(values.abs() if values.dtype == torch.int64 else values for values in batch[1:]))
    assert_same(measure.compute(), make().update(*batch).compute(), exact=True)


def test_only_the_like_can_be_merged(case):
    make, _ = case
    measure = make()
    other = (
        metrics.IntervalCalibration() if not isinstance(measure, metrics.IntervalCalibration) else metrics.Rejection()
    )
    name = type(measure).__name__
    with pytest.raises(
        TypeError, match=rf"{name}.merge: argument 'other' must be a {name}, got {type(other).__name__}"
    ):
        measure.merge(other)


def test_only_equal_arguments_can_be_merged():
    with pytest.raises(
        ValueError, match=r"Reliability.merge: argument 'other' must be like Reliability\(num_bins=15, ad"
    ):
        metrics.Reliability().merge(metrics.Reliability(10))
    with pytest.raises(
        ValueError, match=r"Rejection.merge: argument 'other' must be like .* got Rejection\(num_points=9"
    ):
        metrics.Rejection().merge(metrics.Rejection(9))
    with pytest.raises(
        ValueError, match=r"IntervalCalibration.merge: argument 'other' must be like .*'gaussian'.*'lapla"
    ):
        metrics.IntervalCalibration().merge(metrics.IntervalCalibration(distribution="laplace"))


def test_it_shows_its_arguments():
    shown = repr(metrics.EntropyHistogram(num_classes=3, base=2))
    assert shown == "EntropyHistogram(num_bins=30, num_classes=3, base=2)"


def test_functions_are_where_the_inputs_are(prediction):
    samples, values = torch.rand(4, 5, 3).softmax(2), torch.rand(5, 3)
    target, made = torch.zeros(5, dtype=torch.int64), prediction()
    probabilities = samples.mean(0)
    scaling, logits = metrics.TemperatureScaling(), 2 * torch.eye(5) + torch.randn(5, 5)

    def everything():
        yield metrics.predictive_entropy(probabilities)
        yield metrics.expected_entropy(samples)
        yield metrics.mutual_information(samples, base=2)
        yield metrics.variation_ratio(samples)
        yield metrics.classification_variances(samples).total
        yield metrics.classification_variances(made).total
        yield metrics.regression_variances(samples, samples).total
        yield metrics.gaussian_interval(values, values).width
        yield metrics.laplace_interval(values, values).width
        yield metrics.sample_interval(samples).width
        yield metrics.coverage(metrics.gaussian_interval(values, values), values)
        yield metrics.negative_log_likelihood(probabilities, target)
        yield metrics.brier_score(probabilities, target)
        yield metrics.gaussian_mixture_nll(samples, values, 0.5)
        yield from vars(metrics.ood_detection(values, values + 0.1)).values()
        yield scaling.fit(logits, torch.tensor([0, 1, 2, 3, 0], device="cpu"))(logits)

    expected = list(everything())
    with torch.device("meta"):
        found = list(everything())
    for value, wanted in zip(found, expected, strict=True):
        assert torch.equal(value, wanted)


def test_the_room_is_lazy():
    assert bo.metrics is metrics
    assert sorted(metrics.__all__) == metrics.__all__
    assert all(hasattr(metrics, name) for name in metrics.__all__)
    program = "import sys, bayesops as bo; bo.metrics; sys.exit(any(m.startswith('torchmetrics') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0

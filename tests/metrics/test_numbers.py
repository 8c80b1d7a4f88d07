"""Numbers of NumPy are numbers; results that hold tensors are compared by identity."""

import dataclasses

import numpy as np
import pytest
import torch

import bayesops as bo
from bayesops import metrics
from bayesops.metrics import results

MEAN, VARIANCE, PROBABILITIES = torch.zeros(3), torch.ones(3), torch.full((3, 2), 0.5)
LABELS = torch.tensor([0, 1, 5])


@pytest.mark.parametrize(
    ("call", "number", "plain"),
    [
        (lambda level: metrics.gaussian_interval(MEAN, VARIANCE, level).upper, np.float32(0.5), 0.5),
        (lambda level: metrics.sample_interval(torch.rand(9, 3), level).level, np.float32(0.5), 0.5),
        (lambda level: metrics.IntervalCalibration((level,)).levels, np.float32(0.5), (0.5,)),
        (lambda base: metrics.predictive_entropy(PROBABILITIES, base=base), np.float32(2), 2),
        (lambda base: metrics.EntropyHistogram(num_classes=2, base=base)._largest, np.int64(2), 2),
        (lambda value: metrics.regression_variances(MEAN[None], value).aleatoric, np.float32(2), 2),
        (lambda index: metrics.brier_score(PROBABILITIES, LABELS, ignore_index=index), np.int64(5), 5),
        (lambda index: metrics.TemperatureScaling(ignore_index=index).ignore_index, np.int64(5), 5),
    ],
    ids=["interval", "sample_interval", "calibration", "entropy", "histogram", "variances", "brier", "temperature"],
)
def test_numbers_of_numpy(call, number, plain):
    found, wanted = call(number), plain if isinstance(plain, tuple) else call(plain)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert not isinstance(found, np.generic)


def test_predictions_are_compared_by_identity():
    model, rows = bo.nn.BernoulliLinear(4, 3), torch.rand(2, 4)
    first, second = bo.predict(model, rows, 3), bo.predict(model, rows, 3)
    assert first == first
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize("kind", [*filter(dataclasses.is_dataclass, vars(results).values())])
def test_results_are_compared_by_identity(kind):
    first, second = (kind(*[torch.zeros(2)] * len(dataclasses.fields(kind))) for _ in range(2))
    assert first == first
    assert first != second

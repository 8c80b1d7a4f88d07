"""Measures of an uncertainty: how much of which kind there is, and whether it can be trusted.

Functions take tensors. Classes take batches: `update` with each, then `compute`; measures of parts of the data `merge`.
Both take a `bayesops.Prediction` wherever it carries what they need.
"""

from bayesops.metrics.entropies import expected_entropy, mutual_information, predictive_entropy, variation_ratio
from bayesops.metrics.entropy_histogram import EntropyHistogram
from bayesops.metrics.interval_calibration import IntervalCalibration
from bayesops.metrics.intervals import coverage, gaussian_interval, laplace_interval, sample_interval
from bayesops.metrics.iou import MeanIoU
from bayesops.metrics.ood import ood_detection
from bayesops.metrics.rejection import Rejection
from bayesops.metrics.reliability import Reliability
from bayesops.metrics.results import (
    Detection,
    HistogramData,
    Interval,
    IntervalCalibrationData,
    IoU,
    RejectionCurve,
    ReliabilityData,
    Scores,
    Variances,
)
from bayesops.metrics.scores import (
    ClassificationScores,
    brier_score,
    gaussian_mixture_nll,
    negative_log_likelihood,
)
from bayesops.metrics.temperature import TemperatureScaling
from bayesops.metrics.variances import classification_variances, regression_variances

__all__ = [
    "ClassificationScores",
    "Detection",
    "EntropyHistogram",
    "HistogramData",
    "Interval",
    "IntervalCalibration",
    "IntervalCalibrationData",
    "IoU",
    "MeanIoU",
    "Rejection",
    "RejectionCurve",
    "Reliability",
    "ReliabilityData",
    "Scores",
    "TemperatureScaling",
    "Variances",
    "brier_score",
    "classification_variances",
    "coverage",
    "expected_entropy",
    "gaussian_interval",
    "gaussian_mixture_nll",
    "laplace_interval",
    "mutual_information",
    "negative_log_likelihood",
    "ood_detection",
    "predictive_entropy",
    "regression_variances",
    "sample_interval",
    "variation_ratio",
]

"""Measures of an uncertainty: how much of which kind there is, and whether it can be trusted."""

from bayesops.metrics.results import (
    Detection,
    HistogramData,
    Interval,
    IntervalCalibrationData,
    IoU,
    RejectionCurve,
    ReliabilityData,
    Variances,
)

__all__ = [
    "Detection",
    "HistogramData",
    "Interval",
    "IntervalCalibrationData",
    "IoU",
    "RejectionCurve",
    "ReliabilityData",
    "Variances",
]

"""Calibration of a regression: intervals of 90 % should hold 90 % of the targets."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from bayesops._arguments import check_choice, check_floating, wrong_type, wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_device, check_shape
from bayesops.metrics._bins import counts_of
from bayesops.metrics._measure import Measure, Part, Sum
from bayesops.metrics.intervals import check_level, half_width, mean_and_variance
from bayesops.metrics.results import IntervalCalibrationData

DISTRIBUTIONS = ("gaussian", "laplace")
LEVELS = tuple(i / 20 for i in range(1, 20))


class IntervalCalibration(Measure[IntervalCalibrationData]):
    """How many targets lie in the central interval of each level.

    Parameters
    ----------
    levels : sequence of float
        Probabilities inside, ascending, in (0, 1).
    distribution : {"gaussian", "laplace"}
        Which one has the mean and the variance that are predicted.

    Raises
    ------
    ValueError
        No levels, levels out of range or not ascending, an unknown distribution.
    TypeError
        Levels that are no sequence, or no numbers.

    Notes
    -----
    Memory does not depend on the data. An interval is that of `gaussian_interval` or `laplace_interval`, bounds
    included; where the variance is 0 it is a point. Source: Kendall and Gal, "What uncertainties do we need in Bayesian
    deep learning for computer vision?", NIPS 2017, figure 3; with one-sided intervals Kuleshov, Fenner and Ermon,
    "Accurate uncertainties for deep learning using calibrated regression", ICML 2018.

    Examples
    --------
    >>> calibration = bo.metrics.IntervalCalibration()
    >>> calibration.update(prediction, depths).compute().coverage
    """

    def __init__(self, levels: Sequence[float] = LEVELS, distribution: str = "gaussian") -> None:
        if not isinstance(levels, Iterable):
            wrong_type("IntervalCalibration", "levels", "a sequence of numbers in (0, 1)", repr(levels))
        levels = tuple(check_level("IntervalCalibration", level, "levels") for level in levels)
        if not levels or any(low >= high for low, high in pairwise(levels)):
            wrong_value("IntervalCalibration", "levels", "ascending numbers, at least one", levels)
        self.levels = levels
        self.distribution = check_choice("IntervalCalibration", "distribution", distribution, DISTRIBUTIONS)
        super().__init__()

    def _fresh_parts(self) -> dict[str, Part]:
        return {"count": Sum()}

    @torch.no_grad()
    def update(
        self, mean: Tensor | Prediction, target: Tensor, variance: Tensor | None = None
    ) -> "IntervalCalibration":
        """Count a batch.

        Parameters
        ----------
        mean : Tensor or Prediction
            ``[N, *]``; of a prediction, mean and total variance are taken.
        target : Tensor
            Of the same shape.
        variance : Tensor
            Of the same shape, not negative; left out where a prediction is given.

        Returns
        -------
        IntervalCalibration
            This one.

        Raises
        ------
        ValueError
            Shapes that differ, a negative variance, NaN in any of the three, a variance beside a prediction.
        TypeError
            Something else than floating tensors or a prediction.
        """
        function = "IntervalCalibration.update"
        mean, variance = mean_and_variance(function, mean, variance)
        check_floating(function, "target", target)
        check_shape(function, "target", target, mean.shape)
        check_device(function, "target", target, mean.device)
        if not (variance >= 0).all():
            got = "NaN" if variance.isnan().any() else f"{float(variance.min()):g}"
            wrong_value(function, "variance", "at least 0", got)
        distance = (target - mean).abs().flatten().double()
        if distance.isnan().any():
            wrong_value(function, "target", "finite, as the mean", "NaN in one of them, or infinity in both")
        if len(distance) == 0:
            return self
        deviations = distance / variance.double().sqrt().flatten()
        deviations = deviations.where(distance != 0, 0)  # 0 / 0 is inside
        widths = deviations.new_tensor([half_width(self.distribution, level) for level in self.levels])
        # How many targets have this as the first level whose interval holds them; the last is none.
        self._add(count=counts_of(torch.bucketize(deviations.contiguous(), widths), len(widths) + 1))
        return self

    def compute(self) -> IntervalCalibrationData:
        """Return the shares over all that was counted.

        Raises
        ------
        RuntimeError
            Nothing has been counted.
        """
        count = self._sum("count")
        total = count.sum()
        levels = torch.tensor(self.levels, dtype=torch.float64, device=count.device)
        return IntervalCalibrationData(levels, count.cumsum(0)[:-1] / total.double(), total)

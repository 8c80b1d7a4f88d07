"""Histograms of the entropy: wrong predictions should be less certain than right ones."""

import math

import torch
from torch import Tensor

from bayesops._arguments import check_count, check_floating, wrong_type
from bayesops._dtypes import at_least_float32
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_device, check_range, check_shape
from bayesops.metrics._bins import bin_of, counts_of, equal_edges
from bayesops.metrics._measure import Measure, Part, Sum
from bayesops.metrics.entropies import log_base, predictive_entropy
from bayesops.metrics.results import HistogramData


class EntropyHistogram(Measure[HistogramData]):
    """Histograms of the entropy, one of the right predictions and one of the wrong ones.

    Parameters
    ----------
    num_bins : int
        B bins of equal width, from 0 to the largest entropy there can be, ``log C``; (edge, next edge], the first with
        0.
    num_classes : int
        C.
    base : float, optional
        Of the entropies' logarithm: 2 for bits. Nats without it.

    Raises
    ------
    ValueError
        A count below 1 (fewer than 2 classes), a wrong base.

    Notes
    -----
    Memory does not depend on the data.

    Examples
    --------
    >>> histogram = bo.metrics.EntropyHistogram(num_classes=10)
    >>> histogram.update(prediction, prediction.mean.argmax(1) == labels).compute().wrong
    """

    def __init__(self, num_bins: int = 30, *, num_classes: int, base: float | None = None) -> None:
        self.num_bins = check_count("EntropyHistogram", "num_bins", num_bins)
        self.num_classes = check_count("EntropyHistogram", "num_classes", num_classes, 2)
        self.base = base
        self._largest = math.log(num_classes) / log_base("EntropyHistogram", base)
        super().__init__()

    def _fresh_parts(self) -> dict[str, Part]:
        return {"right": Sum(), "wrong": Sum()}

    @torch.no_grad()
    def update(self, entropy: Tensor | Prediction, correct: Tensor) -> "EntropyHistogram":
        """Count a batch.

        Parameters
        ----------
        entropy : Tensor or Prediction
            In the unit that `base` says, of any shape; of a prediction it is the predictive entropy. Leave out what
            does not count, ``entropy[valid]``.
        correct : Tensor
            bool, of the same shape.

        Returns
        -------
        EntropyHistogram
            This one.

        Raises
        ------
        ValueError
            Shapes that differ, entropies that `num_classes` cannot have, NaN.
        TypeError
            Entropies that are not floating, `correct` that is not bool.
        """
        function = "EntropyHistogram.update"
        if isinstance(entropy, Prediction):
            entropy = predictive_entropy(entropy, base=self.base)
        check_floating(function, "entropy", entropy)
        if not isinstance(correct, Tensor) or correct.dtype != torch.bool:
            got = correct.dtype if isinstance(correct, Tensor) else type(correct).__name__
            wrong_type(function, "correct", "a bool tensor", got)
        check_shape(function, "correct", correct, entropy.shape)
        check_device(function, "correct", correct, entropy.device)
        unit = "nats" if self.base is None else f"base {self.base:g}"
        values = at_least_float32(entropy).flatten()
        check_range(function, "entropy", values, self._largest, f" ({self.num_classes} classes, {unit})")
        if len(values) == 0:
            return self
        bins = bin_of(values, equal_edges(self._largest, self.num_bins, values.device))
        right = correct.flatten()
        self._add(right=counts_of(bins[right], self.num_bins), wrong=counts_of(bins[~right], self.num_bins))
        return self

    def compute(self) -> HistogramData:
        """Return the counts of all batches.

        Raises
        ------
        RuntimeError
            Nothing has been counted.
        """
        right = self._sum("right")
        return HistogramData(
            equal_edges(self._largest, self.num_bins, right.device), right, self._sum("wrong"), self.base
        )

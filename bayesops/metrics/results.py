"""What measures return: plain tensors with names, which `bayesops.plot` draws."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Variances:
    """The two parts of a predictive variance.

    Attributes
    ----------
    aleatoric : Tensor
        Noise that each draw of the weights tells: it stays, however many data there are.
    epistemic : Tensor
        Spread between the draws: what the weights leave open. Of the same shape.
    """

    aleatoric: Tensor
    epistemic: Tensor

    @property
    def total(self) -> Tensor:
        """Variance of what is predicted: the sum of the two."""
        return self.aleatoric + self.epistemic


@dataclass(frozen=True, eq=False)
class Interval:
    """Bounds, for each element of a prediction.

    Attributes
    ----------
    lower, upper : Tensor
        Of the prediction's shape.
    level : float
        The share of outcomes that should lie between them.
    """

    lower: Tensor
    upper: Tensor
    level: float

    @property
    def width(self) -> Tensor:
        """Distance of the bounds."""
        return self.upper - self.lower


@dataclass(frozen=True, eq=False)
class Scores:
    """How good the probabilities of a classification are.

    Attributes
    ----------
    accuracy : Tensor
        Share of targets that got the highest probability, float64 ``[]``.
    negative_log_likelihood : Tensor
        Mean, in nats, float64 ``[]``; infinite where one target was given no probability.
    brier_score : Tensor
        Mean squared distance of the probabilities from what happened, from 0 to 2, float64 ``[]``.
    count : Tensor
        How many targets, int64 ``[]``.
    """

    accuracy: Tensor
    negative_log_likelihood: Tensor
    brier_score: Tensor
    count: Tensor


@dataclass(frozen=True, eq=False)
class ReliabilityData:
    """How often predictions of about the same confidence are right.

    B bins; with class-wise bins every tensor but `edges` has the classes in front, ``[C, B]``, and `edges` too where
    bins are adaptive.

    Attributes
    ----------
    edges : Tensor
        float64 ``[B + 1]``, from 0 to 1.
    confidence : Tensor
        Mean confidence in each bin, float64 ``[B]``; NaN where a bin is empty.
    accuracy : Tensor
        Share of the bin's predictions that are right, float64 ``[B]``; NaN where a bin is empty.
    count : Tensor
        How many predictions are in each bin, int64 ``[B]``.
    adaptive : bool
        Bins hold equally many predictions, instead of being equally wide.
    """

    edges: Tensor
    confidence: Tensor
    accuracy: Tensor
    count: Tensor
    adaptive: bool = False

    @property
    def gap(self) -> Tensor:
        """Confidence less accuracy in each bin, positive where too sure; 0 where a bin is empty."""
        return torch.where(self.count > 0, self.confidence - self.accuracy, 0.0)

    @property
    def ece(self) -> Tensor:
        """Expected calibration error ``[]``: the gaps' sizes, weighted by the bins' counts (mean over the classes)."""
        return ((self.gap.abs() * self.count).sum(-1) / self.count.sum(-1)).mean()

    @property
    def mce(self) -> Tensor:
        """Maximum calibration error ``[]``: the largest gap of any bin."""
        return self.gap.abs().max()

    def of_class(self, index: int) -> "ReliabilityData":
        """Return the bins of one class, where they are class-wise."""
        if self.count.dim() == 1:
            raise ValueError("ReliabilityData: bins are not class-wise; ask Reliability for class_wise=True")
        edges = self.edges[index] if self.edges.dim() > 1 else self.edges
        return ReliabilityData(edges, self.confidence[index], self.accuracy[index], self.count[index], self.adaptive)


@dataclass(frozen=True, eq=False)
class IntervalCalibrationData:
    """How often the intervals of a regression hold the truth.

    Attributes
    ----------
    levels : Tensor
        What was promised, float64 ``[L]``, ascending.
    coverage : Tensor
        What was found: the share of targets inside the central interval of each level, float64 ``[L]``.
    count : Tensor
        How many targets, int64 ``[]``.
    """

    levels: Tensor
    coverage: Tensor
    count: Tensor

    @property
    def error(self) -> Tensor:
        """Mean distance of coverage and level ``[]``, over the levels."""
        return (self.coverage - self.levels).abs().mean()


@dataclass(frozen=True, eq=False)
class RejectionCurve:
    """The mean error of what is kept, when the least certain part is put aside.

    Attributes
    ----------
    retained : Tensor
        Share that is kept (coverage, recall), float64 ``[K]``, ascending, the last is 1.
    risk : Tensor
        Mean error of what is kept, float64 ``[K]``.
    oracle : Tensor
        The same, had the largest errors been put aside first: no uncertainty does better. float64 ``[K]``.
    threshold : Tensor
        The highest uncertainty that is kept, float64 ``[K]``.
    area : Tensor
        Area under `risk` (AURC): its mean over all n shares 1/n, 2/n, …, 1, not only the K that are listed, ``[]``.
    oracle_area : Tensor
        The same under `oracle`, ``[]``.
    count : Tensor
        n, the number of pixels or images, int64 ``[]``.
    classification : bool
        An error is 1, wrong, or 0, right, so that 1 − risk is an accuracy.
    """

    retained: Tensor
    risk: Tensor
    oracle: Tensor
    threshold: Tensor
    area: Tensor
    oracle_area: Tensor
    count: Tensor
    classification: bool

    @property
    def recall(self) -> Tensor:
        """Share that is kept ``[K]``."""
        return self.retained

    @property
    def precision(self) -> Tensor:
        """Accuracy of what is kept ``[K]``; for classification only."""
        if not self.classification:
            raise ValueError("RejectionCurve: precision is of right and wrong; for other errors there is risk")
        return 1 - self.risk

    @property
    def excess_area(self) -> Tensor:
        """Area between risk and oracle ``[]`` (excess AURC): 0 for the best ranking there can be."""
        return self.area - self.oracle_area

    @property
    def sparsification_error(self) -> Tensor:
        """Risk less oracle, as parts of the risk of everything ``[K]``; 0 where there are no errors."""
        return _share(self.risk - self.oracle, self.risk[-1])

    @property
    def ause(self) -> Tensor:
        """Area under the sparsification error ``[]``, over all n shares as `area`."""
        return _share(self.excess_area, self.risk[-1])


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, 0.0)


@dataclass(frozen=True, eq=False)
class Detection:
    """How well a score tells what is out of the training's domain from what is in it; each float64 ``[]``.

    Attributes
    ----------
    auroc : Tensor
        Area under the receiver operating characteristic: the chance that an example from outside has the higher score.
    aupr_in : Tensor
        Average precision where what is in the domain is to be found, by low scores.
    aupr_out : Tensor
        Average precision where what is out of the domain is to be found, by high scores.
    fpr95 : Tensor
        Share of what is out of the domain that passes when 95 % of what is in it pass.
    """

    auroc: Tensor
    aupr_in: Tensor
    aupr_out: Tensor
    fpr95: Tensor


@dataclass(frozen=True, eq=False)
class HistogramData:
    """How the entropies of right and of wrong predictions are spread.

    Attributes
    ----------
    edges : Tensor
        float64 ``[B + 1]``, from 0 to the logarithm of the number of classes.
    right, wrong : Tensor
        How many predictions, int64 ``[B]``.
    base : float or None
        Of the entropies' logarithm; None for nats.
    """

    edges: Tensor
    right: Tensor
    wrong: Tensor
    base: float | None = None


@dataclass(frozen=True, eq=False)
class IoU:
    """Intersection over union.

    Attributes
    ----------
    mean : Tensor
        Over the classes that occur in target or prediction, float64 ``[]``.
    per_class : Tensor
        float64 ``[C]``; NaN for a class that occurs in neither.
    confusion : Tensor
        Counts, int64 ``[C, C]``: rows are the classes of the target, columns those of the prediction.
    """

    mean: Tensor
    per_class: Tensor
    confusion: Tensor

    @property
    def accuracy(self) -> Tensor:
        """Share of pixels that are right ``[]``."""
        return self.confusion.diagonal().sum().double() / self.confusion.sum()

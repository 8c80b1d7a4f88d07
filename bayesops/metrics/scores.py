"""Proper scores: numbers that are best when the predicted distribution is the true one."""

import math
from numbers import Real

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_type, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import (
    check_device,
    check_ignore_index,
    check_range,
    check_reduction,
    check_shape,
    counted,
    probabilities_of,
    reduced,
)
from bayesops.metrics._draws import check_draws
from bayesops.metrics._measure import Measure, Part, Sum
from bayesops.metrics.results import Scores


def negative_log_likelihood(
    probabilities: Tensor | Prediction, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Compute −log of the probability that the targets were given.

    Parameters
    ----------
    probabilities : Tensor or Prediction
        ``[N, C, *]``, the arithmetic mean over the draws (a mean of log probabilities is another thing, and worse).
    target : Tensor
        Classes, int64 ``[N, *]``.
    ignore_index : int
        A target that does not count.
    reduction : {"mean", "sum", "none"}
        Over all targets that count, in float64; ``"none"`` is ``[N, *]``, 0 where a target is ignored.

    Returns
    -------
    Tensor
        In nats. Infinite where a target was given no probability; NaN where its probability is, and as the mean of
        nothing.

    Raises
    ------
    ValueError
        Shapes that do not fit, classes or probabilities out of range, an unknown reduction.
    TypeError
        Probabilities that are not floating, targets that are not integers.
    """
    function = "negative_log_likelihood"
    check_reduction(function, reduction)
    values = probabilities_of(function, probabilities)
    counts = counted(function, target, values, check_ignore_index(function, ignore_index))
    check_range(function, "probabilities", values, 1.0, allow_nan=True)
    return reduced(_log_losses(values, target, counts), reduction, counts)


def brier_score(
    probabilities: Tensor | Prediction, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    r"""Compute the squared distance of the probabilities from what happened.

    .. math:: \sum_c (p_c - 1[c = y])^2

    Parameters
    ----------
    probabilities : Tensor or Prediction
        ``[N, C, *]``.
    target : Tensor
        Classes, int64 ``[N, *]``.
    ignore_index : int
        A target that does not count.
    reduction : {"mean", "sum", "none"}
        Over all targets that count, in float64; ``"none"`` is ``[N, *]``, 0 where a target is ignored.

    Returns
    -------
    Tensor
        From 0 to 2. NaN where a probability is, and as the mean of nothing.

    Raises
    ------
    ValueError
        Shapes that do not fit, classes or probabilities out of range, an unknown reduction.
    TypeError
        Probabilities that are not floating, targets that are not integers.

    Notes
    -----
    Source: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950,
    equation 2. For two classes it is twice the score that looks at one of them alone.
    """
    function = "brier_score"
    check_reduction(function, reduction)
    values = probabilities_of(function, probabilities)
    counts = counted(function, target, values, check_ignore_index(function, ignore_index))
    check_range(function, "probabilities", values, 1.0, allow_nan=True)
    return reduced(_squared_distances(values, target, counts), reduction, counts)


def gaussian_mixture_nll(
    means: Tensor, target: Tensor, variances: Tensor | float, *, reduction: str = "mean"
) -> Tensor:
    r"""Compute −log of the density that T draws give the targets: each draw is a normal distribution.

    .. math:: -\log \frac{1}{T} \sum_t N(y; \mu_t, \sigma_t^2)

    Parameters
    ----------
    means : Tensor
        The mean that each draw tells, ``[T, N, *]``.
    target : Tensor
        ``[N, *]``. Each element is an observation of its own: outputs of one example are not taken jointly.
    variances : Tensor or float
        The variance that each draw tells, ``[T, N, *]``, or one for all, a number or ``[]`` (1 / τ of a model with
        precision τ).
    reduction : {"mean", "sum", "none"}
        Over all elements, in float64; ``"none"`` is ``[N, *]``.

    Returns
    -------
    Tensor
        In nats; the negative of the test log likelihood that Gal reports. NaN goes through.

    Raises
    ------
    ValueError
        Shapes that differ, no draws, a variance that is not above 0, an unknown reduction.
    TypeError
        Something else than floating tensors.

    Notes
    -----
    Source: Gal and Ghahramani, "Dropout as a Bayesian approximation: representing model uncertainty in deep learning",
    ICML 2016, section 4. The sum is taken without leaving the logarithms, so that densities do not underflow.
    """
    function = "gaussian_mixture_nll"
    check_reduction(function, reduction)
    check_draws(function, "means", means)
    check_floating(function, "target", target)
    check_shape(function, "target", target, means.shape[1:])
    check_device(function, "target", target, means.device)
    means, target = at_least_float32(means), at_least_float32(target)
    if isinstance(variances, Real):
        variances = means.new_full((), float(variances))
    else:
        if not isinstance(variances, Tensor):
            wrong_type(function, "variances", "a tensor or a number", type(variances).__name__)
        check_floating(function, "variances", variances)
        if variances.dim():
            check_shape(function, "variances", variances, means.shape)
        check_device(function, "variances", variances, means.device)
    if (variances <= 0).any():
        wrong_value(function, "variances", "above 0", float(variances.min()))
    log_densities = -((target - means) ** 2 / variances + torch.log(2 * math.pi * variances)) / 2
    return reduced(math.log(len(means)) - log_densities.logsumexp(0), reduction)


class ClassificationScores(Measure[Scores]):
    """Accuracy, negative log likelihood and Brier score, batch by batch.

    Parameters
    ----------
    ignore_index : int
        A target that does not count.

    Raises
    ------
    TypeError
        `ignore_index` that is not an int.

    Examples
    --------
    >>> scores = bo.metrics.ClassificationScores()
    >>> for images, labels in loader:
    ...     scores.update(bo.predict(model, images), labels)
    >>> scores.compute().brier_score
    """

    def __init__(self, *, ignore_index: int = -100) -> None:
        self.ignore_index = check_ignore_index("ClassificationScores", ignore_index)
        super().__init__()

    def _fresh_parts(self) -> dict[str, Part]:
        return {name: Sum() for name in ("count", "right", "log_loss", "squared_distance")}

    @torch.no_grad()
    def update(self, probabilities: Tensor | Prediction, target: Tensor) -> "ClassificationScores":
        """Count a batch.

        Parameters
        ----------
        probabilities : Tensor or Prediction
            ``[N, C, *]``.
        target : Tensor
            Classes, int64 ``[N, *]``.

        Returns
        -------
        ClassificationScores
            This one.

        Raises
        ------
        ValueError
            Shapes that do not fit, classes out of range, probabilities out of range or NaN (where they count).
        TypeError
            Probabilities that are not floating, targets that are not integers.
        """
        function = "ClassificationScores.update"
        values = probabilities_of(function, probabilities)
        counts = counted(function, target, values, self.ignore_index)
        if not counts.any():
            return self
        highest, predicted = values.max(1)
        check_range(function, "probabilities", highest[counts], 1.0)
        self._add(
            count=counts.sum(),
            right=(counts & (predicted == target)).sum(),
            log_loss=_log_losses(values, target, counts).sum(dtype=torch.float64),
            squared_distance=_squared_distances(values, target, counts).sum(dtype=torch.float64),
        )
        return self

    def compute(self) -> Scores:
        """Return the means over all that was counted.

        Raises
        ------
        RuntimeError
            Nothing has been counted.
        """
        count = self._sum("count")
        accuracy, nll, brier = (self._sum(name) / count.double() for name in ("right", "log_loss", "squared_distance"))
        return Scores(accuracy, nll, brier, count)


def _log_losses(probabilities: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    index = target.long().where(counts, 0)
    return -probabilities.gather(1, index[:, None])[:, 0].log().where(counts, 0)


def _squared_distances(probabilities: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    # One class at a time: a one-hot tensor would be twice as large as the probabilities.
    total = torch.zeros_like(probabilities[:, 0])
    for index, values in enumerate(probabilities.unbind(1)):
        total += (values - (target == index).to(values)) ** 2
    return total.where(counts, 0)

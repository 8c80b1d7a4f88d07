"""Rejection: a prediction should get better when the least certain part of it is put aside."""

import torch
from torch import Tensor

from bayesops._arguments import check_count, check_floating, wrong_type, wrong_value
from bayesops.metrics._arguments import check_device, check_not_nan, check_shape
from bayesops.metrics._measure import Measure, Part
from bayesops.metrics._ranking import Groups, Ranking
from bayesops.metrics.reliability import EXACT_LIMIT
from bayesops.metrics.results import RejectionCurve


class Rejection(Measure[RejectionCurve]):
    r"""Mean error of what is kept, by the share that is kept: risk–coverage, precision–recall, sparsification.

    Elements (images, pixels) are put in the order of their uncertainty, the surest first.

    .. math:: risk(k) = \frac{1}{k} \sum_{i \le k} e_i, \qquad AURC = \frac{1}{n} \sum_{k=1}^{n} risk(k)

    Parameters
    ----------
    num_points : int
        At how many shares the curve is listed (fewer where there are fewer elements). Areas are over all n shares.
    exact_limit : int
        How many elements are kept, at 5 bytes each for `correct` and 8 for `error`. When there are more, uncertainties
        (and errors, for the oracle) are rounded to 14 significant bits, to 1 part in 16384: elements closer than that
        count as equally uncertain.

    Raises
    ------
    ValueError
        A count below 1.

    Notes
    -----
    Uncertainties and errors are taken in float32. Elements with equal uncertainty have no order: where a share ends
    amid them, each counts with their mean error. So the curve does not depend on the order of the input; it is the mean
    of the curves for all orders of the equal ones, and it is flat where all are equal.

    Sources. Risk and coverage: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR
    2010; the area and the excess over the oracle's: Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation
    for deep neural classifiers", ICLR 2019 (there the oracle's area is approximated, here it is exact). Precision and
    recall: Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NIPS 2017,
    figure 2. Sparsification error: Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow",
    ECCV 2018.

    Examples
    --------
    >>> rejection = bo.metrics.Rejection()
    >>> for images, labels in loader:
    ...     prediction = bo.predict(model, images)
    ...     rejection.update(prediction.entropy, correct=prediction.mean.argmax(1) == labels)
    >>> rejection.compute().area
    """

    def __init__(self, num_points: int = 1000, *, exact_limit: int = EXACT_LIMIT) -> None:
        self.num_points = check_count("Rejection", "num_points", num_points)
        self.exact_limit = check_count("Rejection", "exact_limit", exact_limit)
        super().__init__()

    def _fresh_parts(self) -> dict[str, Part]:
        self._by_uncertainty, self._by_error = Ranking(self.exact_limit), Ranking(self.exact_limit)
        return {"by_uncertainty": self._by_uncertainty, "by_error": self._by_error}

    @torch.no_grad()
    def update(self, uncertainty: Tensor, error: Tensor | None = None, *, correct: Tensor | None = None) -> "Rejection":
        """Count a batch; give either errors, or what is correct.

        Parameters
        ----------
        uncertainty : Tensor
            The higher, the sooner it is put aside: an entropy, a variance, one minus a confidence. Of any shape; leave
            out what does not count, ``uncertainty[valid]``.
        error : Tensor
            Of the same shape, not negative: distance from the target, or its square (regression).
        correct : Tensor
            bool of the same shape (classification): the error is 0 where true, 1 where not.

        Returns
        -------
        Rejection
            This one.

        Raises
        ------
        ValueError
            Shapes that differ; NaN; an error that is negative or infinite; errors after `correct`, or the reverse;
            neither, or both.
        TypeError
            Uncertainties or errors that are not floating, `correct` that is not bool.
        """
        function = "Rejection.update"
        check_floating(function, "uncertainty", uncertainty)
        if (error is None) == (correct is None):
            wrong_value(function, "error", "given, or 'correct'", "neither" if error is None else "both")
        if correct is not None:
            if not isinstance(correct, Tensor) or correct.dtype != torch.bool:
                got = correct.dtype if isinstance(correct, Tensor) else type(correct).__name__
                wrong_type(function, "correct", "a bool tensor", got)
            name, given = "correct", correct
        else:
            assert error is not None
            if isinstance(error, Tensor) and error.dtype == torch.bool:
                wrong_type(function, "error", "floating; what is right or wrong is given as 'correct'", error.dtype)
            check_floating(function, "error", error)
            name, given = "error", error
        check_shape(function, name, given, uncertainty.shape)
        check_device(function, name, given, uncertainty.device)
        check_not_nan(function, "uncertainty", uncertainty)
        if not self._by_uncertainty.is_empty and name != self._kind:
            wrong_value(function, name, f"'{self._kind}', as before", f"'{name}'")
        keys = uncertainty.detach().flatten().to(torch.float32, copy=True)
        if correct is not None:
            self._by_uncertainty.add(keys, ~correct.flatten())
            return self
        errors = given.detach().flatten().to(torch.float32, copy=True)
        if not ((errors >= 0) & (errors < torch.inf)).all():
            wrong_value(function, "error", "finite (in float32) and at least 0", "others")
        self._by_uncertainty.add(keys, errors)
        self._by_error.add(errors, errors)
        return self

    def compute(self) -> RejectionCurve:
        """Return the curve over all that was counted.

        Raises
        ------
        RuntimeError
            Nothing has been counted.
        """
        if self._by_uncertainty.is_empty:
            self._nothing()
        groups = self._by_uncertainty.groups()
        oracle = _right_then_wrong(groups) if self._by_error.is_empty else self._by_error.groups()
        count = groups.count.sum()
        ranks = groups.ranks(min(self.num_points, int(count)))
        return RejectionCurve(
            retained=ranks / count.double(),
            risk=groups.sum_of_first(ranks) / ranks,
            oracle=oracle.sum_of_first(ranks) / ranks,
            threshold=groups.key[groups.group_of(ranks)].double(),
            area=groups.mean_of_means(),
            oracle_area=oracle.mean_of_means(),
            count=count,
            classification=self._by_error.is_empty,
        )

    @property
    def _kind(self) -> str:
        return "correct" if self._by_error.is_empty else "error"

    def _check_merge(self, other: "Rejection") -> None:
        if self._kind != other._kind and not (self._by_uncertainty.is_empty or other._by_uncertainty.is_empty):
            wrong_value("Rejection.merge", "other", f"of '{self._kind}', as this one", f"one of '{other._kind}'")


def _right_then_wrong(groups: Groups) -> Groups:
    """Return the oracle's order where errors are 0 or 1."""
    wrong = groups.total.sum().round().long()
    count = torch.stack([groups.count.sum() - wrong, wrong])
    present = count > 0
    error = torch.tensor([0.0, 1.0], device=count.device)[present]
    return Groups(error, count[present], (error.double() * count[present]))

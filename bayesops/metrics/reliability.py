"""Calibration of a classification: of the predictions made with confidence p the share p should be right."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bayesops._arguments import check_count, wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import check_ignore_index, check_range, counted, probabilities_of
from bayesops.metrics._bins import bin_of, counts_of, equal_edges, sums_of
from bayesops.metrics._measure import Measure, Part, Sum
from bayesops.metrics._ranking import Groups, Ranking
from bayesops.metrics.results import ReliabilityData

EXACT_LIMIT = 2**23


class Reliability(Measure[ReliabilityData]):
    r"""Accuracy by confidence, in bins, and the calibration errors that follow.

    .. math:: ECE = \sum_b \frac{n_b}{n} |acc_b - conf_b|, \qquad MCE = \max_b |acc_b - conf_b|

    Confidence is the probability of the predicted class, the one with the highest. For dense outputs each pixel counts.

    Parameters
    ----------
    num_bins : int
        B.
    adaptive : bool
        False: bins of [0, 1] of equal width, (b / B, (b + 1) / B], the first with 0. True: bins that hold equally many
        predictions, up to one; the result's ``ece`` is then the adaptive calibration error (ACE).
    class_wise : bool
        Look at the probability of each class by itself, whether it is the highest or not: the result has the classes in
        front, and its ``ece`` is the mean over them, which is the static calibration error, or with `adaptive` the
        adaptive one, of Nixon et al.
    ignore_index : int
        A target that does not count.
    exact_limit : int
        How many predictions (over all classes) are kept for `adaptive`, at 5 bytes each. When there are more, one minus
        the confidence is rounded to 14 significant bits, to 1 part in 16384.

    Raises
    ------
    ValueError
        A count below 1.
    TypeError
        `ignore_index` that is not an int.

    Notes
    -----
    Without `adaptive` memory does not depend on the data. With it confidences are taken in float32. Bins are cut by
    rank; predictions with equal confidence on a border are shared out, each with the accuracy of them all, so that
    their order does not matter.

    Sources: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, equations 3 and 5;
    bins of equal mass: Nguyen and O'Connor, "Posterior calibration and exploratory analysis for natural language
    processing models", EMNLP 2015; class by class: Nixon, Dusenberry, Zhang, Jerfel and Tran, "Measuring calibration in
    deep learning", CVPR workshops 2019.

    Examples
    --------
    >>> reliability = bo.metrics.Reliability()
    >>> for images, labels in loader:
    ...     reliability.update(bo.predict(model, images), labels)
    >>> reliability.compute().ece
    """

    def __init__(
        self,
        num_bins: int = 15,
        adaptive: bool = False,
        *,
        class_wise: bool = False,
        ignore_index: int = -100,
        exact_limit: int = EXACT_LIMIT,
    ) -> None:
        self.num_bins = check_count("Reliability", "num_bins", num_bins)
        self.adaptive = adaptive
        self.class_wise = class_wise
        self.ignore_index = check_ignore_index("Reliability", ignore_index)
        self.exact_limit = check_count("Reliability", "exact_limit", exact_limit)
        super().__init__()

    def _fresh_parts(self) -> dict[str, Part]:
        self._rows = 0  # 1, or the classes, once there has been an update
        return {} if self.adaptive else {name: Sum() for name in ("count", "right", "confidence")}

    @torch.no_grad()
    def update(self, probabilities: Tensor | Prediction, target: Tensor) -> "Reliability":
        """Count a batch.

        Parameters
        ----------
        probabilities : Tensor or Prediction
            ``[N, C, *]``.
        target : Tensor
            Classes, int64 ``[N, *]``.

        Returns
        -------
        Reliability
            This one.

        Raises
        ------
        ValueError
            Shapes that do not fit, classes out of range, probabilities out of range or NaN (where they count); another
            number of classes than before where `class_wise`.
        TypeError
            Probabilities that are not floating, targets that are not integers.
        """
        function = "Reliability.update"
        values = probabilities_of(function, probabilities)
        counts = counted(function, target, values, self.ignore_index)
        rows = values.shape[1] if self.class_wise else 1
        if self._rows not in (0, rows):
            wrong_value(function, "probabilities", f"of {self._rows} classes, as before", f"{rows} of them")
        found = list(self._confidences(values, target, counts))
        for confidence, _ in found:
            check_range(function, "probabilities", confidence, 1.0)
        if len(found[0][0]) == 0:
            return self
        self._rows = rows
        if self.adaptive:
            for row, (confidence, right) in enumerate(found):
                ranking = self._parts.setdefault(f"class {row}", Ranking(max(1, self.exact_limit // rows)))
                assert isinstance(ranking, Ranking)
                # One minus: near 1, where most confidences are, it has many more digits. Sure ones come first.
                ranking.add((1 - confidence).clamp(0, 1).float(), right)
        else:
            sums = [self._bin_sums(confidence, right) for confidence, right in found]
            self._add(**{name: torch.stack([of_row[name] for of_row in sums]) for name in self._parts})
        return self

    def _bin_sums(self, confidence: Tensor, right: Tensor) -> dict[str, Tensor]:
        bins = bin_of(confidence, equal_edges(1.0, self.num_bins, confidence.device))
        return {
            "count": counts_of(bins, self.num_bins),
            "right": counts_of(bins[right], self.num_bins),
            "confidence": sums_of(bins, confidence.clamp(0, 1), self.num_bins),
        }

    def _confidences(self, values: Tensor, target: Tensor, counts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is counted, for each row: confidences ``[M]``, and whether they are of what happened."""
        if self.class_wise:
            target = target[counts]
            for index, probability in enumerate(values.unbind(1)):
                yield probability[counts], target == index
        else:
            highest, predicted = values.max(1)
            yield highest[counts], predicted[counts] == target[counts]

    def compute(self) -> ReliabilityData:
        """Return the bins over all that was counted.

        Raises
        ------
        RuntimeError
            Nothing has been counted.
        """
        if self.adaptive:
            rankings = [part for part in self._parts.values() if isinstance(part, Ranking) and not part.is_empty]
            if not rankings:
                self._nothing()
            edges, confidence, accuracy, count = map(
                torch.stack, zip(*(_equal_masses(part.groups(), self.num_bins) for part in rankings), strict=True)
            )
        else:
            count = self._sum("count")
            confidence, accuracy = self._sum("confidence") / count, self._sum("right") / count.double()
            edges = equal_edges(1.0, self.num_bins, count.device)
        if not self.class_wise:
            edges, confidence, accuracy, count = edges.reshape(-1), confidence[0], accuracy[0], count[0]
        return ReliabilityData(edges, confidence, accuracy, count, self.adaptive)

    def _check_merge(self, other: "Reliability") -> None:
        if self._rows and other._rows and self._rows != other._rows:
            wrong_value("Reliability.merge", "other", f"of {self._rows} classes", f"{other._rows} of them")
        self._rows = self._rows or other._rows


def _equal_masses(groups: Groups, num_bins: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return edges, mean confidence, accuracy and count of bins of equal mass; the keys are one minus confidence."""
    ranks = torch.cat([groups.count.new_zeros(1), groups.ranks(num_bins)])
    count = ranks.diff()
    accuracy = groups.sum_of_first(ranks).diff() / count
    doubt = groups.sum_of_first(ranks, groups.key.double() * groups.count).diff() / count
    edges = 1 - groups.key.double()[groups.group_of(ranks)]
    edges[0], edges[-1] = 1.0, 0.0
    return edges.flip(0), 1 - doubt.flip(0), accuracy.flip(0), count.flip(0)

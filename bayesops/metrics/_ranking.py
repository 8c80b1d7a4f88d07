"""Sums over the smallest keys: what rejection and bins of equal mass are made of."""

from dataclasses import dataclass

import torch
from torch import Tensor

# float32 has 24 significant bits, of which these are dropped when there are too many keys to keep.
_DROPPED_BITS = 10


@dataclass(frozen=True, eq=False)
class Groups:
    """Elements with equal keys, taken together.

    Attributes
    ----------
    key : Tensor
        float32 ``[G]``, ascending.
    count : Tensor
        How many elements have this key, int64 ``[G]``.
    total : Tensor
        Sum of their values, float64 ``[G]``.
    """

    key: Tensor
    count: Tensor
    total: Tensor

    def ranks(self, parts: int) -> Tensor:
        """Return int64 ``[parts]``: the smallest ranks that hold at least 1, 2, … of `parts` equal shares."""
        steps = torch.arange(1, parts + 1, device=self.count.device)
        return (steps * self.count.sum() + parts - 1) // parts

    def group_of(self, ranks: Tensor) -> Tensor:
        """Return the group in which the element of a rank is, counted from 1; the first for rank 0."""
        return torch.searchsorted(self.count.cumsum(0), ranks)

    def sum_of_first(self, ranks: Tensor, values: Tensor | None = None) -> Tensor:
        """Return the sum of `total`, or other sums of the groups ``[G]``, over the elements with the smallest keys.

        Elements with equal keys have no order. Where a rank is amid them, each counts with the mean of their values:
        what an order by chance would give on average.
        """
        totals = self.total if values is None else values
        group = self.group_of(ranks)
        in_front = ranks - (self.count.cumsum(0) - self.count)[group]
        return (totals.cumsum(0) - totals)[group] + in_front * (totals / self.count)[group]

    def mean_of_means(self) -> Tensor:
        """Return the mean over all n ranks r of the mean value of the r smallest: the area under that curve."""
        below = (self.count.cumsum(0) - self.count).double()
        above = below + self.count
        mean = self.total / self.count
        # Amid a group the sum at rank r is offset + r * mean; sums of 1 / r are differences of digamma.
        offset = (self.total.cumsum(0) - self.total) - below * mean
        harmonic = torch.special.digamma(above + 1) - torch.special.digamma(below + 1)
        return (self.total + offset * harmonic).sum() / above[-1]


class Ranking:
    """Pairs of a key and a value, from which the groups are made.

    Up to `exact_limit` pairs are kept as they are, with keys in float32. When there are more, keys are rounded to 14
    significant bits (to 1 part in 2¹⁴), and pairs with equal keys become one group: memory is then bounded by how many
    such numbers there are, about 8000 between a number and its double. Whether keys are rounded depends on the number
    of pairs alone, so that order, batches and merging do not change the result.
    """

    def __init__(self, exact_limit: int) -> None:
        self._limit = exact_limit
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._pending = 0  # pairs in the list
        self._folded: Groups | None = None
        self.count = 0

    @property
    def is_empty(self) -> bool:
        """Nothing has come yet."""
        return self.count == 0

    def fresh(self) -> "Ranking":
        """Return an empty ranking with the same limit."""
        return Ranking(self._limit)

    def add(self, keys: Tensor, values: Tensor) -> None:
        """Take pairs ``[M]``, without copying them; float32 keys, float32 or bool values."""
        for pair in zip(keys.split(self._limit), values.split(self._limit), strict=True):
            self._pairs.append(pair)
            self._pending += len(pair[0])
            self.count += len(pair[0])
            if self._pending >= self._limit and self.count > self._limit:
                self._fold()

    def merge(self, other: "Ranking") -> None:
        """Take all pairs of another ranking."""
        if other._folded is not None:
            self.count += int(other._folded.count.sum())
            self._folded = _joined(self._folded, other._folded)
        for keys, values in list(other._pairs):
            self.add(keys, values)

    def groups(self) -> Groups:
        """Return all pairs, grouped; at least one must have come."""
        if self._folded is None:
            return _grouped(*self._concatenated())
        if self._pairs:
            self._fold()
        return self._folded

    def _fold(self) -> None:
        keys, values = self._concatenated()
        self._folded = _joined(self._folded, _grouped(_rounded(keys), values))
        self._pairs, self._pending = [], 0

    def _concatenated(self) -> tuple[Tensor, Tensor]:
        device = self._pairs[0][0].device
        keys, values = (torch.cat([pair[i].to(device) for pair in self._pairs]) for i in (0, 1))
        return keys, values


def _rounded(keys: Tensor) -> Tensor:
    bits = keys.view(torch.int32)
    return ((bits + (1 << (_DROPPED_BITS - 1))) & -(1 << _DROPPED_BITS)).view(torch.float32)


def _grouped(keys: Tensor, values: Tensor, counts: Tensor | None = None) -> Groups:
    keys, order = keys.sort()
    starts = torch.ones_like(keys, dtype=torch.bool)
    starts[1:] = keys[1:] != keys[:-1]
    group = starts.cumsum(0) - 1
    distinct = keys[starts]
    count = torch.zeros_like(distinct, dtype=torch.int64)
    count.index_add_(0, group, torch.ones_like(group) if counts is None else counts[order])
    total = torch.zeros_like(distinct, dtype=torch.float64)
    total.index_add_(0, group, values[order].double())
    return Groups(distinct, count, total)


def _joined(first: Groups | None, second: Groups) -> Groups:
    if first is None:
        return second
    device = first.key.device
    key, total, count = (
        torch.cat([getattr(first, name), getattr(second, name).to(device)]) for name in ("key", "total", "count")
    )
    return _grouped(key, total, count)

"""Quantiles over any number of draws in bounded memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Draws in a buffer: a quantile of up to this many draws is exact. Fewer where draws are large.
_DRAWS = 1024
_LEAST_DRAWS = 64
_BUFFER_BYTES = 64 * 2**20


class QuantileSketch:
    """Keeps sorted buffers of k draws; two that stand for the same number of draws are merged into one of twice that.

    Of the 2k draws of such a pair every second is kept, by turns the odd and the even ones. Exact up to k draws;
    beyond, the rank of a quantile is off by at most ``log2(T / k) / (2k)`` of T. Memory grows with log T.

    Source: Manku, Rajagopalan and Lindsay, "Approximate medians and other quantiles in one pass and with limited
    memory", SIGMOD 1998 (the policy of Munro and Paterson).
    """

    def __init__(self) -> None:
        self._size = 0  # k
        self._fresh: list[Tensor] = []  # as they come, [S, ...]
        self._count = 0  # in `_fresh`
        # By level: a buffer [elements, k] of draws that stand for 2**level each, sorted. (A row is quicker to sort than
        # a column.)
        self._levels: dict[int, Tensor] = {}
        self._odd = False
        self._shape = torch.Size()  # of a draw

    def add(self, samples: Tensor) -> None:
        """Take the draws ``[S, ...]``."""
        if not self._size:
            bytes_a_draw = max(1, samples[0].numel() * samples.element_size())
            self._size = max(_LEAST_DRAWS, min(_DRAWS, _BUFFER_BYTES // bytes_a_draw))
        for part in samples.split(self._size):
            room = self._size - self._count
            self._fresh.append(part[:room].clone())
            self._count += len(self._fresh[-1])
            if self._count == self._size:
                self._carry(_sorted(self._fresh), 0)
                self._fresh = [part[room:].clone()] if len(part) > room else []
                self._count = sum(map(len, self._fresh))
        self._shape = samples.shape[1:]

    def _carry(self, buffer: Tensor, level: int) -> None:
        while level in self._levels:
            both = torch.cat([self._levels.pop(level), buffer], 1).sort(1).values
            buffer = both[:, int(self._odd) :: 2]
            self._odd = not self._odd
            level += 1
        self._levels[level] = buffer

    def merge(self, other: "QuantileSketch") -> None:
        """Take the draws of another sketch with buffers of the same size."""
        if other._fresh or other._levels:
            self._shape = other._shape
        for draws in other._fresh:
            self.add(draws)
        for level, buffer in sorted(other._levels.items()):
            self._carry(buffer, level)

    def quantiles(self, levels: Sequence[float]) -> Tensor:
        """Return ``[Q, ...]``: as `torch.quantile` where no buffer has been filled yet, else the nearest rank."""
        shape = (len(levels), *self._shape)
        if not self._levels:
            ordered = _sorted(self._fresh)
            return torch.stack([_interpolated(ordered, level) for level in levels]).reshape(shape)
        buffers = [*([_sorted(self._fresh)] if self._count else []), *self._levels.values()]
        weights = [*([1] if self._count else []), *(2**level for level in self._levels)]
        ordered, order = torch.cat(buffers, 1).sort(1)
        # Made where the draws are, and counted here: nothing waits for a device.
        lengths = [buffer.shape[1] for buffer in buffers]
        device = ordered.device
        weight = torch.cat([torch.full((n,), w, device=device) for n, w in zip(lengths, weights, strict=True)])
        below = weight[order].cumsum(1)
        total = sum(n * w for n, w in zip(lengths, weights, strict=True))
        found = []
        for level in levels:
            rank = max(1, round(level * total))
            place = (below < rank).sum(1, keepdim=True).clamp_(max=ordered.shape[1] - 1)
            found.append(ordered.gather(1, place)[:, 0])
        return torch.stack(found).reshape(shape)


def _sorted(draws: Sequence[Tensor]) -> Tensor:
    """Make a buffer ``[elements, draws]``."""
    rows = torch.cat(list(draws))
    return rows.reshape(len(rows), rows[0].numel()).t().contiguous().sort(1).values


def _interpolated(ordered: Tensor, level: float) -> Tensor:
    position = level * (ordered.shape[1] - 1)
    low = int(position)
    high = min(low + 1, ordered.shape[1] - 1)
    return torch.lerp(ordered[:, low], ordered[:, high], position - low)

"""Quantiles over any number of draws in bounded memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Rows of a buffer: a quantile of up to this many draws is exact. Fewer where draws are large.
_ROWS = 1024
_LEAST_ROWS = 64
_BUFFER_BYTES = 64 * 2**20


class QuantileSketch:
    """Keeps sorted buffers of k rows; two that stand for the same number of draws are merged into one of twice that.

    Of the 2k rows of such a pair every second is kept, by turns the odd and the even ones. Exact up to k draws; beyond,
    the rank of a quantile is off by at most ``log2(T / k) / (2k)`` of T. Memory grows with log T.

    Source: Manku, Rajagopalan and Lindsay, "Approximate medians and other quantiles in one pass and with limited
    memory", SIGMOD 1998 (the policy of Munro and Paterson).
    """

    def __init__(self) -> None:
        self._rows = 0
        self._fresh: list[Tensor] = []
        self._count = 0  # in `_fresh`
        self._levels: dict[int, Tensor] = {}  # level: a buffer whose rows stand for 2**level draws each
        self._odd = False

    def add(self, samples: Tensor) -> None:
        """Take the draws ``[S, ...]``."""
        if not self._rows:
            bytes_a_row = max(1, samples[0].numel() * samples.element_size())
            self._rows = max(_LEAST_ROWS, min(_ROWS, _BUFFER_BYTES // bytes_a_row))
        for part in samples.split(self._rows):
            room = self._rows - self._count
            self._fresh.append(part[:room].clone())
            self._count += len(self._fresh[-1])
            if self._count == self._rows:
                self._carry(torch.cat(self._fresh).sort(0).values, 0)
                self._fresh = [part[room:].clone()] if len(part) > room else []
                self._count = sum(map(len, self._fresh))

    def _carry(self, buffer: Tensor, level: int) -> None:
        while level in self._levels:
            both = torch.cat([self._levels.pop(level), buffer]).sort(0).values
            buffer = both[int(self._odd) :: 2]
            self._odd = not self._odd
            level += 1
        self._levels[level] = buffer

    def merge(self, other: "QuantileSketch") -> None:
        """Take the draws of another sketch with buffers of the same size."""
        for buffer in other._fresh:
            self.add(buffer)
        for level, buffer in sorted(other._levels.items()):
            self._carry(buffer, level)

    def quantiles(self, levels: Sequence[float]) -> Tensor:
        """Return ``[Q, ...]``: as `torch.quantile` where no buffer has been filled yet, else the nearest rank."""
        if not self._levels:
            ordered = torch.cat(self._fresh).sort(0).values
            return torch.stack([_interpolated(ordered, level) for level in levels])
        rows = [*self._fresh, *self._levels.values()]
        weights = [1] * len(self._fresh) + [2**level for level in self._levels]
        ordered, order = torch.cat(rows).sort(0)
        # Made where the draws are, and counted here: nothing waits for a device.
        lengths = [len(buffer) for buffer in rows]
        device = ordered.device
        weight = torch.cat([torch.full((n,), w, device=device) for n, w in zip(lengths, weights, strict=True)])
        below = weight[order].cumsum(0)
        total = sum(n * w for n, w in zip(lengths, weights, strict=True))
        found = []
        for level in levels:
            rank = max(1, round(level * total))
            place = (below < rank).sum(0, keepdim=True).clamp_(max=len(ordered) - 1)
            found.append(ordered.gather(0, place)[0])
        return torch.stack(found)


def _interpolated(ordered: Tensor, level: float) -> Tensor:
    position = level * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return torch.lerp(ordered[low], ordered[high], position - low)

"""Ranks of `torch.distributed` that share the draws of a prediction, or its batches."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from bayesops._messages import first_line
from bayesops.engine.moments import Moments
from bayesops.engine.prediction import Prediction
from bayesops.engine.tally import Tally

if TYPE_CHECKING:  # a build of torch may lack it
    from torch.distributed import ProcessGroup


def share(begin: int, end: int, group: "ProcessGroup | None") -> tuple[int, int]:
    """Return this rank's part of ``[begin, end)``; the parts are neighbours, and differ by one at most."""
    if group is None:
        return begin, end
    rank, ranks, count = group.rank(), group.size(), end - begin
    return begin + count * rank // ranks, begin + count * (rank + 1) // ranks


@contextmanager
def failing_together(group: "ProcessGroup | None") -> Iterator[None]:
    """Meet the other ranks at the end of the block, and fail with any that failed: nobody waits for it.

    Raises
    ------
    RuntimeError
        Where the block failed on another rank. (On its own rank the error is the block's.)
    """
    if group is None:
        yield
        return
    try:
        yield
    except Exception as error:
        _gather(first_line(error), group)
        raise
    failures = [f"rank {rank}: {text}" for rank, text in enumerate(_gather(None, group)) if text is not None]
    if failures:
        raise RuntimeError(f"predict: failed on other ranks ({'; '.join(failures)})")


def _gather(value: Any, group: "ProcessGroup") -> list[Any]:
    values: list[Any] = [None] * group.size()
    dist.all_gather_object(values, value, group=group)
    return values


def _gather_tensors(value: Any, group: "ProcessGroup", device: torch.device) -> list[Any]:
    """As `_gather`; the tensors within are then on `device`, and not where the other ranks had them."""
    stored = io.BytesIO()
    torch.save(value, stored)
    by_rank = _gather(stored.getvalue(), group)
    return [torch.load(io.BytesIO(one), map_location=device, weights_only=False) for one in by_rank]


def combined(mine: Tally, group: "ProcessGroup", device: torch.device) -> Tally:
    """Return the tally of all ranks' draws; `mine` stays as it is."""
    whole = mine.empty()
    whole.moments = _combined_moments(mine.moments, whole.moments, group, device)
    whole.aleatoric = _combined_moments(mine.aleatoric, whole.aleatoric, group, device)
    by_rank = _gather_tensors((mine.sketch, mine.kept), group, device)
    for sketch, _ in by_rank:
        whole.sketch.merge(sketch)
    for parts in zip(*[kept for _, kept in by_rank], strict=True):
        whole.kept += parts
    return whole


def _combined_moments(mine: Moments, whole: Moments, group: "ProcessGroup", device: torch.device) -> Moments:
    """Sum what can be summed, in float64 (Chan, Golub and LeVeque, 1979)."""
    known = _gather((mine.count, mine.mean.shape, mine.mean.dtype), group)
    whole.count = sum(count for count, _, _ in known)
    if whole.count == 0:
        return whole
    shape, dtype = next((shape, dtype) for count, shape, dtype in known if count)
    entropies = mine.expected_entropy

    def total(of_mine: Tensor | None, like: Tensor) -> Tensor:
        tensor = torch.zeros_like(like) if of_mine is None or not mine.count else of_mine.double().contiguous()
        dist.all_reduce(tensor, group=group)
        return tensor

    zeros = torch.zeros(shape, dtype=torch.float64, device=device)
    mean = total(mine.mean * (mine.count / whole.count) if mine.count else None, zeros)
    step = mine.mean - mean if mine.count else zeros
    deviations = total(mine.deviations + mine.count * step.square() if mine.count else None, zeros)
    whole.mean, whole.deviations = mean.to(dtype), deviations.to(dtype)
    if whole.link in ("softmax", "sigmoid"):
        share = None if entropies is None else entropies * (mine.count / whole.count)
        like = zeros if whole.link == "sigmoid" else zeros.select(min(1, zeros.dim() - 1), 0)
        whole.expected_entropy = total(share, like).to(dtype)
    return whole


def gathered_in_turn(parts: list[Prediction], group: "ProcessGroup", device: torch.device) -> list[Prediction]:
    """Return all ranks' predictions, on `device`, in the order of the batches, which the ranks took in turn."""
    by_rank = _gather_tensors(parts, group, device)
    longest = max(len(of_rank) for of_rank in by_rank)
    return [of_rank[i] for i in range(longest) for of_rank in by_rank if i < len(of_rank)]

"""Times of several ways to do one thing, taken in turn in one process, and the memory that each needs."""

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

_ENOUGH_ROUNDS = 15
_FEWEST_ROUNDS = 3
# Seconds; for longer calls it does not matter what their neighbours left in the caches.
_SHORT = 0.05


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a series."""

    lower: float
    median: float
    upper: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Return the median and the quartiles of `values` (of one value: itself)."""
        if len(values) == 1:
            return Spread(values[0], values[0], values[0])
        return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the spread of the ratios of times that were taken in turn, pair by pair."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def synchronise(device: torch.device) -> None:
    """Wait until `device` has done its work; the CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def take_turns(
    ways: Mapping[str, Callable[[], object]], device: torch.device, seconds: float = 2.0, settle: bool = True
) -> dict[str, list[float]]:
    """Time each of `ways` once a round; they should have run before.

    Rounds end after `seconds`, but there are at least 3; or after 15 and a quarter of `seconds`. To `settle`, a short
    call is made once more before each that counts: it finds caches and memory as it left them itself, as it would in
    a loop over batches, and not as its neighbour did.

    Returns
    -------
    dict of list of float
        Seconds of each call, for each name in `ways`; index i is the same round in all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    start = time.perf_counter()
    for round in range(1, 1_000_000):
        for name, call in ways.items():
            if settle and times[name] and times[name][-1] < _SHORT:
                call()
                synchronise(device)
            before = time.perf_counter()
            call()
            synchronise(device)
            times[name].append(time.perf_counter() - before)
        elapsed = time.perf_counter() - start
        if round >= _FEWEST_ROUNDS and elapsed >= (seconds / 4 if round >= _ENOUGH_ROUNDS else seconds):
            break
    return times


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that `call` needs at its peak, beyond what is held when it starts.

    On the CPU: the growth of the process's resident memory up to its high-water mark, as Linux reports it (VmHWM),
    after the C library has given back what it can. Work space that earlier calls left in use is not counted. On CUDA:
    the growth of the peak of torch's allocator. None where neither is to be had.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # sets the mark to what is resident now
        before = _high_water_mark()
        call()
        return _high_water_mark() - before
    except (OSError, AttributeError, StopIteration):
        return None


def _high_water_mark() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def free_memory(device: torch.device) -> int | None:
    """Bytes of memory that can still be had on `device`; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    except (OSError, StopIteration):
        return None

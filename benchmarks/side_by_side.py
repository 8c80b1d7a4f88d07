"""Two sides measured in turn in one process: A B A C A B A C, one pair at a time.

What counts is the ratio within a pair: both of its calls saw the same clock, the same neighbours and the same memory.
Absolute times are shown beside it and never compared between runs.
"""

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psutil
import torch

MINIMUM_PAIRS = 15
LONG_ENOUGH = 0.4  # seconds of one rival's pairs: short calls repeat until then
TOO_LONG = 2.0  # seconds: slow calls may stop here before MINIMUM_PAIRS


@dataclass(frozen=True)
class Rival:
    """What a user would write instead; an optional one may fail, and is then reported as missing."""

    name: str
    call: Callable[[], Any]
    optional: bool = False


def compiled(name: str, function: Callable[..., Any], *args: Any) -> Rival:
    """Compile a rival as a whole; it is missing where the compiler fails."""
    call = torch.compile(function, dynamic=False)
    return Rival(f"{name}, compiled", lambda: call(*args), optional=True)


@dataclass(frozen=True)
class Comparison:
    """Ours against one rival; `speed_up` is the median of (the rival's time / ours) over the pairs."""

    rival: str
    ours_seconds: float
    rival_seconds: float
    speed_up: float
    lower: float  # quartiles of the speed-up
    upper: float
    pairs: int


@dataclass(frozen=True)
class Measured:
    """All pairs of one case."""

    ours_seconds: float  # median beside the first rival, the one that the table is about
    comparisons: list[Comparison]
    missing: dict[str, str]  # rival: why
    others_load: float  # share of the machine's processor time that other processes took meanwhile


def compare(rival: str, ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Summarise pairs of times."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    lower, middle, upper = quartiles(ratios)
    return Comparison(rival, statistics.median(ours), statistics.median(theirs), middle, lower, upper, len(ratios))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the quartiles of the values themselves (of one value: that value)."""
    if len(values) == 1:
        return (values[0],) * 3
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, middle, upper


def pairs_wanted(pair_seconds: float) -> int:
    """Return how many pairs to measure: at least 15, more of short ones, fewer where 15 would take more than 2 s."""
    enough = max(MINIMUM_PAIRS, round(LONG_ENOUGH / pair_seconds))
    return max(3, min(enough, int(TOO_LONG / pair_seconds))) if enough == MINIMUM_PAIRS else enough


def in_turn(counts: Sequence[int]) -> list[int]:
    """Spread `counts[i]` turns of each i evenly: the order in which rivals are measured."""
    turns = [((turn + 0.5) / count, i) for i, count in enumerate(counts) for turn in range(count)]
    return [i for _, i in sorted(turns)]


def seconds_of(call: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Turn:
    """What one side does when it is its turn: so many calls, which take about so many seconds in all."""

    call: Callable[[], Any]
    calls: int
    seconds: float


class Clock(Protocol):
    """How time is taken."""

    def turn(self, call: Callable[[], Any]) -> Turn:
        """Warm up, and say what a turn is."""

    def seconds(self, turn: Turn) -> float:
        """Take a turn; return the time of one call."""

    def rounds(self, benchmark: Any, turn: Turn, before: Callable[[], None], count: int) -> list[float]:
        """Take `count` turns, each after a call of `before`, under the pytest-benchmark fixture."""


class HostClock:
    """The clock of the process, around one call at a time; ours by pytest-benchmark's."""

    def turn(self, call: Callable[[], Any]) -> Turn:
        """One call, as long as the second one takes."""
        seconds_of(call)
        return Turn(call, 1, seconds_of(call))

    def seconds(self, turn: Turn) -> float:
        """Take a turn."""
        return seconds_of(turn.call)

    def rounds(self, benchmark: Any, turn: Turn, before: Callable[[], None], count: int) -> list[float]:
        """Take `count` turns."""
        benchmark.pedantic(turn.call, setup=before, rounds=count, iterations=1)
        return list(benchmark.stats.stats.data)


class OthersLoad:
    """Share of the machine's processor time that other processes (or other guests of the host) took."""

    def __init__(self) -> None:
        self.share = 0.0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Measure over the body; the system counts in hundredths of a second."""
        machine, own, start = _busy_seconds(), _own_seconds(), time.perf_counter()
        yield
        available = (time.perf_counter() - start) * (psutil.cpu_count() or 1)
        others = _busy_seconds() - machine - (_own_seconds() - own)
        self.share = min(1.0, max(0.0, others / available))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + sum(getattr(times, name, 0.0) for name in ("nice", "irq", "softirq", "steal"))


def _own_seconds() -> float:
    return time.process_time()


def measure(
    benchmark: Any,
    ours: Callable[[], Any],
    rivals: Sequence[Rival],
    pairs: int | None = None,
    clock: Clock | None = None,
) -> Measured:
    """Measure `ours` against every rival: a rival's turn before each of ours, under the pytest-benchmark fixture.

    `pairs` overrides the number of pairs of each rival; the `clock` is that of the host.
    """
    clock = clock or HostClock()
    own_turn = clock.turn(ours)
    present: list[tuple[Rival, Turn]] = []
    counts, missing = [], {}
    for rival in rivals:
        try:
            turn = clock.turn(rival.call)
        except Exception as error:
            if not rival.optional:
                raise
            missing[rival.name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"[:200]
            continue
        present.append((rival, turn))
        counts.append(pairs or pairs_wanted(own_turn.seconds + turn.seconds))
    order = in_turn(counts)
    turns = iter(order)
    theirs: list[float] = []

    def rival_first() -> None:
        theirs.append(clock.seconds(present[next(turns)][1]))

    load = OthersLoad()
    with _without_collection(), load.watch():
        own = clock.rounds(benchmark, own_turn, rival_first, len(order))
    comparisons = []
    for i, (rival, _) in enumerate(present):
        chosen = [turn == i for turn in order]
        times = list(itertools.compress(own, chosen)), list(itertools.compress(theirs, chosen))
        comparisons.append(compare(rival.name, *times))
    beside_first = comparisons[0].ours_seconds if comparisons else statistics.median(own)
    return Measured(beside_first, comparisons, missing, load.share)


@contextmanager
def _without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

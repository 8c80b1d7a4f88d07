"""What a benchmark case says about itself, and what one run of the suite adds up to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch

from bayesops.profiling.timing import peak_memory
from benchmarks.places import Place
from benchmarks.side_by_side import Measured, Rival, measure

BAR_THREADS = 2  # the bars of the project are set for two threads, unless a case says otherwise
BAR_CAPABILITIES = ("avx512", "avx512_bf16")
QUIET = 0.05  # others' share of the machine above which a run does not count
DISTURBED = 0.10  # and above which a single row is marked


@dataclass(frozen=True)
class Limit:
    """The best there can be: a time, or a speed-up over one of the rivals."""

    what: str
    seconds: Callable[[], float] | None = None  # called next to the measurement
    speed_up: tuple[str, float] | None = None  # rival, factor


@dataclass(frozen=True)
class Target:
    """What the case is to reach: on AVX-512 with `threads` threads, or on a device."""

    speed_up: Mapping[str, float] = field(default_factory=dict)  # rival: at least
    achieved: float | None = None  # share of the limit: at least
    memory: Mapping[str, float] = field(default_factory=dict)  # rival: its peak over ours, at least
    threads: int = BAR_THREADS


@dataclass(frozen=True)
class Case:
    """One row: `group` is its table, `name` its label there, `threads` (None on a device) completes the key."""

    group: str
    name: str
    threads: int | None
    parameters: Mapping[str, Any]
    ours: Callable[[], Any]
    rivals: Sequence[Rival]
    limit: Limit | None = None
    target: Target | None = None
    on_device: Target | None = None  # where it is another one
    memory: bool = False  # measure what each side needs at its peak


SideBySide = Callable[[Case], None]  # the fixture that measures a case


def flop_limit(place: Place, operations: float, dtype: torch.dtype = torch.float32) -> Limit:
    """Time of so many floating-point operations at the peak measured in the same run."""
    return Limit("multiply-adds at the measured peak", lambda: operations / place.multiply_add_rate(dtype))


def run(case: Case, benchmark: Any, place: Place, pairs: int | None = None) -> dict[str, Any]:
    """Measure a case and put the row together as it is stored."""
    limits = [case.limit.seconds()] if case.limit is not None and case.limit.seconds else []
    # What cuDNN does not take is no reason to lose a row.
    rivals = case.rivals if case.threads else [replace(rival, optional=True) for rival in case.rivals]
    measured = measure(benchmark, case.ours, rivals, pairs, place.clock)
    if case.limit is not None and case.limit.seconds:
        limits.append(case.limit.seconds())
    memory = _memory(case, measured, place.device) if case.memory else {}
    return row(case, measured, min(limits) if limits else None, place.capability, memory)


def try_out(case: Case) -> None:
    """Call every side once, but those that may be missing, and form the limit."""
    for call in [case.ours, *(rival.call for rival in case.rivals if not rival.optional)]:
        call()
    if case.limit is not None and case.limit.seconds:
        case.limit.seconds()


OURS = "ours"  # the key beside the rivals' names


def _memory(case: Case, measured: Measured, device: torch.device) -> dict[str, int]:
    """Bytes at the peak of one call, beyond what is held before, by name."""
    calls = {OURS: case.ours, **{r.name: r.call for r in case.rivals if r.name not in measured.missing}}
    peaks = {name: peak_memory(call, device) for name, call in calls.items()}
    return {name: peak for name, peak in peaks.items() if peak}


def _target(case: Case, capability: str) -> Target | None:
    """Return what is to be reached where the case ran."""
    if case.threads is None:
        return case.on_device or case.target
    judged = case.target is not None and case.target.threads == case.threads and capability in BAR_CAPABILITIES
    return case.target if judged else None


def row(
    case: Case,
    measured: Measured,
    limit_seconds: float | None,
    capability: str,
    memory: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """Put the row of a measured case together; bars are judged only on the machine that they are set for."""
    speed_ups = {c.rival: c.speed_up for c in measured.comparisons}
    limit: dict[str, Any] | None = None
    if case.limit is not None:
        limit = {"what": case.limit.what}
        if limit_seconds is not None:
            limit |= {"seconds": limit_seconds, "achieved": limit_seconds / measured.ours_seconds}
        elif case.limit.speed_up is not None and case.limit.speed_up[0] in speed_ups:
            rival, factor = case.limit.speed_up
            limit |= {"speed_up": factor, "over": rival, "achieved": speed_ups[rival] / factor}
    checks: list[dict[str, Any]] = []
    target = _target(case, capability)
    if target is not None:
        for rival, wanted in target.speed_up.items():
            if rival in speed_ups:
                checks.append({"what": f"speed-up over {rival}", "value": speed_ups[rival], "at_least": wanted})
            elif rival in measured.missing:  # a bar that nobody has measured is not met
                checks.append({"what": f"speed-up over {rival} (missing)", "value": 0.0, "at_least": wanted})
        if target.achieved is not None and limit is not None and "achieved" in limit:
            checks.append({"what": "share of the limit", "value": limit["achieved"], "at_least": target.achieved})
        for rival, wanted in target.memory.items():
            if rival in memory and OURS in memory:
                value = memory[rival] / memory[OURS]
                checks.append({"what": f"memory of {rival} over ours", "value": value, "at_least": wanted})
    for check in checks:
        check["passed"] = check["value"] >= check["at_least"]
    return {
        "group": case.group,
        "name": case.name,
        "threads": case.threads,
        "parameters": dict(case.parameters),
        "ours_seconds": measured.ours_seconds,
        "rivals": [asdict(c) for c in measured.comparisons],
        "missing": measured.missing,
        "limit": limit,
        "checks": checks,
        "others_load": measured.others_load,
    } | ({"memory": dict(memory)} if memory else {})

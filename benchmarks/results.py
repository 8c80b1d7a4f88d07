"""A run of the suite as it is stored, whether it counts, and how it differs from the committed run."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.suite import QUIET

Run = dict[str, Any]
Row = dict[str, Any]

RESULTS = Path(__file__).with_name("results")
UNCHANGED = 0.05  # a speed-up this close to the committed one is the same


def from_benchmark_json(*outputs: dict[str, Any]) -> Run:
    """Keep of pytest-benchmark's JSON what the report needs, to four digits.

    Parts of a suite that was run in several goes are put together; of a case that is in more than one, the last counts.
    """
    last = outputs[-1]
    if any(output["machine"]["kind"] != last["machine"]["kind"] for output in outputs):
        raise ValueError("parts of one run must be of one kind of machine")
    latest = {label(row): row for output in outputs for row in _rows(output)}
    rows = list(latest.values())
    unmeasured = set.intersection(*(set(output["suite"]["unmeasured"]) for output in outputs))
    commit = last["commit_info"]
    run = {
        "machine": last["machine"],
        "quick": any(output["suite"]["quick"] for output in outputs),
        "partial": bool(unmeasured) or not all(output["suite"]["all_files"] for output in outputs),
        "date": last["datetime"][:10],
        "commit": str(commit["id"])[:12] + (" with changes" if commit.get("dirty") else ""),
        "others_load": statistics.fmean(row["others_load"] for row in rows) if rows else 0.0,
        "rows": rows,
    }
    return _rounded(run)


def _rows(output: dict[str, Any]) -> list[Row]:
    """Of every case that came to its end: one that was interrupted has times, but no row."""
    return [benchmark["extra_info"]["row"] for benchmark in output["benchmarks"] if "row" in benchmark["extra_info"]]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def why_invalid(run: Run) -> str | None:
    """Say why a run does not count, or None."""
    if run["quick"]:
        return "it was a quick run of one pair each"
    if run["partial"]:
        return "only a part of the suite was measured"
    if run["others_load"] > QUIET:
        return f"the machine was busy: others took {run['others_load']:.0%} of its processor time"
    return None


def is_device(run: Run) -> bool:
    """Say whether a run was made on a device beside the CPU."""
    return "device" in run["machine"]


def path_of(run: Run, folder: Path = RESULTS) -> Path:
    """Return where the committed run of the same kind of machine is."""
    return folder / f"{run['machine']['kind']}.json"


def load(path: Path) -> Run:
    """Read a stored run."""
    run: Run = json.loads(path.read_text(encoding="utf-8"))
    return run


def load_all(folder: Path = RESULTS) -> list[Run]:
    """Read the committed runs of all machines: those that the bars are set for first, devices last; then by name."""
    runs = [load(path) for path in sorted(folder.glob("*.json"))]
    return sorted(runs, key=lambda run: (is_device(run), not run["machine"]["capability"].startswith("avx512")))


def store(run: Run, folder: Path = RESULTS) -> Path:
    """Write a run as the committed one of its machine."""
    path = path_of(run, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Change:
    """A speed-up, or a share of the limit, beside the committed one."""

    case: str
    what: str
    before: float
    now: float

    def __str__(self) -> str:
        return f"{self.case}: {self.what} {self.before:.3g} -> {self.now:.3g} ({self.now / self.before - 1:+.0%})"


@dataclass(frozen=True)
class Difference:
    """A run beside the committed one."""

    compared: int
    changes: list[Change]  # beyond 5 % and beyond the spread of the pairs
    added: list[str]
    gone: list[str]


def label(row: Row) -> str:
    """Name a row in one line."""
    threads = row["threads"]
    case = f"{row['group']}: {row['name']}"
    return case if threads is None else f"{case}, {threads} thread{'s' if threads > 1 else ''}"


def difference(run: Run, committed: Run) -> Difference:
    """Compare two runs by their ratios; times are never compared."""
    before = {label(row): row for row in committed["rows"]}
    now = {label(row): row for row in run["rows"]}
    compared, changes = 0, []
    for case in [case for case in now if case in before]:
        old = {rival["rival"]: rival for rival in before[case]["rivals"]}
        for new in now[case]["rivals"]:
            if new["rival"] not in old:
                continue
            compared += 1
            was = old[new["rival"]]
            apart = new["lower"] > was["upper"] or new["upper"] < was["lower"]
            if apart and _changed(was["speed_up"], new["speed_up"]):
                changes.append(Change(case, f"speed-up over {new['rival']}", was["speed_up"], new["speed_up"]))
        share, was_share = achieved(now[case]), achieved(before[case])
        if share is not None and was_share is not None:
            compared += 1
            if _changed(was_share, share):
                changes.append(Change(case, "share of the limit", was_share, share))
    added = [case for case in now if case not in before]
    return Difference(compared, changes, added, [case for case in before if case not in now])


def achieved(row: Row) -> float | None:
    """Return the share of the limit that a row reached, if it has a limit."""
    share: float | None = (row["limit"] or {}).get("achieved")
    return share


def _changed(before: float, now: float) -> bool:
    return not 1 - UNCHANGED <= now / before <= 1 / (1 - UNCHANGED)

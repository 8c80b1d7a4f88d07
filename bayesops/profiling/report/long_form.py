"""A profile as CSV: one thing measured in each row."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bayesops._arguments import check_choice
from bayesops.profiling.result import Profile
from bayesops.profiling.rivals import LABELS
from bayesops.profiling.timing import Spread

TABLES = ("ways", "steps", "accuracy")


def to_csv(result: Profile, table: str) -> str:
    """Return one of the tables; see `Profile.to_csv`. Nothing comes of one that was not measured."""
    check_choice("to_csv", "table", table, TABLES)
    rows = list({"ways": _ways, "steps": _steps, "accuracy": _accuracy}[table](result))
    file = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    if rows:
        writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _ways(result: Profile) -> Iterator[dict[str, Any]]:
    """Each way of each case; those left out have a reason and no numbers."""
    for case in result.cases:
        of_case = {"model": result.model, "batch_size": case.batch_size, "num_samples": case.num_samples}
        for name in LABELS:
            if name in case.ways:
                way = case.ways[name]
                yield {
                    **of_case,
                    "way": name,
                    **_spread("seconds", way.seconds),
                    **_spread("ratio", way.ratio),
                    **_spread("speedup", way.speedup),
                    "rounds": case.rounds,
                    "peak_bytes": way.peak_bytes,
                    "of_peak": case.of_peak if name == "ours" else None,
                    "left_out": None,
                }
            elif name in case.left_out:
                yield {**of_case, "way": name, "left_out": case.left_out[name]}


def _spread(name: str, spread: Spread) -> dict[str, float]:
    return {name: spread.median, f"{name}_lower": spread.lower, f"{name}_upper": spread.upper}


def _steps(result: Profile) -> Iterator[dict[str, Any]]:
    for size, breakdown in result.layers.items():
        for step in breakdown.steps:
            row = asdict(step)
            phases = row.pop("phases") or {}
            yield {
                "model": result.model, "batch_size": size, "num_samples": breakdown.num_samples, "path": breakdown.path,
                "step": row.pop("name"), **row, **{f"phase_{phase}": share for phase, share in phases.items()},
            }  # fmt: skip


def _accuracy(result: Profile) -> Iterator[dict[str, Any]]:
    for size, accuracy in result.accuracy.items():
        for row in accuracy.table:
            yield {"model": result.model, "batch_size": size, **asdict(row)}

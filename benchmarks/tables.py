"""The rows of a group as a table, and how its numbers are written."""

from collections.abc import Sequence

from benchmarks import results
from benchmarks.results import Row
from benchmarks.suite import DISTURBED, OURS


def table(rows: Sequence[Row], with_threads: bool = True) -> list[str]:
    """Write one line a case, and below them what is missing and why."""
    rivals = list(dict.fromkeys(c["rival"] for row in rows for c in row["rivals"]))
    names = rivals + [name for row in rows for name in row["missing"] if name not in rivals]
    names = list(dict.fromkeys(names))
    weighed = list(dict.fromkeys(name for row in rows for name in row.get("memory", {})))
    memories = ["memory" if name == OURS else f"memory of {name}" for name in weighed]
    threads = ["threads"] if with_threads else []
    header = ["case", *threads, "ours", "limit", *(f"over {name}" for name in names), *memories, "bar"]
    lines = [cells(header), cells(["---"] + ["---:"] * (len(header) - 2) + ["---"])]
    notes = []
    for row in rows:
        speed_ups = {c["rival"]: speed_up(c["speed_up"], c["lower"], c["upper"]) for c in row["rivals"]}
        against = [speed_ups.get(name, "missing" if name in row["missing"] else "") for name in names]
        mark = " †" if row["others_load"] > DISTURBED else ""
        share = results.achieved(row)
        lines.append(
            cells(
                [
                    row["name"] + mark,
                    *([str(row["threads"])] if with_threads else []),
                    duration(row["ours_seconds"]),
                    f"{share:.0%}" if share else "",
                    *against,
                    *(size(row.get("memory", {}).get(name)) for name in weighed),
                    verdict(row),
                ]
            )
        )
        notes += [f"- {name} is missing from {row['name']}: {why}" for name, why in row["missing"].items()]
        if mark:
            notes.append(f"- †: others took more than {DISTURBED:.0%} of the machine meanwhile; not to be relied on")
    return [*lines, "", *dict.fromkeys(notes)] if notes else lines


def cells(texts: Sequence[str]) -> str:
    """Write one line."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def speed_up(middle: float, lower: float, upper: float) -> str:
    """Write a speed-up with its quartiles, bold where we lose."""
    text = f"{factor(middle)} × ({factor(lower)} – {factor(upper)})"
    return f"**{text}**" if middle < 1 else text


def factor(value: float) -> str:
    """Write a factor with as many digits as mean something."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """Write a time with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def size(bytes: int | None) -> str:
    """Write an amount of memory in MB with three digits; nothing for none."""
    return "" if bytes is None else f"{bytes / 1e6:.3g} MB"


def verdict(row: Row) -> str:
    """Write which bars of a row are met, and which are missed."""
    if not row["checks"]:
        return "–"
    missed = [check for check in row["checks"] if not check["passed"]]
    if not missed:
        return "met"
    return "missed: " + ", ".join(f"{check['what']} {check['value']:.2f} < {check['at_least']:.2f}" for check in missed)

"""Tables and progress bars of the commands."""

import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from bayesops.profiling import Case, LayerCost, Machine, Phases, Spread

_WIDTH_OF_FILES = 130


def console() -> Console:
    """Return the standard output: as wide as the terminal, or wide enough for every table where it is none."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES, highlight=False)


def bar(what: str, total: int | None = None, items: Iterable[Any] | None = None, quiet: bool = False) -> Any:
    """Return a progress bar on the standard error, none where that is no terminal."""
    return tqdm(
        items, desc=what, total=total, leave=False, dynamic_ncols=True, disable=True if quiet else None, file=sys.stderr
    )


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], text_columns: int = 0) -> Table:
    """Return a table whose first `text_columns` columns are text, all others numbers."""
    result = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        result.add_column(column, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def machine_line(machine: Machine) -> str:
    """One line: what the numbers were measured on."""
    limits = ""
    if machine.peak_flops and machine.copy_bytes:
        limits = (
            f"; measured limits: {machine.peak_flops / 1e9:.0f} GFLOP/s of multiply-adds, "
            f"{machine.copy_bytes / 1e9:.1f} GB/s of copying"
        )
    return (
        f"{machine.cpu}, {machine.capability}, {machine.threads} threads, torch {machine.torch} "
        f"(torch.bernoulli: {machine.bernoulli}){limits}"
    )


def case_table(cases: Iterable[Case], title: str) -> Table:
    """Whole models: one row for each batch size and number of draws."""
    columns = ["batch", "T", "T passes ms", "naive loop", "bo.predict", "faster than loop", "of peak"]
    return table(
        title,
        [*columns, "MiB: passes, loop, ours"],
        (
            [
                str(case.batch_size),
                str(case.num_samples),
                f"{1e3 * case.seconds['deterministic']:.2f}",
                _spread(case.naive_ratio),
                _spread(case.ours_ratio),
                f"{case.speedup.median:.1f} x",
                _percent(case.of_peak),
                ", ".join("?" if size is None else f"{size / 2**20:.1f}" for size in case.peak_bytes.values()),
            ]
            for case in cases
        ),
    )


def layer_table(layers: Iterable[LayerCost], title: str) -> Table:
    """One row for each Bayesian layer."""
    phases = [field.name for field in fields(Phases)]
    return table(
        title,
        ["layer", "kind", "plain µs", "ours µs", "ratio", "of peak", "in kernel", *phases],
        (
            [
                layer.name,
                layer.kind,
                f"{1e6 * layer.plain_seconds:.1f}",
                f"{1e6 * layer.seconds:.1f}",
                f"{layer.ratio:.2f}",
                _percent(layer.of_peak),
                _percent(layer.busy),
                *(_percent(getattr(layer.phases, phase) if layer.phases else None) for phase in phases),
            ]
            for layer in layers
        ),
        text_columns=2,
    )


def _spread(ratio: Spread) -> str:
    return f"{ratio.median:.2f} [{ratio.lower:.2f}, {ratio.upper:.2f}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"

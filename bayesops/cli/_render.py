"""Tables and progress bars of the commands."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from tqdm import tqdm

from bayesops.profiling import Case, Machine
from bayesops.profiling.report import tables, text

_WIDTH_OF_FILES = 110
_WIDEST = 130


def console() -> Console:
    """Return the standard output: as wide as the terminal, or as COLUMNS says, within reason."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else _WIDTH_OF_FILES
    made = Console(width=width, highlight=False)
    made.width = min(made.width, _WIDEST)
    return made


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
    return tables.machine_line(machine)


def case_table(cases: Sequence[Case], title: str) -> RenderableType:
    """Whole models: one row for each batch size and number of draws."""
    return text.render(tables.summary(cases, title), console().width)

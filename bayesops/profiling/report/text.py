"""A profile as text: as wide as there is room, and no less clear at 80 columns and without colour."""

import io
from collections.abc import Iterator
from dataclasses import replace

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from bayesops.profiling.report import tables
from bayesops.profiling.report.notes import ACCURACY_NOTES, LAYER_NOTES, NOTES
from bayesops.profiling.report.tables import Bar, Table
from bayesops.profiling.result import Profile

_BAR_WIDTH = 14
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_GAP = 2
_SHORTEST = 12


def to_text(result: Profile, width: int = 100) -> str:
    """Return everything as plain text, no line wider than `width` where that can be."""
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, highlight=False)
    console.print(rendered(result, width))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def rendered(result: Profile, width: int) -> Group:
    """Everything, for a console of that width."""
    notes = [NOTES, ACCURACY_NOTES if result.accuracy else "", LAYER_NOTES if result.layers else ""]
    return Group(
        Text(tables.machine_line(result.machine), style="dim"),
        Text(tables.model_line(result), style="dim"),
        render(tables.summary(result.cases, f"{result.model}: what T draws cost"), width),
        *(part for size in tables.batch_sizes(result) for part in _of_batch(result, size, width)),
        Padding(Rule(style="dim"), (1, 0, 0, 0)),
        *(Text(note, style="dim") for note in notes if note),
    )


def _of_batch(result: Profile, size: int, width: int) -> list[RenderableType]:
    heading = Padding(Rule(Text(f"batch {size}", style="bold"), align="left", style="dim"), (1, 0, 0, 0))
    return [heading, *(render(table, width) for table in tables.of_batch(result, size))]


def render(table: Table, width: int) -> Group:
    """One table; several below each other where its columns do not fit."""
    parts = [_rich(part) for part in fitted(table, width)]
    notes = [Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in table.notes]
    return Group(Text(""), Text(table.title, style="bold"), *parts, *notes)


def fitted(table: Table, width: int) -> Iterator[Table]:
    """Leave out details until the table fits, those on the right first; then cut texts; then columns below others."""
    while _width(table) > width and any(column.detail for column in table.columns):
        last = max(i for i, column in enumerate(table.columns) if column.detail)
        table = _only(table, [i for i in range(len(table.columns)) if i != last])
    for index in [i for i, column in enumerate(table.columns) if column.shrinks]:
        table = _cut(table, index, _width(table) - width)
    first = 1
    while first < len(table.columns):
        last = len(table.columns)
        while last > first + 1 and _width(_only(table, [0, *range(first, last)])) > width:
            last -= 1
        yield _only(table, [0, *range(first, last)])
        first = last


def _cut(table: Table, index: int, excess: int) -> Table:
    """Shorten the cells of a column by `excess`, if that leaves something of them."""
    longest = max(len(str(row[index])) for row in table.rows) - excess
    if excess <= 0 or longest < _SHORTEST:
        return table
    rows = [list(row) for row in table.rows]
    for row in rows:
        text = str(row[index])
        row[index] = text if len(text) <= longest else text[: longest - 1] + "…"
    return replace(table, rows=rows)


def _only(table: Table, kept: list[int]) -> Table:
    columns = [table.columns[i] for i in kept]
    return replace(table, columns=columns, rows=[[row[i] for i in kept] for row in table.rows])


def _width(table: Table) -> int:
    widths = [
        max([len(column.title), *(_BAR_WIDTH if isinstance(row[i], Bar) else len(str(row[i])) for row in table.rows)])
        for i, column in enumerate(table.columns)
    ]
    return sum(widths) + _GAP * (len(widths) - 1)


def _rich(table: Table) -> RichTable:
    made = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="dim"
    )
    for column in table.columns:
        made.add_column(column.title, justify="left" if column.text else "right", no_wrap=True, overflow="ellipsis")
    for index, row in enumerate(table.rows):
        made.add_row(*map(_cell, row), style="bold cyan" if index in table.stressed else "")
    return made


def _cell(cell: str | Bar) -> str:
    if not isinstance(cell, Bar):
        return cell.replace("[", r"\[")
    eighths = max(1, round(8 * _BAR_WIDTH * min(1.0, cell.length))) if cell.length > 0 else 0
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()

"""A profile as one page that needs nothing from outside: styles, tables and plots are in it."""

from html import escape
from typing import TYPE_CHECKING

from bayesops.profiling.report import tables
from bayesops.profiling.report.notes import ACCURACY_NOTES, LAYER_NOTES, NOTES
from bayesops.profiling.report.tables import Bar, Column, Table
from bayesops.profiling.result import Profile

if TYPE_CHECKING:
    from bayesops.profiling.report import figures

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 2px solid #1b3a5c; }
nav a { margin-right: 1rem; color: #1b3a5c; }
p.machine, p.note, figcaption { color: #5b6673; font-size: .86rem; margin: .25rem 0; }
section.table { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; font-size: .95rem; }
th, td { padding: .18rem .7rem .18rem 0; white-space: nowrap; }
th { border-bottom: 1px solid #9aa6b2; font-weight: 500; color: #5b6673; }
tbody tr + tr td { border-top: 1px solid #eceff2; }
.number { text-align: right; }
.text { text-align: left; }
tr.stressed td { font-weight: 650; color: #1b3a5c; background: #f1f5f9; }
.bar { display: inline-block; height: .7rem; background: #b8c4d0; vertical-align: middle; }
tr.stressed .bar { background: #1b3a5c; }
figure { margin: 1.4rem 0; }
figure svg { width: 100%; height: auto; }
figcaption { font-weight: 600; color: #1d2733; font-size: .95rem; margin-bottom: .3rem; }
""".strip()
_BAR_REM = 8.0


def to_html(result: Profile) -> str:
    """Return the page."""
    from bayesops.profiling.report import figures  # which needs matplotlib; tables do not

    sizes = tables.batch_sizes(result)
    links = " ".join(f'<a href="#batch-{size}">batch {size}</a>' for size in sizes)
    title = escape(f"{result.model}: what T draws cost")
    batches = "\n".join(
        f'<h2 id="batch-{size}">Batch {size}</h2>\n{_batch(result, size)}' for size in sizes
    )  # fmt: skip
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="machine">{escape(tables.machine_line(result.machine))}</p>
<p class="machine">{escape(tables.model_line(result))}</p>
<nav>{links} <a href="#how-to-read">how to read it</a></nav>
{_table(tables.summary(result.cases, "In short"))}
{"".join(_figure(plot) for plot in figures.plots(result))}
{batches}
<h2 id="how-to-read">How to read it</h2>
{_notes(result)}
</body>
</html>
"""


def tables_as_html(result: Profile) -> str:
    """Return the tables alone, as a notebook shows them."""
    summary = _table(tables.summary(result.cases, f"{result.model}: what T draws cost"))
    parts = [
        f"<h4>batch {size}</h4>\n" + "\n".join(map(_table, tables.of_batch(result, size)))
        for size in tables.batch_sizes(result)
    ]
    return "\n".join([summary, *parts])


def _batch(result: Profile, size: int) -> str:
    """Tables and plots of one batch size: each plot comes after the tables that it shows."""
    from bayesops.profiling.report import figures

    plots = [_figure(plot) for plot in figures.plots(result, size)]
    made = [_table(table) for table in tables.of_batch(result, size)]
    return "\n".join([*made, *plots])


def _notes(result: Profile) -> str:
    notes = [NOTES, *([ACCURACY_NOTES] if result.accuracy else []), *([LAYER_NOTES] if result.layers else [])]
    return "\n".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _figure(plot: "figures.Plot") -> str:
    from bayesops.profiling.report import figures

    title = escape(plot[0])
    svg = figures.svg(plot).replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return f"<figure>\n<figcaption>{title}</figcaption>\n{svg}</figure>\n"


def _table(table: Table) -> str:
    head = "".join(f'<th class="{_kind(column)}" scope="col">{escape(column.title)}</th>' for column in table.columns)
    rows = []
    for index, row in enumerate(table.rows):
        cells = "".join(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
        stress = ' class="stressed"' if index in table.stressed else ""
        rows.append(f"<tr{stress}>{cells}</tr>")
    body = "\n".join(rows)
    notes = "".join(f'\n<p class="note">{escape(note)}</p>' for note in table.notes)
    return (
        f'<section class="table"><table>\n<caption>{escape(table.title)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>{notes}</section>"
    )


def _kind(column: Column) -> str:
    return "text" if column.text else "number"


def _cell(cell: str | Bar, column: Column) -> str:
    if isinstance(cell, Bar):
        content = f'<span class="bar" style="width:{_BAR_REM * cell.length:.2f}rem"></span>'
    else:
        content = escape(cell)
    return f'<td class="{_kind(column)}">{content}</td>'

"""The tables of a profile, before they are text or HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from bayesops.profiling.accuracy import Accuracy
from bayesops.profiling.breakdown import Breakdown, Phases, StepCost
from bayesops.profiling.cases import Case
from bayesops.profiling.machine import Machine
from bayesops.profiling.report import numbers
from bayesops.profiling.result import Profile
from bayesops.profiling.rivals import LABELS

# Steps that draw nothing and take less than this share of the time are put together.
_SMALL_SHARE = 0.005
_RUNS = {"each": "", "once": "once · ", "mapped": "vmap · "}


@dataclass(frozen=True)
class Bar:
    """A cell that is drawn: a length between 0 and 1."""

    length: float


@dataclass(frozen=True)
class Column:
    """A column's title; text stands on the left, numbers on the right.

    Where room is scarce, a `detail` is left out, and the cells of a column that `shrinks` are cut.
    """

    title: str
    text: bool = False
    detail: bool = False
    shrinks: bool = False


@dataclass
class Table:
    """Cells, the first of which says what its row is of.

    Attributes
    ----------
    title : str
        One line.
    columns, rows
        As many cells in each row as there are columns.
    stressed : set of int
        Rows to be seen first.
    notes : list of str
        What to know, below it.
    """

    title: str
    columns: list[Column]
    rows: list[list[str | Bar]] = field(default_factory=list)
    stressed: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def machine_line(machine: Machine) -> str:
    """One line: what the numbers were measured on."""
    limits = ""
    if machine.peak_flops and machine.copy_bytes:
        limits = (
            f"; measured limits: {machine.peak_flops / 1e9:.0f} GFLOP/s of "
            f"{'matrix products' if machine.device else 'multiply-adds'}, "
            f"{machine.copy_bytes / 1e9:.1f} GB/s of copying"
        )
    where = f"{machine.device}, beside " if machine.device else ""
    return (
        f"{where}{machine.cpu}, {machine.capability}, {machine.threads} threads, torch {machine.torch} "
        f"(torch.bernoulli: {machine.bernoulli}){limits}"
    )


def model_line(result: Profile) -> str:
    """One line: which layers it is that draw."""
    return f"Bayesian layers: {result.posterior}"


def of_batch(result: Profile, size: int) -> list[Table]:
    """Everything about one batch size, in the order in which it is read."""
    found = [ways([case for case in result.cases if case.batch_size == size])]
    if size in result.accuracy:
        found += [accuracy(result.accuracy[size]), *needed(result.accuracy[size])]
    if size in result.layers:
        found += [steps(result.layers[size]), *phases(result.layers[size])]
    return found


def batch_sizes(result: Profile) -> list[int]:
    """Return the batch sizes, in their order."""
    return list(dict.fromkeys(case.batch_size for case in result.cases))


def summary(cases: Sequence[Case], title: str) -> Table:
    """One row for each batch size and number of draws."""
    columns = [
        Column("batch"), Column("T"), Column("T plain"), Column("bo.predict"), Column("÷ plain"),
        Column("best rival", text=True), Column("÷ plain"), Column("faster"), Column("of peak", detail=True),
        Column("memory", detail=True),
    ]  # fmt: skip
    table = Table(title, columns)
    for case in cases:
        ours, rival = case.ways["ours"], case.ways[case.best_rival]
        table.rows.append(
            [
                str(case.batch_size),
                str(case.num_samples),
                numbers.time(case.ways["deterministic"].seconds.median),
                numbers.time(ours.seconds.median),
                f"{ours.ratio.median:.2f}",
                LABELS[case.best_rival],
                f"{rival.ratio.median:.2f}",
                f"{rival.speedup.median:.1f} x",
                numbers.percent(case.of_peak),
                numbers.size(ours.peak_bytes),
            ]
        )
    return table


def ways(cases: Sequence[Case]) -> Table:
    """One batch size: one row for each way, one column for each number of draws."""
    last = cases[-1]
    columns = [Column("way", text=True), *(Column(f"T = {case.num_samples}") for case in cases)]
    columns += [
        Column("memory" if len(cases) == 1 else f"memory, T = {last.num_samples}"),
        Column("", text=True, detail=True),
    ]
    table = Table("Every way: time ÷ T plain passes, median [quartiles]", columns)
    names = [name for name in LABELS if any(name in case.ways for case in cases)]
    slowest = max(way.ratio.median for way in last.ways.values())
    for name in names:
        here = [case.ways.get(name) for case in cases]
        way = here[-1]
        row: list[str | Bar] = [LABELS[name]]
        for each in here:
            unit = name == "deterministic" and each is not None
            row.append(
                numbers.NONE
                if each is None
                else numbers.time(each.seconds.median)
                if unit
                else numbers.ratio(each.ratio)
            )
        row += [numbers.size(way.peak_bytes if way else None), Bar(way.ratio.median / slowest) if way else ""]
        if name == "ours":
            table.stressed.add(len(table.rows))
        table.rows.append(row)
    table.notes += _left_out(cases)
    if last.compiled:
        table.notes.append(f"torch.compile was given: {LABELS[last.compiled]}")
    table.notes.append(f"bo.predict, T = {last.num_samples}: {last.plan}")
    return table


def _left_out(cases: Sequence[Case]) -> list[str]:
    """Why ways are missing: names with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for case in cases:
        for name, reason in case.left_out.items():
            labels = by_reason.setdefault(reason, [])
            if LABELS[name] not in labels:
                labels.append(LABELS[name])
    return [f"left out: {', '.join(labels)} ({reason})" for reason, labels in by_reason.items()]


def accuracy(result: Accuracy) -> Table:
    """Say what a draw costs, and what it gives."""
    columns = [
        Column("T"), Column("time"), Column("next draw"), Column("mean error"), Column("max error"),
    ]  # fmt: skip
    has_entropy = result.entropy_deviation is not None
    if has_entropy:
        columns += [Column("entropy error"), Column("entropy bias")]
    table = Table("What the next draw costs, and what it gives: standard errors", columns)
    for row in result.table:
        cells: list[str | Bar] = [
            str(row.num_samples), numbers.time(row.seconds), numbers.time(row.seconds_per_draw),
            numbers.error(row.error_mean), numbers.error(row.error_max),
        ]  # fmt: skip
        if has_entropy:
            bias = row.entropy_bias or 0.0
            cells += [numbers.error(row.entropy_error), numbers.error(0.0) if bias == 0 else f"−{numbers.error(bias)}"]
        table.rows.append(cells)
    table.notes.append(f"from the variance of {result.draws} draws; a standard error falls with the root of T")
    return table


def needed(result: Accuracy) -> list[Table]:
    """How many draws are enough."""
    if not result.needed:
        return []
    columns = [
        Column("standard error"), Column("T, every output"), Column("time"), Column("T, on average"), Column("time")
    ]  # fmt: skip
    rows: list[list[str | Bar]] = [
        [
            f"{row.target:g}", f"{row.num_samples:,}", numbers.time(row.seconds), f"{row.num_samples_typical:,}",
            numbers.time(row.seconds_typical),
        ]
        for row in result.needed
    ]  # fmt: skip
    return [Table("Draws that are enough", columns, rows)]


def steps(result: Breakdown) -> Table:
    """One row for each step that draws or takes time."""
    columns = [
        Column("step", text=True), Column("what runs", text=True, shrinks=True), Column("µs per draw"), Column("share"),
        Column("", text=True, detail=True), Column("plain µs"), Column("ratio"), Column("of peak"),
        Column("activation", detail=True),
    ]  # fmt: skip
    table = Table(f"Steps of bo.predict, T = {result.num_samples}", columns)
    small = [step for step in result.steps if not step.bayesian and step.share < _SMALL_SHARE]
    longest = max([result.rest / result.seconds, *(step.share for step in result.steps)])
    for step in result.steps:
        if step not in small:
            table.rows.append(_step_row(step, longest))
    rest = [(f"{len(small)} small steps", sum(step.seconds for step in small))] if small else []
    for name, seconds in [*rest, ("moments, engine" if result.path == "plan" else "everything else", result.rest)]:
        share = seconds / result.seconds
        none = numbers.NONE
        table.rows.append(
            [name, "", f"{1e6 * seconds:.1f}", numbers.percent(share), Bar(share / longest), none, none, none, none]
        )
    table.rows.append(["all", "", f"{1e6 * result.seconds:.1f}", "100 %", *[""] * 5])
    if result.path != "plan":
        table.notes.append(f"the path is {result.path}, not a plan: only Bayesian layers can be told apart")
    if any(step.runs == "mapped" for step in result.steps):
        table.notes.append("vmap: nothing better is known of the step than to map it over the draws")
    if any(step.runs == "once" for step in result.steps):
        table.notes.append("once: does not depend on the draw, and runs once for all of them")
    return table


def _step_row(step: StepCost, longest: float) -> list[str | Bar]:
    return [
        step.name,
        _RUNS[step.runs] + step.kind,
        f"{1e6 * step.seconds:.1f}",
        numbers.percent(step.share),
        Bar(step.share / longest),
        numbers.NONE if step.plain_seconds is None else f"{1e6 * step.plain_seconds:.1f}",
        numbers.NONE if step.ratio is None else f"{step.ratio:.2f}",
        numbers.percent(step.of_peak),
        numbers.size(step.activation_bytes or None),
    ]


def phases(result: Breakdown) -> list[Table]:
    """Say what the kernels of each Bayesian layer spend their time on."""
    names = [field.name for field in fields(Phases)]
    counted = [step for step in result.steps if step.phases]
    if not counted:
        return []
    columns = [Column("layer", text=True), Column("in kernels"), *map(Column, names)]
    rows: list[list[str | Bar]] = [
        [step.name, numbers.percent(step.busy), *(numbers.percent(getattr(step.phases, name)) for name in names)]
        for step in counted
    ]
    return [Table("Inside the kernels", columns, rows)]

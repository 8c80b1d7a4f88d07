"""The forms that a profile is read in: they say what was measured, whole, and need nothing from outside."""

import csv
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest
import torch

import bayesops as bo
from bayesops import models
from bayesops.profiling import rivals
from bayesops.profiling.report import numbers, tables, text
from bayesops.profiling.report.tables import Bar, Column, Table

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def result():
    torch.manual_seed(0)
    made = bo.profile(
        models.build("lenet5"), models.example_input("lenet5"), (1, 3), (1, 2), seconds=0.01, name="<lenet> [bold]"
    )  # fmt: skip
    # Names that markup and HTML could take for their own, and a way that one case lacks.
    *others, last = made.cases
    ways = {name: way for name, way in last.ways.items() if name != "vmap"}
    last = replace(last, ways=ways, left_out={**last.left_out, "vmap": "<b>too large</b> [/bold]"})
    return replace(made, cases=(*others, last))


@pytest.fixture(scope="module")
def bare():
    return bo.profile(bo.nn.BernoulliLinear(4, 3), torch.rand(2, 4), 2, seconds=0.01, rivals=(), layers=False,
                      accuracy=False)  # fmt: skip


def test_json_is_everything(result):
    read = json.loads(result.to_json())
    assert read["machine"]["capability"] == torch.ops.bayesops.cpu_capability()
    assert [(case["batch_size"], case["num_samples"]) for case in read["cases"]] == [(1, 1), (1, 3), (2, 1), (2, 3)]
    for case, of_case in zip(read["cases"], result.cases, strict=True):
        assert case["ways"] == {name: asdict(way) for name, way in of_case.ways.items()}
        assert case["left_out"] == of_case.left_out
    for size in (1, 2):
        assert read["layers"][str(size)]["steps"] == [asdict(step) for step in result.layers[size].steps]
        assert read["accuracy"][str(size)]["table"] == [asdict(row) for row in result.accuracy[size].table]


def number(cell):
    return None if cell == "" else float(cell)


def test_csv_of_ways(result):
    rows = list(csv.DictReader(result.to_csv().splitlines()))
    assert len(rows) == sum(len(case.ways) + len(case.left_out) for case in result.cases)
    by_key = {(row["batch_size"], row["num_samples"], row["way"]): row for row in rows}
    for case in result.cases:
        of_case = {
            key[2]: row for key, row in by_key.items() if key[:2] == (str(case.batch_size), str(case.num_samples))
        }
        for name, way in case.ways.items():
            row = of_case[name]
            assert (row["model"], row["left_out"]) == ("<lenet> [bold]", "")
            for kind in ("seconds", "ratio", "speedup"):
                spread = getattr(way, kind)
                read = [float(row[column]) for column in (f"{kind}_lower", kind, f"{kind}_upper")]
                assert read == [spread.lower, spread.median, spread.upper]
            assert number(row["peak_bytes"]) == way.peak_bytes
            assert number(row["of_peak"]) == (case.of_peak if name == "ours" else None)
        for name, reason in case.left_out.items():
            assert (of_case[name]["left_out"], of_case[name]["seconds"]) == (reason, "")


def test_csv_of_steps_and_of_accuracy(result):
    rows = iter(csv.DictReader(result.to_csv("steps").splitlines()))
    for size, breakdown in result.layers.items():
        for step in breakdown.steps:
            row = next(rows)
            assert (row["batch_size"], row["num_samples"], row["path"]) == (str(size), "3", "plan")
            assert (row["step"], row["kind"], row["bayesian"]) == (step.name, step.kind, str(step.bayesian))
            for name in ("seconds", "share", "plain_seconds", "ratio", "activation_bytes", "flops", "of_peak", "busy"):
                assert number(row[name]) == getattr(step, name)
            assert number(row["phase_pack"]) == (step.phases.pack if step.phases else None)
    assert next(rows, None) is None
    read = list(csv.DictReader(result.to_csv("accuracy").splitlines()))
    expected = [asdict(row) for accuracy in result.accuracy.values() for row in accuracy.table]
    assert [{name: number(row[name]) for name in expected[0]} for row in read] == expected


def test_csv_of_what_was_not_measured_is_empty(bare):
    assert bare.to_csv("steps") == bare.to_csv("accuracy") == ""
    with pytest.raises(ValueError, match=r"table.*'layers'"):
        bare.to_csv("layers")


@pytest.mark.parametrize("width", [80, 110, 130])
def test_text_is_no_wider_than_asked(result, width):
    lines = result.to_text(width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines[:60]) or width == 80


def test_text_says_everything_at_80_columns(result):
    said = result.to_text(80)
    flat = " ".join(said.split())
    for case in result.cases:
        for name, way in case.ways.items():
            assert rivals.LABELS[name] in said
            if name != "deterministic":
                assert numbers.ratio(way.ratio) in said
    for breakdown in result.layers.values():
        for step in breakdown.steps:
            if step.phases:
                assert f"{1e6 * step.seconds:.1f}" in said
    assert "left out: torch.vmap (<b>too large</b> [/bold])" in flat
    assert "<lenet> [bold]: what T draws cost" in flat
    for note in ("next draw", "T, every output", "Inside the kernels", "epilogue", "of fused multiply-adds"):
        assert note in flat


def test_text_of_what_was_measured_alone(bare):
    said = bare.to_text()
    assert "BernoulliLinear: what T draws cost" in said
    assert "bo.predict" in said
    for absent in ("next draw", "Steps of", "Inside the kernels"):
        assert absent not in said


def test_a_table_without_room_is_cut_then_broken():
    columns = [
        Column("name", text=True),
        Column("what", text=True, shrinks=True),
        Column("a"),
        Column("b", detail=True),
    ]
    table = Table("t", columns, [["row", "a long text, thirty characters", "1234567890", "1234567890"]])
    (whole,) = text.fitted(table, 80)
    assert whole == table
    (detail,) = text.fitted(table, 50)
    assert [column.title for column in detail.columns] == ["name", "what", "a"]
    (cut,) = text.fitted(table, 40)
    assert cut.rows == [["row", "a long text, thirty c…", "1234567890"]]
    first, second = text.fitted(table, 18)
    assert [column.title for column in first.columns] == ["name", "what"]
    assert second.rows == [["row", "1234567890"]]


VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """Gathers elements, ids and what refers to something; fails where elements are not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.references, self.ids, self.text = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        self._keep(attributes)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._keep(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def _keep(self, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src", "action", "data", "srcset"):
                self.references.append(value)

    def all(self, tag):
        return [attributes for found, attributes in self.found if found == tag]


def test_the_page_needs_nothing_from_outside(result):
    html = result.to_html()
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    assert not page.all("img")
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert not re.findall(r"https?:", re.sub(r"<(?:metadata|rdf).*?</metadata>", "", html, flags=re.DOTALL))
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    pointed = {reference[1:] for reference in page.references} | set(re.findall(r"url\(#([^)]+)\)", html))
    assert pointed <= set(page.ids)


def test_the_page_shows_every_table_and_plot(result):
    page = Page(result.to_html())
    shown = " ".join("".join(page.text).split())
    assert [attributes["id"] for attributes in page.all("h2")] == ["batch-1", "batch-2", "how-to-read"]
    # In short; and for each batch every way, what the next draw costs, draws that are enough, steps, and phases.
    assert len(page.all("table")) == 1 + 2 * 5
    # Ratios and memory; and for each batch errors, and steps.
    memory = any(way.peak_bytes for case in result.cases for way in case.ways.values())
    assert len(page.all("svg")) == 1 + memory + 2 * 2
    assert all(svg["aria-label"] for svg in page.all("svg"))
    for case in result.cases:
        assert numbers.ratio(case.ways["ours"].ratio) in shown
    assert "<lenet> [bold]: what T draws cost" in shown
    assert "left out: torch.vmap (<b>too large</b> [/bold])" in shown


def test_a_page_of_what_was_measured_alone(bare):
    page = Page(bare.to_html())
    assert len(page.all("table")) == 2
    assert "next draw" not in "".join(page.text)


def test_a_notebook_shows_the_tables(result):
    page = Page(result._repr_html_())
    assert len(page.all("table")) == 11
    assert not page.all("svg")


@pytest.mark.parametrize("which", ["result", "bare"])
@pytest.mark.parametrize(("ending", "begins"), [("png", PNG), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plots_are_drawn_into_one_image(request, tmp_path, which, ending, begins):
    file = tmp_path / f"cost.{ending}"
    request.getfixturevalue(which).plot(file)
    assert file.read_bytes().startswith(begins)


def test_plots_of_one_number_of_draws_are_bars(bare, tmp_path):
    bare.plot(tmp_path / "cost.svg")
    drawn = (tmp_path / "cost.svg").read_text()
    for label in ("T plain passes", "loop in PyTorch", "bo.predict", "time ÷ T plain passes, T = 2"):
        assert label in drawn


def test_the_summary_names_the_best_rival(result):
    case = result.cases[0]
    row = tables.summary([case], "title").rows[0]
    quickest = min((n for n in case.ways if n in rivals.OF_OTHERS), key=lambda n: case.ways[n].seconds.median)
    assert row[5] == rivals.LABELS[quickest]
    assert row[4] == f"{case.ways['ours'].ratio.median:.2f}"
    assert row[7] == f"{case.ways[quickest].speedup.median:.1f} x"


def test_small_steps_are_put_together(result):
    breakdown = result.layers[2]
    first, second = (replace(step, bayesian=False, share=0.001, seconds=1e-6) for step in breakdown.steps[1:3])
    table = tables.steps(replace(breakdown, steps=(first, second, breakdown.steps[0])))
    assert [row[0] for row in table.rows] == [breakdown.steps[0].name, "2 small steps", "moments, engine", "all"]
    assert table.rows[1][2] == "2.0"
    assert isinstance(table.rows[0][4], Bar)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (numbers.time(12.345), "12.3 s"),
        (numbers.time(0.99949), "999 ms"),
        (numbers.time(0.9996), "1.00 s"),
        (numbers.time(1.5e-6), "1.50 µs"),
        (numbers.time(None), "–"),
        (numbers.size(0), "0 B"),
        (numbers.size(1023), "1023 B"),
        (numbers.size(1024), "1.00 KiB"),
        (numbers.size(3 * 2**29), "1.50 GiB"),
        (numbers.size(None), "–"),
        (numbers.digits(99.96), "100"),
        (numbers.digits(9.996), "10.0"),
        (numbers.percent(0.126), "13 %"),
        (numbers.percent(None), "–"),
        (numbers.error(0.0), "0"),
        (numbers.error(12.34), "12"),
        (numbers.error(0.01234), "0.012"),
        (numbers.error(0.0999), "0.10"),
        (numbers.error(0.0000123), "0.000012"),
        (numbers.error(0.000000123), "1.2e-07"),
        (numbers.error(None), "–"),
    ],
)
def test_numbers_as_people_read_them(said, expected):
    assert said == expected

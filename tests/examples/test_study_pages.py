"""The pages of the studies: their figures are those of the runs whose results lie beside them."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "studies"
SCRIPTS = sorted((FOLDER.parents[1] / "examples").glob("study_*.py"))
NAMES = [path.stem.removeprefix("study_") for path in SCRIPTS]
SCALES = (1, 100, 1000)  # as it is, in per cent, in thousandths


def numbers(results):
    """All numbers in them, however deep."""
    if isinstance(results, bool):
        return []
    if isinstance(results, int | float):
        return [results]
    parts = results.values() if isinstance(results, dict) else results if isinstance(results, list) else []
    return [number for part in parts for number in numbers(part)]


def figures(text):
    """What tables of a page say we found: all cells but the rows' names, and what was published elsewhere."""
    found = []
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        header, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines())
        for row in rows:
            assert len(row) == len(header), row
            found += [cell for name, cell in zip(header[1:], row[1:], strict=True) if "published" not in name]
    return [number for cell in found for number in re.findall(r"(?<![\w.])−?\d+(?:\.\d+)?", cell)]


def results(name):
    """What the runs of a study have left, of all seeds."""
    paths = sorted((FOLDER / "results").glob(f"{name}*.json"))
    assert FOLDER / "results" / f"{name}.json" in paths
    return [path.read_text() for path in paths]


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_of_a_page_are_those_of_its_runs(name):
    known = [number for text in results(name) for number in numbers(json.loads(text))]
    said = figures((FOLDER / f"{name}.md").read_text())
    for number in said:
        value, half = float(number.replace("−", "-")), 0.5001 * 10.0 ** -len(number.partition(".")[2])
        assert any(abs(scale * one - value) <= half for one in known for scale in SCALES), number
    assert len(said) > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_page_quotes_the_command_that_made_it(name):
    commands = set(re.findall(r'"command": "([^"]+)"', "".join(results(name))))
    assert commands
    page = (FOLDER / f"{name}.md").read_text()
    assert all(command in page for command in commands)


def test_every_picture_is_shown():
    shown = [name for page in FOLDER.glob("*.md") for name in re.findall(r"\(images/([\w.]+)\)", page.read_text())]
    assert sorted(set(shown)) == sorted(path.name for path in (FOLDER / "images").iterdir())


def test_the_index_lists_every_study():
    index = (FOLDER / "index.md").read_text()
    assert sorted(set(re.findall(r"\]\((\w+)\.md\)", index))) == NAMES

"""The page of pictures: its code is that of the scripts, which run, and make just the pictures that it shows."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot

import bayesops as bo

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "pictures"
PAGE = ROOT / "docs" / "pictures.md"
SHOWN = sorted(re.findall(r"\]\(images/(\w+)\.png\)", PAGE.read_text()))


@pytest.fixture
def code(blocks):
    """Return the code of the page: what is in a script, and what is not."""
    sources = "".join(path.read_text() for path in SCRIPTS.glob("*.py"))
    taken, own = [], []
    for block in blocks(PAGE, "python"):
        there = any(textwrap.indent(block, " " * depth) in sources for depth in (4, 8))
        (taken if there else own).append(block)
    return taken, own


def test_every_picture_is_shown_with_the_code_of_its_script(code):
    drawn = re.findall(r"bo\.plot\.(\w+)\(", "".join(code[0]))
    assert sorted(drawn) == SHOWN == sorted(set(bo.plot.__all__) - {"STYLE"})


def test_the_code_of_the_page_itself_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"model": torch.nn.Sequential(bo.nn.BernoulliLinear(6, 4)), "images": torch.rand(5, 6)}
    try:
        for block in code[1]:
            exec(block, names)
    finally:
        pyplot.close("all")
    assert (tmp_path / "fourth.png").read_bytes().startswith(b"\x89PNG")
    assert names["right"].has_data()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Names and contents of what the scripts draw when they hardly train."""
    folder = tmp_path_factory.mktemp("pictures")
    command = [sys.executable, SCRIPTS, "--quick", "--output", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


def test_the_scripts_draw_the_pictures_of_the_page(made):
    assert sorted(made) == SHOWN


def chunks(png):
    """Kinds of the chunks of a PNG file."""
    place, kinds = 8, []
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        kinds.append(png[place + 4 : place + 8].decode())
        place += 12 + length
    return kinds


def test_files_say_nothing_of_when_and_by_what_they_were_made(made):
    for name in SHOWN:
        for png in (made[name], (ROOT / "docs" / "images" / f"{name}.png").read_bytes()):
            assert set(chunks(png)) <= {"IHDR", "pHYs", "IDAT", "IEND"}


def test_committed_pictures_are_small():
    sizes = [(ROOT / "docs" / "images" / f"{name}.png").stat().st_size for name in SHOWN]
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_000_000

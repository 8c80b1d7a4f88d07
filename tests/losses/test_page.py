"""The page of losses prints what it says."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"
NUMBER = r"\d+\.\d+"


def test_the_page_runs_from_top_to_bottom(blocks, capsys):
    names = {}
    for block in blocks(PAGE, "python"):
        exec(block, names)
    said = "".join(blocks(PAGE, "text"))
    printed = capsys.readouterr().out
    assert re.sub(NUMBER, "#", printed) == re.sub(NUMBER, "#", said)
    numbers = [[float(number) for number in re.findall(NUMBER, text)] for text in (printed, said)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.05)

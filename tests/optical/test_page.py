"""The page of optical convolutions runs, and its table lists the options."""

import inspect
import re
from pathlib import Path

import bayesops as bo

PAGE = Path(__file__).parents[2] / "docs" / "optical.md"


def test_the_page_runs(blocks):
    names = {}
    for block in blocks(PAGE, "python"):
        exec(block, names)
    assert isinstance(names["optical"][0], bo.optical.FourierConv2d)
    assert names["prediction"].variance.max() > 0


def test_every_option_of_the_optics_is_in_its_table():
    options = set(inspect.signature(bo.optical.convert).parameters) - {"model", "where"}
    first_column = "".join(re.findall(r"^\|[^|]*\|", PAGE.read_text(), re.MULTILINE))
    assert set(re.findall(r"`(\w+)(?:=[^`]*)?`", first_column)) == options

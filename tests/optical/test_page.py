"""The page of optical convolutions runs, and its table lists the options."""

import inspect
import re
from pathlib import Path

import bayesops as bo

TEXT = (Path(__file__).parents[2] / "docs" / "optical.md").read_text()


def test_the_page_runs():
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(block, names)
    assert isinstance(names["optical"][0], bo.optical.FourierConv2d)
    assert names["prediction"].variance.max() > 0


def test_every_option_of_the_optics_is_in_its_table():
    options = set(inspect.signature(bo.optical.convert).parameters) - {"model", "where"}
    assert set(re.findall(r"`(\w+)(?:=[^`]*)?`", "".join(re.findall(r"^\|[^|]*\|", TEXT, re.MULTILINE)))) == options

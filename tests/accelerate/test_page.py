"""The page's code runs from top to bottom and prints what it says."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs" / "accelerate.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_runs(capsys, tools):
    tools.package("torchbnn")
    names: dict = {}
    for block in blocks("python"):
        exec(block, names)
    (said,) = blocks("text")
    assert capsys.readouterr().out == said
    torch.testing.assert_close(names["ours"][0].weight_mu, names["model"][0].weight_mu)
    assert names["prediction"].mean.shape == (4, 10)

"""The page's code runs from top to bottom and prints what it says."""

from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs" / "accelerate.md"


def test_the_page_runs(blocks, capsys, tools):
    tools.package("torchbnn")
    names: dict = {}
    for block in blocks(PAGE, "python"):
        exec(block, names)
    (said,) = blocks(PAGE, "text")
    assert capsys.readouterr().out == said
    torch.testing.assert_close(names["ours"][0].weight_mu, names["model"][0].weight_mu)
    assert names["prediction"].mean.shape == (4, 10)

"""The page of active learning prints what it says, and so do its examples."""

import re
import runpy
from pathlib import Path

import pytest
import torch

import bayesops as bo

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "active_learning.md"
EXAMPLES = {name: ROOT / "examples" / f"{name}.py" for name in ("active_learning", "contextual_bandit")}
NUMBER = r"\d+(?:\.\d+)?"


def assert_says(printed, said, within):
    assert re.sub(f" *{NUMBER}", "#", printed) == re.sub(f" *{NUMBER}", "#", said)
    numbers = [[float(number) for number in re.findall(NUMBER, text)] for text in (printed, said)]
    assert numbers[0] == pytest.approx(numbers[1], abs=within)


@pytest.mark.slow
def test_the_page_begins_with_the_example_and_goes_on_with_it(blocks, capsys):
    first, *others = blocks(PAGE, "python")
    assert first == EXAMPLES["active_learning"].read_text()
    names = runpy.run_path(str(EXAMPLES["active_learning"]), run_name="__main__")
    table, copies, _ = blocks(PAGE, "text")
    # Points of per cent. Where another processor rounds otherwise all rounds go their own way: with 40 labels single
    # runs differ by 6, and it is the mean of three.
    assert_says(capsys.readouterr().out, table, within=8)
    for block in others:
        exec(block, names)
    assert_says(capsys.readouterr().out, copies, within=0.5)


def test_the_bandit_in_short():
    """Regret grows by what Blundell's rewards make of a wrong action, and a seed makes one game."""
    play = runpy.run_path(str(EXAMPLES["contextual_bandit"]))["play"]
    for epsilon in (None, 0.0, 1.0):
        regret = play(120, 3, epsilon)
        assert set(regret.diff(prepend=torch.zeros(1)).tolist()) <= {0.0, 5.0, 15.0}
        assert torch.equal(regret, play(120, 3, epsilon))
        assert not torch.equal(regret, play(120, 4, epsilon))
    # Actions by the toss of a coin cost 5 on average: ½ · (½ · 15 + ½ · 5), with a standard error of 0.25.
    assert float(play(500, 0, 1.0)[-1]) / 500 == pytest.approx(5.0, abs=1.2)


def test_the_bandit_does_not_play_for_those_who_ask_what_it_does(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["contextual_bandit.py", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES["contextual_bandit"]), run_name="__main__")
    assert "Mushrooms that are digits" in capsys.readouterr().out


def test_thompson_sampling_decides_by_one_network_a_step():
    """In the bandit a decision is the best action of one draw, which can be made again."""
    example = runpy.run_path(str(EXAMPLES["contextual_bandit"]))
    model = example["network"](bayesian=True)
    example["set_estimator"](model, "weight_sample")
    with bo.sampling(seed=7):
        alone = torch.stack([model(context) for context in example["contexts"][:5]])
    with bo.sampling(seed=7):
        together = model(example["contexts"][:5])
    torch.testing.assert_close(alone, together)

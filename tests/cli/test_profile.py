"""`bayesops profile`: models by their paths, what it prints and writes, and what it says it cannot do."""

import csv
import json
import sys

import pytest
import torch

from bayesops.cli import main
from bayesops.cli import profile as command

FACTORIES = """
import torch
from torch import nn

def alone(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
def with_input(): return alone(), torch.zeros(1, 1, 8, 8)
def failing(): raise KeyError("no such file")
def number(): return 3
def odd(): return alone(), 3
relu = nn.ReLU
constant = 5
model = alone()

class Zoo:
    @staticmethod
    def make(): return alone()

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.images, self.rows = nn.Linear(16, 3), nn.Linear(5, 3)
    def forward(self, images, rows):
        return {"logits": self.images(images.flatten(1)) + self.rows(rows), "rows": rows}
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "zoo_of_the_test").mkdir()
    (tmp_path / "zoo_of_the_test" / "__init__.py").write_text("")
    (tmp_path / "zoo_of_the_test" / "models.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield "zoo_of_the_test.models"
    for name in ("zoo_of_the_test.models", "zoo_of_the_test"):
        sys.modules.pop(name, None)


QUICK = ["--seconds", "0.01", "--quiet"]
QUICKEST = [*QUICK, "--rivals", "--no-layers", "--no-accuracy", "--batch", "2", "--samples", "2"]


def test_it_prints_tables_and_writes_every_file(capsys, tmp_path, factories):
    arguments = ["profile", f"{factories}:with_input", "--batch", "1", "3", "--samples", "1", "5", *QUICK]
    files = {"json": "cost.json", "csv": "cost.csv", "html": "cost.html", "plot": "cost.png", "trace": "trace.json"}
    for option, file in files.items():
        arguments += [f"--{option}", file]
    assert main([*arguments, "--threads", str(torch.get_num_threads())]) == 0
    text = capsys.readouterr().out
    for part in ("BernoulliConv2d", "bo.predict", "torch.vmap", "[quartiles]", "batch 3 ──", "next draw", "0.005"):
        assert part in text
    written = " ".join(text[text.index("written: ") :].split())
    assert written == (
        "written: cost.json, cost.csv, cost.steps.csv, cost.accuracy.csv, cost.html, cost.png, trace.json"
    )
    read = json.loads((tmp_path / "cost.json").read_text())
    assert read["model"] == f"{factories}:with_input"
    assert [(case["batch_size"], case["num_samples"]) for case in read["cases"]] == [(1, 1), (1, 5), (3, 1), (3, 5)]
    rows = {
        table: list(csv.DictReader((tmp_path / f"cost{table}.csv").read_text().splitlines()))
        for table in ("", ".steps", ".accuracy")
    }
    assert {row["way"] for row in rows[""]} >= {"deterministic", "naive", "ours", "vmap"}
    assert [row["step"] for row in rows[".steps"]] == ["0", "1", "2"] * 2
    assert [row["num_samples"] for row in rows[".accuracy"]] == ["1", "5"] * 2
    assert (tmp_path / "cost.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_a_gaussian_posterior(capsys, factories):
    arguments = ["profile", f"{factories}:with_input", "--batch", "2", "--samples", "3", *QUICK]
    assert main([*arguments, "--posterior", "gaussian", "--estimator", "flipout"]) == 0
    text = capsys.readouterr().out
    assert "GaussianConv2d" in text
    assert "GaussianLinear" in text
    assert "Bernoulli" not in text


def test_json_alone(capsys, factories):
    arguments = ["profile", f"{factories}:alone", "--input-shape", "1", "8", "8", *QUICKEST]
    assert main([*arguments, "--json", "-"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [case["batch_size"] for case in read["cases"]] == [2]
    assert set(read["cases"][0]["ways"]) == {"deterministic", "naive", "ours"}
    assert read["layers"] == {}
    assert read["accuracy"] == {}


@pytest.mark.parametrize("model", ["model", "Zoo.make"])
def test_a_model_may_be_there_already_or_in_a_namespace(capsys, factories, model):
    assert main(["profile", f"{factories}:{model}", "--input-shape", "1", "8", "8", *QUICKEST]) == 0
    assert f"{factories}:{model}" in capsys.readouterr().out


def test_several_inputs_and_outputs(capsys, factories):
    arguments = ["profile", f"{factories}:Two", "--input-shape", "1", "4", "4", "--input-shape", "5", *QUICKEST]
    assert main([*arguments, "--output", "logits"]) == 0
    assert "bo.predict" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_model_and_draws(capsys, monkeypatch):
    monkeypatch.setattr("bayesops.profiling.accuracy._MOST_DRAWS", 100)  # or there are as many as there is time for
    arguments = ["profile", "lenet5", *QUICKEST, "--json", "-"]
    arguments.remove("--no-accuracy")
    deviations = []
    for seed in (1, 1, 2):
        assert main([*arguments, "--seed", str(seed)]) == 0
        deviations.append(json.loads(capsys.readouterr().out)["accuracy"]["2"]["deviation_mean"])
    assert deviations[0] == deviations[1] != deviations[2]


@pytest.mark.parametrize("width", [80, 110, 130])
def test_no_line_is_wider_than_the_terminal(capsys, factories, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["profile", f"{factories}:with_input", "--batch", "2", "--samples", "1", "2", "3", *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    assert any(len(line) > width - 12 for line in lines)  # there is room, and it is used


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet6"], "'lenet6' is none of lenet5, 3conv3fc, resnet18, alexnet, mlp, 1conv1fc, 2conv1fc, nor"),
        (["no_such_package:make"], "cannot import no_such_package:make: ModuleNotFoundError"),
        (["{}:missing"], "cannot import zoo_of_the_test.models:missing: AttributeError"),
        ([":make"], "not of the form pkg.module:factory"),
        (["{}:"], "not of the form pkg.module:factory"),
        (["{}:constant"], "is of type int, and neither a model nor a function that returns one"),
        (["{}:failing"], "failing() failed: KeyError: 'no such file'"),
        (["{}:number"], "must return a torch.nn.Module, or one with its input; it returned int"),
        (["{}:odd"], "must return a torch.nn.Module"),
        (["{}:alone"], "--input-shape"),
        (["{}:alone", "--input-shape", "2", "8", "8"], "does not take an input of shape (1, 2, 8, 8)"),
        (["{}:relu", "--input-shape", "2"], "argument 'model'"),
        (["{}:with_input", "--output", "1"], "output"),
        (["{}:with_input", "--device", "tpu"], "--device tpu is not to be had"),
        (["lenet5", "--samples", "0"], "'0' is not a whole number of at least 1"),
        (["lenet5", "--samples", "-3"], "at least 1"),
        (["lenet5", "--batch", "9223372036854775808"], "is no size: those have 64 bits"),
        (["lenet5", "--batch", "two"], "'two' is not a whole number"),
        (["lenet5", "--p", "1"], "not in [0, 1)"),
        (["lenet5", "--p", "nan"], "not in [0, 1)"),
        (["lenet5", "--seconds", "0"], "above 0"),
        (["lenet5", "--seconds", "inf"], "above 0"),
        (["lenet5", "--targets", "-1"], "above 0"),
        (["lenet5", "--threads", "0"], "at least 1"),
        (["lenet5", "--rivals", "jax"], "invalid choice"),
        (["lenet5", "--link", "probit"], "invalid choice"),
        (["lenet5", "--granularity", "layer"], "invalid choice"),
        (["lenet5", "--posterior", "laplace"], "invalid choice"),
        (["lenet5", "--posterior", "gaussian", "--estimator", "mean"], "invalid choice"),
        (["lenet5", "--estimator", "flipout"], "--estimator is for --posterior gaussian, not for bernoulli"),
        (["lenet5", "--posterior", "gaussian", "--p", "0.1"], "--p is for --posterior bernoulli, not for gaussian"),
        (["lenet5", "--plot", "no/such/folder/a.png"], "no such folder"),
        (["lenet5", "--json", "no/such/folder/a.json"], "no such folder"),
        (["lenet5", "--html", "zoo_of_the_test"], "is a folder, not a file"),
        (["lenet5", "--csv", "zoo_of_the_test/models.py/a.csv"], "no such folder"),
        (["lenet5", "--json", "/proc/cost.json"], "/proc/cost.json cannot be written: "),
        (["lenet5", "--json", "a.json", "--csv", "a.json"], "a.json: two files of the same name"),
        (["lenet5", "--plot", "a.svg", "--html", "zoo_of_the_test/../a.svg"], "two files of the same name"),
        (["lenet5", "--json", "a.steps.csv", "--csv", "a.csv"], "a.steps.csv: two files of the same name"),
        (["lenet5", "--plot", "a.docx"], "a.docx: the ending says what to draw, one of "),
        (["lenet5", "--plot", "a"], "a: the ending says what to draw, one of "),
        ([], "required"),
    ],
)
def test_what_it_cannot_do_is_one_line(fails, factories, arguments, message):
    assert message in fails("profile", *(argument.format(factories) for argument in arguments))


def test_its_choices_of_rivals_are_the_profiles():
    from bayesops.profiling import rivals

    assert command._RIVALS == rivals.RIVALS

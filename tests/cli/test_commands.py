"""The command line: what it prints and writes, and what it says when it is asked for something that cannot be."""

import json
import subprocess
import sys

import pytest
import torch

import bayesops
from bayesops.cli import main

PNG = b"\x89PNG"


def fails(capsys, *arguments):
    """Run a command that must fail with status 2 and one clear line; return what it says."""
    try:
        status = main(arguments)
    except SystemExit as stopped:  # argparse's way
        status = stopped.code
    captured = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return captured.err.strip().splitlines()[-1]


def test_info_says_what_is_installed(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"bayesops        {bayesops.__version__}" in text
    assert torch.__version__ in text
    assert "_C.so" in text


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cpu_capability"] in facts["build"]["instruction_sets"]
    assert facts["threads"] == torch.get_num_threads()
    assert [path.rpartition("/")[2].partition(".")[0] for path in facts["libraries"]][:1] == ["_C"]


def test_importing_the_library_loads_none_of_what_the_commands_use():
    code = (
        "import sys, bayesops, bayesops.cli, bayesops.profiling; "
        "print(sorted({'rich', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_unknown_instruction_set_is_one_line():
    process = subprocess.run(
        [sys.executable, "-m", "bayesops.cli", "info"],
        env={"BAYESOPS_CPU_CAPABILITY": "mmx"}, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 2
    assert "BAYESOPS_CPU_CAPABILITY is 'mmx'" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    for name in [name for name in sys.modules if name.startswith("bayesops.cli._")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("bayesops.cli._render", raising=False)
    assert main(["profile", "lenet5"]) == 1
    assert "pip install 'bayesops[cli]'" in capsys.readouterr().err


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
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "factories_of_the_test.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield "factories_of_the_test"
    sys.modules.pop("factories_of_the_test", None)


QUICK = ["--seconds", "0.01", "--quiet"]


def test_profile_prints_tables_and_writes_files(capsys, tmp_path, factories):
    arguments = ["profile", f"{factories}:with_input", "--batch", "1", "3", "--samples", "1", "5", *QUICK]
    arguments += ["--json", "cost.json", "--plot", "cost.png", "--threads", str(torch.get_num_threads())]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "BernoulliConv2d" in text
    assert "bo.predict" in text
    assert "[and quartiles]" in text
    assert f"layers, batch 3, T = {5}" in text
    read = json.loads((tmp_path / "cost.json").read_text())
    assert len(read["cases"]) == 4
    assert (tmp_path / "cost.png").read_bytes().startswith(PNG)


def test_profile_of_a_gaussian_posterior(capsys, factories):
    arguments = ["profile", f"{factories}:with_input", "--batch", "2", "--samples", "3", *QUICK]
    assert main([*arguments, "--posterior", "gaussian", "--estimator", "flipout"]) == 0
    text = capsys.readouterr().out
    assert "GaussianConv2d" in text
    assert "GaussianLinear" in text
    assert "Bernoulli" not in text


def test_profile_as_json_alone(capsys, factories):
    arguments = ["profile", f"{factories}:alone", "--input-shape", "1", "8", "8", "--batch", "2", "--samples", "2"]
    assert main([*arguments, *QUICK, "--no-layers", "--json", "-"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["cases"][0]["batch_size"] == 2
    assert read["layers"] == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet6"], "'lenet6' is none of lenet5, 3conv3fc, resnet18"),
        (["no_such_package:make"], "cannot import no_such_package:make: ModuleNotFoundError"),
        (["{}:missing"], "cannot import factories_of_the_test:missing: AttributeError"),
        ([":make"], "not of the form pkg.module:factory"),
        (["{}:"], "not of the form pkg.module:factory"),
        (["{}:constant"], "is a int, not a function"),
        (["{}:failing"], "failed: KeyError"),
        (["{}:number"], "must return a torch.nn.Module"),
        (["{}:odd"], "must return a torch.nn.Module"),
        (["{}:alone"], "--input-shape"),
        (["{}:alone", "--input-shape", "2", "8", "8"], "does not take an input of shape (1, 2, 8, 8)"),
        (["{}:relu", "--input-shape", "2"], "argument 'model'"),
        (["lenet5", "--samples", "0"], "'0' is not a whole number of at least 1"),
        (["lenet5", "--samples", "-3"], "at least 1"),
        (["lenet5", "--batch", "two"], "'two' is not a whole number"),
        (["lenet5", "--p", "1"], "not in [0, 1)"),
        (["lenet5", "--p", "nan"], "not in [0, 1)"),
        (["lenet5", "--seconds", "0"], "above 0"),
        (["lenet5", "--threads", "0"], "at least 1"),
        (["lenet5", "--granularity", "layer"], "invalid choice"),
        (["lenet5", "--posterior", "laplace"], "invalid choice"),
        (["lenet5", "--posterior", "gaussian", "--estimator", "mean"], "invalid choice"),
        (["lenet5", "--estimator", "flipout"], "--estimator is for --posterior gaussian, not for bernoulli"),
        (["lenet5", "--posterior", "gaussian", "--p", "0.1"], "--p is for --posterior bernoulli, not for gaussian"),
        (["lenet5", "--plot", "no/such/folder/a.png"], "no such folder"),
        (["lenet5", "--json", "no/such/folder/a.json"], "no such folder"),
        ([], "required"),
    ],
)
def test_profile_says_what_it_cannot_do(capsys, factories, arguments, message):
    assert message in fails(capsys, "profile", *(argument.format(factories) for argument in arguments))


def test_an_unknown_command(capsys):
    assert "invalid choice: 'train'" in fails(capsys, "train")
    assert "required" in fails(capsys)

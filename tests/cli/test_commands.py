"""The command line: what it prints and writes, and what it says when it is asked for something that cannot be."""

import json
import os
import subprocess
import sys

import pytest
import torch

import bayesops
from bayesops.cli import main


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
        [sys.executable, "-m", "bayesops", "info"],
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


def test_the_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"bayesops {bayesops.__version__}\n"


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "bayesops", "info"], stdout=writer, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writer)
    assert (process.returncode, process.stderr) == (1, "")


@pytest.mark.parametrize("command", [("demo",), ("profile", "lenet5")], ids=["demo", "profile"])
@pytest.mark.parametrize("seed", ["99999999999999999999", "-9223372036854775809", "1.5"])
def test_a_seed_has_64_bits(fails, command, seed):
    assert f"{seed!r} is not a whole number of 64 bits" in fails(*command, "--seed", seed)


def test_what_is_too_large_for_the_memory_is_one_line(fails):
    arguments = ["profile", "mlp", "--batch", "1000000000000000", "--samples", "1", "--quiet"]
    assert "error: too large for the memory: RuntimeError: " in fails(*arguments)


def test_other_errors_are_not_taken_for_that(monkeypatch):
    def broken(options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("bayesops.cli.info.run", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["info"])


def test_an_unknown_command(fails):
    assert "invalid choice: 'train'" in fails("train")
    assert "required" in fails()

"""What the pages say is so: the README's code and its output, links, and files that are named."""

import inspect
import re
import runpy
from collections import Counter
from dataclasses import is_dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


NUMBER = r"\d+(?:\.\d+)?"


def assert_says(printed, said):
    # Another processor may round otherwise, and an answer on the brink go the other way: percentages by two points.
    numbers = [[float(number) for number in re.findall(NUMBER, text)] for text in (said, printed)]
    assert re.sub(NUMBER, "#", said) == re.sub(NUMBER, "#", printed)
    for was, now in zip(*numbers, strict=True):
        assert now == pytest.approx(was, abs=2 if was > 20 else 0.1, rel=0.05)


def test_the_readme_shows_the_example_and_its_output(blocks, capsys):
    example = ROOT / "examples" / "digits.py"
    first, second = blocks(ROOT / "README.md", "python")
    assert second == example.read_text()
    names = {}
    exec(first, names)
    prediction = names["prediction"]
    shapes = [list(t.shape) for t in (prediction.mean, prediction.entropy, prediction.mutual_information)]
    assert f"# shapes {str(shapes)[1:-1]}" in first
    (said,) = blocks(ROOT / "README.md", "text")
    runpy.run_path(str(example))
    assert_says(capsys.readouterr().out, said)


def test_the_quick_start_runs(blocks):
    names = {
        "images": torch.rand(4, 3, 32, 32), "labels": torch.arange(4), "training_set": range(100),
        "trained": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 10)),
    }  # fmt: skip
    for block in blocks(ROOT / "docs" / "quickstart.md", "python"):
        exec(block, names)
    assert names["prediction"].mean.shape == names["prediction"].variance.shape == (4, 10)
    assert names["output"].equal(drawn(names["model"], names["images"], seed=7))


def drawn(model, images, seed):
    with bo.sampling(seed=seed):
        return model(images)


def test_the_page_of_prediction_runs(blocks, monkeypatch):
    model = nn.Sequential(nn.Flatten(), bo.nn.BernoulliLinear(12, 5, p=0.1))
    loader = torch.utils.data.DataLoader([(torch.rand(3, 2, 2), 1) for _ in range(6)], batch_size=4)
    names = {"torch": torch, "model": model, "images": torch.rand(4, 3, 2, 2), "loader": loader}
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    predictions = []
    try:
        for block in blocks(ROOT / "docs" / "prediction.md", "python"):
            exec(block, names)
            predictions.append(names["prediction"])
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    hundred, enough, narrow, shared = predictions
    assert len(enough.num_samples) == 6
    assert enough.standard_error.max() <= 0.005
    assert hundred.num_samples == narrow.num_samples == 100
    torch.testing.assert_close(narrow.mean, hundred.mean, rtol=0, atol=0.02)
    assert shared.num_samples == 1000


@pytest.mark.cuda
def test_the_page_of_gpus_runs(blocks):
    names = {}
    for block in blocks(ROOT / "docs" / "cuda.md", "python"):
        exec(block, names)
    expected = bo.predict(names["model"], names["images"], num_samples=50, seed=1, path="plan")
    torch.testing.assert_close(names["prediction"].mean, expected.mean, rtol=1e-3, atol=1e-3)


def test_the_page_of_operators_runs_and_quotes_an_error(blocks):
    page = ROOT / "docs" / "operators.md"
    x, weight = torch.rand(2, 3, 8, 8), torch.rand(4, 3, 3, 3)
    names = {
        "torch": torch, "bo": bo, "softplus": nn.functional.softplus, "x": x, "weight": weight, "bias": torch.rand(4),
        "weight_mu": weight, "weight_rho": weight - 5, "bias_mu": torch.rand(4), "bias_rho": torch.rand(4) - 5,
        "network": nn.Conv2d(3, 20, 1), "images": x, "labels": torch.randint(10, (2, 8, 8)), "step": 0,
        "conv": nn.Conv2d(3, 4, 3), "N": 6, "chunks": torch.randn(3, 50, 6, 10),
    }  # fmt: skip
    for block in blocks(page, "python"):
        exec(block, names)
        if "y" in names and "loss" not in names:
            assert names["y"].shape == (100, 2, 4, 8, 8)
    torch.testing.assert_close(names["y"], torch.max_pool2d(names["conv"](x).relu(), 2))
    torch.testing.assert_close(names["mean"], names["chunks"].softmax(-1).mean((0, 1)))
    rows = re.findall(r"^\| (`[^|]*`) \|", page.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z]\w+)`", row)}
    dimensions = {f"{name.removesuffix('1d')}{d}d" for name in named if name.endswith("1d") for d in (2, 3)}
    assert {name for name in bo.ops.__all__ if name.islower()} <= named | dimensions  # the table lists them all
    with pytest.raises(ValueError, match="masked_conv2d") as raised:
        bo.ops.masked_conv2d(x, weight, p=1.5, seed=0)
    assert blocks(page, "text") == [f"{raised.value}\n"]


def test_the_page_of_gaussian_layers_runs_from_top_to_bottom(blocks, capsys):
    """It begins with the example, whose output it quotes, and goes on with the model that was trained there."""
    example = ROOT / "examples" / "bayes_by_backprop.py"
    first, *others = blocks(ROOT / "docs" / "gaussian.md", "python")
    assert first == example.read_text()
    names = runpy.run_path(str(example))
    (said,) = blocks(ROOT / "docs" / "gaussian.md", "text")
    assert_says(capsys.readouterr().out, said)
    for block in others:
        exec(block, names)


def test_the_page_of_uncertainty_prints_what_it_says(blocks, capsys):
    page, names = ROOT / "docs" / "uncertainty.md", {}
    for language, block in blocks(page, "python", "text"):
        if language == "python":
            exec(block, names)
        else:
            assert_says(capsys.readouterr().out, block)
    rows = re.findall(r"^\|([^|]*)\|", page.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    measures = {name for name in bo.metrics.__all__ if not is_dataclass(getattr(bo.metrics, name))}
    assert measures <= named  # the table lists them all


def test_the_page_of_data_runs_and_lists_every_set_and_model(blocks, capsys):
    page = ROOT / "docs" / "data.md"
    for language, block in blocks(page, "python", "text"):
        if language == "python":
            exec(block, {})
        else:
            assert capsys.readouterr().out == block
    calls = set(re.findall(r"`bo\.data\.(\w+)\(", page.read_text()))
    readers = {name for name in bo.data.__all__ if name.islower()} - {"read_idx"}
    assert calls == readers
    named = dict(re.findall(r'^\| `"(\w+)"` \| `(\w+)`', page.read_text(), re.MULTILINE))
    assert named == {name: model.__name__ for name, model in bo.models.MODELS.items()}


def test_the_page_of_profiling_runs_and_its_commands_are_understood(blocks, capsys, monkeypatch):
    page = ROOT / "docs" / "profiling.md"
    monkeypatch.setattr(bo, "profile", partial(bo.profile, seconds=0.01))
    names = {"bo": bo, "model": nn.Linear(8, 3), "images": torch.rand(2, 8)}
    for block in blocks(page, "python"):
        exec(block, names)
    assert "bo.predict" in capsys.readouterr().out
    asked = []
    monkeypatch.setattr("bayesops.cli.profile.run", asked.append)
    commands = re.findall(r"^bayesops (profile [^#\n]+)|`bayesops (profile [^`]+)`", page.read_text(), re.MULTILINE)
    for command in commands:
        assert main("".join(command).split()) == 0
    assert [options.model for options in asked] == [
        "lenet5", "resnet18", "3conv3fc", "mypackage.models:make", "lenet5"
    ]  # fmt: skip


def test_the_page_of_profiling_names_no_option_that_there_is_not(capsys):
    with pytest.raises(SystemExit):
        main(["profile", "--help"])
    offered = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z][a-z-]*", (ROOT / "docs" / "profiling.md").read_text()))
    assert named <= offered
    assert len(named) > 10


def test_what_the_page_of_streams_says_of_layers_is_true(blocks):
    claims = [block for block in blocks(ROOT / "docs" / "streams.md", "python") if ">>>" not in block]
    for claim in claims:
        *statements, value = claim.rstrip().splitlines()
        names = {"bo": bo, "torch": torch}
        exec("\n".join(statements), names)
        assert eval(value, names) is True
    assert len(claims) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_navigation_lists_every_page():
    listed = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(page.relative_to(docs).as_posix() for page in docs.rglob("*.md"))


def test_the_reference_has_every_public_name_once():
    """Names of every `__all__`, but for modules; compiled functions have a table, since no source documents them."""
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "api").glob("*.md")}
    lines = re.findall(r"^::: ([\w.]+)$", "".join(pages.values()), re.MULTILINE)
    documented = Counter(id(attribute(*line.rpartition(".")[::2])) for line in lines)
    public = {}
    for source in (ROOT / "bayesops").rglob("*.py"):
        if re.search("^__all__ = ", source.read_text(), re.MULTILINE):
            module = ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            public |= {f"{module}.{name}": attribute(module, name) for name in import_module(module).__all__}
    compiled = {name for name in public if name.startswith("bayesops.random.numpy.")}
    named = re.findall(r"^\| `(\w+)\(", pages["random"], re.MULTILINE)
    assert sorted(named) == sorted(name.rpartition(".")[2] for name in compiled)
    plain = {name: value for name, value in public.items() if not inspect.ismodule(value) and name not in compiled}
    assert {name: documented[id(value)] for name, value in plain.items()} == dict.fromkeys(plain, 1)
    beyond = set(documented) - {id(value) for value in plain.values()}
    assert beyond == {id(bo.reference)}


def attribute(module, name):
    return getattr(import_module(module), name)


def test_files_named_in_contributing_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:csrc|bayesops|tests|benchmarks|tools)/[\w/.{},]+)`", text)
    for name in named:
        stem, _, rest = name.partition("{")
        endings = rest.rstrip("}").split(",") if rest else [""]
        for path in (stem + ending for ending in endings):
            assert (ROOT / path).exists(), path
    assert len(named) > 15


def test_readme_has_the_markers_of_the_generated_table():
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- benchmarks:start -->") == text.count("<!-- benchmarks:end -->") == 1

"""The study of weight uncertainty in its quick form: figures, pictures, and what they must say even so."""

import json
import math
import os
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "study_weight_uncertainty.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if "BAYESOPS_DATA" not in os.environ:
        pytest.skip("BAYESOPS_DATA is not set: no FashionMNIST and MNIST files")
    folder = tmp_path_factory.mktemp("study")
    runpy.run_path(str(SCRIPT))["main"](["--quick", "--out", str(folder)])
    return folder


@pytest.mark.data
def test_the_figures_are_sane(folder):
    found = json.loads((folder / "weight_uncertainty.json").read_text())
    assert found["command"].startswith("python examples/study_weight_uncertainty.py --quick --out ")
    assert (found["training_images"], found["epochs"], found["draws"]) == (6000, 4, 20)
    assert set(found["seconds"]) == {"train", "predict"}
    bound = found["bound"]
    assert len(bound) == 4
    assert bound[-1]["loss"] < bound[0]["loss"]
    for terms in bound:
        assert terms["loss"] == pytest.approx(terms["nll"] + terms["kl"] / 6000, rel=1e-4)

    accuracies = found["accuracies"]
    singles = [one["accuracy"] for one in accuracies["single draws"]]
    assert len(singles) == 10
    assert len(set(singles)) > 1  # they are different networks
    assert min(singles) > 0.5  # ten classes: chance is 0.1
    nats = [one["negative_log_likelihood"] for one in accuracies["single draws"]]
    ensemble = accuracies["ensemble of 10"]
    assert ensemble["negative_log_likelihood"] < sum(nats) / 10  # the logarithm is concave
    assert accuracies["ensemble of 20"]["accuracy"] > sum(singles) / 10 - 0.01


@pytest.mark.data
def test_digits_are_told_from_clothes(folder):
    doubts = json.loads((folder / "weight_uncertainty.json").read_text())["doubts"]
    for bits in doubts["bits"].values():
        assert bits["entropy"] == pytest.approx(bits["expected_entropy"] + bits["mutual_information"], abs=1e-3)
        assert 0 < bits["entropy"] < math.log2(10)
    assert doubts["bits"]["MNIST"]["mutual_information"] > doubts["bits"]["FashionMNIST"]["mutual_information"]
    for found in doubts["detection"].values():
        assert 0.5 < found["auroc"] <= 1


@pytest.mark.data
def test_pictures_are_drawn(folder, drawn_pictures):
    assert drawn_pictures(folder) == {
        f"weight_uncertainty_{name}.png" for name in ("training", "in_domain", "out_of_domain", "weights")
    }

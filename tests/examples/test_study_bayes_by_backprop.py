"""The study of Bayes by Backprop in CNNs in its quick form: figures, pictures, and what they must say even so."""

import json
import os
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "study_bayes_by_backprop.py"
MODELS = [f"{kind} {network}" for network in ("LeNet-5", "AlexNet") for kind in ("frequentist", "Bayesian")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if "BAYESOPS_DATA" not in os.environ:
        pytest.skip("BAYESOPS_DATA is not set: no MNIST files")
    folder = tmp_path_factory.mktemp("study")
    main = runpy.run_path(str(SCRIPT))["main"]
    main(["--quick", "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return json.loads((folder / "bayes_by_backprop.json").read_text())


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("part", "images"), [("accuracy", 2000), ("overfitting", 100)])
def test_each_network_is_trained_in_both_forms(results, part, images):
    found = results[part]["found"]
    assert list(found) == MODELS
    for one in found.values():
        assert one["training_images"] == images
        curve = one["curve"]
        assert len(curve["epochs"]) == len(curve["training"]) == len(curve["validation"]) >= 1
        assert all(0 <= share <= 1 for share in curve["training"] + curve["validation"])
        assert 0 <= one["test"]["accuracy"] <= 1
        assert 0 < one["test"]["negative_log_likelihood"] < 3  # ten classes: ln 10 is 2.3
    assert 0 < sum(one["seconds"] for one in found.values()) < results[part]["seconds"]


@pytest.mark.data
@pytest.mark.slow
def test_digits_are_learned(results):
    found = results["accuracy"]["found"]
    assert min(found[name]["test"]["accuracy"] for name in MODELS if "LeNet" in name) > 0.4  # chance is 0.1


@pytest.mark.data
@pytest.mark.slow
def test_a_weight_is_followed(results):
    found = results["posterior"]["found"]
    for key in ("mean", "deviation", "median_deviation_of_the_layer"):
        assert len(found[key]) == 5
    assert min(found["deviation"]) > 0
    assert len(set(found["mean"])) == 5


@pytest.mark.data
@pytest.mark.slow
def test_pictures_are_drawn(folder, drawn_pictures):
    assert drawn_pictures(folder) == {
        f"bayes_by_backprop_{part}.png" for part in ("accuracy", "overfitting", "posterior")
    }


@pytest.mark.data
@pytest.mark.slow
def test_a_part_alone_keeps_the_others_and_is_the_same_again(folder, results):
    runpy.run_path(str(SCRIPT))["main"](["--quick", "--out", str(folder), "--part", "posterior"])
    again = json.loads((folder / "bayes_by_backprop.json").read_text())
    assert again["accuracy"] == results["accuracy"]
    assert again["posterior"]["command"].endswith("--part posterior")
    assert again["posterior"]["found"]["mean"] == pytest.approx(results["posterior"]["found"]["mean"], rel=1e-4)

"""The study of corrupted digits in its quick form: figures, pictures, and what they must say even so."""

import json
import math
import os
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "study_corrupted_digits.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if "BAYESOPS_DATA" not in os.environ:
        pytest.skip("BAYESOPS_DATA is not set: no MNIST files")
    folder = tmp_path_factory.mktemp("study")
    runpy.run_path(str(SCRIPT))["main"](["--quick", "--draws", "50", "--out", str(folder)])
    return folder


@pytest.mark.data
@pytest.mark.slow
def test_the_figures_are_sane(folder):
    found = json.loads((folder / "corrupted_digits.json").read_text())
    assert found["command"].startswith("python examples/study_corrupted_digits.py --quick --draws 50 --out ")
    assert (found["training_images"], found["epochs"], found["draws"]) == (6000, 8, 50)
    networks = found["networks"]
    assert list(networks) == ["deterministic", "probabilistic", "Bayesian"]
    for name, sets in networks.items():
        clean, spatter = sets["MNIST"], sets["spatter"]
        assert clean["accuracy"] > 0.7  # ten classes: chance is 0.1
        assert clean["accuracy"] > spatter["accuracy"] > 0.5
        assert spatter["negative_log_likelihood"] > clean["negative_log_likelihood"]
        for part in sets.values():
            assert 0 < part["bits_right"] < part["bits_wrong"] < math.log2(10)
            if name == "Bayesian":
                assert part["mutual_information_bits"] > 0.01
            else:
                assert part["mutual_information_bits"] == pytest.approx(0, abs=1e-6)
    assert found["single_draw"]["MNIST"] < networks["Bayesian"]["MNIST"]["accuracy"]


@pytest.mark.data
@pytest.mark.slow
def test_the_deterministic_and_the_probabilistic_network_are_one(folder):
    """A categorical output's log likelihood is cross entropy: from the same seed the weights are the same."""
    found = json.loads((folder / "corrupted_digits.json").read_text())
    assert found["largest_difference"] < 0.05
    for which in ("MNIST", "spatter"):
        deterministic, probabilistic = (found["networks"][name][which] for name in ("deterministic", "probabilistic"))
        assert probabilistic["accuracy"] == pytest.approx(deterministic["accuracy"], abs=0.01)


@pytest.mark.data
@pytest.mark.slow
def test_pictures_are_drawn(folder, drawn_pictures):
    assert drawn_pictures(folder) == {"corrupted_digits_intervals.png", "corrupted_digits_entropies.png"}

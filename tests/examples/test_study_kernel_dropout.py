"""The study of kernel dropout in its quick form: figures, pictures, and what they must say even so."""

import json
import os
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "study_kernel_dropout.py"


@pytest.fixture(scope="module")
def study():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    if "BAYESOPS_DATA" not in os.environ:
        pytest.skip("BAYESOPS_DATA is not set: no MNIST files")
    folder = tmp_path_factory.mktemp("study")
    study["main"](["--quick", "--out", str(folder)])
    return folder


def parts_of(folder):
    return json.loads((folder / "kernel_dropout.json").read_text())["parts"]


@pytest.mark.data
@pytest.mark.slow
def test_masks_spread_the_draws_and_noise_does_so_alone(folder):
    rates = {float(rate): point["answers"] for rate, point in parts_of(folder)["rates"].items()}
    assert list(rates) == [0.0, 0.4, 0.8]
    assert rates[0.0]["electronic"]["deviation"] == pytest.approx(0, abs=1e-6)
    assert rates[0.0]["electronic"]["single"][1] == pytest.approx(0, abs=1e-6)
    assert rates[0.0]["optical"]["deviation"] > 0
    for processor in ("electronic", "optical"):
        deviations = [rates[rate][processor]["deviation"] for rate in (0.0, 0.4, 0.8)]
        assert deviations == sorted(deviations)
        assert rates[0.4][processor]["accuracy"] > 0.5  # ten classes: chance is 0.1


@pytest.mark.data
@pytest.mark.slow
def test_more_images_make_a_better_network(folder):
    sizes = parts_of(folder)["sizes"]
    assert list(sizes) == ["100", "2000"]
    for processor in ("electronic", "optical"):
        few, many = (sizes[size]["answers"][processor] for size in ("100", "2000"))
        assert many["accuracy"] > few["accuracy"]


@pytest.mark.data
@pytest.mark.slow
def test_ideal_optics_are_electronics_and_a_lost_sign_costs_most(folder):
    (point,) = parts_of(folder)["optics"].values()
    answers = point["answers"]
    assert len(answers) == 11
    for measure in ("accuracy", "deviation", "mutual_information"):
        assert answers["ideal"][measure] == pytest.approx(answers["electronic"][measure], abs=5e-3)
    assert min(answers, key=lambda kind: answers[kind]["accuracy"]) == "camera, sign lost"


@pytest.mark.data
@pytest.mark.slow
def test_pictures_are_drawn(folder, drawn_pictures):
    assert drawn_pictures(folder) == {"kernel_dropout_rates.png", "kernel_dropout_sizes.png"}


@pytest.mark.data
@pytest.mark.slow
def test_what_is_there_is_not_computed_again(folder, study):
    before = parts_of(folder)
    study["main"](["--quick", "--part", "rates", "--out", str(folder)])
    assert parts_of(folder) == before

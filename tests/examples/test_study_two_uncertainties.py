"""The study of two uncertainties in its quick form: figures, pictures, and what they must say even so."""

import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "study_two_uncertainties.py"
PICTURES = {
    "reliability", "precision_recall", "precision_recall_networks", "maps", "amount",
    "colour_amount", "colour_risk", "colour_intervals", "colour_maps",
}  # fmt: skip


def run(*arguments):
    runpy.run_path(str(SCRIPT))["main"](list(arguments))


def figures_of(folder, part):
    return json.loads((folder / "two_uncertainties.json").read_text())[part]["figures"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if "BAYESOPS_DATA" not in os.environ:
        pytest.skip("BAYESOPS_DATA is not set: no CamVid and FashionMNIST files")
    pytest.importorskip("torchmetrics")
    folder = tmp_path_factory.mktemp("study")
    run("--quick", "--out", str(folder))
    return folder


@pytest.mark.data
@pytest.mark.slow
def test_four_networks_are_compared(folder):
    found = json.loads((folder / "two_uncertainties.json").read_text())["segmentation"]
    assert found["command"].startswith("python examples/study_two_uncertainties.py --quick --out ")
    assert (found["steps"], found["draws"], found["seed"]) == (150, 5, 0)
    networks = found["figures"]
    assert list(networks) == ["plain", "aleatoric", "epistemic", "both"]
    assert len({network["mean_iou"] for network in networks.values()}) == 4
    for network in networks.values():
        assert network["mean_iou"] < network["accuracy"] < 1
        assert network["accuracy"] > 0.3  # of 11 classes, the most frequent has less
        assert network["precision_at_half"]["total"] > network["accuracy"]
    assert set(networks["both"]["aurc"]) == {"total", "aleatoric", "epistemic"}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("part", "measure"), [("amount", "mean_iou"), ("regression", "rmse")])
def test_uncertainties_are_told_by_the_amount_of_data(folder, part, measure):
    found = figures_of(folder, part)
    amounts = {name: found[name] for name in ("a quarter", "half", "all")}
    assert [one["training_images"] for one in amounts.values()] == [11, 19, 37]
    for one in amounts.values():
        assert one[measure] > 0
        assert one["known"]["aleatoric"] > one["known"]["epistemic"] > 0
        assert one["foreign"]["epistemic"] > one["known"]["epistemic"]
        assert one["auroc"]["epistemic"] > 0.5


@pytest.mark.data
@pytest.mark.slow
def test_a_regression_learns_the_scale_of_its_errors(folder):
    found = figures_of(folder, "regression")
    assert found["target"] == "colour"
    assert found["all"]["rmse"] < 1.5 * found["deviation"]
    assert found["all"]["interval_error"]["both"] < found["all"]["interval_error"]["epistemic"]


@pytest.mark.data
@pytest.mark.slow
def test_pictures_are_drawn(folder, drawn_pictures):
    assert drawn_pictures(folder) == {f"two_uncertainties_{name}.png" for name in PICTURES}


@pytest.mark.data
@pytest.mark.slow
def test_what_was_trained_is_not_trained_again(folder):
    before = figures_of(folder, "amount")
    run("--quick", "--part", "amount", "--out", str(folder))
    after = figures_of(folder, "amount")
    assert after == before  # the seconds of the trainings included
    assert set(json.loads((folder / "two_uncertainties.json").read_text())) == {"segmentation", "amount", "regression"}


@pytest.mark.data
@pytest.mark.slow
def test_depths_of_make3d_take_the_place_of_colours(folder, tmp_path):
    image, io = pytest.importorskip("PIL.Image"), pytest.importorskip("scipy.io")
    grid = np.zeros((55, 305, 4))
    grid[..., 3] = np.arange(80, 25, -1)[:, None]  # the first rows are too far away to count
    for images, depths, count in (("Train400Img", "Train400Depth", 90), ("Test134", "Test134Depth", 40)):
        (tmp_path / images).mkdir()
        (tmp_path / depths).mkdir()
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 255, (24, 18, 3), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / images / f"img-{number:03d}.jpg")
            io.savemat(tmp_path / depths / f"depth_sph_corr-{number:03d}.mat", {"Position3DGrid": grid})
    run("--quick", "--part", "regression", "--depth", "make3d", str(tmp_path), "--out", str(tmp_path))
    found = figures_of(tmp_path, "regression")
    assert found["target"] == "make3d"
    assert found["all"]["training_images"] == 9
    assert 0 < found["all"]["rmse"] < 70
    assert (tmp_path / "two_uncertainties_make3d_maps.png").exists()


def test_an_unknown_depth_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("--depth", "kitti", "nowhere", "--out", str(tmp_path))
    assert "'make3d' or 'nyu' wanted, got 'kitti'" in capsys.readouterr().err

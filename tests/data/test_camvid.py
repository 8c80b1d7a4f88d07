"""CamVid, from files of its form and from the published ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import bayesops as bo

Image = pytest.importorskip("PIL.Image")


def write(folder, counts=(3, 2, 2), size=(6, 8)):
    """Images of one colour, whose blue is ten times their number; labels 0 to 11 along the rows."""
    labels = (np.arange(size[0] * size[1]) % 12).astype(np.uint8).reshape(size)
    for part, count in zip(("train", "val", "test"), counts, strict=True):
        (folder / part).mkdir(parents=True)
        (folder / f"{part}annot").mkdir()
        for number in range(count):
            pixels = np.full((*size, 3), (200, 100, 10 * number), np.uint8)
            Image.fromarray(pixels).save(folder / part / f"scene_{number}.jpg", quality=100, subsampling=0)
            Image.fromarray(labels).save(folder / f"{part}annot" / f"scene_{number}.png")
    return folder


def test_parts_are_read_from_a_folder(tmp_path):
    scenes = bo.data.camvid(write(tmp_path))
    assert [len(part) for part in (scenes.train, scenes.val, scenes.test)] == [3, 2, 2]
    assert scenes.train.names == ["scene_0", "scene_1", "scene_2"]
    assert len(scenes.classes) == 11
    image, label = scenes.train[2]
    assert image.dtype == torch.float32
    assert image.shape == (3, 6, 8)
    torch.testing.assert_close(image.mean((1, 2)) * 255, torch.tensor([200.0, 100, 20]), atol=2.5, rtol=0)
    assert label.dtype == torch.int64
    assert label.flatten()[:13].tolist() == [*range(11), -100, 0]
    assert scenes.train.images.dtype == scenes.train.labels.dtype == torch.uint8


def test_slices_index_tensors_and_loaders_give_batches(tmp_path):
    train = bo.data.camvid(write(tmp_path), ignore_index=255).train
    images, labels = train[torch.tensor([2, 0])]
    assert torch.equal(images[0], train[2][0])
    assert torch.equal(train[1:][0][1], images[0])
    assert labels.max() == 255
    shapes = [(tuple(x.shape), tuple(y.shape)) for x, y in DataLoader(train, batch_size=2)]
    assert shapes == [((2, 3, 6, 8), (2, 6, 8)), ((1, 3, 6, 8), (1, 6, 8))]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="train: no images"):
        bo.data.camvid(tmp_path)
    write(tmp_path)
    (tmp_path / "valannot" / "scene_1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"valannot/scene_1\.png"):
        bo.data.camvid(tmp_path)


def test_a_class_cannot_be_ignored(tmp_path):
    with pytest.raises(ValueError, match="camvid: argument 'ignore_index'"):
        bo.data.camvid(tmp_path, ignore_index=10)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("trainannot/scene_1.png", np.zeros((6, 9), np.uint8), r"scene_1\.png: shape \(6, 8\)"),
        ("train/scene_2.jpg", np.zeros((5, 8, 3), np.uint8), r"scene_2\.jpg: shape \(3, 6, 8\)"),
        ("trainannot/scene_1.png", np.full((6, 8), 12, np.uint8), "trainannot: classes 0 to 11"),
    ],
)
def test_files_that_do_not_fit_are_refused_when_they_are_read(tmp_path, name, array, message):
    write(tmp_path)
    Image.fromarray(array).save(tmp_path / name)
    scenes = bo.data.camvid(tmp_path)
    assert len(scenes.train) == 3
    with pytest.raises(ValueError, match=message):
        scenes.train[0]


@pytest.mark.data
@pytest.mark.skipif("BAYESOPS_DATA" not in os.environ, reason="BAYESOPS_DATA is not set: no CamVid")
def test_the_published_files():
    scenes = bo.data.camvid(Path(os.environ["BAYESOPS_DATA"]) / "camvid-240x180")
    assert [len(part) for part in (scenes.train, scenes.val, scenes.test)] == [367, 101, 233]
    images, labels = scenes.val[:]
    assert images.shape == (101, 3, 180, 240)
    assert sorted(labels.unique().tolist()) == [-100, *range(11)]
    assert (labels[:, :20] == 0).sum() > (labels[:, -20:] == 0).sum()  # the sky is above


def test_each_class_has_a_colour_of_its_own():
    assert len(set(bo.data.CAMVID_COLOURS)) == len(bo.data.CAMVID_CLASSES)

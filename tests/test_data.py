"""Digits, idx files and corruption."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from bayesops import data


def write_idx(path, array, code=0x08):
    content = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder, count=12, size=28, suffix=".gz"):
    """A set in the form of MNIST: images whose brightness is their class."""
    folder.mkdir(exist_ok=True)
    for prefix in ("train", "t10k"):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.broadcast_to(25 * labels[:, None, None], (count, size, size)).astype(np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", labels)
    return folder


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_idx_files_of_every_type_are_read(tmp_path, name, code, dtype):
    array = (np.arange(24).reshape(2, 3, 4) - (0 if dtype == "u1" else 9)).astype(dtype)
    write_idx(tmp_path / name, array, code)
    read = data.read_idx(tmp_path / name)
    np.testing.assert_array_equal(read, array)
    assert read.dtype.isnative


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"PNG\0more", "not an idx file"),
        (b"\0\0\x07\x01\0\0\0\x01x", "not an idx file"),
        (b"\0\0\x08\x03\0\0\0\x01", "cut off"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "needs 5 bytes, and 3 follow"),
        (b"\0\0\x08\x01\0\0\0\x01abc", "needs 1 bytes, and 3 follow"),
    ],
)
def test_what_is_not_idx_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        data.read_idx(path)
    assert str(path) in str(error.value)


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(bytes(1000))[:-9])
    with pytest.raises(ValueError, match="gzip"):
        data.read_idx(path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_read_from_a_folder(tmp_path, suffix):
    images = data.mnist(write_mnist(tmp_path / "small", suffix=suffix))
    assert images.name == "small"
    assert images.train_images.shape == (12, 1, 28, 28)
    assert images.train_images.dtype == torch.float32
    assert images.test_labels.tolist() == [*range(10), 0, 1]
    torch.testing.assert_close(images.test_images[:, 0, 0, 0], 25 * images.test_labels / 255)
    part = images.subset(5, 3)
    assert (len(part.train_images), len(part.train_labels), len(part.test_images)) == (5, 5, 3)


def test_a_missing_mnist_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        data.mnist(tmp_path)


def test_mnist_parts_must_fit(tmp_path):
    folder = write_mnist(tmp_path / "odd")
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="train images"):
        data.mnist(folder)


@pytest.mark.data
@pytest.mark.skipif("BAYESOPS_DATA" not in os.environ, reason="BAYESOPS_DATA is not set: no MNIST files")
def test_the_published_mnist_files():
    images = data.mnist(Path(os.environ["BAYESOPS_DATA"]) / "mnist")
    assert images.train_images.shape == (60000, 1, 28, 28)
    assert images.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_digits_are_split_without_overlap():
    images = data.digits()
    assert images.train_images.shape == (1400, 1, 8, 8)
    assert images.test_images.shape == (397, 1, 8, 8)
    assert images.train_images.min() == 0
    assert images.train_images.max() == 1
    assert set(images.test_labels.tolist()) == set(range(10))
    assert torch.equal(images.test_images, data.digits().test_images)
    assert not torch.equal(images.test_images, data.digits(seed=1).test_images)


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_corruption_is_a_function_of_its_seed(kind):
    images = torch.rand(40, 1, 8, 8)
    before = images.clone()
    damaged = data.corrupt(images, kind, 0.5, seed=3)
    assert torch.equal(images, before)
    assert torch.equal(damaged, data.corrupt(images, kind, 0.5, seed=3))
    assert not torch.equal(damaged, data.corrupt(images, kind, 0.5, seed=4))
    assert damaged.min() >= 0
    assert damaged.max() <= 1
    assert torch.equal(data.corrupt(images, kind, 0.0), images)


def test_occlusion_takes_its_share_of_each_image():
    damaged = data.corrupt(torch.ones(200, 1, 8, 8), "occlusion", 0.25)
    assert (damaged.sum((1, 2, 3)) == 48).all()
    assert len({tuple(image.flatten().tolist()) for image in damaged}) == 4


@pytest.mark.parametrize(
    "options", [{"kind": "fog"}, {"kind": "noise", "strength": -1}, {"kind": "occlusion", "strength": 2}]
)
def test_corruption_that_does_not_exist(options):
    with pytest.raises(ValueError, match="corrupt: argument"):
        data.corrupt(torch.zeros(1, 1, 8, 8), **options)

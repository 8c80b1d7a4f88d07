"""scikit-learn's digits, and sets in the form of MNIST."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bayesops import data


@pytest.fixture
def write_mnist(write_idx):
    def write(folder, count=12, size=28, suffix=".gz"):
        """A set in the form of MNIST: images whose brightness is their class."""
        folder.mkdir(exist_ok=True)
        for prefix in ("train", "t10k"):
            labels = (np.arange(count) % 10).astype(np.uint8)
            images = np.broadcast_to(25 * labels[:, None, None], (count, size, size)).astype(np.uint8)
            write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", images)
            write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", labels)
        return folder

    return write


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_read_from_a_folder(tmp_path, write_mnist, suffix):
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


def test_mnist_parts_must_fit(tmp_path, write_idx, write_mnist):
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


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((-1, 3), ValueError, "'num_train' must be an int of at least 0, got -1"),
        ((3, -1), ValueError, "'num_test' must be an int of at least 0, got -1"),
        ((2.5, 3), TypeError, "'num_train' must be an int of at least 0, got 2.5"),
    ],
)
def test_a_subset_that_does_not_exist(sizes, error, message):
    with pytest.raises(error, match=f"subset: argument {message}"):
        data.digits().subset(*sizes)

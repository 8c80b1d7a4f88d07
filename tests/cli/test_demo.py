"""`bayesops demo`, on a part of its data."""

import gzip
import struct

import numpy as np
import pytest
import torch

from bayesops import data
from bayesops.cli import demo, main


@pytest.fixture
def folder(tmp_path):
    """The digits of scikit-learn as MNIST's four files: 160 to train, 40 to test."""
    digits = data.digits()
    for prefix, images, labels in (
        ("train", digits.train_images[:160], digits.train_labels[:160]),
        ("t10k", digits.test_images[:40], digits.test_labels[:40]),
    ):
        for name, tensor in (("images-idx3", (images[:, 0] * 255).byte()), ("labels-idx1", labels.byte())):
            array = tensor.numpy().astype(np.uint8)
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (tmp_path / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


def test_the_demo_shows_accuracy_entropy_cost_and_a_picture(capsys, folder):
    picture = folder / "out.png"
    arguments = ["demo", "--data", str(folder), "--epochs", "2", "--samples", "5", "--output", str(picture)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for part in ("160 images to train, 40 to test", "clean", "Gaussian noise", "of wrong answers", "bo.predict"):
        assert part in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_quiet_prints_nothing(capsys, folder):
    picture = folder / "out.png"
    arguments = ["demo", "--data", str(folder), "--epochs", "1", "--samples", "2", "--quiet", "--output", str(picture)]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert picture.is_file()


def test_the_network_learns_and_is_less_sure_of_damaged_digits():
    torch.manual_seed(0)
    images = data.digits().subset(1000, 200)
    model = demo.network(8, 0.3)
    demo.train(model, images, epochs=8, quiet=True)
    assert not any(layer.training for layer in model)
    clean = demo.ask(model, images.test_images, images.test_labels, 20, seed=0)
    again = demo.ask(model, images.test_images, images.test_labels, 20, seed=0)
    noisy = demo.ask(model, data.corrupt(images.test_images), images.test_labels, 20, seed=0)
    assert torch.equal(clean.entropies, again.entropies)
    assert clean.accuracy > 0.9
    assert clean.accuracy > noisy.accuracy
    assert clean.entropy < noisy.entropy
    assert noisy.right_entropy < noisy.wrong_entropy


def test_which_digits_are_shown():
    answers = demo.Answers(0.5, 0, 0, 0, torch.tensor([0.3, 0.1, 0.2, 0.9]), torch.tensor([True, False, True, False]))
    assert demo.most_certain(answers) == 2
    assert demo.most_uncertain(answers) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "no/such/folder"], "no file train-images-idx3-ubyte"),
        (["--output", "no/such/folder/a.png"], "no such folder"),
        (["--output", "/proc/a.png"], "/proc/a.png cannot be written: "),
        (["--output", "/proc"], "/proc: is a folder, not a file"),
        (["--output", "a.xyz"], "a.xyz: the ending says what to draw, one of "),
        (["--samples", "0"], "at least 1"),
        (["--p", "1.5"], "not in [0, 1)"),
    ],
)
def test_the_demo_says_what_it_cannot_do(capsys, arguments, message):
    try:
        status = main(["demo", *arguments])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    assert message in capsys.readouterr().err

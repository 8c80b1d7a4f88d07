"""Corruptions of images."""

import pytest
import torch

from bayesops import data


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


@pytest.mark.parametrize("kind", ["noise", "occlusion"])  # spatter looks at the numbers, and meta tensors have none
def test_images_are_corrupted_where_they_are(kind):
    assert data.corrupt(torch.rand(4, 1, 8, 8, device="meta"), kind).is_meta


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "fog"},
        {"kind": "noise", "strength": -1},
        {"kind": "occlusion", "strength": 2},
        {"kind": "spatter", "strength": 1.2},
    ],
)
def test_corruption_that_does_not_exist(options):
    with pytest.raises(ValueError, match="corrupt: argument"):
        data.corrupt(torch.zeros(1, 1, 8, 8), **options)


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_one_image_alone_is_refused(kind):
    with pytest.raises(ValueError, match=r"corrupt: argument 'images' must be of shape .*H, W\], got .*\(1, 8, 8\)"):
        data.corrupt(torch.zeros(1, 8, 8), kind)


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_a_strength_that_is_no_number_is_refused(kind):
    with pytest.raises(TypeError, match="corrupt: argument 'strength' must be a number, got str"):
        data.corrupt(torch.zeros(1, 1, 8, 8), kind, "a")


@pytest.mark.parametrize("kind", data.CORRUPTIONS)
def test_images_of_integers_are_refused(kind):
    with pytest.raises(TypeError, match=r"corrupt: argument 'images' must be float32.*got torch\.uint8"):
        data.corrupt(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), kind)


def test_spatter_comes_in_fifths():
    images = torch.rand(20, 1, 16, 16)
    assert torch.equal(data.corrupt(images, "spatter", 0.8, seed=5), data.spatter(images, severity=4, seed=5))
    assert torch.equal(data.corrupt(images, "spatter", 0.05), images)

"""Spatter: SciPy's computation with the same noise, and whose noise an image has."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import bayesops as bo

# Mu and Gilmer's: mean and deviation of the noise, blur of the layer, threshold, blur of the mask.
SEVERITIES = {
    1: (0.65, 0.3, 4, 0.69, 0.6),
    2: (0.65, 0.3, 3, 0.68, 0.6),
    3: (0.65, 0.3, 2, 0.68, 0.5),
    4: (0.65, 0.3, 1, 0.65, 1.5),
    5: (0.67, 0.4, 1, 0.65, 1.5),
}


def scipy_spatter(image, noise, severity):
    """One image ``[C, H, W]`` with its noise ``[H, W]``, step by step."""
    loc, scale, layer_blur, threshold, edge_blur = SEVERITIES[severity]
    layer = gaussian_filter(loc + scale * noise, layer_blur, mode="nearest", truncate=4)
    mask = gaussian_filter(np.where(layer > threshold, 1.0, 0.0), edge_blur, mode="nearest", truncate=4)
    mask[mask < 0.8] = 0
    return np.clip(image * (1 - mask) + 63 / 255 * mask, 0, 1)


def noise_of(seed, count, size):
    return bo.random.normal(bo.random.sample_seeds(seed, count), size).double().numpy()


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("shape", [(30, 1, 28, 28), (6, 3, 9, 40)])  # smaller than the widest window, too
def test_it_is_what_scipy_makes_of_the_same_noise(severity, shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    splashed = bo.data.spatter(images, severity, seed=7)
    noise = noise_of(7, len(images), shape[-2:])
    wanted = np.stack([scipy_spatter(*pair, severity) for pair in zip(images.double().numpy(), noise, strict=True)])
    torch.testing.assert_close(splashed.double(), torch.from_numpy(wanted), rtol=0, atol=1e-6)
    assert (splashed != images).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_dtype_stays_and_the_images_do(dtype):
    images = torch.rand(4, 1, 28, 28).to(dtype)
    before = images.clone()
    splashed = bo.data.spatter(images)
    assert splashed.dtype == dtype
    assert torch.equal(images, before)
    torch.testing.assert_close(splashed.float(), bo.data.spatter(images.float()), rtol=0, atol=2e-3)


def test_values_lie_between_the_image_and_the_grey():
    grey = torch.tensor(63 / 255)
    for image in (torch.zeros(200, 1, 28, 28), torch.ones(200, 1, 28, 28)):
        splashed = bo.data.spatter(image, 5)
        low, high = torch.minimum(image, grey), torch.maximum(image, grey)
        assert ((splashed >= low - 1e-6) & (splashed <= high + 1e-6)).all()
    untouched = (splashed == 1).double().mean()
    assert 0.1 < untouched < 0.9


def test_more_severe_is_more_liquid():
    # Of severities 4 and 5, which differ in the noise alone.
    white = torch.ones(300, 1, 28, 28)
    clean = [(bo.data.spatter(white, severity) == 1).double().mean() for severity in (4, 5)]
    assert clean[0] > clean[1]


def test_noise_is_a_function_of_the_seed():
    images = torch.rand(10, 1, 28, 28)
    assert torch.equal(bo.data.spatter(images, seed=3), bo.data.spatter(images, seed=3))
    assert not torch.equal(bo.data.spatter(images, seed=3), bo.data.spatter(images, seed=4))


def test_an_image_has_its_own_noise_whatever_its_batch():
    images = torch.rand(2100, 1, 8, 8)  # more than are computed at once
    whole = bo.data.spatter(images, seed=2)
    assert torch.equal(bo.data.spatter(images[:5], seed=2), whole[:5])
    for first in (1, 2040):
        part = bo.data.spatter(images[first : first + 30], seed=2, first=first)
        torch.testing.assert_close(part, whole[first : first + 30], rtol=0, atol=1e-6)
    splashes = bo.data.spatter(torch.ones(50, 1, 28, 28))
    assert len({tuple(image.flatten().tolist()) for image in splashes}) == 50


def test_nothing_is_a_batch_too():
    assert bo.data.spatter(torch.zeros(0, 1, 28, 28)).shape == (0, 1, 28, 28)


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (torch.zeros(1, 1, 8, 8), {"severity": 0}, ValueError, "'severity' must be one of 1, 2, 3, 4, 5, got 0"),
        (torch.zeros(1, 1, 8, 8), {"severity": 6}, ValueError, "'severity'"),
        (torch.zeros(1, 1, 8, 8), {"severity": 2.0}, TypeError, "'severity' must be an int, got float"),
        (torch.zeros(1, 1, 8, 8), {"first": -1}, ValueError, "'first' must be at least 0, got -1"),
        (torch.zeros(1, 8, 8), {}, ValueError, r"'images' must be of shape \[N, C, H, W\]"),
        (torch.full((1, 1, 8, 8), 255.0), {}, ValueError, r"'images' must be in \[0, 1\]"),
        (torch.full((1, 1, 8, 8), float("nan")), {}, ValueError, r"'images' must be in \[0, 1\]"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), {}, TypeError, "'images' must be float"),
        (np.zeros((1, 1, 8, 8)), {}, TypeError, "'images' must be a tensor"),
    ],
)
def test_what_is_refused(images, options, error, message):
    with pytest.raises(error, match=f"spatter: argument {message}"):
        bo.data.spatter(images, **options)

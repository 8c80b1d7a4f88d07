"""Grey splashes over images: the "spatter" of MNIST-C."""

import math
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bayesops import random
from bayesops._arguments import check_choice, check_floating, wrong_type, wrong_value

_FUNCTION = "spatter"
_GREY = 63 / 255
_IMAGES_AT_ONCE = 2048  # so that memory does not grow with a whole training set


class _Liquid(NamedTuple):
    """How much of it there is, and the size of its drops in pixels."""

    loc: float
    scale: float
    layer_blur: float
    threshold: float
    edge_blur: float


_SEVERITIES = {
    1: _Liquid(0.65, 0.3, 4.0, 0.69, 0.6),
    2: _Liquid(0.65, 0.3, 3.0, 0.68, 0.6),
    3: _Liquid(0.65, 0.3, 2.0, 0.68, 0.5),
    4: _Liquid(0.65, 0.3, 1.0, 0.65, 1.5),
    5: _Liquid(0.67, 0.4, 1.0, 0.65, 1.5),
}


def spatter(images: Tensor, severity: int = 4, seed: int = 0, *, first: int = 0) -> Tensor:
    r"""Splash a grey liquid over images.

    .. math:: m = 1[G_{s_1} n > t], \quad m' = G_{s_2} m \cdot 1[G_{s_2} m \ge 0.8], \quad
              y = clip(x (1 - m') + \tfrac{63}{255} m', 0, 1)

    with normal noise n, a Gaussian blur G (edge pixels repeated outside, cut off at 4 standard deviations) and mean and
    deviation of n, s₁, t and s₂ by severity.

    Parameters
    ----------
    images : Tensor
        Floating ``[N, C, H, W]`` in [0, 1]; stays as it is. The channels of an image share their splashes.
    severity : {1, 2, 3, 4, 5}
        The published set of MNIST-C appears to be 4.
    seed : int
        Of the noise. Each image has its own, by its number: that of `images` 0 is `first`.
    first : int
        Where `images` are a part of a set: the number of their first in it. The parts are then damaged as the whole is.

    Returns
    -------
    Tensor
        Of the shape and dtype of `images`.

    Raises
    ------
    ValueError
        An unknown severity, images of another shape or outside [0, 1], a negative `first`.
    TypeError
        Images that are not floating, a severity or `first` that is no int.

    Notes
    -----
    The mask is computed in float64, so that a rounding does not decide on which side of a threshold a pixel lies.
    The noise is ours: single images differ from those of the published set, whose noise has no known seed.

    Source: Mu and Gilmer, "MNIST-C: a robustness benchmark for computer vision", 2019; the liquid is that of Hendrycks
    and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019.
    """
    _check(images, severity, first)
    seeds = random.sample_seeds(seed, first + len(images), device=images.device)[first:]
    parts = [
        _splash(part, random.normal(noise, part.shape[-2:]), _SEVERITIES[severity])
        for part, noise in zip(images.split(_IMAGES_AT_ONCE), seeds.split(_IMAGES_AT_ONCE), strict=True)
    ]
    return torch.cat(parts)


def _check(images: Any, severity: Any, first: Any) -> None:
    check_floating(_FUNCTION, "images", images)
    if images.dim() != 4:
        wrong_value(_FUNCTION, "images", "of shape [N, C, H, W]", f"shape {tuple(images.shape)}")
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):  # also false for NaN
        wrong_value(_FUNCTION, "images", "in [0, 1]", f"values from {images.min():g} to {images.max():g}")
    for argument, value in (("severity", severity), ("first", first)):
        if isinstance(value, bool) or not isinstance(value, Integral):
            wrong_type(_FUNCTION, argument, "an int", type(value).__name__)
    check_choice(_FUNCTION, "severity", severity, _SEVERITIES)
    if first < 0:
        wrong_value(_FUNCTION, "first", "at least 0", first)


def _splash(images: Tensor, noise: Tensor, liquid: _Liquid) -> Tensor:
    """Images ``[N, C, H, W]`` under liquid made of standard normals ``[N, H, W]``."""
    layer = _blur(liquid.loc + liquid.scale * noise.double(), liquid.layer_blur)
    mask = _blur((layer > liquid.threshold).double(), liquid.edge_blur)
    mask = torch.where(mask < 0.8, 0.0, mask)[:, None].to(images.dtype)
    return (images * (1 - mask) + _GREY * mask).clamp(0, 1)


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of images ``[N, H, W]``; as in SciPy, the radius of the window is 4 sigma, rounded."""
    height, width = images.shape[-2:]
    return _blur_matrix(height, sigma).to(images) @ images @ _blur_matrix(width, sigma).to(images).T


def _blur_matrix(size: int, sigma: float) -> Tensor:
    """Weights of the input's pixels (columns) in each pixel of a blurred row; those outside fall to the ends."""
    radius = math.floor(4 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    columns = (torch.arange(size)[:, None] + offsets).clamp(0, size - 1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, columns, (weights / weights.sum()).expand(size, -1))

"""Damage to images: what a network has not been trained on, in a strength of one's choice."""

import math
from collections.abc import Callable

from torch import Tensor

from bayesops import random
from bayesops._arguments import check_choice, check_floating, check_number, wrong_value
from bayesops.data.spatter import spatter


def _noise(images: Tensor, strength: float, seed: int) -> Tensor:
    return (images + strength * random.normal(seed, images.shape, device=images.device)).clamp(0, 1)


def _occlusion(images: Tensor, strength: float, seed: int) -> Tensor:
    # Each image loses one of its four sides: `strength` of its rows or columns.
    rows, columns = (round(strength * size) for size in images.shape[-2:])
    side = random.sample_seeds(seed, len(images), device=images.device) % 4
    images = images.clone()
    images[side == 0, :, :rows] = 0
    images[side == 1, :, images.shape[-2] - rows :] = 0
    images[side == 2, :, :, :columns] = 0
    images[side == 3, :, :, images.shape[-1] - columns :] = 0
    return images


def _spatter(images: Tensor, strength: float, seed: int) -> Tensor:
    severity = round(5 * strength)
    return spatter(images, severity, seed) if severity else images.clone()


CORRUPTIONS: dict[str, Callable[[Tensor, float, int], Tensor]] = {
    "noise": _noise, "occlusion": _occlusion, "spatter": _spatter,
}  # fmt: skip


def corrupt(images: Tensor, kind: str = "noise", strength: float = 0.4, seed: int = 0) -> Tensor:
    """Damage images ``[N, C, H, W]`` in [0, 1]; the same damage for the same `seed`.

    Parameters
    ----------
    images : Tensor
        Floating, stays as it is.
    kind : {"noise", "occlusion", "spatter"}
        Gaussian noise; a side of each image blackened; or a grey liquid splashed over it, see `spatter`.
    strength : float
        Standard deviation of the noise; the share of the image that is lost, at most 1; or a fifth for each of the five
        severities of spatter, rounded to whole ones.
    seed : int
        Of the noise, of the choice of the side, or of the liquid.

    Raises
    ------
    ValueError
        Images of another shape, an unknown kind, a strength below 0, or above 1 where it is not that of noise.
    TypeError
        Images that are not floating, a strength that is no number.
    """
    check_floating("corrupt", "images", images)
    if images.dim() != 4:
        wrong_value("corrupt", "images", "of shape [N, C, H, W]", f"shape {tuple(images.shape)}")
    check_choice("corrupt", "kind", kind, CORRUPTIONS)
    check_number("corrupt", "strength", strength)
    if not 0 <= strength <= (math.inf if kind == "noise" else 1):
        wrong_value("corrupt", "strength", f"{'at least 0' if kind == 'noise' else 'in [0, 1]'} ({kind})", strength)
    return CORRUPTIONS[kind](images, strength, seed)

"""Damage to images: what a network has not been trained on, in a strength of one's choice."""

from collections.abc import Callable

from torch import Tensor

from bayesops import random


def _noise(images: Tensor, strength: float, seed: int) -> Tensor:
    return (images + strength * random.normal(seed, images.shape)).clamp(0, 1)


def _occlusion(images: Tensor, strength: float, seed: int) -> Tensor:
    # Each image loses one of its four sides: `strength` of its rows or columns.
    rows, columns = (round(strength * size) for size in images.shape[-2:])
    side = random.sample_seeds(seed, len(images)) % 4
    images = images.clone()
    images[side == 0, :, :rows] = 0
    images[side == 1, :, images.shape[-2] - rows :] = 0
    images[side == 2, :, :, :columns] = 0
    images[side == 3, :, :, images.shape[-1] - columns :] = 0
    return images


CORRUPTIONS: dict[str, Callable[[Tensor, float, int], Tensor]] = {"noise": _noise, "occlusion": _occlusion}


def corrupt(images: Tensor, kind: str = "noise", strength: float = 0.4, seed: int = 0) -> Tensor:
    """Damage images ``[N, C, H, W]`` in [0, 1]; the same damage for the same `seed`.

    Parameters
    ----------
    images : Tensor
        float32, stays as it is.
    kind : {"noise", "occlusion"}
        Gaussian noise, or a side of each image blackened.
    strength : float
        Standard deviation of the noise; or the share of the image that is lost, at most 1.
    seed : int
        Of the noise, or of the choice of the side.

    Raises
    ------
    ValueError
        An unknown kind, a strength below 0, an occlusion of more than the image.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"corrupt: argument 'kind' must be one of {', '.join(CORRUPTIONS)}, got {kind!r}")
    if strength < 0 or (kind == "occlusion" and strength > 1):
        raise ValueError(f"corrupt: argument 'strength' must not be negative (occlusion: nor above 1), got {strength}")
    return CORRUPTIONS[kind](images, strength, seed)

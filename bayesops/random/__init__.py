"""The random streams as tensors: any mask or noise that a layer used can be drawn again here.

Every draw is a pure function of ``(seed, stream, element index)``, with the elements of the tensor counted row by row.
No global generator is read or written, and the bits are the same on every machine, device and number of threads.

Generator: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
`bayesops.random.numpy` has the same streams as NumPy arrays; `bayesops.reference.random` is their definition.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bayesops._arguments import as_int, check_probability, check_stream, seed_tensor, wrong_type, wrong_value
from bayesops.random import _rules  # noqa: F401  registers fake and vmap

__all__ = ["bernoulli_mask", "normal", "sample_seeds", "signs"]


def sample_seeds(seed: int | Tensor, num_samples: int, *, device: torch.device | str | None = None) -> Tensor:
    """Draw seeds of independent draws under one master seed.

    Parameters
    ----------
    seed : int or int64 Tensor
        The master seed, ``[]``.
    num_samples : int
        How many; the first ones are the same for every `num_samples`.
    device : torch.device, optional
        Where to put them; the device of `seed`, or the CPU.

    Returns
    -------
    Tensor
        int64 ``[num_samples]``.

    Raises
    ------
    TypeError, ValueError
        A seed that is not an int64 scalar, `num_samples` that is negative or no int.
    """
    num_samples = as_int("sample_seeds", "num_samples", "an int", num_samples)
    if isinstance(num_samples, int) and num_samples < 0:
        wrong_value("sample_seeds", "num_samples", "at least 0", num_samples)
    tensor = seed_tensor("sample_seeds", seed, _device(seed, device))
    if tensor.dim() != 0:
        wrong_value("sample_seeds", "seed", "an int or a tensor of shape []", f"shape {tuple(tensor.shape)}")
    return torch.ops.bayesops.sample_seeds.default(tensor, num_samples)


def bernoulli_mask(
    seed: int | Tensor,
    shape: Sequence[int],
    p: float,
    stream: int = 0,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw the mask of a layer: True where kept, with probability ``1 - p``, right to 2**-32.

    Parameters
    ----------
    seed : int or int64 Tensor
        ``[]`` for one mask, ``[S]`` for one each.
    shape : sequence of int
        Shape of one mask.
    p : float
        Probability of dropping, in [0, 1).
    stream : int
        Which layer: draws of different streams are independent. In [0, 2**32).
    device : torch.device, optional
        Where to draw; the device of `seed`, or the CPU.

    Returns
    -------
    Tensor
        bool, `shape` or ``[S, *shape]``.

    Raises
    ------
    TypeError, ValueError
        `p` outside [0, 1), a seed that is not int64 or has more than one dimension, a negative size.
    """
    operator = "bernoulli_mask"
    p = check_probability(operator, p)
    seed = seed_tensor(operator, seed, _device(seed, device))
    return torch.ops.bayesops.random_bernoulli.default(seed, _sizes(operator, shape), p, check_stream(operator, stream))


def normal(
    seed: int | Tensor, shape: Sequence[int], stream: int = 0, *, device: torch.device | str | None = None
) -> Tensor:
    """Draw standard normals, float32 `shape` or ``[S, *shape]``; arguments and errors as in `bernoulli_mask`.

    Box and Muller on pairs of words of 32 bits, so no value exceeds 6.8 in magnitude. Against the exact transform of
    the same words the error is at most 4 ULP of the larger of the pair.
    """
    seed = seed_tensor("normal", seed, _device(seed, device))
    return torch.ops.bayesops.random_normal.default(seed, _sizes("normal", shape), check_stream("normal", stream))


def signs(
    seed: int | Tensor, shape: Sequence[int], stream: int = 0, *, device: torch.device | str | None = None
) -> Tensor:
    """Draw +1 or -1 with equal probability, float32 `shape` or ``[S, *shape]``.

    Arguments and errors as in `bernoulli_mask`.
    """
    seed = seed_tensor("signs", seed, _device(seed, device))
    return torch.ops.bayesops.random_signs.default(seed, _sizes("signs", shape), check_stream("signs", stream))


def _device(seed: object, device: torch.device | str | None) -> torch.device:
    if device is None:
        return seed.device if isinstance(seed, Tensor) else torch.device("cpu")
    wanted = torch.device(device)
    # "cuda" is where a seed on "cuda:0" is.
    if isinstance(seed, Tensor) and seed.device.type == wanted.type and None in (seed.device.index, wanted.index):
        return seed.device
    return wanted


def _sizes(operator: str, shape: Sequence[int]) -> list[int]:
    if isinstance(shape, (int, str)) or not isinstance(shape, Sequence):
        wrong_type(operator, "shape", "a sequence of ints", repr(shape))
    sizes = [as_int(operator, "shape", "of sizes that are ints", size) for size in shape]
    if any(size < 0 for size in sizes):
        wrong_value(operator, "shape", "without negative sizes", tuple(sizes))
    return sizes

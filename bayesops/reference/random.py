"""The random streams in plain NumPy: the definition with which the compiled generators are compared.

Every draw is a pure function of ``(seed, stream, element index)``. A Philox4x32-10 block is four 32-bit words; its key
is the seed, its counter is ``(block index, stream, domain)``, where the domain says which kind of draw it serves.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox);
Box and Muller, "A note on the generation of random normal deviates", 1958 (normals).
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BERNOULLI, BERNOULLI_TIE, NORMAL, SIGN, SEED, WORD = range(6)

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW_WORD, _WORD_BITS = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox4x32(counter: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Run ten rounds of Philox4x32: counter ``[..., 4]`` and key ``[..., 2]`` to words ``[..., 4]``, all uint32."""
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, dtype=np.uint32), -1, 0)
    k0, k1 = np.moveaxis(np.asarray(key, dtype=np.uint32), -1, 0)
    with np.errstate(over="ignore"):
        for _ in range(10):
            first = _MULTIPLIERS[0] * c0.astype(np.uint64)
            second = _MULTIPLIERS[1] * c2.astype(np.uint64)
            c0, c1, c2, c3 = (
                (second >> _WORD_BITS).astype(np.uint32) ^ c1 ^ k0,
                (second & _LOW_WORD).astype(np.uint32),
                (first >> _WORD_BITS).astype(np.uint32) ^ c3 ^ k1,
                (first & _LOW_WORD).astype(np.uint32),
            )
            k0, k1 = k0 + _KEY_STEPS[0], k1 + _KEY_STEPS[1]
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1)


def _words(seed: int, domain: int, stream: int, first_block: int, num_blocks: int) -> npt.NDArray[np.uint32]:
    """Return the words of `num_blocks` consecutive blocks, flat: uint32 ``[4 * num_blocks]``."""
    block = np.arange(num_blocks, dtype=np.uint64) + np.uint64(first_block)
    counter = np.empty((num_blocks, 4), dtype=np.uint32)
    counter[:, 0] = block & _LOW_WORD
    counter[:, 1] = block >> _WORD_BITS
    counter[:, 2] = stream
    counter[:, 3] = domain
    return philox4x32(counter, [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]).reshape(-1)


def words(seed: int, shape: Sequence[int], stream: int = 0, *, domain: int = WORD) -> npt.NDArray[np.uint32]:
    """Draw raw 32-bit words, one per element: word ``e % 4`` of block ``e // 4``."""
    count = math.prod(shape)
    return _words(seed, domain, stream, 0, -(-count // 4))[:count].reshape(shape)


def sample_seeds(seed: int, num_samples: int) -> npt.NDArray[np.int64]:
    """Draw the seeds of `num_samples` draws, int64: sample ``i`` is words 0 (low) and 1 (high) of block ``i``."""
    block = _words(seed, SEED, 0, 0, num_samples).reshape(-1, 4).astype(np.uint64)
    return (block[:, 0] | block[:, 1] << _WORD_BITS).astype(np.int64)


def bernoulli_mask(seed: int, shape: Sequence[int], p: float, stream: int = 0) -> npt.NDArray[np.bool_]:
    """Draw True (kept) with probability ``1 - p``.

    An element is dropped if its 32-bit number is below ``floor(p 2**32)``. The number's top byte is byte ``e % 16``
    (little-endian) of block ``e // 16``. Its other 24 bits matter only if that byte ties with the threshold's; they are
    the upper 24 bits of word ``e % 4`` of block ``e // 4`` of another domain.
    """
    count = math.prod(shape)
    threshold = int(p * 2**32)
    high, low = threshold >> 24, threshold & 0xFFFFFF
    byte = _words(seed, BERNOULLI, stream, 0, -(-count // 16)).astype("<u4").view(np.uint8)[:count]
    below = words(seed, (count,), stream, domain=BERNOULLI_TIE) >> np.uint32(8) < low
    return ~((byte < high) | ((byte == high) & below)).reshape(shape)


def normal(seed: int, shape: Sequence[int], stream: int = 0) -> npt.NDArray[np.float64]:
    """Draw standard normals in float64: Box and Muller on the word pairs (0, 1) and (2, 3) of each block."""
    count = math.prod(shape)
    pairs = words(seed, (count + count % 2,), stream, domain=NORMAL).reshape(-1, 2).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((pairs[:, 0] + 0.5) * 2.0**-32))
    angle = pairs[:, 1] * (2.0 * np.pi * 2.0**-32)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1)[:count].reshape(shape)


def signs(seed: int, shape: Sequence[int], stream: int = 0) -> npt.NDArray[np.float32]:
    """Draw +1 or -1 with equal probability: bit ``e % 128`` (little-endian) of block ``e // 128``; set means -1."""
    count = math.prod(shape)
    data = _words(seed, SIGN, stream, 0, -(-count // 128)).astype("<u4").view(np.uint8)
    bits = np.unpackbits(data, bitorder="little")[:count]
    return (1.0 - 2.0 * bits.astype(np.float32)).astype(np.float32).reshape(shape)

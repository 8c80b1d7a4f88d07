"""Arrays in idx files, the form of MNIST and sets like it."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path) -> np.ndarray:
    """Read one array from an idx file, gzipped if its name ends in ``.gz``, in the machine's byte order.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    ndarray
        Of the file's dtype and shape.

    Raises
    ------
    FileNotFoundError
        A file that is missing.
    ValueError
        A file that is not idx, or whose length does not fit its header.

    Notes
    -----
    The format: two zero bytes, a type, the number of dimensions, the sizes as big-endian int32, the elements row by
    row, big-endian (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits").
    """
    path = Path(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise ValueError(f"{path}: not an idx file (it begins with {content[:4].hex(' ') or 'nothing'})")
    dtype, dimensions = np.dtype(_IDX_TYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"{path}: the header of {dimensions} dimensions is cut off")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    wanted = math.prod(shape) * dtype.itemsize
    if len(content) - start != wanted:
        raise ValueError(f"{path}: shape {shape} needs {wanted} bytes, and {len(content) - start} follow the header")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))

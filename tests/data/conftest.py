"""Writers of files in published forms."""

import gzip
import struct

import pytest


def _write_idx(path, array, code=0x08):
    content = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def write_idx():
    return _write_idx

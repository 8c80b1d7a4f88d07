"""idx files: every type, and what is not one."""

import gzip

import numpy as np
import pytest

from bayesops import data


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_idx_files_of_every_type_are_read(tmp_path, write_idx, name, code, dtype):
    array = (np.arange(24).reshape(2, 3, 4) - (0 if dtype == "u1" else 9)).astype(dtype)
    write_idx(tmp_path / name, array, code)
    read = data.read_idx(tmp_path / name)
    np.testing.assert_array_equal(read, array)
    assert read.dtype.isnative


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"PNG\0more", "not an idx file"),
        (b"\0\0\x07\x01\0\0\0\x01x", "not an idx file"),
        (b"\0\0\x08\x03\0\0\0\x01", "cut off"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "needs 5 bytes, and 3 follow"),
        (b"\0\0\x08\x01\0\0\0\x01abc", "needs 1 bytes, and 3 follow"),
    ],
)
def test_what_is_not_idx_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        data.read_idx(path)
    assert str(path) in str(error.value)


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(bytes(1000))[:-9])
    with pytest.raises(ValueError, match="gzip"):
        data.read_idx(path)

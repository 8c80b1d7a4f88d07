"""Whether a file can be written, asked before the work."""

import pytest

from bayesops._files import why_not_writable


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path):
    there = tmp_path / "there"
    there.write_text("kept")
    assert why_not_writable(there) is None
    assert there.read_text() == "kept"
    assert why_not_writable(str(tmp_path / "new")) is None
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [("", "is a folder"), ("none/a", "there is no such folder"), ("/proc/a", "/proc/a cannot be written: ")],
)
def test_why_it_cannot(tmp_path, file, reason):
    assert reason in why_not_writable(tmp_path / file)

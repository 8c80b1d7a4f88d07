"""What the studies' tests share."""

import pytest


@pytest.fixture
def drawn_pictures():
    """Return a function that tells the names of a folder's pictures, after a look at each."""

    def drawn_pictures(folder):
        pictures = list(folder.glob("*.png"))
        for path in pictures:
            assert path.stat().st_size > 5000
            assert b"Software" not in path.read_bytes()[:1000]  # no version of matplotlib: the same file again
        return {path.name for path in pictures}

    return drawn_pictures

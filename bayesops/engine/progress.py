"""A bar on the terminal for long predictions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """Counts draws over all batches."""

    def __init__(self, bar: Any, draws_a_batch: int) -> None:
        self._bar, self._draws_a_batch = bar, draws_a_batch

    def add(self, draws: int) -> None:
        """Count draws of the current batch."""
        self._bar.update(draws)

    def finish_batch(self, draws: int) -> None:
        """Correct the total where a batch took fewer draws than were foreseen."""
        if self._bar.total is not None:
            self._bar.total -= self._draws_a_batch - draws
            self._bar.refresh()


@contextmanager
def progress_bar(wanted: bool, batches: int | None, draws_a_batch: int) -> Iterator[Progress | None]:
    """Show a bar, if `wanted`, while the block runs; its total is known where `batches` is.

    Raises
    ------
    ModuleNotFoundError
        Without tqdm.
    """
    if not wanted:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as error:
        message = "predict: progress=True needs tqdm: pip install tqdm"
        raise ModuleNotFoundError(message, name="tqdm") from error
    total = None if batches is None else batches * draws_a_batch
    with tqdm(total=total, unit="draw", dynamic_ncols=True) as bar:
        yield Progress(bar, draws_a_batch)

"""A pool of points, predicted batch by batch: nothing is kept of a batch but what the caller makes of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from bayesops._arguments import check_count, wrong_type, wrong_value
from bayesops.engine import Prediction, predict

Pool = Tensor | tuple[Tensor, ...] | Iterable[Any]

# What a caller may pass on to `bayesops.predict`.
OPTIONS = ("chunk_size", "output", "path", "tolerance", "max_samples", "group")


def predictions(
    name: str,
    model: nn.Module | Callable[..., Any],
    pool: Pool,
    num_samples: int | str,
    seed: int | Tensor,
    batch_size: int,
    options: dict[str, Any],
    **asked: Any,
) -> Iterator[Prediction]:
    """Predict each batch of `pool` with the same draws of the weights; `name` is the caller's, for errors."""
    for option in options:
        if option not in OPTIONS:
            raise TypeError(f"{name}: argument '{option}' is none of its options, which are {', '.join(OPTIONS)}")
    found = False
    for batch in _batches(name, pool, batch_size):
        # A list of one batch, which predict takes apart: labels after the input, several arguments.
        yield predict(model, [batch], num_samples, seed, **options, **asked)
        found = True
    if not found:
        wrong_value(name, "pool", "of at least one batch", "none")


def _batches(name: str, pool: Pool, batch_size: int) -> Iterable[Any]:
    batch_size = check_count(name, "batch_size", batch_size)
    if isinstance(pool, Tensor):
        if pool.dim() == 0 or len(pool) == 0:
            wrong_value(name, "pool", "of at least one point", f"shape {tuple(pool.shape)}")
        return pool.split(batch_size)
    if isinstance(pool, tuple):
        return [(pool,)]
    if not isinstance(pool, Iterable):
        wrong_type(name, "pool", "a tensor, a tuple of tensors, or an iterable of batches", type(pool).__name__)
    return pool

"""Where layers take their randomness from: a fresh seed at each call, or that of a `bayesops.sampling` block."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from weakref import WeakSet

import torch
from torch import Tensor, nn

from bayesops._arguments import seed_tensor, wrong_value

_FRESH_SEED_BOUND = 2**63 - 1


class Streams:
    """Which stream each layer draws from: numbers in order of first use, unless the layer has one of its own."""

    def __init__(self, *, remembers: bool = True) -> None:
        """Layers are recorded as called in a block; `remembers` is False where there will be no backward pass."""
        self._remembers = remembers
        # By the layer's id, which torch.compile guards, as it does not a module that is a key: layers that are compiled
        # one by one share their code. The layer is there to stay alive.
        self._by_layer: dict[int, tuple[int, nn.Module]] = {}
        self._explicit: set[int] = set()
        self._next = 0

    def of(self, layer: nn.Module, explicit: int | None) -> int:
        """Return the stream of `layer`, the same at every call.

        Raises
        ------
        ValueError
            If the layer's own stream was already given to another layer by order of use: the two would share their
            bits.
        """
        if explicit is not None:
            self._claim(layer, explicit)
            return explicit
        known = self._by_layer.get(id(layer))
        if known is not None:
            return known[0]
        while self._next in self._explicit:
            self._next += 1
        stream = self._next
        self._by_layer[id(layer)] = stream, layer
        self._next += 1
        if self._remembers:
            _remember(layer)
        return stream

    def _claim(self, layer: nn.Module, stream: int) -> None:
        if self._remembers:
            _remember(layer)
        if stream in self._explicit:
            return
        for taken, other in self._by_layer.values():
            if taken == stream and other is not layer:
                raise ValueError(
                    f"sampling: {type(layer).__name__}.stream is {stream}, which this block gave to another layer, "
                    f"{type(other).__name__}, by order of use; set `stream` on both, or on neither"
                )
        self._explicit.add(stream)


class Block:
    """What a `sampling` block gives to the layers that are called in it."""

    def __init__(self, seed: int | Tensor, streams: Streams) -> None:
        self.seed = seed
        self.streams = streams
        self._moved: Tensor | None = None

    def seed_on(self, device: torch.device) -> Tensor:
        """Return the seed on `device`, made and moved once."""
        seed = self.seed
        if isinstance(seed, Tensor) and seed.device == device:
            return seed
        if self._moved is not None and self._moved.device == device:
            return self._moved
        moved = seed.to(device) if isinstance(seed, Tensor) else seed_tensor("sampling", seed, device)
        if _serves_all_calls(moved):
            self._moved = moved
        return moved


def _serves_all_calls(seed: Tensor) -> bool:
    """Whether later calls of the block can use `seed`, in whatever mode they run."""
    if torch.compiler.is_compiling() or type(seed) is not Tensor:  # it may be of the tracing alone
        return False
    # One that is captured is not there before the graph runs.
    return not (seed.is_inference() or seed.is_meta or is_captured(seed.device))


def is_captured(device: torch.device) -> bool:
    """Whether what happens on `device` becomes part of a CUDA graph."""
    return device.type == "cuda" and not torch.compiler.is_compiling() and torch.cuda.is_current_stream_capturing()


class _Entry:
    """That a block has been entered, within another entry."""

    def __init__(self, block: Block | None, outer: "_Entry | None") -> None:
        self.block = block
        self.outer = outer
        self.is_open = True


class _Current(threading.local):
    """The innermost entry of a thread; not a ContextVar, since `torch.compile` cannot read one."""

    entry: _Entry | None = None


_current = _Current()
# Layers that were last called in a block. A backward pass that calls one outside of any block is not to draw afresh.
_called_in_block: WeakSet[nn.Module] = WeakSet()


@contextmanager
def sampling(seed: int | Tensor) -> Iterator[None]:
    """Within the block, Bayesian layers draw from `seed`: one draw of the whole network, which can be made again.

    Each layer gets a stream of its own, numbered by order of first use in the block, unless its attribute `stream` is
    set. A layer that is called twice in one block uses **the same mask twice**: a recurrent cell keeps one mask over
    all time steps, and two calls of a model make the same draw. For a fresh mask at each call, open a block for each
    call, or use none: outside a block a layer draws a new seed from torch's generator of its device at each call.

    Blocks may be nested (the inner one counts) and belong to their thread: no ``await`` or ``yield`` may stand in one,
    since others would draw from it meanwhile. Where activations are checkpointed, the
    backward pass needs `checkpoint_contexts` to find its block again.

    Parameters
    ----------
    seed : int or int64 Tensor
        One draw, ``[]``. Under `torch.vmap` it may be the mapped argument; that is how `bayesops.predict` makes all
        draws of a chunk in one pass. A tensor of another device than a layer's is copied there, which waits for a GPU:
        to capture a CUDA graph, give one of that device.

    Raises
    ------
    TypeError, ValueError
        A seed that is not an int or an int64 scalar.
    RuntimeError
        At the end of a block that ends before one that was opened in it, or in another thread.

    Examples
    --------
    >>> with bo.sampling(seed=0):
    ...     first = model(x)
    >>> with bo.sampling(seed=0):
    ...     again = model(x)  # equal to first
    """
    if isinstance(seed, Tensor):
        seed_tensor("sampling", seed, seed.device)
        if seed.dim() != 0:
            wrong_value("sampling", "seed", "one draw, of shape [] (bayesops.predict makes many)", tuple(seed.shape))
    else:
        seed = int(seed_tensor("sampling", seed, torch.device("cpu")))
    with sampling_many(seed, Streams()):
        yield


@contextmanager
def sampling_many(seed: int | Tensor, streams: Streams) -> Iterator[None]:
    """As `sampling`, with the numbering of other blocks; `seed` may be ``[S]``, for layers that are given S draws."""
    with _within(Block(seed, streams)):
        yield


@contextmanager
def _within(block: Block | None) -> Iterator[None]:
    entry = _current.entry = _Entry(block, _current.entry)
    try:
        yield
    finally:
        is_innermost = _current.entry is entry
        entry.is_open = False
        _leave_ended()
        if not is_innermost:  # its layers may have drawn from the other
            raise RuntimeError(
                "sampling: a block ends before one that was opened in it, or in another thread than it began in; no "
                "`await` may stand in a block, and no `yield`, since others would draw from it meanwhile"
            )


def _leave_ended() -> None:
    """Go on to the innermost entry that is open: others may have ended out of turn, or in another thread."""
    while _current.entry is not None and not _current.entry.is_open:
        _current.entry = _current.entry.outer


def current_block() -> Block | None:
    """Return the innermost block of this thread."""
    _leave_ended()
    return None if _current.entry is None else _current.entry.block


def checkpoint_contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For `torch.utils.checkpoint.checkpoint` in a `sampling` block: what is computed again draws the same again.

    The backward pass computes again what was not kept, and does so after the end of the block, or, on a GPU, in a
    thread of its own, where there is none. To be given as ``context_fn``; outside of blocks it changes nothing.

    Returns
    -------
    tuple of context managers
        Of the forward pass, which needs none, and of its repetition: the block that is open now.

    Raises
    ------
    RuntimeError
        Within `torch.vmap` or `torch.func.grad`, where gradients are recorded.

    Examples
    --------
    >>> with bo.sampling(seed=0):
    ...     y = checkpoint(block, x, use_reentrant=False, context_fn=bo.checkpoint_contexts)
    >>> y.sum().backward()
    """
    if torch.is_grad_enabled() and torch._C._functorch.maybe_current_level() is not None:
        raise RuntimeError(
            "checkpoint_contexts: torch checkpoints no activations within torch.vmap or torch.func.grad, whose tensors "
            "are gone when the backward pass computes them again"
        )
    return nullcontext(), _within(current_block())


def layer_seed(layer: nn.Module, stream: int | None, device: torch.device) -> tuple[Tensor, int]:
    """Seed and stream for one call of `layer`: the block's, or a fresh seed ``[]`` from torch's generator.

    Raises
    ------
    RuntimeError
        If a backward pass computes again what was drawn in a block, and has lost the block.
    """
    block = current_block()
    if block is None:
        if not torch.compiler.is_compiling() and layer in _called_in_block:
            _leave_block(layer)
        return torch.randint(0, _FRESH_SEED_BOUND, (), dtype=torch.int64, device=device), stream or 0
    return block.seed_on(device), block.streams.of(layer, stream)


def _remember(layer: nn.Module) -> None:
    if not torch.compiler.is_compiling():
        _called_in_block.add(layer)


def _leave_block(layer: nn.Module) -> None:
    if torch._C._current_graph_task_id() != -1:  # a backward pass
        raise RuntimeError(
            f"sampling: a backward pass calls {type(layer).__name__} outside of any block, its last call was in one: "
            "where activations are checkpointed, pass context_fn=bayesops.checkpoint_contexts to "
            "torch.utils.checkpoint.checkpoint(..., use_reentrant=False)"
        )
    _called_in_block.discard(layer)

"""The ways to T draws that are measured side by side, and why some of them are left out."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from bayesops._messages import first_line
from bayesops.engine.prediction import PATHS
from bayesops.profiling import twins
from bayesops.profiling.subject import Batch, Subject
from bayesops.profiling.timing import free_memory, synchronise
from bayesops.profiling.twins.peers import PEERS, NoTwin

# What every way is called where people read of it.
LABELS = {
    "deterministic": "T plain passes",
    "naive": "loop in PyTorch",
    "repeated": "one repeated batch",
    "vmap": "torch.vmap",
    "compiled": "torch.compile",
    **{peer: peer for peer in PEERS},
    "ours": "bo.predict",
    **{f"ours_{path}": f'bo.predict "{path}"' for path in PATHS},
}
# Those that the argument `rivals` may name; the plain passes, the loop and ours are always there.
RIVALS = ("repeated", "vmap", "peers", "paths")
# Those that a user could have without this library.
OF_OTHERS = ("naive", "repeated", "vmap", "compiled", *PEERS)
# Activations of all draws at once: a few of them are held together.
_HELD = 3

Call = Callable[[], object]


@dataclass
class Ways:
    """What can be measured.

    Attributes
    ----------
    calls : dict
        By a name of `LABELS`; all have been called once.
    left_out : dict
        The others that were wanted: why not.
    compiled : str or None
        Which way it is that `torch.compile` was given.
    path, plan : str
        What `bayesops.predict` says of its path.
    """

    calls: dict[str, Call] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    compiled: str | None = None
    path: str = ""
    plan: str = ""

    def admit(self, name: str, call: Call) -> None:
        """Take `call` if it runs."""
        try:
            call()
        except Exception as error:  # a rival may fail in any way; it is left out then
            self.left_out[name] = first_line(error)
        else:
            self.calls[name] = call


def ways_to_draw(
    subject: Subject,
    batch: Batch,
    count: int,
    rivals: Collection[str],
    compile: bool,
    tell: Callable[[str], object],
) -> Ways:
    """Prepare the ways to `count` draws, those of `rivals` among them; `tell` is called with the name of each."""
    ways = Ways()
    for name, call in (
        ("deterministic", lambda: subject.passes(batch, count)),
        ("naive", lambda: subject.loop(subject.naive, batch, count)),
    ):
        tell(LABELS[name])
        call()  # if these fail it is the model that does
        ways.calls[name] = call
    too_large = _too_large(subject, batch, count)

    def draw(_: Tensor) -> object:
        return subject.selected(subject.naive, batch)

    mapped = torch.vmap(draw, randomness="different")
    wide: dict[str, Call] = {
        "repeated": lambda: subject.repeated(subject.naive, batch, count),
        "vmap": lambda: subject.vmapped(mapped, count),
    }
    for name in [name for name in wide if name in rivals]:
        tell(LABELS[name])
        reason = (_why_not_repeated(subject) if name == "repeated" else None) or too_large
        if reason:
            ways.left_out[name] = reason
        else:
            ways.admit(name, wide[name])
    if compile:
        tell(LABELS["compiled"])
        _compile_the_best(ways, subject, batch, count, mapped)
    if "peers" in rivals:
        _add_peers(ways, subject, batch, count, tell)
    tell(LABELS["ours"])
    prediction = subject.predict(batch, count)
    ways.path, ways.plan = prediction.path, prediction.plan
    ways.calls["ours"] = lambda: subject.predict(batch, count)
    if "paths" in rivals:
        _add_paths(ways, subject, batch, count, tell)
    return ways


def _why_not_repeated(subject: Subject) -> str | None:
    layers = twins.layers_with_shared_draws(subject.ours)
    if not layers:
        return None
    names = ", ".join(layers[:3]) + (f" and {len(layers) - 3} more" if len(layers) > 3 else "")
    return f"a larger batch makes no more draws: all its examples meet one draw of {names or 'the model'}"


def _too_large(subject: Subject, batch: Batch, count: int) -> str | None:
    needed, free = _HELD * count * subject.largest_activation(batch), free_memory(subject.device)
    if free is None or needed < free / 2:
        return None
    return f"all draws at once would hold about {needed / 2**30:.1f} GiB of {free / 2**30:.1f} GiB that are free"


def _compile_the_best(
    ways: Ways, subject: Subject, batch: Batch, count: int, mapped: Callable[[Tensor], object]
) -> None:
    """Compile the quickest of the ways in plain PyTorch that are there."""
    seconds = {}
    for name in ("naive", "repeated", "vmap"):
        if name in ways.calls:
            before = time.perf_counter()
            ways.calls[name]()
            synchronise(subject.device)
            seconds[name] = time.perf_counter() - before
    ways.compiled = min(seconds, key=seconds.__getitem__)
    torch._dynamo.reset()  # every case may have its own shapes
    if ways.compiled == "vmap":
        compiled_draw = torch.compile(mapped, dynamic=False)
        ways.admit("compiled", lambda: subject.vmapped(compiled_draw, count))
    else:
        compiled = torch.compile(subject.naive, dynamic=False)
        run = subject.loop if ways.compiled == "naive" else subject.repeated
        ways.admit("compiled", lambda: run(compiled, batch, count))


def _add_peers(ways: Ways, subject: Subject, batch: Batch, count: int, tell: Callable[[str], object]) -> None:
    for peer in PEERS:
        tell(LABELS[peer])
        try:
            twin = subject.peer(peer)
        except NoTwin as reason:
            ways.left_out[peer] = str(reason)
        else:
            ways.admit(peer, partial(subject.loop, twin, batch, count))


def _add_paths(ways: Ways, subject: Subject, batch: Batch, count: int, tell: Callable[[str], object]) -> None:
    for path in PATHS:
        if path != ways.path:
            tell(LABELS[f"ours_{path}"])
            ways.admit(f"ours_{path}", partial(subject.predict, batch, count, path))

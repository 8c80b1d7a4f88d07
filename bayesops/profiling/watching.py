"""Clocks around the steps of a plan, the layers of a model, and the nodes of a graph."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from bayesops.engine.plan import Watch
from bayesops.profiling.timing import synchronise


class Clock:
    """Adds up the seconds spent within each named context; with `counters`, also those of the kernels' phases.

    Attributes
    ----------
    seconds : dict of str to float
        By name.
    counted : dict of str to Tensor
        Seconds of each of the kernels' phases, summed over threads.
    """

    def __init__(self, device: torch.device, counters: bool = False) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.counted: dict[str, Tensor] = {}
        self._device, self._counters = device, counters

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what is done within."""
        synchronise(self._device)
        if self._counters:
            torch.ops.bayesops.kernel_counters(True)
        entered = time.perf_counter()
        yield
        synchronise(self._device)
        self.seconds[name] += time.perf_counter() - entered
        if self._counters:
            phases = torch.ops.bayesops.kernel_counters(True)
            self.counted[name] = phases + self.counted.get(name, 0)


@contextmanager
def kernel_counters() -> Iterator[None]:
    """Have the kernels count."""
    torch.ops.bayesops.set_kernel_counters(True)
    try:
        yield
    finally:
        torch.ops.bayesops.set_kernel_counters(False)


@contextmanager
def around_layers(layers: dict[str, nn.Module], watch: Watch) -> Iterator[None]:
    """Enter `watch` around every call of `layers`, by their names."""
    entered: list[Any] = []

    def enter(name: str) -> Any:
        def hook(*_: Any) -> None:
            entered.append(watch(name))
            entered[-1].__enter__()

        return hook

    def leave(*_: Any) -> None:
        entered.pop().__exit__(None, None, None)

    handles: list[Any] = []
    for name, layer in layers.items():
        handles += [layer.register_forward_pre_hook(enter(name)), layer.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class ClockedGraph(fx.Interpreter):
    """Runs a model node by node, each under a clock; keeps the bytes of what each returns."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(fx.GraphModule(model, graph))
        self.bytes: dict[str, int] = {}
        self._watch: Any = None

    def run_watched(self, batch: tuple[Tensor, ...], watch: Watch) -> None:
        """Make one pass."""
        self._watch = watch
        self.run(*batch)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        if n.op in ("placeholder", "output"):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        with self._watch(n.name):
            value = getattr(self, n.op)(n.target, args, kwargs)
        self.bytes[n.name] = value.numel() * value.element_size() if isinstance(value, Tensor) else 0
        return value

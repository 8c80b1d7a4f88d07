"""Where the time goes: each Bayesian layer beside its plain one, and the phases inside the fused kernels."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from bayesops.profiling.timing import synchronise, take_turns
from bayesops.profiling.twins import bayesian_layers, convolutions


@dataclass(frozen=True)
class Phases:
    """Shares of the time inside the fused kernels, by their own cycle counters; they add up to 1.

    Attributes
    ----------
    draw : float
        Drawing masks, and Flipout's signs.
    pack : float
        Masking weights, or drawing Gaussian ones, on their way into the panel that the multiplication reads.
    multiply : float
        Multiply-adds.
    epilogue : float
        Bias, and writing the result; under local reparameterisation also drawing its noise.
    stage : float
        Bringing input tiles into the order that the multiplication reads, squared or with turned signs where need be.
    """

    draw: float
    pack: float
    multiply: float
    epilogue: float
    stage: float


@dataclass(frozen=True)
class LayerCost:
    """What one Bayesian layer costs in a model's T draws.

    Attributes
    ----------
    name, kind : str
        The layer's name in the model, and its class.
    plain_seconds : float
        Its plain layer, for each deterministic pass.
    seconds : float
        The layer itself within `bayesops.predict`, for each draw; with everything around the kernel.
    ratio : float
        `seconds` to `plain_seconds`, median over rounds.
    flops : float
        Operations a draw (a multiply-add is two), as if nothing were masked and no draw shared anything with another:
        one convolution, two under local reparameterisation and Flipout.
    of_peak : float or None
        `flops` a second, to the machine's measured peak.
    busy : float or None
        Share of all threads' time within the layer that was spent in the kernels (None where nothing was counted).
    phases : Phases or None
        Where that time went.
    """

    name: str
    kind: str
    plain_seconds: float
    seconds: float
    ratio: float
    flops: float
    of_peak: float | None
    busy: float | None
    phases: Phases | None


class _Watch:
    """Adds up the time between entering and leaving each layer; with `counters`, also that of the kernels' phases."""

    def __init__(self, layers: dict[str, nn.Module], device: torch.device, counters: bool = False) -> None:
        self.seconds = dict.fromkeys(layers, 0.0)
        self.counted = {name: torch.zeros(len(Phases.__dataclass_fields__), dtype=torch.float64) for name in layers}
        self._layers, self._device, self._counters = layers, device, counters

    def __enter__(self) -> "_Watch":
        self._handles = [hook for name, layer in self._layers.items() for hook in self._attach(name, layer)]
        torch.ops.bayesops.set_kernel_counters(self._counters)
        return self

    def __exit__(self, *_: object) -> None:
        torch.ops.bayesops.set_kernel_counters(False)
        for handle in self._handles:
            handle.remove()

    def _attach(self, name: str, layer: nn.Module) -> tuple[Any, ...]:
        entered = 0.0

        def enter(*_: Any) -> None:
            nonlocal entered
            synchronise(self._device)
            if self._counters:
                torch.ops.bayesops.kernel_counters(True)
            entered = time.perf_counter()

        def leave(*_: Any) -> None:
            synchronise(self._device)
            self.seconds[name] += time.perf_counter() - entered
            if self._counters:
                self.counted[name] += torch.ops.bayesops.kernel_counters(True)

        return layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave)


def layer_costs(
    model: nn.Module,
    plain: nn.Module,
    run_model: Callable[[], object],
    run_plain: Callable[[], object],
    num_samples: int,
    num_passes: int,
    flops: dict[str, float],
    device: torch.device,
    seconds: float,
) -> tuple[LayerCost, ...]:
    """Measure each Bayesian layer of `model` while `run_model` makes `num_samples` draws.

    Its rival is the layer of the same name in `plain`, while `run_plain` makes `num_passes` passes. Nothing is counted
    in the runs that are timed; the phases come from a run of their own.
    """
    layers = bayesian_layers(model)
    plain_layers = {name: plain.get_submodule(name) for name in layers}
    ours: list[_Watch] = []
    rivals: list[_Watch] = []

    def watched(
        into: list[_Watch], of: dict[str, nn.Module], run: Callable[[], object], counters: bool = False
    ) -> Callable[[], None]:
        def call() -> None:
            with _Watch(of, device, counters) as watch:
                run()
            into.append(watch)

        return call

    take_turns(
        {"plain": watched(rivals, plain_layers, run_plain), "ours": watched(ours, layers, run_model)}, device, seconds
    )
    counts: list[_Watch] = []
    watched(counts, layers, run_model, counters=True)()
    count = counts[0]

    costs = []
    for name, layer in layers.items():
        mine = [watch.seconds[name] / num_samples for watch in ours[1:]]  # the first round warms up
        theirs = [watch.seconds[name] / num_passes for watch in rivals[1:]]
        in_kernels = float(count.counted[name].sum())
        costs.append(
            LayerCost(
                name=name or type(layer).__name__,
                kind=type(layer).__name__,
                plain_seconds=median(theirs),
                seconds=median(mine),
                ratio=median(a / b for a, b in zip(mine, theirs, strict=True)),
                flops=flops[name],
                of_peak=None,  # when the peak is known
                busy=in_kernels / (count.seconds[name] * torch.get_num_threads()) if in_kernels else None,
                phases=Phases(*(count.counted[name] / in_kernels).tolist()) if in_kernels else None,
            )
        )
    return tuple(costs)


def layer_flops(model: nn.Module, plain: nn.Module, run_plain: Callable[[], object]) -> dict[str, float]:
    """Operations of one draw in each Bayesian layer of `model`, from the shapes that its twin sees in `run_plain`.

    Each output takes one multiply-add for each weight of its channel, and two of them where the layer convolves twice:
    for mean and variance (local reparameterisation), or for mean and deviation (Flipout).
    """
    flops: dict[str, float] = {}
    layers = bayesian_layers(model)

    def count(name: str) -> Callable[..., None]:
        def leave(module: Any, arguments: Any, output: Tensor) -> None:
            weight = getattr(module, "weight", None)
            macs = 0 if weight is None else output.numel() * weight.numel() // weight.shape[0]
            flops[name] = flops.get(name, 0.0) + 2.0 * macs * convolutions(layers[name])

        return leave

    handles = [plain.get_submodule(name).register_forward_hook(count(name)) for name in layers]
    run_plain()
    for handle in handles:
        handle.remove()
    return flops

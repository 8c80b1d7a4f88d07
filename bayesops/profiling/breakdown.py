"""Where the time goes: every step of a prediction, beside the same layers drawing nothing, and inside the kernels."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bayesops.profiling import twins
from bayesops.profiling.steps import Step, layout_of
from bayesops.profiling.subject import Batch, Subject
from bayesops.profiling.timing import take_turns
from bayesops.profiling.watching import Clock, kernel_counters

# A plain layer's time does not depend on how many passes are made: ten are enough to divide by.
_PLAIN_PASSES = 10


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
        Bias, what is fused with the layer, and writing the result; under local reparameterisation also drawing its
        noise.
    stage : float
        Bringing input tiles into the order that the multiplication reads, squared or with turned signs where need be.
    """

    draw: float
    pack: float
    multiply: float
    epilogue: float
    stage: float


@dataclass(frozen=True)
class StepCost:
    """What one step costs in a model's T draws: a layer with what is fused with it, or another operation.

    Attributes
    ----------
    name, kind : str
        The layer's name in the model, or the graph's name of a function; and what is run, all that is fused.
    bayesian : bool
        Whether it draws.
    runs : {"each", "mapped", "once"}
        For each chunk of draws; for each, mapped over the draws by `torch.vmap` since nothing better is known; or once
        for all of them.
    seconds : float
        Within `bayesops.predict`, for each draw; with everything around the kernel.
    share : float
        Of the time of the whole prediction.
    plain_seconds, ratio : float or None
        The same operations in a deterministic pass, for each pass, and `seconds` to it, median over rounds; None where
        they take no time there.
    activation_bytes : int or None
        Of what it returns for one draw.
    flops : float
        Operations per draw (a multiply-add is two), as if nothing were masked and no draw shared anything with another:
        one convolution, two under local reparameterisation and Flipout. 0 where nothing is drawn.
    of_peak : float or None
        `flops` a second, to the machine's measured peak.
    busy : float or None
        Share of all threads' time within the step that was spent in the kernels (None where nothing was counted).
    phases : Phases or None
        Where that time went.
    """

    name: str
    kind: str
    bayesian: bool
    runs: str
    seconds: float
    share: float
    plain_seconds: float | None
    ratio: float | None
    activation_bytes: int | None
    flops: float
    of_peak: float | None
    busy: float | None
    phases: Phases | None


@dataclass(frozen=True)
class Breakdown:
    """A prediction of one batch, step by step.

    Attributes
    ----------
    num_samples : int
        T.
    path : {"plan", "vmap", "loop"}
        What `bayesops.predict` took. Where it is no plan there are Bayesian layers only.
    seconds : float
        The whole prediction while its steps are watched, for each draw: the sum of `steps` and `rest`, which are
        medians over rounds.
    steps : tuple of StepCost
        In the order in which they run.
    rest : float
        What is outside of all steps, for each draw: the moments, and the engine.
    """

    num_samples: int
    path: str
    seconds: float
    steps: tuple[StepCost, ...]
    rest: float


def break_down(subject: Subject, batch: Batch, count: int, seconds: float) -> Breakdown:
    """Measure every step while `bayesops.predict` makes `count` draws, for about `seconds`.

    Its rival is the plain twin, watched in the same way. Nothing is counted in the runs that are timed; the kernels'
    phases come from a run of their own.
    """
    path = subject.predict(batch, count).path
    layout = layout_of(subject, batch, path)
    passes = min(count, _PLAIN_PASSES)
    bytes_of: dict[str, int] = {}
    ours: list[Clock] = []
    rivals: list[Clock] = []

    def run_ours(counters: bool = False) -> None:
        subject.predict(batch, count)  # settles caches and memory
        clock = Clock(subject.device, counters)
        before = time.perf_counter()
        with layout.around_ours(clock):
            subject.predict_watched(batch, count, clock, path)
        clock.seconds[_WHOLE] = time.perf_counter() - before
        ours.append(clock)

    def run_plain() -> None:
        layout.run_plain(Clock(subject.device))
        rivals.append(Clock(subject.device))
        for _ in range(passes):
            bytes_of.update(layout.run_plain(rivals[-1]))

    take_turns({"plain": run_plain, "ours": run_ours}, subject.device, seconds, settle=False)
    with kernel_counters():
        run_ours(counters=True)
    *timed, counted = ours
    rounds = [({k: v / count for k, v in a.seconds.items()}, {k: v / passes for k, v in b.seconds.items()})
              for a, b in zip(timed, rivals, strict=True)]  # fmt: skip
    watched = {name for step in layout.steps for name in step.watched}
    rest = median(mine[_WHOLE] - sum(mine.get(name, 0.0) for name in watched) for mine, _ in rounds)
    flops = layer_flops(subject, batch)
    costs = [_cost(step, rounds, counted, bytes_of, flops) for step in layout.steps]
    whole = rest + sum(cost.seconds for cost in costs)
    steps = tuple(replace(cost, share=cost.seconds / whole) for cost in costs)
    return Breakdown(count, path, whole, steps, rest)


_WHOLE = "(whole)"


def _cost(
    step: Step,
    rounds: list[tuple[dict[str, float], dict[str, float]]],
    counted: Clock,
    bytes_of: dict[str, int],
    flops: dict[str, float],
) -> StepCost:
    mine = [sum(ours.get(name, 0.0) for name in step.watched) for ours, _ in rounds]
    theirs = [sum(plain.get(name, 0.0) for name in step.plain) for _, plain in rounds]
    phases: Any = sum(counted.counted.get(name, torch.zeros(1, device="cpu")) for name in step.watched)
    in_kernels = float(phases.sum())
    entered = sum(counted.seconds[name] for name in step.watched)
    operations = sum(flops.get(name, 0.0) for name in step.watched)
    has_plain = all(theirs)
    return StepCost(
        name=step.name,
        kind=step.kind,
        bayesian=step.bayesian,
        runs=step.runs,
        seconds=median(mine),
        share=0.0,  # when the whole is known
        plain_seconds=median(theirs) if has_plain else None,
        ratio=median(a / b for a, b in zip(mine, theirs, strict=True)) if has_plain else None,
        activation_bytes=bytes_of.get(step.plain[-1]),
        flops=operations,
        of_peak=None,  # when the peak is known
        busy=in_kernels / (entered * torch.get_num_threads()) if in_kernels else None,
        phases=Phases(*(phases / in_kernels).tolist()) if in_kernels else None,
    )


def layer_flops(subject: Subject, batch: Batch) -> dict[str, float]:
    """Operations of one draw in each Bayesian layer, from the shapes that its twin sees.

    Each output takes one multiply-add for each weight of its channel, and two of them where the layer convolves twice:
    for mean and variance (local reparameterisation), or for mean and deviation (Flipout).
    """
    flops: dict[str, float] = {}
    layers = twins.bayesian_layers(subject.ours)

    def count(name: str) -> Callable[..., None]:
        def leave(module: Any, arguments: Any, output: Tensor) -> None:
            weight = getattr(module, "weight", None)
            macs = 0 if weight is None else output.numel() * weight.numel() // weight.shape[0]
            flops[name] = flops.get(name, 0.0) + 2.0 * macs * twins.convolutions(layers[name])

        return leave

    handles = [subject.plain.get_submodule(name).register_forward_hook(count(name)) for name in layers]
    try:
        subject.plain(*batch)
    finally:
        for handle in handles:
            handle.remove()
    return flops

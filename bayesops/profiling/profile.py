"""The profile of a model: deterministic passes, a naive loop and `bayesops.predict`, measured side by side."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bayesops.convert import convert
from bayesops.ops._arguments import wrong_type, wrong_value
from bayesops.engine.predict import predict
from bayesops.profiling import machine, twins
from bayesops.profiling.layers import LayerCost, layer_costs, layer_flops
from bayesops.profiling.machine import Machine
from bayesops.profiling.timing import Spread, peak_memory, ratios, take_turns

# A plain layer's time does not depend on how many passes are made: ten are enough to divide by.
_PLAIN_PASSES = 10
_WAYS = ("deterministic", "naive", "ours")

Progress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Case:
    """One batch size and one number of draws.

    Attributes
    ----------
    batch_size, num_samples : int
        N and T.
    seconds : dict
        Median time of ``"deterministic"`` (T passes that draw nothing), ``"naive"`` (T passes that draw in PyTorch) and
        ``"ours"`` (`bayesops.predict`).
    naive_ratio, ours_ratio : Spread
        Time to that of the T deterministic passes, over pairs taken in turn.
    speedup : Spread
        Time of the naive loop to ours.
    rounds : int
        How many pairs.
    peak_bytes : dict
        Memory of each way at its peak, beyond what is held when it starts (resident memory on the CPU, torch's
        allocator on CUDA), or None.
    flops : float
        Operations of the Bayesian layers in T draws (a multiply-add is two), as if nothing were masked, and no draw
        shared anything with another: one convolution, two under local reparameterisation and Flipout.
    of_peak : float or None
        Those a second in ours, to the machine's measured peak.
    plan : str
        What `bayesops.predict` says of its path.
    """

    batch_size: int
    num_samples: int
    seconds: dict[str, float]
    naive_ratio: Spread
    ours_ratio: Spread
    speedup: Spread
    rounds: int
    peak_bytes: dict[str, int | None]
    flops: float
    of_peak: float | None
    plan: str


@dataclass(frozen=True)
class Profile:
    """What `profile` returns.

    Attributes
    ----------
    model : str
        Its name.
    machine : Machine
        Where it was measured.
    cases : tuple of Case
        Every batch size with every number of draws.
    layers : dict
        For each batch size the `LayerCost` of each Bayesian layer, at `layer_samples` draws.
    layer_samples : int
        The number of draws in `layers`: the largest asked for.
    """

    model: str
    machine: Machine
    cases: tuple[Case, ...]
    layers: dict[int, tuple[LayerCost, ...]]
    layer_samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, numbers and strings, for JSON."""
        return asdict(self)


def profile(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    num_samples: int | Sequence[int] = (1, 10, 50),
    batch_sizes: Sequence[int] | None = None,
    *,
    posterior: str = "bernoulli",
    p: float = 0.5,
    granularity: str = "weight",
    estimator: str = "local_reparam",
    link: str = "softmax",
    seed: int = 0,
    seconds: float = 2.0,
    layers: bool = True,
    name: str | None = None,
    progress: Progress | None = None,
) -> Profile:
    """Measure what T draws of `model` cost, as a whole and layer by layer.

    Three ways are timed in turn in this process, on copies of the model in ``eval`` mode: T deterministic passes, T
    passes of a loop that draws masks and noise with torch, as one would write it, and `bayesops.predict`.

    Parameters
    ----------
    model : Module
        With Bayesian layers; one without any is first converted by `bayesops.convert`.
    inputs : Tensor or tuple of Tensors
        The argument, or arguments, of the model.
    num_samples : int or sequence of int
        The numbers of draws, T.
    batch_sizes : sequence of int, optional
        Batches to be made of `inputs` by taking its first examples, or by repeating it; None takes it as it is.
    posterior : {"bernoulli", "gaussian"}
        What to convert to.
    p, granularity
        Of a Bernoulli posterior, as in `bayesops.nn.BernoulliConv2d`.
    estimator : {"local_reparam", "weight_sample", "flipout"}
        Of a Gaussian posterior, as in `bayesops.nn.GaussianConv2d`.
    link : {"softmax", "identity"}
        As in `bayesops.predict`.
    seed : int
        The master seed of the draws.
    seconds : float
        About how long each measurement goes on; three rounds are made in any case.
    layers : bool
        Measure layer by layer, too.
    name : str, optional
        What to call the model; its class name by default.
    progress : callable, optional
        Called as ``progress(steps_done, steps, what_comes_next)``.

    Returns
    -------
    Profile
        Machine, cases and layers.

    Raises
    ------
    ValueError
        A number of draws or a batch size below 1, seconds that are not positive, no layer that could be Bayesian; an
        unknown posterior or estimator.
    TypeError
        Something else than tensors in `inputs`.
    """
    counts = (num_samples,) if isinstance(num_samples, int) else tuple(num_samples)
    _check_counts("num_samples", counts)
    if not seconds > 0:
        wrong_value("profile", "seconds", "above 0", seconds)
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if not arguments or not all(isinstance(argument, Tensor) for argument in arguments):
        wrong_type("profile", "inputs", "a tensor or a tuple of tensors", type(inputs).__name__)
    sizes = (len(arguments[0]),) if batch_sizes is None else tuple(batch_sizes)
    _check_counts("batch_sizes", sizes)

    options = {"estimator": estimator} if posterior == "gaussian" else {"p": p, "granularity": granularity}
    bayesian = model if twins.bayesian_layers(model) else convert(model, posterior, **options)
    if not twins.bayesian_layers(bayesian):
        wrong_value("profile", "model", "with Bayesian layers, or layers to convert", type(model).__name__)
    subject = _Subject(bayesian, link, seed, seconds, arguments[0].device)

    steps = len(sizes) * (len(counts) + layers)
    done = 0

    def next_step(what: str) -> None:
        nonlocal done
        if progress is not None:
            progress(done, steps, what)
        done += 1

    on_cpu = arguments[0].device.type == "cpu"
    limits = []
    cases, by_size = [], {}
    with torch.no_grad():
        for size in sizes:
            batch = tuple(_rebatch(argument, size) for argument in arguments)
            for count in counts:
                next_step(f"batch {size}, T = {count}")
                cases.append(subject.case(batch, count))
            if layers:
                next_step(f"batch {size}, layers")
                by_size[size] = subject.layers(batch, max(counts))
            # Once for each batch: the best counts, should something else have been running.
            limits.append(machine.describe(seconds=min(0.2, seconds) if on_cpu else 0.0))
    if progress is not None:
        progress(done, steps, "done")
    here = machine.best(limits)
    peak = here.peak_flops
    return Profile(
        name or type(model).__name__,
        here,
        tuple(replace(case, of_peak=_of_peak(case.flops, case.seconds["ours"], peak)) for case in cases),
        {
            size: tuple(replace(layer, of_peak=_of_peak(layer.flops, layer.seconds, peak)) for layer in costs)
            for size, costs in by_size.items()
        },
        max(counts),
    )


class _Subject:
    """The model and its twins."""

    def __init__(self, model: nn.Module, link: str, seed: int, seconds: float, device: torch.device) -> None:
        self._plain = twins.deterministic(model).eval()
        self._naive = twins.naive(model).eval()
        self._ours = copy.deepcopy(model).eval()
        self._link, self._seed, self._seconds, self._device = link, seed, seconds, device

    def case(self, batch: tuple[Tensor, ...], count: int) -> Case:
        def loop() -> None:
            draws = torch.stack([self._naive(*batch) for _ in range(count)])
            if self._link == "softmax":
                draws = draws.softmax(min(2, draws.dim() - 1))
            draws.mean(0)
            draws.var(0, correction=0)

        ways: dict[str, Callable[[], object]] = {
            "deterministic": lambda: self._passes(batch, count),
            "naive": loop,
            "ours": lambda: self._predict(batch, count),
        }
        plan = self._predict(batch, count).plan
        times = take_turns(ways, self._device, self._seconds)
        middle = {way: Spread.of(times[way]).median for way in _WAYS}
        return Case(
            batch_size=len(batch[0]),
            num_samples=count,
            seconds=middle,
            naive_ratio=ratios(times["naive"], times["deterministic"]),
            ours_ratio=ratios(times["ours"], times["deterministic"]),
            speedup=ratios(times["naive"], times["ours"]),
            rounds=len(times["ours"]),
            peak_bytes={way: peak_memory(ways[way], self._device) for way in _WAYS},
            flops=sum(self._flops(batch).values()) * count,
            of_peak=None,  # when the peak is known
            plan=plan,
        )

    def layers(self, batch: tuple[Tensor, ...], count: int) -> tuple[LayerCost, ...]:
        passes = min(count, _PLAIN_PASSES)
        return layer_costs(
            self._ours,
            self._plain,
            lambda: self._predict(batch, count),
            lambda: self._passes(batch, passes),
            count,
            passes,
            self._flops(batch),
            self._device,
            self._seconds,
        )

    def _flops(self, batch: tuple[Tensor, ...]) -> dict[str, float]:
        return layer_flops(self._ours, self._plain, lambda: self._passes(batch, 1))

    def _predict(self, batch: tuple[Tensor, ...], count: int) -> Any:
        return predict(self._ours, batch, count, self._seed, link=self._link)

    def _passes(self, batch: tuple[Tensor, ...], count: int) -> None:
        for _ in range(count):
            self._plain(*batch)


def _check_counts(argument: str, counts: Sequence[int]) -> None:
    if not counts or any(not isinstance(count, int) or count < 1 for count in counts):
        wrong_value("profile", argument, "ints of at least 1", list(counts))


def _of_peak(flops: float, seconds: float, peak_flops: float | None) -> float | None:
    return flops / seconds / peak_flops if flops and peak_flops else None


def _rebatch(tensor: Tensor, size: int) -> Tensor:
    """Take the first `size` examples, beginning again where they run out."""
    if len(tensor) == 0:
        wrong_value("profile", "inputs", "of at least one example", f"shape {tuple(tensor.shape)}")
    return tensor[torch.arange(size, device=tensor.device) % len(tensor)]

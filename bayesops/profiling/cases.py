"""Whole models: every way to T draws of a batch, its time and its memory."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from bayesops.profiling.breakdown import layer_flops
from bayesops.profiling.rivals import OF_OTHERS, ways_to_draw
from bayesops.profiling.subject import Batch, Subject
from bayesops.profiling.timing import Spread, peak_memory, ratios, take_turns


@dataclass(frozen=True)
class Way:
    """One way to T draws.

    Attributes
    ----------
    seconds : Spread
        Of all T.
    ratio : Spread
        Time to that of the T deterministic passes, over pairs taken in turn.
    speedup : Spread
        Time to that of `bayesops.predict`, over pairs.
    peak_bytes : int or None
        Memory at its peak, beyond what is held when it starts (resident memory on the CPU, torch's allocator on CUDA).
    """

    seconds: Spread
    ratio: Spread
    speedup: Spread
    peak_bytes: int | None


@dataclass(frozen=True)
class Case:
    """One batch size and one number of draws.

    Attributes
    ----------
    batch_size, num_samples : int
        N and T.
    ways : dict of str to Way
        ``"deterministic"`` (T passes that draw nothing), ``"naive"`` (a loop that draws in PyTorch), ``"ours"``
        (`bayesops.predict`); and, as asked for, ``"repeated"`` (one batch of T times N), ``"vmap"``, ``"compiled"``,
        ``"bayesian-torch"``, ``"torchbnn"``, ``"blitz"``, and other paths of ours, ``"ours_plan"``, ``"ours_vmap"``,
        ``"ours_loop"``.
    left_out : dict of str to str
        Those that were asked for and are not available: why.
    rounds : int
        How many pairs each ratio is of.
    flops : float
        Operations of the Bayesian layers in T draws (a multiply-add is two), as if nothing were masked, and no draw
        shared anything with another: one convolution, two under local reparameterisation and Flipout.
    of_peak : float or None
        Those a second in ours, to the machine's measured peak.
    activation_bytes : int
        The largest activation of one draw.
    compiled : str or None
        Which way `torch.compile` was given: the quickest in PyTorch.
    plan : str
        What `bayesops.predict` says of its path.
    """

    batch_size: int
    num_samples: int
    ways: dict[str, Way]
    left_out: dict[str, str]
    rounds: int
    flops: float
    of_peak: float | None
    activation_bytes: int
    compiled: str | None
    plan: str

    @property
    def best_rival(self) -> str:
        """The quickest of the ways that do without this library."""
        return min((name for name in self.ways if name in OF_OTHERS), key=lambda name: self.ways[name].seconds.median)


def measure_case(
    subject: Subject,
    batch: Batch,
    count: int,
    rivals: Collection[str],
    compile: bool,
    seconds: float,
    tell: Callable[[str], object],
) -> Case:
    """Measure `count` draws of `batch` for about `seconds`."""
    prepared = ways_to_draw(subject, batch, count, rivals, compile, tell)
    tell("in turn")
    times = take_turns(prepared.calls, subject.device, seconds)
    tell("memory")
    peaks = {name: peak_memory(call, subject.device) for name, call in prepared.calls.items()}
    return Case(
        batch_size=len(batch[0]),
        num_samples=count,
        ways={
            name: Way(
                Spread.of(series), ratios(series, times["deterministic"]), ratios(series, times["ours"]), peaks[name]
            )
            for name, series in times.items()
        },
        left_out=prepared.left_out,
        rounds=len(times["ours"]),
        flops=sum(layer_flops(subject, batch).values()) * count,
        of_peak=None,  # when the peak is known
        activation_bytes=subject.largest_activation(batch),
        compiled=prepared.compiled,
        plan=prepared.plan,
    )

"""The profile of a model: T draws by every way there is, step by step, and what they are worth."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike

import torch
from torch import Tensor, nn

from bayesops._arguments import check_choice, wrong_type, wrong_value
from bayesops.convert import convert
from bayesops.engine.output import Output
from bayesops.engine.predict import LINKS
from bayesops.profiling import machine, twins
from bayesops.profiling._arguments import (
    check_trace,
    counts_of,
    each,
    known_rivals,
    positive,
    posterior_options,
    tensors_of,
)
from bayesops.profiling.accuracy import Accuracy, measure_accuracy
from bayesops.profiling.breakdown import Breakdown, break_down
from bayesops.profiling.cases import Case, measure_case
from bayesops.profiling.result import Profile
from bayesops.profiling.rivals import RIVALS
from bayesops.profiling.subject import Subject
from bayesops.profiling.tracing import write_trace

Progress = Callable[[int, int, str], object]


def profile(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    num_samples: int | Iterable[int] = (1, 10, 50),
    batch_sizes: int | Iterable[int] | None = None,
    *,
    posterior: str = "bernoulli",
    p: float | None = None,
    granularity: str | None = None,
    estimator: str | None = None,
    link: str = "softmax",
    output: Output = None,
    seed: int = 0,
    seconds: float = 2.0,
    rivals: Iterable[str] = RIVALS,
    compile: bool = False,
    layers: bool = True,
    accuracy: bool = True,
    targets: float | Iterable[float] = (0.01, 0.005),
    trace: str | PathLike[str] | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Profile:
    """Measure what T draws of `model` cost and what they are worth, as a whole and step by step.

    All ways to T draws are timed in turn in this process, on copies of the model in ``eval`` mode: T deterministic
    passes (the unit), a loop that draws masks and noise with torch as one would write it, `bayesops.predict`, and
    `rivals`.

    Parameters
    ----------
    model : Module
        With Bayesian layers; one without any is first converted by `bayesops.convert`.
    inputs : Tensor or tuple of Tensors
        The argument, or arguments, of the model, the batch first.
    num_samples : int or sequence of int
        The numbers of draws, T.
    batch_sizes : int or sequence of int, optional
        Batches to be made of `inputs` by taking its first examples, or by repeating it; None takes it as it is.
    posterior : {"bernoulli", "gaussian"}
        What to convert to.
    p, granularity
        Of a Bernoulli posterior, as in `bayesops.nn.BernoulliConv2d`; 0.5 and ``"weight"`` unless given.
    estimator : {"local_reparam", "weight_sample", "flipout"}
        Of a Gaussian posterior, as in `bayesops.nn.GaussianConv2d`; ``"local_reparam"`` unless given.
    link, output
        As in `bayesops.predict`.
    seed : int
        The master seed of the draws.
    seconds : float
        About how long each measurement goes on; three rounds are made in any case.
    rivals : collection of str
        Of ``"repeated"`` (one batch of T times N, where the layers then make T draws), ``"vmap"`` (`torch.vmap` of the
        loop's model with ``randomness="different"``), ``"peers"`` (the model in the layers of bayesian-torch, torchbnn
        and blitz, where installed) and ``"paths"`` (the paths that `bayesops.predict` did not choose). What cannot be
        had is left out, and `Case.left_out` says why.
    compile : bool
        Also `torch.compile` the quickest of the ways in PyTorch, for each case. This takes long.
    layers : bool
        Measure step by step, too.
    accuracy : bool
        Estimate standard errors, too.
    targets : float or sequence of float
        Standard errors for which to say how many draws are needed.
    trace : path, optional
        Where to write a Chrome trace of one prediction: the largest batch and number of draws.
    name : str, optional
        What to call the model; its class name by default.
    progress : callable, optional
        Called as ``progress(steps_done, steps, what_comes_next)``.

    Returns
    -------
    Profile
        Machine, cases, steps and standard errors.

    Raises
    ------
    ValueError
        A number of draws or a batch size below 1, seconds or targets that are not positive and finite, no layer that
        could be Bayesian; an unknown posterior, estimator, link or rival; a `trace` that cannot be written.
    TypeError
        Something else than tensors in `inputs`, a `model` that is no module, an option of another posterior; numbers
        that are none.

    Examples
    --------
    >>> cost = bo.profile(model, images, num_samples=(1, 10, 50), batch_sizes=(1, 32))
    >>> print(cost.to_text())
    >>> cost.cases[0].ways["ours"].ratio.median, cost.accuracy[32].needed[0].num_samples
    """
    counts = counts_of("num_samples", num_samples)
    check_choice("profile", "link", link, LINKS)
    seconds = positive("seconds", seconds)
    targets = tuple(positive("targets", target) for target in each(targets))
    rivals = known_rivals(rivals)
    options = posterior_options(posterior, {"p": p, "granularity": granularity, "estimator": estimator})
    check_trace(trace)
    if not isinstance(model, nn.Module):
        wrong_type("profile", "model", "a torch.nn.Module", type(model).__name__)
    arguments = tensors_of(inputs)
    sizes = counts_of("batch_sizes", len(arguments[0]) if batch_sizes is None else batch_sizes)
    own = {type(layer).__name__ for layer in twins.bayesian_layers(model).values()}
    drawing = f"the model's own, {' and '.join(sorted(own))}"
    if not own:
        drawing = ", ".join([f"converted to {posterior}", *(f"{k} = {v}" for k, v in options.items())])
    bayesian = model if own else convert(model, posterior, **options)
    if not twins.bayesian_layers(bayesian):
        wrong_value("profile", "model", "with Bayesian layers, or layers to convert", type(model).__name__)
    device = arguments[0].device
    subject = Subject(bayesian, link, output, seed, device)

    steps = _Steps(len(sizes) * (len(counts) + layers + accuracy) + (trace is not None), progress)
    limits = []
    cases: list[Case] = []
    by_size: dict[int, Breakdown] = {}
    accuracies: dict[int, Accuracy] = {}
    with torch.no_grad():
        for size in sizes:
            batch = tuple(_rebatch(argument, size) for argument in arguments)
            subject.predict(batch, 1)  # where the model does not fit, this says so best
            for count in counts:
                tell = steps.begin(f"batch {size}, T = {count}")
                cases.append(measure_case(subject, batch, count, rivals, compile, seconds, tell))
            if layers:
                steps.begin(f"batch {size}, layers")
                by_size[size] = break_down(subject, batch, counts[-1], seconds)
            if accuracy:
                steps.begin(f"batch {size}, accuracy")
                accuracies[size] = measure_accuracy(subject, batch, cases[-len(counts) :], targets, seconds)
            # Once for each batch: the best counts, should something else have been running.
            limits.append(machine.describe(min(0.2, seconds), device, _dtype_of(bayesian)))
        if trace is not None:
            steps.begin("trace")
            write_trace(subject, batch, counts[-1], trace)
    steps.end()
    result = Profile(
        name or type(model).__name__, drawing, machine.best(limits), tuple(cases), by_size, accuracies
    )  # fmt: skip
    return _with_peak(result)


class _Steps:
    """Tells how far the measurements are."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._begun = total, progress, 0

    def begin(self, what: str) -> Callable[[str], object]:
        """Say what comes next; return what is to be called with its parts."""
        done = self._begun
        self._begun += 1
        self._tell(done, what)
        return lambda part: self._tell(done, f"{what}: {part}")

    def end(self) -> None:
        self._tell(self._total, "done")

    def _tell(self, done: int, what: str) -> None:
        if self._progress is not None:
            self._progress(done, self._total, what)


def _with_peak(result: Profile) -> Profile:
    """Relate operations to the machine's peak, now that it is known."""
    peak = result.machine.peak_flops

    def of_peak(flops: float, seconds: float) -> float | None:
        return flops / seconds / peak if flops and peak else None

    cases = tuple(
        replace(case, of_peak=of_peak(case.flops, case.ways["ours"].seconds.median)) for case in result.cases
    )  # fmt: skip
    layers = {
        size: replace(
            breakdown,
            steps=tuple(replace(step, of_peak=of_peak(step.flops, step.seconds)) for step in breakdown.steps),
        )
        for size, breakdown in result.layers.items()
    }
    return replace(result, cases=cases, layers=layers)


def _dtype_of(model: nn.Module) -> torch.dtype:
    """In which the model computes: that of its parameters."""
    return next((parameter.dtype for parameter in model.parameters()), torch.float32)


def _rebatch(tensor: Tensor, size: int) -> Tensor:
    """Take the first `size` examples, beginning again where they run out."""
    return tensor[torch.arange(size, device=tensor.device) % len(tensor)]

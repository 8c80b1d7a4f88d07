"""The profile of a model: T draws by every way there is, step by step, and what they are worth."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from os import PathLike

import torch
from torch import Tensor, nn

from bayesops._arguments import check_choice, check_count, wrong_type, wrong_value
from bayesops._files import why_not_writable
from bayesops.convert import convert
from bayesops.engine.output import Output
from bayesops.engine.predict import LINKS
from bayesops.profiling import machine, twins
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
    num_samples: int | Sequence[int] = (1, 10, 50),
    batch_sizes: Sequence[int] | None = None,
    *,
    posterior: str = "bernoulli",
    p: float = 0.5,
    granularity: str = "weight",
    estimator: str = "local_reparam",
    link: str = "softmax",
    output: Output = None,
    seed: int = 0,
    seconds: float = 2.0,
    rivals: Collection[str] = RIVALS,
    compile: bool = False,
    layers: bool = True,
    accuracy: bool = True,
    targets: Sequence[float] = (0.01, 0.005),
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
    batch_sizes : sequence of int, optional
        Batches to be made of `inputs` by taking its first examples, or by repeating it; None takes it as it is.
    posterior : {"bernoulli", "gaussian"}
        What to convert to.
    p, granularity
        Of a Bernoulli posterior, as in `bayesops.nn.BernoulliConv2d`.
    estimator : {"local_reparam", "weight_sample", "flipout"}
        Of a Gaussian posterior, as in `bayesops.nn.GaussianConv2d`.
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
    targets : sequence of float
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
        A number of draws or a batch size below 1, seconds or targets that are not positive, no layer that could be
        Bayesian; an unknown posterior, estimator, link or rival; a `trace` that cannot be written.
    TypeError
        Something else than tensors in `inputs`, a `model` that is no module.

    Examples
    --------
    >>> cost = bo.profile(model, images, num_samples=(1, 10, 50), batch_sizes=(1, 32))
    >>> print(cost.to_text())
    >>> cost.cases[0].ways["ours"].ratio.median, cost.accuracy[32].needed[0].num_samples
    """
    counts = tuple(num_samples) if isinstance(num_samples, Iterable) else (num_samples,)
    _check_counts("num_samples", counts)
    _check_options(link, seconds, rivals, targets)
    _check_trace(trace)
    if not isinstance(model, nn.Module):
        wrong_type("profile", "model", "a torch.nn.Module", type(model).__name__)
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if not arguments or not all(isinstance(argument, Tensor) for argument in arguments):
        wrong_type("profile", "inputs", "a tensor or a tuple of tensors", type(inputs).__name__)
    sizes = (len(arguments[0]),) if batch_sizes is None else tuple(batch_sizes)
    _check_counts("batch_sizes", sizes)
    counts, sizes = tuple(sorted(set(counts))), tuple(sorted(set(sizes)))

    options = {"estimator": estimator} if posterior == "gaussian" else {"p": p, "granularity": granularity}
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


def _check_counts(argument: str, counts: Sequence[int]) -> None:
    if not counts:
        wrong_value("profile", argument, "at least one number", "none")
    for count in counts:
        check_count("profile", argument, count)


def _check_options(link: str, seconds: float, rivals: Collection[str], targets: Sequence[float]) -> None:
    check_choice("profile", "link", link, LINKS)
    if not seconds > 0:
        wrong_value("profile", "seconds", "above 0", seconds)
    if isinstance(rivals, str) or not set(rivals) <= set(RIVALS):
        wrong_value("profile", "rivals", f"a collection of {', '.join(map(repr, RIVALS))}", repr(rivals))
    for target in targets:
        if not target > 0:
            wrong_value("profile", "targets", "above 0", target)


def _check_trace(trace: str | PathLike[str] | None) -> None:
    """Say now what would be said only after the measurements."""
    if trace is None:
        return
    if not isinstance(trace, (str, PathLike)):
        wrong_type("profile", "trace", "a path", type(trace).__name__)
    if reason := why_not_writable(trace):
        wrong_value("profile", "trace", "a file that can be written", reason)


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
    if len(tensor) == 0:
        wrong_value("profile", "inputs", "of at least one example", f"shape {tuple(tensor.shape)}")
    return tensor[torch.arange(size, device=tensor.device) % len(tensor)]

"""`bayesops.predict`: T draws of a network's prediction."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import swa_utils

from bayesops._arguments import check_choice, seed_tensor, wrong_type, wrong_value
from bayesops.engine.distributed import combined, failing_together, gathered_in_turn, share
from bayesops.engine.output import Output
from bayesops.engine.paths import Draws
from bayesops.engine.plan import Watch
from bayesops.engine.prediction import PATHS, Prediction, concatenated
from bayesops.engine.progress import Progress, progress_bar
from bayesops.engine.state import has_hooks
from bayesops.engine.tally import Tally
from bayesops.random import sample_seeds

if TYPE_CHECKING:  # a build of torch may lack it
    from torch.distributed import ProcessGroup

LINKS = ("softmax", "sigmoid", "identity", "gaussian")
SHARDS = ("samples", "batches")
# With num_samples="auto" the standard error is looked at when there are this many draws, and then whenever there are
# half as many more: never at the end of a chunk, or T would depend on the machine.
_FIRST_LOOK = 16
_WRAPPERS = (nn.parallel.DistributedDataParallel, swa_utils.AveragedModel)


@dataclass(frozen=True)
class Request:
    """The arguments of `predict` that say what is wanted, checked."""

    num_samples: int | str
    seed: int | Tensor
    chunk_size: int | str
    link: str
    return_samples: bool
    quantiles: tuple[float, ...]
    tolerance: float
    max_samples: int
    output: Output
    path: str
    shard: str = "samples"

    def __post_init__(self) -> None:
        auto = self.num_samples == "auto"
        if not auto and not _is_count(self.num_samples):
            wrong_value("predict", "num_samples", "'auto' or an int of at least 1", repr(self.num_samples))
        device = self.seed.device if isinstance(self.seed, Tensor) else torch.device("cpu")
        shape = tuple(seed_tensor("predict", self.seed, device).shape)
        if shape:
            wrong_value("predict", "seed", "an int or a tensor of shape []", f"shape {shape}")
        check_choice("predict", "link", self.link, LINKS)
        if self.chunk_size != "auto" and not _is_count(self.chunk_size):
            wrong_value("predict", "chunk_size", "'auto' or an int of at least 1", repr(self.chunk_size))
        if self.path not in ("auto", *PATHS):
            wrong_value("predict", "path", f"'auto' or one of {', '.join(map(repr, PATHS))}", repr(self.path))
        check_choice("predict", "shard", self.shard, SHARDS)
        if not _is_count(self.max_samples):
            wrong_value("predict", "max_samples", "an int of at least 1", repr(self.max_samples))
        if not isinstance(self.tolerance, Real):
            wrong_type("predict", "tolerance", "a number", repr(self.tolerance))
        if not self.tolerance > 0:
            wrong_value("predict", "tolerance", "above 0", self.tolerance)
        for level in self.quantiles:
            if not isinstance(level, Real):
                wrong_type("predict", "quantiles", "a sequence of numbers", repr(level))
            if not 0 <= level <= 1:
                wrong_value("predict", "quantiles", "in [0, 1]", level)

    @property
    def limit(self) -> int:
        """How many draws there are at most."""
        return self.max_samples if isinstance(self.num_samples, str) else self.num_samples


def _plain(value: Any) -> Any:
    """Return integers of NumPy as Python's, and anything else as it is."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else value


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def predict(
    model: nn.Module | Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...] | Iterable[Any],
    num_samples: int | str = 100,
    seed: int | Tensor = 0,
    chunk_size: int | str = "auto",
    link: str = "softmax",
    return_samples: bool = False,
    *,
    quantiles: Sequence[float] = (),
    tolerance: float = 0.01,
    max_samples: int = 10_000,
    output: Output = None,
    progress: bool = False,
    path: str = "auto",
    group: "ProcessGroup | None" = None,
    shard: str = "samples",
) -> Prediction:
    """Predict with T draws of the model's Bayesian layers.

    All draws of a chunk are one computation. Where `torch.fx` can trace the model, what lies before the first Bayesian
    layer runs once, Bayesian layers get the seeds of the whole chunk, and everything else runs on one batch; otherwise
    `torch.vmap` maps the model over the seeds, or, as the last resort, a loop makes the same draws one by one. Memory
    does not grow with T (unless the samples are returned). No gradients are recorded. The model stays in the mode it is
    in: call ``model.eval()`` first, so that batch normalisation uses its running statistics. Bayesian layers draw in
    either mode.

    Parameters
    ----------
    model : Module or callable
        Returns one tensor, the batch first and (for ``link="softmax"``) the classes second; see `output` for others.
    inputs : Tensor, tuple of Tensors, or iterable of batches
        The argument, or arguments, of the model. Anything else that can be iterated over (a `DataLoader`, a list) gives
        batches, each a tensor, a tuple of arguments' tensors inside a tuple, or a tuple or list of which the first
        element is the model's input (images, labels); results are joined along the first dimension. Every batch meets
        the same draws of the weights.
        Thousands of images are quickest as batches whose activations fit the cache: on a CPU ``images.split(64)`` in a
        list took a quarter of the time of one tensor of 4000 (a network of one convolution).
    num_samples : int or "auto"
        T, the number of draws. ``"auto"`` goes on, for each batch, until no element of the mean has a standard error
        above `tolerance`, or there are `max_samples` draws. It looks after 16, 24, 36, … draws.
    seed : int or int64 Tensor
        The master seed, on any device; draw ``i`` uses ``bayesops.random.sample_seeds(seed, T)[i]``, whatever
        `num_samples` and `chunk_size`.
    chunk_size : int or "auto"
        Draws made at once. ``"auto"`` keeps activations in the cache on the CPU; on CUDA it keeps activations and
        drawn weights within about 1 GiB.
    link : {"softmax", "sigmoid", "identity", "gaussian"}
        What is applied to the model's output before moments are taken: softmax over dimension 1 (the mean is then the
        arithmetic mean of probabilities); the sigmoid of each element (two classes, several labels, masks); or nothing
        (regression). ``"gaussian"``: the model returns a pair, mean and log variance of a normal distribution.
    return_samples : bool
        Keep the draws.
    quantiles : sequence of float
        Levels such as ``(0.025, 0.975)`` for an interval of 95 %. Exact up to 1024 draws (fewer for large outputs), and
        approximate to about 1 / 1000 in rank beyond.
    tolerance, max_samples
        See `num_samples`.
    output : int, str or callable, optional
        For a model that returns several things: the index, key or name (of a named tuple or a dataclass) of the one
        that is meant, or a function of what one call returns.
    progress : bool
        Show a bar on the terminal (needs tqdm).
    path : {"auto", "plan", "vmap", "loop"}
        Insist on one way; an error says why where it is not possible.
    group : torch.distributed.ProcessGroup, optional
        Share the work among its ranks (``torch.distributed.group.WORLD`` is all of them), each of which calls `predict`
        with the same arguments, and gets the same, whole result: that of one process, up to the rounding of sums. With
        NCCL a rank's device must be the current one, as PyTorch wants it (``torch.cuda.set_device``).
    shard : {"samples", "batches"}
        What the ranks share: the draws of each batch, or the batches of an iterable.

    Returns
    -------
    Prediction
        Mean, population variance, entropies, and the plan that ran.

    Raises
    ------
    ValueError
        A count below 1, an unknown link or path, a tolerance that is not positive; no batches; draws that cannot be
        joined (of several batches with ``"auto"``).
    TypeError
        A model that does not return one tensor (or the pair), inputs that are none.
    ModuleNotFoundError
        `progress` without tqdm.
    RuntimeError
        On every rank, where one of the `group` failed or is gone.

    Warns
    -----
    UserWarning
        Where draws are made one after another, with the reason.

    Notes
    -----
    The moments are those of equation 4 of Kendall and Gal, 2017, without the noise term. Noise that belongs to an
    example's place in the batch (local reparameterisation, Flipout's signs, dropout) depends on how `inputs` are cut
    into batches; draws of weights do not.

    The first prediction of a model also computes one draw as the model does, to which the plan's is compared.

    Examples
    --------
    >>> prediction = bo.predict(model.eval(), images, num_samples=100, quantiles=(0.025, 0.975))
    >>> prediction.mean, prediction.mutual_information, prediction.quantiles
    """
    if not callable(model) or isinstance(model, type):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        wrong_type("predict", "model", "a Module or another callable", got)
    model = _unwrapped(model)
    if not isinstance(quantiles, Iterable):
        wrong_type("predict", "quantiles", "a sequence of numbers", repr(quantiles))
    if group is not None and not (hasattr(group, "rank") and hasattr(group, "size")):
        wrong_type("predict", "group", "a torch.distributed.ProcessGroup", type(group).__name__)
    request = Request(
        _plain(num_samples), seed, _plain(chunk_size), link, return_samples, tuple(quantiles), tolerance,
        _plain(max_samples), output, path, shard,
    )  # fmt: skip
    by_batches = group is not None and shard == "batches"
    if by_batches and isinstance(inputs, (Tensor, tuple)):
        wrong_value("predict", "inputs", "an iterable of batches where shard is 'batches'", type(inputs).__name__)
    batches = _batches(inputs)
    if group is not None and shard == "batches":
        batches = itertools.islice(batches, group.rank(), None, group.size())
    parts: list[Prediction] = []
    bar = progress_bar(progress, _number_of_batches(inputs), request.limit)
    with torch.no_grad(), bar as shown, failing_together(group if by_batches else None):
        for arguments in batches:
            if parts and return_samples and num_samples == "auto":
                got = "True for several batches, each with a number of draws of its own"
                wrong_value("predict", "return_samples", "False where num_samples is 'auto'", got)
            parts.append(predict_batch(model, arguments, request, shown, group=None if by_batches else group))
    if group is not None and by_batches:
        parts = gathered_in_turn(parts, group, parts[0].mean.device if parts else _device_of(model))
    if not parts:
        wrong_value("predict", "inputs", "at least one batch", "none")
    return concatenated(parts, same_count=request.num_samples != "auto")


def _unwrapped(model: Callable[..., Any]) -> Callable[..., Any]:
    """Return the model within torch's wrappers for training, which have nothing to do here but hide what it is."""
    while isinstance(model, _WRAPPERS) and not has_hooks(model):
        model = model.module
    return model


def predict_batch(
    model: Callable[..., Any],
    arguments: tuple[Any, ...],
    request: Request,
    bar: Progress | None = None,
    watch: Watch | None = None,
    group: "ProcessGroup | None" = None,
) -> Prediction:
    """Predict one batch."""
    _check_takes(model, arguments)
    draws = Draws(model, arguments, request.path, request.output, watch)
    device = arguments[0].device
    seed = request.seed.to(device) if isinstance(request.seed, Tensor) else request.seed
    seeds = sample_seeds(seed, request.limit, device=device)
    tally = Tally(request.link, request.quantiles, request.return_samples, _examples(arguments))
    begin = 0
    for end in _looks(request):
        tally.begin_round()
        with failing_together(group):
            for drawn in _chunks(seeds, *share(begin, end, group), draws, request.chunk_size):
                tally.add(draws.draw(drawn))
                if bar is not None:
                    bar.add(len(drawn))
        whole = tally if group is None else combined(tally, group, seeds.device)
        if end == request.limit or whole.is_settled(request.tolerance):
            break
        begin = end
    if bar is not None:
        bar.finish_batch(end)
    return whole.prediction(draws.path, draws.explain())


def _examples(arguments: tuple[Any, ...]) -> int | None:
    return len(arguments[0]) if arguments[0].dim() > 1 else None


def _chunks(seeds: Tensor, begin: int, end: int, draws: Draws, chunk_size: int | str) -> Iterator[Tensor]:
    while begin < end:
        size = draws.draws_at_once() if isinstance(chunk_size, str) else chunk_size
        yield seeds[begin : min(begin + size, end)]
        begin += size


def _looks(request: Request) -> Iterator[int]:
    """Numbers of draws at which to think of stopping; the last is the limit."""
    if request.num_samples == "auto":
        look = _FIRST_LOOK
        while look < request.limit:
            yield look
            look += look // 2
    yield request.limit


def _batches(inputs: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the model's arguments for each batch."""
    if isinstance(inputs, Tensor):
        yield _arguments((inputs,))
    elif isinstance(inputs, tuple):
        yield _arguments(inputs)
    elif isinstance(inputs, Iterable) and not isinstance(inputs, Mapping):  # of which only the keys would be seen
        for batch in inputs:
            first = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
            # A DataLoader makes lists of the dataset's tuples.
            yield _arguments(tuple(first) if isinstance(first, (tuple, list)) else (first,))
    else:
        _wrong_inputs(inputs)


def _arguments(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if not arguments or not isinstance(arguments[0], Tensor):
        _wrong_inputs(arguments[0] if arguments else arguments)
    return arguments


def _check_takes(model: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Check the number of `arguments`, if they are several: batches may have been meant."""
    if len(arguments) == 1:
        return
    try:
        signature = inspect.signature(model.forward if isinstance(model, nn.Module) else model)
    except (TypeError, ValueError):  # a function of C
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        takes = f"as many tensors as {type(model).__name__} takes arguments (of batches make a list)"
        wrong_value("predict", "inputs", takes, f"a tuple of {len(arguments)}")


def _device_of(model: Callable[..., Any]) -> torch.device:
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def _wrong_inputs(got: Any) -> None:
    wanted = "a tensor, a tuple of tensors, or an iterable of batches of such"
    wrong_type("predict", "inputs", wanted, type(got).__name__)


def _number_of_batches(inputs: Any) -> int | None:
    if isinstance(inputs, (Tensor, tuple)):
        return 1
    try:
        return len(inputs)
    except TypeError:
        return None

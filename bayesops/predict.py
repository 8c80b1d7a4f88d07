"""T draws of a network's prediction: their mean, their variance and, on request, the draws themselves."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bayesops.ops._arguments import wrong_type, wrong_value
from bayesops.random import sample_seeds
from bayesops.sampling import Streams, sampling

# A chunk is as large as keeps its largest activation within the first of these, so that a few of them fit the cache.
# But a few draws share the cost of a call even where they are larger, up to the second: past 32 MiB glibc maps every
# block afresh, and the page faults cost more than the convolution (measured: 3conv3fc, N = 32).
_CPU_CHUNK_BYTES = 8 * 2**20
_CPU_FEW_BYTES = 32 * 2**20
_FEW_DRAWS = 4
_CUDA_CHUNK_BYTES = 2**30
# Before the first chunk only the input and the model's first weight are known. Where there is none, assume that no
# activation is more than this many times as large as the input.
_ASSUMED_GROWTH = 16


@dataclass(frozen=True)
class Prediction:
    """What `predict` returns.

    Attributes
    ----------
    mean : Tensor
        Mean of the draws, of the shape of the model's output: for a classifier the predictive probabilities.
    variance : Tensor
        Population variance of the draws (divided by T, so 0 for one draw), of the same shape.
    samples : Tensor or None
        The draws, ``[T, *mean.shape]``, if asked for.
    num_samples : int
        T.
    plan : str
        Which path ran, and why.
    """

    mean: Tensor
    variance: Tensor
    samples: Tensor | None
    num_samples: int
    plan: str


class _Moments:
    """Mean and sum of squared deviations, merged chunk by chunk.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979. Half
    precision is accumulated in float32.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.empty(0)
        self.deviations = torch.empty(0)

    def add(self, samples: Tensor) -> None:
        samples = samples.to(torch.promote_types(samples.dtype, torch.float32))
        count = samples.shape[0]
        mean = samples.mean(0)
        deviations = (samples - mean).square_().sum(0)
        if self.count == 0:
            self.count, self.mean, self.deviations = count, mean, deviations
            return
        total = self.count + count
        step = mean - self.mean
        self.mean += step * (count / total)
        self.deviations += deviations + step.square() * (self.count * count / total)
        self.count = total


def predict(
    model: nn.Module | Callable[..., Tensor],
    inputs: Tensor | Sequence[Tensor],
    num_samples: int = 100,
    seed: int | Tensor = 0,
    chunk_size: int | str = "auto",
    link: str = "softmax",
    return_samples: bool = False,
) -> Prediction:
    """Predict with `num_samples` draws of the model's Bayesian layers.

    The model is mapped over the draws' seeds with `torch.vmap`, a chunk of draws at a time: what lies before the first
    Bayesian layer runs once for the chunk, and memory does not grow with `num_samples` (unless the samples are
    returned). No gradients are recorded. The model stays in the mode it is in: call ``model.eval()`` first, so that
    batch normalisation uses its running statistics. Bayesian layers draw in either mode.

    Parameters
    ----------
    model : Module or callable
        Returns one tensor, the batch first and (for ``link="softmax"``) the classes second.
    inputs : Tensor or tuple of Tensors
        The argument, or arguments, of the model.
    num_samples : int
        T, the number of draws.
    seed : int or int64 Tensor
        The master seed; draw ``i`` uses ``bayesops.random.sample_seeds(seed, T)[i]``, whatever `num_samples` and
        `chunk_size`.
    chunk_size : int or "auto"
        Draws made at once. ``"auto"`` keeps activations in the cache.
    link : {"softmax", "identity"}
        What is applied to the model's output before moments are taken: softmax over dimension 1 (the mean is then the
        arithmetic mean of probabilities), or nothing (regression).
    return_samples : bool
        Keep the draws.

    Returns
    -------
    Prediction
        Mean, population variance, samples, and the plan that ran.

    Raises
    ------
    ValueError
        `num_samples` or `chunk_size` below 1, an unknown link.
    TypeError
        A model that does not return one tensor.

    Warns
    -----
    UserWarning
        Where `torch.vmap` cannot take the model: the draws are then made one after another, and are the same.

    Notes
    -----
    The moments are those of equation 4 of Kendall and Gal, 2017, without the noise term.
    """
    if not isinstance(num_samples, int) or num_samples < 1:
        wrong_value("predict", "num_samples", "an int of at least 1", num_samples)
    if link not in ("softmax", "identity"):
        wrong_value("predict", "link", "'softmax' or 'identity'", repr(link))
    if chunk_size != "auto" and (not isinstance(chunk_size, int) or chunk_size < 1):
        wrong_value("predict", "chunk_size", "'auto' or an int of at least 1", repr(chunk_size))
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if not arguments or not isinstance(arguments[0], Tensor):
        wrong_type("predict", "inputs", "a tensor or a tuple of tensors", type(inputs).__name__)

    with torch.no_grad():
        sampler = _Sampler(model, arguments)
        seeds = sample_seeds(seed, num_samples, device=arguments[0].device)
        moments, kept, done = _Moments(), [], 0
        while done < num_samples:
            chunk = sampler.auto_chunk() if chunk_size == "auto" else int(chunk_size)
            samples = sampler.draw(seeds[done : done + chunk])
            if link == "softmax":
                samples = samples.softmax(min(2, samples.dim() - 1))
            moments.add(samples)
            if return_samples:
                kept.append(samples)
            done += len(samples)
    return Prediction(
        mean=moments.mean,
        variance=moments.deviations / num_samples,
        samples=torch.cat(kept) if return_samples else None,
        num_samples=num_samples,
        plan=sampler.plan(),
    )


def _growth(model: Callable[..., Tensor]) -> int:
    """How much larger than its input a model's first layer is likely to make it: by its channels."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        weight = getattr(module, "weight", getattr(module, "weight_mu", None))
        if isinstance(weight, Tensor) and weight.dim() >= 2:
            return -(-weight.shape[0] // (weight.shape[1] * getattr(module, "groups", 1)))
    return _ASSUMED_GROWTH


class _Sampler:
    """Draws of a model by vmap, or one by one once vmap has refused; streams are the same throughout."""

    def __init__(self, model: Callable[..., Tensor], arguments: tuple[Any, ...]) -> None:
        self._model = model
        self._arguments = arguments
        self._streams = Streams()
        self._refusal: str | None = None
        self._chunks: list[int] = []
        # Bytes of the largest activation of one draw: an assumption until a chunk has run.
        tensors = [a for a in arguments if isinstance(a, Tensor)]
        self._activation = _growth(model) * max(t.numel() * t.element_size() for t in tensors)
        self._measured = False

    def auto_chunk(self) -> int:
        activation = max(1, self._activation)
        if self._arguments[0].device.type == "cuda":
            return max(1, _CUDA_CHUNK_BYTES // activation)
        return max(1, _CPU_CHUNK_BYTES // activation, min(_FEW_DRAWS, _CPU_FEW_BYTES // activation))

    def draw(self, seeds: Tensor) -> Tensor:
        """Run the model for `seeds`, ``[len(seeds), ...]``."""
        self._chunks.append(len(seeds))
        if self._refusal is None:
            try:
                return self._by_vmap(seeds)
            except (
                Exception
            ) as error:  # vmap refuses in many ways, and a model that is at fault itself fails again below
                refusal = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
            samples = self._by_loop(seeds)
            self._refusal = refusal
            warnings.warn(
                f"predict: torch.vmap cannot take this model, so its draws are made one after another ({refusal})",
                stacklevel=3,
            )
            return samples
        return self._by_loop(seeds)

    def plan(self) -> str:
        sizes = sorted(set(self._chunks), reverse=True)
        chunks = f"{len(self._chunks)} chunk{'s' * (len(self._chunks) > 1)} of {' and '.join(map(str, sizes))} draws"
        if self._refusal is None:
            return f"vmap over seeds, {chunks}: what precedes the first Bayesian layer ran once a chunk"
        return f"loop over {sum(self._chunks)} draws: torch.vmap cannot take the model ({self._refusal})"

    def _run(self, seed: Tensor) -> Tensor:
        with sampling(seed, streams=self._streams):
            output = self._model(*self._arguments)
        if not isinstance(output, Tensor):
            wrong_type("predict", "model", "a callable that returns one tensor", type(output).__name__)
        return output

    def _by_loop(self, seeds: Tensor) -> Tensor:
        return torch.stack([self._run(seed) for seed in seeds])

    def _by_vmap(self, seeds: Tensor) -> Tensor:
        if self._measured or not isinstance(self._model, nn.Module):
            return torch.vmap(self._run)(seeds)
        largest = 0

        def measure(module: nn.Module, args: Any, output: Any) -> None:
            nonlocal largest
            if isinstance(output, Tensor):  # under vmap the shape of one draw
                largest = max(largest, output.numel() * output.element_size())

        hooks = [m.register_forward_hook(measure) for m in self._model.modules()]
        try:
            samples = torch.vmap(self._run)(seeds)
        finally:
            for hook in hooks:
                hook.remove()
        self._activation, self._measured = max(1, largest), True
        return samples

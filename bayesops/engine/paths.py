"""Three ways to the same draws: a traced plan, `torch.vmap` over the seeds, and a loop."""

import dataclasses
import math
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils import _pytree as pytree

from bayesops._messages import first_line, warn_user
from bayesops.engine.chunks import assumed_activation_bytes, drawn_weight_bytes, draws_at_once, largest_activation
from bayesops.engine.generators import TorchGenerators
from bayesops.engine.mapping import map_draws
from bayesops.engine.output import Output, joined, selected, selected_of_draws
from bayesops.engine.plan import Plan, Watch, plan_of, reject
from bayesops.engine.prediction import PATHS
from bayesops.engine.state import Unchanged, fingerprint
from bayesops.engine.steps import Value
from bayesops.engine.tracer import NoPlan
from bayesops.nn._stochastic import Stochastic
from bayesops.sampling import Streams, is_captured, sampling_many

_LONG = {"plan": "a traced plan", "vmap": "torch.vmap"}

# Why paths failed that a later path did not: by the kinds of inputs, for a state of the model (see `fingerprint`).
_refused: WeakKeyDictionary[nn.Module, dict[Any, tuple[Any, list[str]]]] = WeakKeyDictionary()


class Draws:
    """Draws of one model for one batch of inputs.

    The first path that takes the model is used, or the one that is asked for. Where a path fails the next one makes the
    chunk at hand and all others; layers keep their streams.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        arguments: tuple[Any, ...],
        path: str = "auto",
        output: Output = None,
        watch: Watch | None = None,
    ) -> None:
        self._model, self._arguments, self._output, self._watch = model, arguments, output, watch
        self._streams = Streams(remembers=False)
        self._paths = list(PATHS) if path == "auto" else [path]
        device = arguments[0].device
        kinds = tuple((a.dim(), a.dtype, a.device.type) if isinstance(a, Tensor) else type(a) for a in arguments)
        self._kinds = kinds, torch.is_autocast_enabled(device.type)
        self._refusals: list[str] = self._known_refusals() if path == "auto" else []
        del self._paths[: len(self._refusals)]
        self._mark: Any = None  # of the model, as it was when a path failed
        self._warned = path != "auto"
        self._chunks: list[int] = []
        self._plan: Plan | None = None
        self._modules: dict[str, nn.Module] = {}
        self._prefix: list[Value] = []
        self._activation = assumed_activation_bytes(model, arguments)
        self._drawn_weight = drawn_weight_bytes(model, arguments) if device.type == "cuda" else 0
        self._most = sys.maxsize  # draws that a device's memory holds, as far as is known
        self._measured = self._looked = False
        self._generators = TorchGenerators(device)

    def draws_at_once(self) -> int:
        """Return the size of the next chunk."""
        device = self._arguments[0].device.type
        return min(self._most, draws_at_once(self._activation, self._drawn_weight, device))

    def draw(self, seeds: Tensor) -> Value:
        """Return what is meant of the model's return value, for each of `seeds`, ``[S, ...]``.

        By halves, where memory does not suffice.
        """
        if len(seeds) <= self._most:
            try:
                return self._draw_at_once(seeds)
            except Exception as error:
                if len(seeds) == 1 or not _is_out_of_memory(error):
                    raise
            self._most = len(seeds) // 2  # here what has failed is free again
        parts = [self.draw(part) for part in seeds.split(self._most)]
        return joined(torch.cat, parts)

    def _draw_at_once(self, seeds: Tensor) -> Value:
        while len(self._paths) > 1:
            try:
                return self._by(self._paths[0], seeds)
            except Exception as error:  # they refuse in many ways, and a model at fault itself fails in the loop again
                if _is_out_of_memory(error) and len(seeds) > 1:
                    raise
                reason = str(error) if isinstance(error, NoPlan) else first_line(error)
                if self._mark is None and isinstance(self._model, nn.Module):
                    self._mark = fingerprint(self._model)
                self._refusals.append(f"{_LONG[self._paths.pop(0)]} cannot take the model ({reason})")
        samples = self._by(self._paths[0], seeds)
        if not self._warned:
            self._warned = True
            warn_user(f"predict: draws are made one after another: {'; '.join(self._refusals)}")
        return samples

    def _known_refusals(self) -> list[str]:
        if not isinstance(self._model, nn.Module):
            return []
        mark, refusals = _refused.get(self._model, {}).get(self._kinds, (None, []))
        return list(refusals) if refusals and mark == fingerprint(self._model) else []

    def _remember_refusals(self) -> None:
        """Now that another path has taken the same model and inputs: it is not they that are at fault."""
        if isinstance(self._model, nn.Module) and self._mark is not None:
            _refused.setdefault(self._model, {})[self._kinds] = self._mark, list(self._refusals)
            self._mark = None

    def _warn_if_nothing_draws(self) -> None:
        if self._looked or not isinstance(self._model, nn.Module):
            return
        self._looked = True
        by_plan = self._paths[0] == "plan" and self._plan is not None and self._plan.draws
        if by_plan or self._generators.are_used or any(isinstance(m, Stochastic) for m in self._model.modules()):
            return
        warn_user(
            "predict: nothing in the model draws, so all draws are the same (bayesops.convert makes a network "
            "Bayesian; torch's own dropout draws in training mode)"
        )

    @property
    def path(self) -> str:
        """The path that draws are made by."""
        return self._paths[0]

    def explain(self) -> str:
        """Say which path ran, how, and why no faster one did."""
        if not self._chunks:
            return "no draws"
        path, sizes = self._paths[0], sorted(set(self._chunks), reverse=True)
        chunks = f"{len(self._chunks)} chunk{'s' * (len(self._chunks) > 1)} of {' and '.join(map(str, sizes))} draws"
        if path == "plan":
            assert self._plan is not None
            text = f"plan: {len(self._plan.once)} steps ran once, {len(self._plan.each)} for each of {chunks}"
        elif path == "vmap":
            text = f"vmap over seeds, {chunks}"
        else:
            return "; ".join([f"loop over {sum(self._chunks)} draws", *self._refusals])
        size = f"largest activation of a draw {self._activation / 2**20:.2g} MiB"
        return "; ".join([f"{text} ({size})", *self._refusals])

    def _by(self, path: str, seeds: Tensor) -> Value:
        ways = {"plan": self._by_plan, "vmap": self._by_vmap, "loop": self._by_loop}
        samples = ways[path](seeds)
        self._chunks.append(len(seeds))
        self._remember_refusals()
        self._warn_if_nothing_draws()
        return samples

    def _by_plan(self, seeds: Tensor) -> Value:
        if self._plan is None:
            if not isinstance(self._model, nn.Module):
                raise NoPlan(f"it is no Module, but {type(self._model).__name__}")
            plan = plan_of(self._model, len(self._arguments))
            self._modules = dict(self._model.named_modules(remove_duplicate=False))
            self._prefix = plan.begin(self._arguments, self._modules, self._watch)
            self._plan = plan
        plan = self._plan
        if self._kinds in plan.checked or is_captured(seeds.device):
            return selected_of_draws(self._planned(plan, seeds), self._output)
        # A new plan's first draw is compared with the model's own: tracing does not see all that Python code does.
        assert isinstance(self._model, nn.Module)
        with Unchanged(self._model, buffers=True):
            expected = self._call(seeds[0])
        samples = self._planned(plan, seeds)
        first = pytree.tree_map(lambda v: v[0] if isinstance(v, Tensor) else v, samples)
        if not agree(first, expected, self._rounding()):
            reason = "its draws by a traced plan are not its own"
            reject(self._model, len(self._arguments), reason)
            raise NoPlan(reason)
        plan.checked.add(self._kinds)
        return selected_of_draws(samples, self._output)

    def _rounding(self) -> float:
        """Return how far draws may differ that are computed in another order, relative to the largest number."""
        assert isinstance(self._model, nn.Module)
        tensors = [*self._model.parameters(), *(a for a in self._arguments if isinstance(a, Tensor))]
        kinds = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        device = self._arguments[0].device.type
        if torch.is_autocast_enabled(device):
            kinds.add(torch.get_autocast_dtype(device))
        # At least that of TensorFloat-32, which convolutions may compute in.
        return max([1e-2, *(4 * math.sqrt(torch.finfo(kind).eps) for kind in kinds)])

    def _planned(self, plan: Plan, seeds: Tensor) -> Value:
        samples, self._activation = plan.draw(self._prefix, seeds, self._streams, self._modules, self._watch)
        return samples

    def _call(self, seed: Tensor) -> Value:
        # A model may overwrite its arguments: every draw starts from what was given.
        arguments = [a.clone() if isinstance(a, Tensor) else a for a in self._arguments]
        with sampling_many(seed, self._streams):
            return self._model(*arguments)

    def _by_loop(self, seeds: Tensor) -> Value:
        """Make draws one by one, also of what torch's generators give to the model: its own dropout, in training mode.

        The generators take numbers. They are asked for together: on a GPU to ask for each would be to wait for each.
        """
        if self._generators.are_used is False or is_captured(seeds.device):
            draws = [selected(self._call(seed), self._output) for seed in seeds]
        else:
            draws = []
            for seed, number in zip(seeds, seeds.tolist(), strict=True):
                with self._generators.seeded(number):
                    draws.append(selected(self._call(seed), self._output))
        return joined(torch.stack, draws)

    def _by_vmap(self, seeds: Tensor) -> Value:
        if not isinstance(self._model, nn.Module):
            return self._mapped(seeds)
        if not self._measured and any(isinstance(p, UninitializedParameter) for p in self._model.parameters()):
            raise NoPlan("it has lazy layers that have not met an input")
        with Unchanged(self._model, buffers=not self._measured) as held:
            samples = self._mapped(seeds) if self._measured else self._mapped_and_measured(self._model, seeds)
        if held.changed:
            raise NoPlan(f"its forward function changes {held.changed}")
        return samples

    def _mapped(self, seeds: Tensor) -> Value:
        is_record = False  # of a kind that vmap does not look into

        def draw(seed: Tensor) -> Value:
            nonlocal is_record
            outputs = self._call(seed)
            is_record = dataclasses.is_dataclass(outputs)
            return selected(outputs, self._output) if is_record else outputs

        samples = map_draws(draw, seeds)
        return samples if is_record else selected_of_draws(samples, self._output)

    def _mapped_and_measured(self, model: nn.Module, seeds: Tensor) -> Value:
        with largest_activation(model) as largest:
            samples = self._mapped(seeds)
        self._activation, self._measured = largest.num_bytes, True
        return samples


def _is_out_of_memory(error: Exception) -> bool:
    """Whether `error` is torch's, or that of our operators (in ``csrc/ops``), which cannot raise torch's."""
    ours = isinstance(error, RuntimeError) and "could not be allocated" in str(error)
    return ours or isinstance(error, torch.OutOfMemoryError)


def agree(ours: Value, expected: Value, rounding: float) -> bool:
    """Whether two draws are the same but for `rounding`, in proportion to the largest number of each tensor."""
    ours, expected = pytree.tree_leaves(ours), pytree.tree_leaves(expected)
    return len(ours) == len(expected) and all(
        _agree(one, other, rounding) for one, other in zip(ours, expected, strict=True)
    )


def _agree(one: Any, other: Any, rounding: float) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.is_meta:  # there are no numbers
        return True
    if not one.is_floating_point() or one.numel() == 0:
        return bool((one == other).all())
    one, other = one.double(), other.double()
    same = (one == other) | (one.isnan() & other.isnan())
    distance = torch.where(same, 0, (one - other).abs()).amax()
    scale = torch.where(other.isfinite(), other.abs(), 0).amax()
    return bool(distance <= rounding * scale + 1e-5)  # what is zero but for rounding has no scale

"""A traced model as steps: those that run once, and those that run for every chunk of draws."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn

from bayesops.engine import nodes, preparations, steps
from bayesops.engine.fusion import find_foldings, find_fusions
from bayesops.engine.nodes import Way
from bayesops.engine.state import fingerprint
from bayesops.engine.steps import Chunk, Step, Value
from bayesops.engine.trace import target_name, trace
from bayesops.engine.tracer import SHAPE, NoPlan
from bayesops.sampling import Streams

# Called around each step, with its name, as a context.
Watch = Callable[[str], Any]


class Plan:
    """Steps that compute a model for all draws of a chunk.

    It holds no module and no parameter; they are looked up by their names at every run.

    Attributes
    ----------
    once, each : list of Step
        What runs once, and for every chunk.
    draws : bool
        Whether anything differs between draws.
    checked : set
        The kinds of inputs for which a draw has been compared with the model's own.
    """

    def __init__(self, graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
        self.checked: set[Any] = set()
        order = list(graph.nodes)
        self._places = {node: place for place, node in enumerate(order)}
        self._size = len(order)  # and what steps prepare besides the nodes' values
        self._sampled, self._of_shape = nodes.sampled(order, modules)
        self.draws = bool(self._sampled)
        self._fusions = find_fusions(order, modules)
        self._absorbed = {node for fusion in self._fusions.values() for node in fusion.absorbed}
        # Before the first draw there is nothing to gain: it runs once.
        self._foldings = {b: a for b, a in find_foldings(order, modules).items() if a in self._sampled}
        self._has_images = any(nodes.is_convolution2d(node, modules) for node in order)
        self._inputs = [self._places[node] for node in order if node.op == "placeholder"]
        self._result = next(node for node in order if node.op == "output")
        self._shapes = {target_name(node): node.meta[SHAPE] for node in order if SHAPE in node.meta}
        self.once: list[Step] = []
        self.each: list[Step] = []
        for node in order:
            step = self._step(node, modules)
            if step is not None:
                differs = self._differs(node) and not isinstance(step, preparations.Preparation)
                if isinstance(step, steps.Draw) and nodes.draws_outputs(nodes.module_of(node, modules)):
                    self._prepare_moments(step, node, modules)
                (self.each if differs else self.once).append(step)
        self._free_after_last_use()

    def _step(self, node: fx.Node, modules: dict[str, nn.Module]) -> Step | None:
        if node.op in ("placeholder", "output") or nodes.waits_for_pooling(node, modules):
            return None
        places = self._places
        if node in self._absorbed:
            is_folded = any(fusion.batch_norm is node for fusion in self._fusions.values())
            return preparations.Affine(node, places) if is_folded else None
        if node in self._foldings:
            return steps.FoldedLayer(self._foldings[node], places, node)
        for batch_norm, layer in self._foldings.items():
            if node is layer:
                return preparations.FoldedWeights(layer, places, batch_norm)
        if nodes.is_max_pool(node, modules):
            source, activation = nodes.before_pooling(node, modules)
            return steps.Pool(node, places, source, activation)
        draws = [n for n in node.all_input_nodes if n in self._sampled]
        if node not in self._sampled:
            return steps.OfOneDraw(node, places) if draws else steps.Plain(node, places)
        kind = nodes.kind(node, modules)
        if kind.way is Way.DRAW:
            if node in self._fusions:
                return steps.DrawFused(node, places, draws, kind.dims[0], self._fusions[node])
            return steps.Draw(node, places, draws, kind.dims[0])
        if kind.way is Way.FUSED:
            return steps.DrawOptimized(node, places, draws, kind.dims[0])
        if kind.way is Way.DROPOUT:
            return steps.DrawDropout(node, places, draws)
        if kind.way is Way.PASSED:
            return steps.Passed(node, places, draws)
        if kind.way is Way.STACKWISE:
            return steps.Stackwise(node, places, draws)
        if kind.way is Way.BATCHWISE and len(draws) == 1:
            return steps.Batchwise(node, places, draws, kind.dims)
        return steps.Mapped(node, places, draws)

    def _differs(self, node: fx.Node) -> bool:
        return node in self._sampled or node in self._of_shape

    def _prepare_moments(self, step: steps.Draw, node: fx.Node, modules: dict[str, nn.Module]) -> None:
        """Where all draws, in all chunks, share the layer's input, so they do mean and deviation of its output."""
        source = node.args[0]
        if isinstance(source, fx.Node) and not self._differs(source):
            moments = preparations.OutputMoments(node, self._places, self._size, nodes.kind(node, modules).dims[0])
            self._size += 1
            self.once.append(moments)
            step.draw_from(moments.place)

    def _free_after_last_use(self) -> None:
        last: dict[int, Step] = {}
        for step in self.each:
            for place in step.uses:
                last[place] = step
        made = {step.place for step in self.each} - {self._places[n] for n in self._result.all_input_nodes}
        for place in made & last.keys():
            last[place].frees.append(place)

    def holds(self, model: nn.Module) -> bool:
        """Whether the parameters and buffers, on whose shapes the model's code depends, have those of the trace."""
        shapes = {name: getattr(attrgetter(name)(model), "shape", None) for name in self._shapes}
        return shapes == self._shapes

    def begin(
        self, arguments: tuple[Any, ...], modules: dict[str, nn.Module], watch: Watch | None = None
    ) -> list[Value]:
        """Run what does not depend on a draw; return the values that `draw` starts from."""
        values: list[Value] = [None] * self._size
        for place, argument in zip(self._inputs, arguments, strict=True):
            values[place] = _channels_last(argument) if self._has_images else argument
        chunk = Chunk(torch.empty(0), Streams(), modules, values)
        for step in self.once:
            with nullcontext() if watch is None else watch(step.name):
                values[step.place] = step.run(chunk)
        return values

    def draw(
        self,
        values: list[Value],
        seeds: Tensor,
        streams: Streams,
        modules: dict[str, nn.Module],
        watch: Watch | None = None,
    ) -> tuple[Value, int]:
        """Return the model's output for each of `seeds`, ``[S, ...]``, and the bytes of a draw's largest activation."""
        chunk = Chunk(seeds, streams, modules, list(values))
        largest = 0
        for step in self.each:
            if watch is None:
                value = step.run(chunk)
            else:
                with watch(step.name):
                    value = step.run(chunk)
            chunk.values[step.place] = value
            if isinstance(value, Tensor):
                largest = max(largest, value.numel() * value.element_size())
            for place in step.frees:
                chunk.values[place] = None
        return self._output(chunk), largest // max(1, len(seeds))

    def _output(self, chunk: Chunk) -> Value:
        def of_all_draws(node: fx.Node) -> Value:
            value = chunk.values[self._places[node]]
            if node in self._sampled or not isinstance(value, Tensor):
                return value
            return value.expand(len(chunk.seeds), *value.shape)

        return fx.node.map_arg(self._result.args[0], of_all_draws)


def _channels_last(argument: Any) -> Any:
    """Bring images on the CPU into the memory format that our convolutions and poolings are fastest in."""
    if not isinstance(argument, Tensor) or argument.dim() != 4 or argument.device.type != "cpu":
        return argument
    if argument.shape[1] == 1:  # both formats at once; it is the strides that say which is meant
        images = argument.contiguous()
        height, width = images.shape[2:]
        return images.as_strided(images.shape, (height * width, 1, width, 1))
    return argument.contiguous(memory_format=torch.channels_last)


_lock = threading.RLock()
_plans: WeakKeyDictionary[nn.Module, dict[int, tuple[Any, Plan | NoPlan]]] = WeakKeyDictionary()


def plan_of(model: nn.Module, inputs: int = 1) -> Plan:
    """Return the plan of `model`, as it is now, for a number of inputs.

    It is made anew only where the model's structure or mode has changed.

    Raises
    ------
    NoPlan
        Where there is none.
    """
    mark = fingerprint(model)
    with _lock:
        known = _plans.setdefault(model, {})
        seen, found = known.get(inputs, (None, None))
        if seen != mark or (isinstance(found, Plan) and not found.holds(model)):
            try:
                graph = trace(model, inputs)
                known[inputs] = mark, Plan(graph, dict(model.named_modules(remove_duplicate=False)))
            except NoPlan as reason:
                known[inputs] = mark, NoPlan(*reason.args)
        found = known[inputs][1]
    if isinstance(found, NoPlan):
        raise NoPlan(*found.args)  # one that is raised holds frames, and with them the model
    return found


def reject(model: nn.Module, inputs: int, reason: str) -> None:
    """Have `plan_of` refuse the model, as it is now, for that reason."""
    with _lock:
        _plans[model][inputs] = fingerprint(model), NoPlan(reason)

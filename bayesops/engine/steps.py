"""The steps of a plan: how each kind of node runs on all draws of a chunk.

A value that differs between draws is one tensor ``[S, ...]`` of all of them, *stacked*; any other is what it is in the
model. Each step does to the stacked tensor what the model does to every draw of it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from bayesops import ops
from bayesops.engine.fusion import Fusion
from bayesops.engine.mapping import map_draws
from bayesops.engine.torch_functions import IN_PLACE_OPERATORS
from bayesops.engine.trace import target_name
from bayesops.nn.dropout import Dropout
from bayesops.ops._epilogue import Epilogue, apply_epilogue, follows_layer
from bayesops.sampling import Streams, sampling_many

Value = Any  # a tensor, or what a model's Python code makes of one
Places = dict[fx.Node, int]


class Chunk(NamedTuple):
    """What the steps of one chunk share: its seeds, the model's modules, and each node's value at the node's place."""

    seeds: Tensor
    streams: Streams
    modules: dict[str, nn.Module]
    values: list[Value]


class Step:
    """Runs one node, or several as one; its value lies at `place`.

    Attributes
    ----------
    name : str
        Of the layer, where it is one; else of the node.
    uses, frees : list of int
        Places that it reads; and those that nobody reads after it.
    """

    def __init__(self, node: fx.Node, places: Places) -> None:
        self.name = str(node.target) if node.op == "call_module" else node.name
        self.place = places[node]
        self.uses = [places[n] for n in node.all_input_nodes]
        self.frees: list[int] = []
        self._node, self._places = node, places

    def run(self, chunk: Chunk) -> Value:
        """Return the node's value."""
        raise NotImplementedError

    def _call(self, chunk: Chunk, given: dict[fx.Node, Value] | None = None) -> Value:
        """Run the node as the model does; some of its arguments may be `given`."""
        values, places = chunk.values, self._places

        def value(node: fx.Node) -> Value:
            return values[places[node]] if given is None or node not in given else given[node]

        args = fx.node.map_arg(self._node.args, value)
        kwargs = fx.node.map_arg(self._node.kwargs, value)
        return _call(self._node.op, self._node.target, args, kwargs, chunk.modules)


def _call(op: str, target: Any, args: Sequence[Any], kwargs: dict[str, Any], modules: dict[str, nn.Module]) -> Value:
    """Run a node. What the model overwrites is left as it was (see `trace`), and no view needs a memory format."""
    if op == "call_module":
        return modules[target](*args, **kwargs)
    if op == "get_attr":
        owner, _, name = target.rpartition(".")
        return getattr(modules[owner], name)
    if op == "call_method":
        name = "reshape" if target == "view" else target
        if name.endswith("_") and not name.endswith("__"):
            name = name[:-1]
        return getattr(args[0], name)(*args[1:], **kwargs)
    return IN_PLACE_OPERATORS.get(target, target)(*args, **kwargs)


class Plain(Step):
    """What does not depend on a draw, or on its shape alone: as in the model."""

    def run(self, chunk: Chunk) -> Value:
        return self._call(chunk)


class OfOneDraw(Step):
    """Asks for a shape, a dtype or a device: of the first draw, since all draws answer the same."""

    def run(self, chunk: Chunk) -> Value:
        (node,) = self._node.all_input_nodes
        return self._call(chunk, {node: chunk.values[self._places[node]][0]})


class Pool(Step):
    """Max pooling. An activation before it is monotone, so it comes after: to fewer numbers, in the same pass."""

    def __init__(self, node: fx.Node, places: Places, source: fx.Node, activation: str) -> None:
        super().__init__(node, places)
        self._target, self._activation, self._source = target_name(node), activation, places[source]
        self.uses = [self._source]

    def run(self, chunk: Chunk) -> Value:
        images: Tensor = chunk.values[self._source]
        pool: Any = chunk.modules[self._target]
        pooled = ops.max_pool2d(
            images.flatten(0, -4), pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, self._activation
        )
        return pooled.unflatten(0, images.shape[:-3])


class Mapped(Step):
    """Anything: mapped over the draws by `torch.vmap`, Bayesian layers over their seeds as well."""

    def __init__(self, node: fx.Node, places: Places, draws: Sequence[fx.Node]) -> None:
        super().__init__(node, places)
        self._draws = draws  # the arguments that differ between draws

    def run(self, chunk: Chunk) -> Value:
        def of_one_draw(seed: Tensor, *values: Value) -> Value:
            with sampling_many(seed, chunk.streams):
                return self._call(chunk, dict(zip(self._draws, values, strict=True)))

        return map_draws(of_one_draw, chunk.seeds, *[chunk.values[self._places[node]] for node in self._draws])


class Passed(Mapped):
    """Dropout of torch's that is off: what it takes is what it gives."""

    def run(self, chunk: Chunk) -> Value:
        return chunk.values[self._places[self._draws[0]]]


class Stackwise(Mapped):
    """What treats all leading dimensions alike (activations, sums, linear layers): run on the stacked tensor."""

    def run(self, chunk: Chunk) -> Value:
        dims = chunk.values[self._places[self._draws[0]]].dim()
        for node in self._node.all_input_nodes:
            value = chunk.values[self._places[node]]
            # Broadcasting counts from behind: it must not meet the stacked dimension.
            if isinstance(value, Tensor) and (value.dim() != dims if node in self._draws else value.dim() >= dims):
                return super().run(chunk)
        return self._call(chunk)


class Batchwise(Mapped):
    """What treats the first dimension as a batch (convolutions, pooling): run on one batch of all draws' examples.

    Where a draw does not have one of the numbers of dimensions `dims`, hence perhaps no batch, it is mapped.
    """

    def __init__(self, node: fx.Node, places: Places, draws: Sequence[fx.Node], dims: tuple[int, ...]) -> None:
        super().__init__(node, places, draws)
        self._dims = dims

    def run(self, chunk: Chunk) -> Value:
        (node,) = self._draws
        stacked = chunk.values[self._places[node]]
        if stacked.dim() - 1 not in self._dims:
            return super().run(chunk)
        batch: Tensor = self._call(chunk, {node: stacked.flatten(0, 1)})
        return batch.unflatten(0, stacked.shape[:2])


class FoldedLayer(Step):
    """A plain convolution or linear layer with the batch normalisation after it, on one batch of all draws."""

    def __init__(self, layer: fx.Node, places: Places, batch_norm: fx.Node) -> None:
        super().__init__(layer, places)
        self.place = places[batch_norm]
        self._layer, self._norm = target_name(layer), target_name(batch_norm)
        (self._source,), self._weights = self.uses, places[layer]
        self.uses = [self._source, self._weights]

    def run(self, chunk: Chunk) -> Value:
        stacked, (weight, bias) = chunk.values[self._source], chunk.values[self._weights]
        layer: Any = chunk.modules[self._layer]
        if stacked.dim() - 1 != weight.dim():  # no batch, or other dimensions than images and rows have
            return torch.vmap(lambda one: chunk.modules[self._norm](layer(one)))(stacked)
        if isinstance(layer, nn.Linear):
            return functional.linear(stacked, weight, bias)
        batch: Tensor = layer._conv_forward(stacked.flatten(0, 1), weight, bias)
        return batch.unflatten(0, stacked.shape[:2])


class Draw(Mapped):
    """A Bayesian layer, called with the seeds of all draws."""

    def __init__(self, node: fx.Node, places: Places, draws: Sequence[fx.Node], spatial: int) -> None:
        super().__init__(node, places, draws)
        self._target, self._spatial = target_name(node), spatial
        self._source, self._shared = places[node.args[0]], node.args[0] not in draws  # type: ignore[index]

        self._moments: int | None = None

    def draw_from(self, moments: int) -> None:
        """Take mean and standard deviation of the output from a place, where it finds `SharedMoments`."""
        self._moments = moments
        self.uses = [*self.uses, moments]

    def run(self, chunk: Chunk) -> Value:
        input = chunk.values[self._source]
        if not self._takes(input):
            return super().run(chunk)
        return self._drawn(chunk, chunk.modules[self._target], input, None)

    def _drawn(self, chunk: Chunk, layer: Any, input: Tensor, epilogue: Epilogue | None) -> Tensor:
        if epilogue is not None and not follows_layer(epilogue, self._spatial, input.dim() - (not self._shared)):
            output = self._drawn(chunk, layer, input, None)
            return apply_epilogue(output, epilogue, output.dim() - 3)
        moments = None if self._moments is None else chunk.values[self._moments].of_next_chunk()
        with sampling_many(chunk.seeds, chunk.streams):
            if moments is not None:
                return layer.draw_output(*moments, epilogue or Epilogue())
            return layer(input) if epilogue is None else layer.forward_fused(input, epilogue)

    def _takes(self, input: Tensor) -> bool:
        """Whether `input` is ``[N, I, *]``, or ``[S, N, I, *]`` where it differs between draws."""
        wanted = self._spatial + 2 + (not self._shared)
        # The rows of a linear layer may have more dimensions, but not where they are shared: one would be taken for S.
        return input.dim() == wanted or (self._spatial == 0 and not self._shared and input.dim() > wanted)


class DrawFused(Draw):
    """A Bayesian layer with what follows it: batch normalisation, a shortcut, relu."""

    def __init__(self, node: fx.Node, places: Places, draws: Sequence[fx.Node], spatial: int, fusion: Fusion) -> None:
        super().__init__(node, places, draws, spatial)
        self.place = places[fusion.last]
        self._relu = fusion.relu
        self._affine = None if fusion.batch_norm is None else places[fusion.batch_norm]
        self._residual = None if fusion.residual is None else places[fusion.residual]
        if self._residual is not None:
            self.uses = [*self.uses, self._residual]

    def run(self, chunk: Chunk) -> Value:
        values = chunk.values
        input = values[self._source]
        scale, shift = (None, None) if self._affine is None else values[self._affine]
        residual = None if self._residual is None else values[self._residual]
        epilogue = Epilogue(scale, shift, residual, self._relu)
        if not self._takes(input):
            output: Tensor = Mapped.run(self, chunk)
            return apply_epilogue(output, epilogue, output.dim() - 3)
        return self._drawn(chunk, chunk.modules[self._target], input, epilogue)


class DrawOptimized(Draw):
    """A layer that `bayesops.optimize` has made of a Bayesian one and what follows it."""

    def run(self, chunk: Chunk) -> Value:
        input, *residual = [chunk.values[self._places[node]] for node in self._node.args]  # type: ignore[index]
        if not self._takes(input):
            return Mapped.run(self, chunk)
        fused: Any = chunk.modules[self._target]
        return self._drawn(chunk, fused.layer, input, fused.epilogue(*residual))


class DrawDropout(Mapped):
    """`bayesops.nn.Dropout`, called with the seeds of all draws."""

    def __init__(self, node: fx.Node, places: Places, draws: Sequence[fx.Node]) -> None:
        super().__init__(node, places, draws)
        self._target = target_name(node)
        (self._source,) = self.uses

    def run(self, chunk: Chunk) -> Value:
        input, shared = chunk.values[self._source], not self._draws
        if input.dim() < 3 - shared:
            return super().run(chunk)
        layer = chunk.modules[self._target]
        assert isinstance(layer, Dropout)
        with sampling_many(chunk.seeds, chunk.streams):
            seeds, stream = layer._draw_from(input.device)
        return ops.dropout(
            input, p=layer.p, seed=seeds, granularity=layer.granularity, stream=stream, shared_input=shared
        )

"""What a plan's steps need beside their inputs: computed once for all draws, and anew for every prediction."""

from typing import Any

import torch
from torch import Tensor, fx

from bayesops.engine.fusion import folded
from bayesops.engine.steps import Chunk, Places, Step, Value
from bayesops.engine.trace import target_name
from bayesops.nn.fused import Fused


class Preparation(Step):
    """What a layer's step needs beside its input: computed once, from what the model's parameters are now."""


class FoldedWeights(Preparation):
    """Weight and bias of a plain layer, scaled by the batch normalisation after it."""

    def __init__(self, layer: fx.Node, places: Places, batch_norm: fx.Node) -> None:
        super().__init__(layer, places)
        self.uses = []
        self._layer, self._norm = target_name(layer), target_name(batch_norm)

    def run(self, chunk: Chunk) -> Value:
        layer: Any = chunk.modules[self._layer]
        scale, shift = folded(chunk.modules[self._norm])
        weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
        return weight, shift if layer.bias is None else layer.bias * scale + shift


class SharedMoments:
    """Mean and standard deviation of a layer's outputs, from the second chunk on.

    A single chunk is quicker in the one pass of the layer's own operator; and in half precision (also autocast's) that
    is always better, because moments would be rounded.
    """

    def __init__(self, layer: Any, input: Tensor, can_be_had: bool) -> None:
        self._layer, self._input, self._can_be_had = layer, input, can_be_had
        self._is_first = True
        self._moments: tuple[Tensor, Tensor] | None = None

    def of_next_chunk(self) -> tuple[Tensor, Tensor] | None:
        """Return the moments, or None where the layer is to do without."""
        if self._is_first or not self._can_be_had:
            self._is_first = False
        elif self._moments is None:
            mean, std = self._layer.output_moments(self._input)
            self._moments = _neighbouring_channels(mean), _neighbouring_channels(std)
        return self._moments


def _neighbouring_channels(outputs: Tensor) -> Tensor:
    """Lay `outputs` on the CPU out as their noise is, which is the quickest to draw from.

    Elsewhere they stay as the model's convolutions make them, so that those after them find what they expect.
    """
    if outputs.device.type != "cpu":
        return outputs
    return outputs.movedim(1, -1).contiguous().movedim(-1, 1)


class OutputMoments(Preparation):
    """Lets chunks share mean and deviation of what a locally reparameterised layer draws from an input they share."""

    def __init__(self, node: fx.Node, places: Places, place: int, spatial: int) -> None:
        super().__init__(node, places)
        self.place, self._spatial = place, spatial
        self._target, self._source = target_name(node), places[node.args[0]]  # type: ignore[index]
        self.uses = [self._source]

    def run(self, chunk: Chunk) -> Value:
        input: Tensor = chunk.values[self._source]
        module: Any = chunk.modules[self._target]
        layer = module.layer if isinstance(module, Fused) else module
        has_images = input.dim() == self._spatial + 2
        is_exact = input.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(input.device.type)
        return SharedMoments(layer, input, has_images and is_exact)


class Affine(Preparation):
    """Batch normalisation as a scale and a shift, for the Bayesian layer before it."""

    def __init__(self, node: fx.Node, places: Places) -> None:
        super().__init__(node, places)
        self.uses = []
        self._target = target_name(node)

    def run(self, chunk: Chunk) -> Value:
        return folded(chunk.modules[self._target])

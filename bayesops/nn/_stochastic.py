"""What all layers that draw share: a call's seed, noise that is kept, and the mean in place of a draw."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from bayesops._arguments import check_stream, seed_tensor, wrong_value
from bayesops.sampling import Streams, current_block, layer_seed

_Module = TypeVar("_Module", bound=nn.Module)
_Layer = TypeVar("_Layer", bound="Stochastic")


class Stochastic(nn.Module):
    """A layer that draws at each call, in training and at prediction.

    `stream` (None, or an int to be set by the user) says which stream of the seed the layer draws from; `uses_mean` and
    `is_frozen`, whether it has been told to compute with the mean, or to keep one draw.
    """

    _stream: int | None = None
    _frozen: tuple[int, int] | None = None  # seed and stream of the noise that is kept
    uses_mean: bool = False

    @property
    def is_frozen(self) -> bool:
        """Whether the layer makes the same draw at every call."""
        return self._frozen is not None

    @property
    def stream(self) -> int | None:
        """Which stream of the seed the layer draws from; None: the next free one of a block. May be set at any time."""
        return self._stream

    @stream.setter
    def stream(self, stream: int | None) -> None:
        self._stream = None if stream is None else check_stream(type(self).__name__, stream)

    def use_mean(self: _Layer, mode: bool = True) -> _Layer:
        """Compute with the mean of what is drawn, and draw nothing, until called with ``mode=False``.

        Not to be taken for `freeze_noise`, which keeps one draw. Where both are set, the mean is used.
        """
        self.uses_mean = mode
        return self

    def freeze_noise(self: _Layer, seed: int | Tensor | None, stream: int | None = None) -> _Layer:
        """Make the same draw at every call, in `bayesops.sampling` blocks as well, until called with None.

        The draw is the one of a ``bayesops.sampling(seed)`` block. What is kept is noise, not an output: parameters may
        be trained meanwhile, and gradients reach them.

        Parameters
        ----------
        seed : int, int64 Tensor of shape [] or None
            Which noise; None releases it.
        stream : int, optional
            Of which stream; 0 unless given. The layer's own attribute `stream` comes first.

        Raises
        ------
        TypeError, ValueError
            A seed that is not one of 64 bits, a stream that is not one of 32.
        """
        if seed is None:
            self._frozen = None
            return self
        name = type(self).__name__
        tensor = seed_tensor(name, seed, seed.device if isinstance(seed, Tensor) else torch.device("cpu"))
        if tensor.dim() != 0:
            wrong_value(name, "seed", "one draw, of shape []", f"shape {tuple(tensor.shape)}")
        self._frozen = int(tensor), 0 if stream is None else check_stream(name, stream)
        return self

    def _draw_from(self, device: torch.device) -> tuple[Tensor, int]:
        """Seed and stream of this call. The seed is ``[S]`` in a block of S seeds, unless the noise is kept."""
        if self._frozen is None:
            return layer_seed(self, self.stream, device)
        seed, stream = self._frozen
        return torch.full((), seed, dtype=torch.int64, device=device), stream if self.stream is None else self.stream

    def _draw_for(self, input: Tensor, per_sample: bool) -> tuple[Tensor, int]:
        """Seed and stream of a call on `input`.

        In a block of S seeds, noise that is kept is that of every sample: where the result must have one for each
        (`per_sample`), its seed is ``[S]``, S times the same.
        """
        seed, stream = self._draw_from(input.device)
        block = current_block()
        seeds = None if block is None else block.seed
        if per_sample and seed.dim() == 0 and isinstance(seeds, Tensor) and seeds.dim() == 1:
            seed = seed.expand(seeds.shape)
        return seed, stream

    def _stochastic_repr(self) -> str:
        text = "" if self.stream is None else f", stream={self.stream}"
        if self._frozen is not None:
            text += f", frozen_seed={self._frozen[0]}"
        return f"{text}, use_mean=True" if self.uses_mean else text


def use_mean(model: _Module, mode: bool = True) -> _Module:
    """Let every Bayesian layer of `model` compute with its mean and draw nothing, until called with ``mode=False``.

    A Gaussian layer is then the plain layer of weight `weight_mu` and bias `bias_mu`; a Bernoulli layer that of its
    weight (times the probability of being kept, unless it has `rescale`); `bayesops.nn.Dropout` passes its input on.

    Parameters
    ----------
    model : Module
        Changed in place.
    mode : bool
        False: draw again.

    Returns
    -------
    Module
        `model`.

    Raises
    ------
    ValueError
        Where no layer draws.
    """
    for layer in _layers("use_mean", model):
        layer.use_mean(mode)
    return model


def freeze_noise(model: _Module, seed: int | Tensor | None) -> _Module:
    """Keep one draw of every Bayesian layer of `model` at each call, until called with None.

    Each layer gets a stream of its own, numbered in the order of ``model.modules()``: where the layers are also used in
    that order, the draw is the one of a ``bayesops.sampling(seed)`` block. Layers that are left to draw beside frozen
    ones should draw from another seed, or they may meet the same numbers.

    What is kept depends on the layer. A layer of weights (Bernoulli, or Gaussian with ``estimator="weight_sample"``)
    keeps one draw of its weights: a deterministic network, one member of the ensemble. Under ``"local_reparam"`` the
    noise is that of the *activations*, one number for each example's place in the batch, pixel and channel; under
    ``"flipout"`` the signs belong to the example's place, and so do `per_example` masks and dropout. There, the same
    image at another place of the batch meets other noise, and no single network has all of the outputs.

    Parameters
    ----------
    model : Module
        Changed in place.
    seed : int, int64 Tensor of shape [] or None
        Which noise; None releases it.

    Returns
    -------
    Module
        `model`.

    Raises
    ------
    ValueError
        Where no layer draws.
    """
    layers, streams = _layers("freeze_noise", model), Streams()
    for layer in layers:  # first those that have a stream: the numbering steps over it
        if layer.stream is not None:
            streams.of(layer, layer.stream)
    for layer in layers:
        layer.freeze_noise(seed, streams.of(layer, layer.stream))
    return model


def _layers(operator: str, model: nn.Module) -> list[Stochastic]:
    layers = [module for module in model.modules() if isinstance(module, Stochastic)]
    if not layers:
        wrong_value(operator, "model", "a module with Bayesian layers of bayesops.nn", type(model).__name__)
    return layers

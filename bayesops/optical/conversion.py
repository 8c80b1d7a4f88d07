"""A trained network is given optical convolutions."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import nn

from bayesops._arguments import wrong_type, wrong_value
from bayesops.convert._copying import copied_with
from bayesops.convert._selection import Where, constructor_arguments, selection
from bayesops.nn import BernoulliConv2d
from bayesops.nn._stochastic import Stochastic
from bayesops.optical.fourier_conv import FourierConv2d

_CONVERTIBLE = (nn.Conv2d, BernoulliConv2d)
_LAST_STREAM = 2**32 - 1
_MASK_OPTIONS = ("p", "granularity", "rescale", "per_example")


def convert(
    model: nn.Module,
    *,
    input_bits: int | None = None,
    kernel_bits: int | None = None,
    detection: str = "complex",
    sign: str = "lost",
    readout_noise: float = 0.0,
    readout_bits: int | None = None,
    where: Where = None,
) -> nn.Module:
    """Copy `model` with its 2-d convolutions made optical: the same parameters, the same masks.

    `torch.nn.Conv2d` and `bayesops.nn.BernoulliConv2d` become `FourierConv2d`. Parameters and buffers are not copied
    but shared with `model`: what one of the two is trained to, the other has. A Bernoulli layer keeps its p, its
    granularity and its stream, so for the same seed both models make the same draws of all weights. All other layers
    are computed as before.

    Parameters
    ----------
    model : Module
        Stays as it is.
    input_bits, kernel_bits, detection, sign, readout_noise, readout_bits
        Of every optical layer, as in `FourierConv2d`.
    where : optional
        Which layers, as in `bayesops.convert`: a predicate of the layer's name and the layer, names as in
        ``model.named_modules()``, or types; ``"last"``: the one that comes last there. None: all.

    Returns
    -------
    Module
        The copy; a model that is itself a convolution gives the optical layer.

    Raises
    ------
    ValueError
        A model without a convolution that can be converted (but an empty list as `where` asks for that); a name in
        `where` that no module has, or whose module cannot be converted; a value out of range.
    TypeError
        A `where` of another kind, a model that is none.

    Notes
    -----
    Subclasses of the two layers, and layers with hooks, are left alone. The noise of a layer that was plain needs a
    stream, and must not shift those of other layers: such layers get the last streams there are, by their attribute
    `stream`.

    Examples
    --------
    >>> optical = bo.optical.convert(model, input_bits=8, kernel_bits=8, detection="intensity", sign="split")
    """
    if not isinstance(model, nn.Module):
        wrong_type("optical.convert", "model", "a Module", type(model).__name__)
    chosen = selection(model, where, "optical.convert", _CONVERTIBLE)
    options = {
        "input_bits": input_bits, "kernel_bits": kernel_bits, "detection": detection, "sign": sign,
        "readout_noise": readout_noise, "readout_bits": readout_bits,
    }  # fmt: skip
    taken = {layer.stream for layer in model.modules() if isinstance(layer, Stochastic)}
    free = (stream for stream in range(_LAST_STREAM, -1, -1) if stream not in taken)
    convolutions = [module for name, module in model.named_modules(remove_duplicate=False) if name in chosen]
    if not convolutions and where != []:
        wanted = "one with Conv2d or BernoulliConv2d (no hooks, no replaced forward) that 'where' does not leave out"
        wrong_value("optical.convert", "model", wanted, type(model).__name__)

    def make(convolution: Any) -> FourierConv2d:
        layer = _optical(convolution, options)
        if type(convolution) is nn.Conv2d:
            layer.stream = next(free)
        return layer

    return copied_with(model, make, convolutions, kept=chain(model.parameters(), model.buffers()))


def _optical(convolution: Any, options: dict[str, Any]) -> FourierConv2d:
    """Make the optical layer with the parameters (the very tensors) of `convolution`."""
    if isinstance(convolution, BernoulliConv2d):
        options = options | {name: getattr(convolution, name) for name in _MASK_OPTIONS}
    make: Callable[..., FourierConv2d] = FourierConv2d
    with torch.device("meta"):  # no storage, no initialisation: the parameters come from `convolution`
        layer = make(*constructor_arguments(convolution), **options)
    layer.weight, layer.bias = convolution.weight, convolution.bias
    if isinstance(convolution, BernoulliConv2d):
        layer.stream, layer._frozen = convolution.stream, convolution._frozen
        layer.use_mean(convolution.uses_mean)
    return layer.train(convolution.training)

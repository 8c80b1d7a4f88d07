"""A model's copy whose Bayesian layers, those of peer libraries, run on our operators."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from bayesops._arguments import wrong_type
from bayesops.accelerate import bayesian_torch, blitz, others, pytorch_bayesiancnn, torch_dropout, torchbnn
from bayesops.accelerate._peer_layer import PeerLayer, blank
from bayesops.accelerate._takeover import Found, Takeover
from bayesops.nn._stochastic import Stochastic

# A layer goes to the first that knows it.
_LIBRARIES = (bayesian_torch, torchbnn, blitz, pytorch_bayesiancnn)


class Accelerated(NamedTuple):
    """What `accelerate` returns.

    Attributes
    ----------
    model : Module
        The copy. Its parameters and buffers are those of the original, the very same objects.
    replaced : dict of str to str
        Qualified name of a layer: what it was, and what it became.
    left : dict of str to str
        Qualified name of a layer that draws, or looks as if it did, and stayed as it was: why.
    """

    model: nn.Module
    replaced: dict[str, str]
    left: dict[str, str]

    def __repr__(self) -> str:
        lines = [f"Accelerated({type(self.model).__name__}: {len(self.replaced)} replaced, {len(self.left)} left)"]
        for title, layers in (("replaced", self.replaced), ("left", self.left)):
            if layers:
                width = max(map(len, layers))
                lines.append(f"  {title}:")
                lines.extend(f"    {name or '(the model)':<{width}}  {text}" for name, text in layers.items())
        return "\n".join(lines)


def accelerate(model: nn.Module, *, dropout: bool = True) -> Accelerated:
    """Let the Bayesian layers of other libraries in `model`, and its dropout, run on operators of bayesops.

    Taken over are convolutions and linear layers of bayesian-torch (reparameterisation and Flipout), torchbnn and
    BLiTZ, layers in the manner of PyTorch-BayesianCNN (``BBBConv1d``, ``BBBConv2d``, ``BBBConv3d``, ``BBBLinear``), and
    dropout of torch. The new layers are called as the old ones, return what these return, and are instances of their
    classes, so that the libraries' losses find them; their state dicts are the same. They take their draws from
    `bayesops.sampling`, and `bayesops.predict` can make many in one pass.

    Parameters
    ----------
    model : Module
        Stays as it is. What is no module, parameter or buffer is copied.
    dropout : bool
        Also replace `torch.nn.Dropout`, `Dropout1d`, `Dropout2d` and `Dropout3d`, by `bayesops.nn.Dropout`: Monte Carlo
        dropout, which ``eval`` does not switch off.

    Returns
    -------
    Accelerated
        The copy, which shares parameters and buffers with `model`: training either trains both. With it, what was
        replaced, and what was left and why.

    Raises
    ------
    TypeError
        A `model` that is no `torch.nn.Module`.

    Notes
    -----
    The outputs have the distribution that those of the peer have, with one exception: Flipout draws its signs for each
    example and channel (Wen et al. 2018, section 3.1), where bayesian-torch draws them for each number. Single outputs
    are distributed alike; the covariance between the pixels of an image is that of one drawn weight here, and nearly 0
    there.

    Functions that a forward pass calls by itself (`torch.nn.functional.dropout`) cannot be seen, and stay.

    Examples
    --------
    >>> fast = bo.accelerate(model)
    >>> prediction = bo.predict(fast.model.eval(), images, num_samples=100)
    """
    if not isinstance(model, nn.Module):
        wrong_type("accelerate", "model", "a torch.nn.Module", type(model).__name__)
    replaced: dict[str, str] = {}
    left: dict[str, str] = {}
    takeovers: dict[nn.Module, Takeover] = {}
    for name, module, found in _findings(model, "", dropout):
        if isinstance(found, Takeover):
            takeovers[module] = found
            replaced[name] = found.what
        else:
            left[name] = found
    return Accelerated(_copy(model, takeovers), replaced, left)


def _findings(module: nn.Module, name: str, with_dropout: bool) -> Iterator[tuple[str, nn.Module, Takeover | str]]:
    """Layers to be taken over or listed, by their names, as often as they occur."""
    if isinstance(module, Stochastic):  # it is ours
        return
    found: Found = torch_dropout.recognise(module, with_dropout)
    for library in _LIBRARIES:
        if found is None:
            found = library.recognise(module)
    if found is not None:  # what is inside is the layer's own
        yield name, module, found
        return
    suspicion = others.recognise(module)
    if suspicion is not None:
        yield name, module, suspicion
    for child_name, child in module._modules.items():
        if child is not None:
            yield from _findings(child, f"{name}.{child_name}" if name else child_name, with_dropout)


def _copy(model: nn.Module, takeovers: dict[nn.Module, Takeover]) -> nn.Module:
    """Copy `model` in depth, except that tensors stay themselves, and layers become what takes them over.

    The copy finds both in its memo, so that every way to a layer (a child of two modules, a plain list) leads to the
    same new one.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in _tensors(model)}
    for module, takeover in takeovers.items():
        memo[id(module)] = _blank(takeover, module)
    for module, takeover in takeovers.items():
        state = copy.deepcopy(vars(module), memo) | takeover.attributes
        memo[id(module)].__dict__ = {name: value for name, value in state.items() if name not in takeover.forgets}
    copied: nn.Module = copy.deepcopy(model, memo)
    return copied


def _blank(takeover: Takeover, module: nn.Module) -> nn.Module:
    if takeover.subclass:
        assert issubclass(takeover.mixin, PeerLayer)
        return blank(takeover.mixin, type(module))
    return takeover.mixin.__new__(takeover.mixin)


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and what peers keep of a call as plain attributes, which may not be copied."""
    for module in model.modules():
        for values in (module._parameters, module._buffers, vars(module)):
            yield from (value for value in values.values() if isinstance(value, Tensor))

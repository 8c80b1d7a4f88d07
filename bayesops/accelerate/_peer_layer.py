"""What the layers that stand in for those of peer libraries share: how they are made, and how they compute."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional

from bayesops import ops
from bayesops.nn._stochastic import Stochastic
from bayesops.ops._softplus_variance_rules import variance_of

# By the number of spatial dimensions.
PLAIN: Sequence[Callable[..., Tensor]] = (
    functional.linear, functional.conv1d, functional.conv2d, functional.conv3d
)  # fmt: skip
SAMPLED = (ops.sampled_linear, ops.sampled_conv1d, ops.sampled_conv2d, ops.sampled_conv3d)
FLIPOUT = (ops.flipout_linear, ops.flipout_conv1d, ops.flipout_conv2d, ops.flipout_conv3d)
LOCAL_REPARAM = (ops.lrt_linear, ops.lrt_conv1d, ops.lrt_conv2d, ops.lrt_conv3d)


class Weights(NamedTuple):
    """The parameters of a layer, whatever the peer calls them; what a spread means is the peer's own."""

    mu: Tensor
    spread: Tensor
    bias_mu: Tensor | None
    bias_spread: Tensor | None


class PeerLayer(Stochastic):
    """A peer's layer with a forward pass of ours: to be put in front of the peer's class, whose instance it becomes.

    It has the attributes, parameters, buffers and methods of the layer that it stands in for, and so its state dict.
    A subclass says where the weights are (`_weights`) and which operator draws (`_operators`, or `_draw`).
    """

    stride: Any
    padding: Any
    dilation: Any
    groups: int
    _classes: tuple[type["PeerLayer"], type]
    _operators: Sequence[Callable[..., Tensor]]

    @property
    def _draws(self) -> bool:
        """Whether a call draws anything."""
        return not self.uses_mean

    def _weights(self) -> Weights:
        raise NotImplementedError

    def _estimate(self, input: Tensor, draws: bool) -> Tensor:
        """Draw the output if `draws`, compute it with the means otherwise."""
        weights = self._weights()
        spatial = weights.mu.dim() - 2
        geometry: dict[str, Any] = {}
        if spatial:
            geometry = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
            input, geometry["padding"] = self._pad(input)
        single = spatial > 0 and input.dim() == spatial + 1  # torch's convolutions take one image without a batch, too
        if single:
            input = input.unsqueeze(0)
        if draws:
            output = self._draw(spatial, input, weights, geometry)
        else:
            output = PLAIN[spatial](input, weights.mu, weights.bias_mu, **geometry)
        return output.squeeze(-spatial - 2) if single else output

    def _draw(self, spatial: int, input: Tensor, weights: Weights, geometry: dict[str, Any]) -> Tensor:
        """Draw with spreads that are rho: the standard deviation is softplus(rho)."""
        seed, stream = self._draw_from(input.device)
        return self._operators[spatial](input, *weights, seed=seed, stream=stream, **geometry)

    def _pad(self, input: Tensor) -> tuple[Tensor, Any]:
        """Pad `input` where the operator cannot; return it, and the padding that is left."""
        return input, self.padding

    def extra_repr(self) -> str:
        """Show what the peer's layer shows."""
        text = super().extra_repr() + self._stochastic_repr()
        return text.removeprefix(", ")

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return blank, self._classes, self.__dict__.copy()  # the class has no name to be found by


def draw_outputs(layer: PeerLayer, spatial: int, input: Tensor, weights: Weights, geometry: dict[str, Any]) -> Tensor:
    """Local reparameterisation with spreads that are rho."""
    seed, stream = layer._draw_from(input.device)
    bias_var = None if weights.bias_spread is None else variance_of(weights.bias_spread)
    return LOCAL_REPARAM[spatial](
        input, weights.mu, variance_of(weights.spread), weights.bias_mu, bias_var, seed=seed, stream=stream, **geometry
    )


_made: dict[tuple[type, type], type[PeerLayer]] = {}


def peer_class(mixin: type[PeerLayer], peer: type) -> type[PeerLayer]:
    """Make the class of `peer`'s layers that compute as `mixin` says; the same one at each call."""
    if (mixin, peer) in _made:
        return _made[mixin, peer]
    name = f"Accelerated{peer.__name__}"
    namespace = {"__module__": mixin.__module__, "__qualname__": name, "__doc__": mixin.__doc__}
    made: type[PeerLayer] = type(name, (mixin, peer), namespace)
    made._classes = mixin, peer
    return _made.setdefault((mixin, peer), made)


def blank(mixin: type[PeerLayer], peer: type) -> PeerLayer:
    """Make an instance of `peer_class` without attributes."""
    kind = peer_class(mixin, peer)
    return kind.__new__(kind)

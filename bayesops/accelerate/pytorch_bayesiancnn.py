"""Layers in the manner of PyTorch-BayesianCNN (Shridhar, Laumann and Liwicki, 2019), a repository to copy from.

They go by their names, ``BBBConv1d``, ``BBBConv2d``, ``BBBConv3d`` and ``BBBLinear``, and by the parameters `W_mu`,
`W_rho`, `bias_mu` and `bias_rho`. There are two variants of the same names: ``layers.BBB`` draws weights,
``layers.BBB_LRT`` outputs.
"""

from typing import Any

from torch import Tensor, nn

from bayesops.accelerate._peer_layer import SAMPLED, PeerLayer, Weights, draw_outputs
from bayesops.accelerate._takeover import Found, Takeover
from bayesops.ops._softplus_rules import softplus

_NAMES = {
    "BBBLinear": (0, "linear"),
    "BBBConv1d": (1, "conv1d"),
    "BBBConv2d": (2, "conv2d"),
    "BBBConv3d": (3, "conv3d"),
}


class BBBLayer(PeerLayer):
    """What both variants share."""

    W_mu: Tensor
    W_rho: Tensor
    bias_mu: Tensor | None
    bias_rho: Tensor | None

    @property
    def W_sigma(self) -> Tensor:
        """The standard deviation of the weight: the peer's `kl_loss` reads it, its forward pass leaves it behind."""
        return softplus(self.W_rho)

    @property
    def bias_sigma(self) -> Tensor | None:
        """The standard deviation of the bias, likewise."""
        return None if self.bias_rho is None else softplus(self.bias_rho)

    def _weights(self) -> Weights:
        return Weights(self.W_mu, self.W_rho, self.bias_mu, self.bias_rho)


class WeightSampling(BBBLayer):
    """One draw of the weight for the batch."""

    _operators = SAMPLED

    def forward(self, input: Tensor, sample: bool = True) -> Tensor:
        """Draw the output; in eval mode without `sample`, compute it with the means."""
        return self._estimate(input, self._draws and (self.training or sample))


class LocalReparameterization(BBBLayer):
    """Draws of the outputs, every number by itself."""

    def forward(self, x: Tensor, sample: bool = True) -> Tensor:
        """Draw the output; in eval mode without `sample`, compute it with the means."""
        return self._estimate(x, self._draws and (self.training or sample))

    def _draw(self, spatial: int, input: Tensor, weights: Weights, geometry: dict[str, Any]) -> Tensor:
        return draw_outputs(self, spatial, input, weights, geometry)


def recognise(module: nn.Module) -> Found:
    """Say what becomes of a layer that looks like one of PyTorch-BayesianCNN."""
    names = [base.__name__ for base in type(module).__mro__]
    name = next((name for name in names if name in _NAMES), None)
    if name is None:
        return None
    if name != names[0]:
        return f"{names[0]} is a subclass of PyTorch-BayesianCNN's {name}, and may compute something else"
    spatial, operator_name = _NAMES[name]
    missing = _missing(module, spatial)
    if missing is not None:
        return f"{name} is not as in PyTorch-BayesianCNN: {missing}"
    variant: type[BBBLayer] = LocalReparameterization
    operator = f"lrt_{operator_name} (local reparameterisation)"
    if _draws_weights(type(module).__module__):
        variant, operator = WeightSampling, f"sampled_{operator_name} (weight sampling)"
    what = f"PyTorch-BayesianCNN {name} -> bayesops.ops.{operator}"
    return Takeover(variant, what, forgets=("W_sigma", "bias_sigma"))


def _draws_weights(path: str) -> bool:
    """Whether the class lies in the folder of the weight-sampling variant; local reparameterisation otherwise."""
    parts = path.split(".")
    return "BBB" in parts and "BBB_LRT" not in parts


def _missing(module: Any, spatial: int) -> str | None:
    """Say what the layer lacks of what its replacement reads."""
    for parameter in ("W_mu", "W_rho", "bias_mu", "bias_rho"):
        if parameter not in module._parameters:
            return f"it has no parameter {parameter}"
    if module.W_mu.dim() != spatial + 2:
        return f"W_mu has {module.W_mu.dim()} dimensions"
    for attribute in ("stride", "padding", "dilation", "groups") if spatial else ():
        if not hasattr(module, attribute):
            return f"it has no attribute {attribute}"
    return None

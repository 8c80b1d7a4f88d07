"""bayesian-torch (Intel Labs): layers of weight sampling ("reparameterization") and of Flipout.

Their forward pass returns (output, KL), or the output where `return_kl` is False or `dnn_to_bnn` made the layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bayesops import ops
from bayesops.accelerate._peer_layer import FLIPOUT, SAMPLED, PeerLayer, Weights
from bayesops.accelerate._takeover import Found, Takeover, known_class

PACKAGE = "bayesian_torch.layers"


class VariationalLayer(PeerLayer):
    """What its layers share."""

    dnn_to_bnn_flag: bool
    mu_bias: Tensor | None
    rho_bias: Tensor | None
    prior_weight_mu: Tensor
    prior_weight_sigma: Tensor
    prior_bias_mu: Tensor | None
    prior_bias_sigma: Tensor | None

    def _weights(self) -> Weights:
        kind = "weight" if "mu_weight" in self._parameters else "kernel"
        return Weights(getattr(self, f"mu_{kind}"), getattr(self, f"rho_{kind}"), self.mu_bias, self.rho_bias)

    def _output(self, input: Tensor, return_kl: bool) -> Any:
        output = self._estimate(input, self._draws)
        return (output, self.kl_loss()) if return_kl and not self.dnn_to_bnn_flag else output

    def kl_loss(self) -> Tensor:
        """Return the KL divergence as the peer does: the mean over the weights, and that over the biases, added.

        Where the prior is the same for all, in one pass; its tensors are looked at at each call.
        """
        mu, rho, bias_mu, bias_rho = self._weights()
        kl = _mean_kl(mu, rho, self.prior_weight_mu, self.prior_weight_sigma)
        if kl is not None and bias_mu is not None:
            kl_of_bias = _mean_kl(bias_mu, bias_rho, self.prior_bias_mu, self.prior_bias_sigma)
            kl = None if kl_of_bias is None else kl + kl_of_bias
        if kl is None:
            kl = super().kl_loss()  # type: ignore[misc]  # the peer's
        return kl


class Reparameterization(VariationalLayer):
    """One draw of the weight for the batch."""

    _operators = SAMPLED

    def forward(self, input: Tensor, return_kl: bool = True) -> Any:
        """Return the output, with its KL divergence as the peer does."""
        return self._output(input, return_kl)


class Flipout(VariationalLayer):
    """One draw of the weight's deviation for the batch, its signs turned for each example and channel."""

    _operators = FLIPOUT

    def forward(self, x: Tensor, return_kl: bool = True) -> Any:
        """Return the output, with its KL divergence as the peer does."""
        return self._output(x, return_kl)


_SHAPES = {"Linear": "linear", "Conv1d": "conv1d", "Conv2d": "conv2d", "Conv3d": "conv3d"}
LAYERS = {f"{shape}Reparameterization": (Reparameterization, f"sampled_{op}") for shape, op in _SHAPES.items()} | {
    f"{shape}Flipout": (Flipout, f"flipout_{op}") for shape, op in _SHAPES.items()
}
_TRANSPOSED = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
LEFT = {
    **{f"{shape}{kind}": "transposed" for shape in _TRANSPOSED for kind in ("Reparameterization", "Flipout")},
    **{f"LSTM{kind}": "recurrent" for kind in ("Reparameterization", "Flipout")},
    **{
        f"Quantized{shape}{kind}": "quantised"
        for shape in (*_SHAPES, *_TRANSPOSED, "LSTM")
        for kind in ("Reparameterization", "Flipout")
    },
    "Dropout": "takes and returns (output, KL); use torch's",
}


def recognise(module: nn.Module) -> Found:
    """Say what becomes of a layer of bayesian-torch."""
    name, reason = known_class(module, PACKAGE, LAYERS, LEFT)
    if name is None:
        return None if reason is None else f"bayesian-torch {type(module).__name__}: {reason}"
    if getattr(module, "quant_prepare", False):
        return f"bayesian-torch {name}: prepared for quantisation"
    mixin, operator = LAYERS[name]
    return Takeover(mixin, f"bayesian-torch {name} -> bayesops.ops.{operator}")


def _mean_kl(mu: Tensor, rho: Tensor | None, prior_mu: Tensor | None, prior_sigma: Tensor | None) -> Tensor | None:
    """Mean of KL(q || prior) by one operator; None where the prior is not the same for all, or is elsewhere."""
    if rho is None or prior_mu is None or prior_sigma is None or torch.compiler.is_compiling():
        return None
    mean, deviation = _constant(prior_mu), _constant(prior_sigma)
    if mean is None or deviation is None or deviation <= 0 or mu.dtype == torch.float16:
        return None
    return (ops.gaussian_kl(mu, rho, mean, deviation) / mu.numel()).to(mu.dtype)


def _constant(tensor: Tensor) -> float | None:
    """Return the value that all of the elements have, if it can be read for little."""
    if not tensor.is_cpu or tensor.numel() == 0 or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return None
    low, high = torch.aminmax(tensor)
    return low.item() if torch.equal(low, high) else None

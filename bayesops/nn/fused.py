"""A Bayesian layer with what follows it, for prediction."""

import torch
from torch import Tensor, nn

from bayesops.nn._stochastic import Stochastic
from bayesops.ops._epilogue import Epilogue, apply_epilogue, follows_layer


class Fused(nn.Module):
    """A Bayesian layer followed by a scale and a shift of its channels, a sum and relu, in one pass; see `optimize`.

    ``act(layer(input) * scale + shift + residual)``, with the draws of `layer`. Where gradients are recorded, or under
    transforms as `torch.vmap`, the parts run one after another.

    Parameters
    ----------
    layer : Module
        A convolution or linear layer of `bayesops.nn`.
    scale, shift : Tensor, optional
        ``[O]``.
    relu : bool
        Whether relu comes last.
    """

    def __init__(
        self, layer: Stochastic, scale: Tensor | None = None, shift: Tensor | None = None, relu: bool = False
    ) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.relu = relu

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map ``[N, I, *]`` to ``[N, O, *]``, to which `residual` is added before relu."""
        epilogue, layer = self.epilogue(residual), self.layer
        fits = follows_layer(epilogue, len(getattr(layer, "kernel_size", ())), input.dim())
        if not fits or torch.is_grad_enabled() or torch._C._functorch.maybe_current_level() is not None:
            output = layer(input)
            return apply_epilogue(output, epilogue, output.dim() - 2)
        return layer.forward_fused(input, epilogue)  # type: ignore[operator]

    def epilogue(self, residual: Tensor | None = None) -> Epilogue:
        """Return what follows the layer."""
        return Epilogue(self.scale, self.shift, residual, self.relu)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        """Show what follows the layer."""
        return f"batch_norm={self.scale is not None}, relu={self.relu}"

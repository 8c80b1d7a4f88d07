"""Torch's dropout, kept on: Monte Carlo dropout (Gal and Ghahramani, ICML 2016)."""

from torch import Tensor, nn

from bayesops.accelerate._takeover import Found, Takeover
from bayesops.nn import Dropout

_NO_OPERATOR = "keeps the statistics of self-normalising networks, which no operator here does"


class ImageDropout(Dropout):
    """`bayesops.nn.Dropout` of channels that takes one image without a batch, as `torch.nn.Dropout1d` and 3d do."""

    spatial: int

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """Drop channels of ``[N, C, *]``, or of one ``[C, *]``."""
        if input.dim() != self.spatial + 1:
            return super().forward(input, mask)
        return super().forward(input.unsqueeze(0), mask).squeeze(0)


def recognise(module: nn.Module, wanted: bool) -> Found:
    """Take dropout layers over if they are `wanted`, and say which are left."""
    if isinstance(module, (nn.AlphaDropout, nn.FeatureAlphaDropout)):
        return f"torch {type(module).__name__}: {_NO_OPERATOR}"
    if isinstance(module, (nn.MultiheadAttention, nn.RNNBase)):
        if module.dropout > 0:
            return f"torch {type(module).__name__}: its dropout is a number that its own code uses, not a layer"
        return None
    if isinstance(module, nn.TransformerEncoderLayer):
        if module.dropout.p > 0:
            return "torch TransformerEncoderLayer: its fast path, taken in eval, goes past its dropout layers"
        return None
    if not isinstance(module, nn.modules.dropout._DropoutNd):
        return None
    name, p = type(module).__name__, module.p
    if not wanted:
        return f"torch {name}: dropout=False"
    if type(module) not in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d):
        return f"{name} is a subclass of torch's dropout, and may compute something else"
    if p >= 1.0:
        return f"torch {name}: p = {p} drops everything, where ours takes p below 1"
    granularity = "element" if type(module) is nn.Dropout else "channel"
    attributes = {"p": float(p), "granularity": granularity, "inplace": False}
    kind = Dropout
    if isinstance(module, (nn.Dropout1d, nn.Dropout3d)):
        kind = ImageDropout
        attributes["spatial"] = 1 if isinstance(module, nn.Dropout1d) else 3
    what = f"torch {name} -> bayesops.nn.Dropout, {granularity}s, on in eval, too"
    return Takeover(kind, what, attributes, subclass=False)

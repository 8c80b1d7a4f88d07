"""What follows a convolution at prediction, and is done while its results are in registers: ``act(y * a + b + r)``."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Size, Tensor

from bayesops._arguments import wrong_type, wrong_value
from bayesops.ops._arguments import check_like_input
from bayesops.ops._conv_arguments import check_shape
from bayesops.ops._layout import output_size


class Epilogue(NamedTuple):
    """``act(result * scale + shift + residual)``; what is None is left out.

    Attributes
    ----------
    scale, shift : Tensor or None
        ``[O]``, of the input's dtype: a folded batch normalisation.
    residual : Tensor or None
        ``[N, O, *]``, shared by all samples, or of the output's shape ``[S, N, O, *]``: a shortcut.
    relu : bool
        ``max(x, 0)`` at the end; a NaN stays one.
    """

    scale: Tensor | None = None
    shift: Tensor | None = None
    residual: Tensor | None = None
    relu: bool = False


def check_epilogue(
    operator: str,
    epilogue: Epilogue,
    input: Tensor,
    weight: Tensor,
    seed: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> None:
    """Check the shapes, dtypes and devices of `epilogue` for a convolution whose own arguments are right."""
    check_per_channel(operator, epilogue, weight.shape[:1], input)
    if epilogue.residual is not None:
        spatial = weight.dim() - 2
        size = output_size(input.shape[input.dim() - spatial :], weight.shape[2:], stride, padding, dilation)
        image = (input.shape[-spatial - 2], weight.shape[0], *size)
        check_residual(operator, epilogue.residual, image, seed, input)


def check_per_channel(operator: str, epilogue: Epilogue, channels: Size, input: Tensor) -> None:
    """Check all of `epilogue` but its residual, for a result of `channels`, ``[O]``."""
    for name in ("scale", "shift"):
        tensor = getattr(epilogue, name)
        if tensor is not None:
            check_shape(operator, name, tensor, channels, input)
    if not isinstance(epilogue.relu, bool):
        wrong_type(operator, "relu", "a bool", repr(epilogue.relu))


def check_residual(operator: str, residual: Tensor, image: tuple[int, ...], seed: Tensor, input: Tensor) -> None:
    """Check that `residual` has the shape `image`, ``[N, O, *]``, or one of these for each seed."""
    check_like_input(operator, "residual", residual, input)
    if residual.shape not in (image, (*seed.shape, *image)):
        wanted = f"of shape {image}" + (f" or {(*seed.shape, *image)}" if seed.dim() else "")
        wrong_value(operator, "residual", wanted, f"shape {tuple(residual.shape)}")


def flatten_residual(operator: str, epilogue: Epilogue | None, leading: Size | None) -> Epilogue | None:
    """Bring the residual ``[*, O]`` or ``[S, *, O]`` of a linear map into the form of its rows, see `flatten_rows`."""
    if epilogue is None or epilogue.residual is None or leading is None:
        return epilogue
    residual = epilogue.residual
    samples = residual.dim() - len(leading) - 1
    if samples not in (0, 1) or residual.shape[samples:-1] != leading:
        wanted = f"of shape [*, O] or [S, *, O] with the input's dimensions * = {tuple(leading)}"
        wrong_value(operator, "residual", wanted, f"shape {tuple(residual.shape)}")
    rows = residual.reshape(*residual.shape[:samples], leading.numel(), residual.shape[-1])
    return epilogue._replace(residual=rows)


def follows_layer(epilogue: Epilogue, spatial: int, dims: int) -> bool:
    """Whether a layer can do `epilogue` to its outputs, of `dims` dimensions: its channels are those that are scaled.

    Behind a linear layer's ``[N, L, O]`` batch normalisation is of L.
    """
    return epilogue.scale is None or dims == spatial + 2


def apply_epilogue(output: Tensor, epilogue: Epilogue, spatial: int) -> Tensor:
    """Apply `epilogue` to a convolution's ``[..., N, O, *]`` in PyTorch's operations."""
    channels = (-1, *[1] * spatial)
    if epilogue.scale is not None:
        output = output * epilogue.scale.view(channels)
    if epilogue.shift is not None:
        output = output + epilogue.shift.view(channels)
    if epilogue.residual is not None:
        output = output + epilogue.residual
    return output.relu() if epilogue.relu else output

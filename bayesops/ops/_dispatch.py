"""What the operators' autograd, vmap and autocast rules share."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch._ops import OpOverload
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

# The dtypes that the compiled operators compute in under autocast; float16 has no CPU kernel.
_AUTOCAST_DTYPES = {"cpu": (torch.bfloat16, torch.float32), "cuda": (torch.bfloat16, torch.float16, torch.float32)}

Outputs = Any  # a Tensor, or a tuple of them: what the operator returns

# Implementations live as long as their library object.
_libraries: list[torch.library.Library] = []


def batch_first(value: Any, dim: int | None) -> Any:
    """Move the batch dimension to the front; what is not batched stays as it is."""
    return value if dim is None else value.movedim(dim, 0)


def batched(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """Move the batch dimension to the front, or expand over a batch of `size` what is not batched."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def vmap_by_loop(
    op: OpOverload, batch_size: int, in_dims: Sequence[int | None], args: Sequence[Any]
) -> tuple[Outputs, Any]:
    """Make one call for each element of the batch: the vmap rule that is always right."""
    if batch_size == 0:
        raise ValueError(f"{op}: vmap over a batch of size 0 is only supported where the seed alone is batched")
    results = [
        op(*[arg.select(dim, i) if isinstance(dim, int) else arg for arg, dim in zip(args, in_dims, strict=True)])
        for i in range(batch_size)
    ]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    outputs = tuple(torch.stack(output) for output in zip(*results, strict=True))
    return outputs, (0,) * len(outputs)


def register_autograd(
    op: OpOverload,
    setup_context: Callable[[Any, tuple, Outputs], None],
    backward: Callable[..., tuple],
    *,
    saving: OpOverload | None = None,
) -> None:
    """Give `op` a derivative, as `torch.library.register_autograd` does, that `torch.func.grad` can take, too.

    That one makes an ordinary `torch.autograd.Function`, which functorch refuses. A kernel of the dispatcher is
    called for each level of the transforms by itself, so all it needs is a function that records on the level it is on.

    `saving` takes the arguments of `op`, and returns what it returns followed by what the backward pass needs besides.
    It runs in the place of `op` where a gradient is wanted; `setup_context` and `backward` then see all its outputs, so
    that what was saved is differentiated, too.
    """
    recorded = op if saving is None else saving

    class Derivative(_SingleLevelFunction):
        apply: Callable[..., Outputs]

        @staticmethod
        def forward(*args: Any) -> Outputs:
            # A function's forward pass switches recording off, and tangents: for this level, but here for those around
            # it as well.
            with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
                return _below_autograd(recorded, args[-1], args[:-1])

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Outputs) -> None:
            setup_context(ctx, inputs[:-1], output)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple:
            return *backward(ctx, *grads), None

    def kernel(keyset: torch._C.DispatchKeySet, *args: Any) -> Outputs:
        if forward_ad._current_level >= 0:
            _refuse_tangents(op, args)
        if torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            with enable_single_level_autograd_function():
                outputs = Derivative.apply(*args, keyset)
            return outputs if saving is None else outputs[0]
        return _below_autograd(op, keyset, args)

    library = torch.library.Library(op.namespace, "FRAGMENT")
    library.impl(op._opname, kernel, "Autograd", with_keyset=True)
    _libraries.append(library)


def refuse_autograd(op: OpOverload) -> None:
    """Let `op` say that it has no derivative where one is wanted: left alone, PyTorch warns, or takes it for zero."""

    def kernel(keyset: torch._C.DispatchKeySet, *args: Any) -> Outputs:
        if forward_ad._current_level >= 0:
            _refuse_tangents(op, args)
        if torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            raise RuntimeError(
                f"{op}: this operator is for prediction and has no derivative; call it under torch.no_grad(), or train "
                "with those that have one"
            )
        return _below_autograd(op, keyset, args)

    library = torch.library.Library(op.namespace, "FRAGMENT")
    library.impl(op._opname, kernel, "Autograd", with_keyset=True)
    _libraries.append(library)


def _refuse_tangents(op: OpOverload, args: Sequence[Any]) -> None:
    """Say that there is no forward-mode derivative: left alone, PyTorch takes it for zero."""
    if any(isinstance(arg, Tensor) and forward_ad.unpack_dual(arg).tangent is not None for arg in args):
        raise NotImplementedError(
            f"{op}: forward-mode derivatives (torch.func.jvp, jacfwd, hessian) are not implemented; "
            "reverse mode (torch.func.vjp, jacrev) is, in any order"
        )


def _below_autograd(op: OpOverload, keyset: torch._C.DispatchKeySet, args: Sequence[Any]) -> Outputs:
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(keyset & torch._C._after_autograd_keyset, *args)


def call(op: OpOverload, *args: Any) -> Tensor:
    """Call `op`; where no derivative is wanted, past its autograd kernel, whose Python takes a small layer's time."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        return op(*args)
    with torch._C._AutoDispatchBelowAutograd():
        return op(*args)


def register_autocast(op: OpOverload, *, float16: bool = True) -> None:
    """Make `op` cast the floating inputs of `op` to the region's dtype (float64 stays, as in torch's own rules).

    `torch.library.register_autocast` fixes one dtype for good; this follows the dtype the user asked `torch.autocast`
    for. Without `float16`, a region of float16 means float32: for operators whose inputs its range does not hold.
    """
    library = torch.library.Library(op.namespace, "FRAGMENT")
    for device_type in _AUTOCAST_DTYPES:
        library.impl(op._opname, _autocast_kernel(op, device_type, float16), f"Autocast{device_type.upper()}")
    _libraries.append(library)


def _autocast_kernel(op: OpOverload, device_type: str, float16: bool) -> Callable[..., Tensor]:
    key = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, f"Autocast{device_type.upper()}"))

    def kernel(*args: Any) -> Tensor:
        dtype = torch.get_autocast_dtype(device_type)
        if dtype not in _AUTOCAST_DTYPES[device_type] or (dtype == torch.float16 and not float16):
            dtype = torch.float32
        with torch._C._ExcludeDispatchKeyGuard(key):
            return op(*[_cast(arg, dtype) for arg in args])

    return kernel


def _cast(arg: Any, dtype: torch.dtype) -> Any:
    if isinstance(arg, Tensor) and arg.is_floating_point() and arg.dtype != torch.float64:
        return arg.to(dtype)
    return arg

"""How many draws are made at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from bayesops.nn._stochastic import Stochastic

# A chunk is as large as keeps its largest activation within the first of these, so that a few of them fit the cache.
# But a few draws share the cost of a call even where they are larger, up to the second: past 32 MiB glibc maps every
# block afresh, and the page faults cost more than the convolution (measured: 3conv3fc, N = 32).
_CPU_BYTES = 8 * 2**20
_CPU_FEW_BYTES = 32 * 2**20
_FEW_DRAWS = 4
_CUDA_BYTES = 2**30
# Before the first chunk only the input and the model's first weight are known. Where there is none, assume that no
# activation is more than this many times as large as the input.
_ASSUMED_GROWTH = 16


def draws_at_once(activation_bytes: int, weight_bytes: int, device_type: str) -> int:
    """Return the size of a chunk, given the largest activation and the largest weight of one draw."""
    activation = max(1, activation_bytes)
    if device_type == "cuda":  # where all weights of a chunk are written; on the CPU they never are
        return max(1, _CUDA_BYTES // (activation + weight_bytes))
    return max(1, _CPU_BYTES // activation, min(_FEW_DRAWS, _CPU_FEW_BYTES // activation))


def assumed_activation_bytes(model: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    """Return what the largest activation of one draw may take, before any has been made."""
    largest = max(a.numel() * a.element_size() for a in arguments if isinstance(a, Tensor))
    return growth(model) * largest


@dataclass
class LargestActivation:
    """Bytes of the largest output of a module so far; under `torch.vmap` of a single draw."""

    num_bytes: int = 0


@contextmanager
def largest_activation(model: nn.Module) -> Iterator[LargestActivation]:
    """Watch the outputs of all modules of `model` that are tensors."""
    largest = LargestActivation()

    def measure(module: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            largest.num_bytes = max(largest.num_bytes, output.numel() * output.element_size())

    hooks = [module.register_forward_hook(measure) for module in model.modules()]
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()


def drawn_weight_bytes(model: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    """Return what the largest weight takes that one draw of the model writes: masked, sampled, or Flipout's."""
    largest = 0
    for module in model.modules() if isinstance(model, nn.Module) else ():
        weight = _weight(module)
        if (
            isinstance(module, Stochastic)
            and weight is not None
            and getattr(module, "estimator", "") != "local_reparam"
        ):
            copies = len(arguments[0]) if getattr(module, "per_example", False) and arguments[0].dim() else 1
            largest = max(largest, copies * weight.numel() * weight.element_size())
    return largest


def growth(model: Callable[..., Any]) -> int:
    """How much larger than its input a model's first layer is likely to make it: by its channels."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        weight = _weight(module)
        if weight is not None and weight.dim() >= 2:
            return -(-weight.shape[0] // (weight.shape[1] * getattr(module, "groups", 1)))
    return _ASSUMED_GROWTH


def _weight(module: nn.Module) -> Tensor | None:
    weight = getattr(module, "weight", getattr(module, "weight_mu", None))
    return weight if isinstance(weight, Tensor) and not isinstance(weight, UninitializedParameter) else None

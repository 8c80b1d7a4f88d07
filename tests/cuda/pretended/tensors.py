"""Tensors of a device that is not there: they say ``cuda:0``, and the CPU computes."""

import contextlib

import torch
import torch._dynamo  # now: it looks for a device's functions that no pretence has
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

DEVICE = torch.device("cuda", 0)
CPU = torch.device("cpu")
aten = torch.ops.aten
# Results whose size, or whose number, the host must know.
WAITING = {
    aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default,
    aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default, aten.repeat_interleave.Tensor,
}  # fmt: skip
MOVING = {aten._to_copy.default, aten.copy_.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}


class Waiting:
    """As torch's watch for what waits: `torch.cuda.set_sync_debug_mode`."""

    is_error = False

    def set(self, mode):
        self.is_error = mode == "error"

    def note(self, what):
        if self.is_error:
            raise RuntimeError(f"called a synchronizing CUDA operation: {what}")


waiting = Waiting()


class Pretended(torch.Tensor):
    """A tensor on the device; `held` is that of the CPU."""

    @staticmethod
    def __new__(cls, held):
        form = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        self = torch.Tensor._make_wrapper_subclass(cls, held.shape, device=DEVICE, **form)
        self.held = held
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return run(operator, args, kwargs or {})

    def __tensor_flatten__(self):  # a module that is moved looks for it, and then exchanges its parameters as a whole
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(parts, context, size, stride):
        return Pretended(parts["held"])

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")

    def __repr__(self, **options):
        return f"pretended {self.held!r}"

    def __reduce_ex__(self, protocol):
        return _rebuilt, (self.detach().held, self.requires_grad)


class Everywhere(TorchDispatchMode):
    """Sees to what makes tensors, too."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        return run(operator, args, kwargs or {})


def _rebuilt(held, requires_grad):
    return Pretended(held).requires_grad_(requires_grad)


def _held(value):
    return value.held if isinstance(value, Pretended) else value


def _on_device(value):
    return Pretended(value) if isinstance(value, torch.Tensor) and not isinstance(value, Pretended) else value


def run(operator, args, kwargs):
    """Run an operator of torch's dispatcher where its tensors are."""
    if operator is torch.ops.prim.device.default:
        return DEVICE
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    is_here = any(isinstance(tensor, Pretended) for tensor in tensors)
    wanted = kwargs.get("device")
    stays = is_here if wanted is None else torch.device(wanted).type == "cuda"
    if not is_here and not stays:
        return operator(*args, **kwargs)
    if operator in MOVING:
        if not all(isinstance(tensor, Pretended) for tensor in tensors) or not stays:
            waiting.note(operator)
    else:
        _check(operator, args, tensors)
    name = operator.name()
    if operator.namespace == "bayesops" and torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA"):
        return operator.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA), *args, **kwargs)
    results = _on_cpu(operator, *pytree.tree_map(_held, (args, kwargs)))
    if not stays or operator is aten._local_scalar_dense.default:
        return results
    return return_and_correct_aliasing(operator, args, kwargs, pytree.tree_map(_on_device, results))


def _check(operator, args, tensors):
    """Refuse tensors of several devices, but for numbers and indices; and note what waits."""
    elsewhere = [tensor for tensor in tensors if not isinstance(tensor, Pretended)]
    if operator in INDEXING:
        indices = [index for index in args[1] if index is not None]
        if any(index.dtype == torch.bool or not isinstance(index, Pretended) for index in indices):
            waiting.note(operator)
        elsewhere = [tensor for tensor in elsewhere if not any(tensor is index for index in indices)]
    if any(tensor.dim() > 0 for tensor in elsewhere) or (elsewhere and operator.namespace != "aten"):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu ({operator})")
    if operator in WAITING:
        waiting.note(operator)


def _on_cpu(operator, args, kwargs):
    """Do what a CUDA kernel does that the CPU's does not."""
    if "device" in kwargs:
        kwargs["device"] = CPU
        kwargs.pop("pin_memory", None)
    if operator is aten._to_copy.default:
        kwargs.pop("non_blocking", None)
    if operator is aten._conj.default:  # whose mark a wrapper does not have
        return torch.conj_physical(*args)
    if operator in (aten._softmax.default, aten._log_softmax.default) and args[2]:
        return operator(args[0].float(), args[1], False)
    leaves = pytree.tree_leaves((args, kwargs))
    has_half = any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float16 for leaf in leaves)
    if operator.namespace == "bayesops" and has_half:
        return _in_float32(operator, args, kwargs)
    return operator(*args, **kwargs)


def _in_float32(operator, args, kwargs):
    """Run one of our operators, which have no float16 on the CPU."""
    wide = pytree.tree_map_only(torch.Tensor, lambda t: t.float() if t.dtype == torch.float16 else t, args)
    results = operator(*wide, **kwargs)
    for argument, given, computed in zip(operator._schema.arguments, args, wide, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write and given is not computed:
            given.copy_(computed)
    loss = pytree.tree_leaves(results)[0] if "logit_noise" in operator.name() else None  # is float32 on every device
    return pytree.tree_map_only(
        torch.Tensor, lambda t: t.half() if t.dtype == torch.float32 and t is not loss else t, results
    )


class Nothing(contextlib.nullcontext):
    """A stream or a device to be on, with nothing to wait for."""

    def __init__(self, *args):
        super().__init__()

    def synchronize(self, *args):
        """Return: everything is done already."""

    wait_stream = synchronize


def install():
    """Have torch find the device, from now on."""
    cuda, state = torch.cuda, torch.default_generator
    answers = {
        "is_available": True, "is_initialized": True, "device_count": 1, "current_device": 0, "_lazy_init": None,
        "is_current_stream_capturing": False, "is_bf16_supported": True, "synchronize": None, "manual_seed": None,
        "manual_seed_all": None,
    }  # fmt: skip
    for name, answer in answers.items():
        setattr(cuda, name, lambda *args, answer=answer, **kwargs: answer)
    cuda.set_sync_debug_mode, cuda.default_generators = waiting.set, (state,)
    cuda.get_rng_state = lambda *args: state.get_state()
    cuda.set_rng_state = lambda new, *args: state.set_state(new)
    cuda.Stream = cuda.device = Nothing
    cuda.amp.common.amp_definitely_not_available = lambda: False
    torch._C._set_only_lift_cpu_tensors(True)
    Everywhere().__enter__()

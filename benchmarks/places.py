"""Where the suite runs: the CPU, a CUDA device, or nowhere, to try its cases out. Cases ask the same of each."""

from typing import Any, Protocol

import torch
from torch import Tensor

from bayesops.profiling.machine import multiply_add_peak
from benchmarks import cuda, machine
from benchmarks.side_by_side import Clock, HostClock, seconds_of

THREADS = [1, 2] if torch.get_num_threads() > 1 else [1]


class Place(Protocol):
    """A place to run on, with the limits that the cases are divided by."""

    device: torch.device
    clock: Clock

    @property
    def capability(self) -> str:
        """The instruction set in use, or that of the device."""

    def facts(self) -> dict[str, Any]:
        """Describe it."""

    def multiply_add_rate(self, dtype: torch.dtype = torch.float32) -> float:
        """Operations a second, at best."""

    def word_rate(self) -> float:
        """Random words a second."""

    def normal_rate(self) -> float:
        """Normals a second by our generator."""

    def copy_seconds(self, source: Tensor, target: Tensor) -> float:
        """Time of copying a tensor into memory in use."""


class OnCPU:
    """The CPU: its limits are measured beside each case, on the threads of that case."""

    device = torch.device("cpu")
    clock = HostClock()

    @property
    def capability(self) -> str:
        """The instruction set in use."""
        return str(torch.ops.bayesops.cpu_capability())

    def facts(self) -> dict[str, Any]:
        """Describe it."""
        return machine.facts(THREADS)

    def multiply_add_rate(self, dtype: torch.dtype = torch.float32) -> float:
        """Fused multiply-adds in registers."""
        return multiply_add_peak(dtype=dtype)

    def word_rate(self) -> float:
        """Philox words, to a block that stays in cache."""
        return machine.word_rate()

    def normal_rate(self) -> float:
        """Normals, to a block that stays in cache."""
        return machine.normal_rate()

    def copy_seconds(self, source: Tensor, target: Tensor) -> float:
        """The best of ten copies."""
        return min(seconds_of(lambda: target.copy_(source)) for _ in range(10))


class OnDevice:
    """A CUDA device: its limits are measured once, before the cases."""

    def __init__(self) -> None:
        self.device = torch.device("cuda", torch.cuda.current_device())
        cuda.use_best_settings()
        self.clock = cuda.DeviceClock()
        self._ceilings = cuda.measure_ceilings()
        self._facts = cuda.facts(self._ceilings)

    @property
    def capability(self) -> str:
        """The device's."""
        return str(self._facts["capability"])

    def facts(self) -> dict[str, Any]:
        """Describe it."""
        return self._facts

    def multiply_add_rate(self, dtype: torch.dtype = torch.float32) -> float:
        """Those of a large matrix product; of float32 in TF32."""
        return self._ceilings.products[dtype]

    def word_rate(self) -> float:
        """Philox words, stored."""
        return self._ceilings.words

    def normal_rate(self) -> float:
        """Normals, stored."""
        return self._ceilings.normals

    def copy_seconds(self, source: Tensor, target: Tensor) -> float:
        """By the bandwidth of a large copy."""
        return 2 * source.numel() * source.element_size() / self._ceilings.copy_bytes


class Nowhere(OnDevice):
    """Tensors without memory in a device's place: its cases can be tried where there is none."""

    def __init__(self) -> None:
        self.device = torch.device("meta")
        self._ceilings = cuda.Ceilings(1.0, dict.fromkeys(cuda.FORMATS.values(), 1.0), 1.0, 1.0)
        self._facts = {"capability": "none"}

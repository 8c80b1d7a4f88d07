"""The machine that a measurement was made on, and its limits."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bayesops.profiling import cuda


@dataclass(frozen=True)
class Machine:
    """What a measurement must be read with.

    Attributes
    ----------
    cpu : str
        Model and vendor of the processor.
    capability : str
        The instruction set whose kernels run: baseline, avx2, avx512 or avx512_bf16.
    threads : int
        torch's threads.
    python, torch : str
        Versions.
    bernoulli : str
        Which of its two generators `torch.bernoulli` runs here, for the naive loop: "serial", or "MKL" on Intel.
    peak_flops : float or None
        Fused multiply-adds in registers on all threads, operations per second (a multiply-add is two), of bfloat16 if
        the inputs are that; on a CUDA device those of a large matrix product in the dtype of the inputs, of float32 in
        TF32 where convolutions are.
    copy_bytes : float or None
        Bytes per second, read and written, of copying a large tensor, on the device where there is one.
    device : str or None
        The CUDA device that it was measured on.
    """

    cpu: str
    capability: str
    threads: int
    python: str
    torch: str
    bernoulli: str
    peak_flops: float | None = None
    copy_bytes: float | None = None
    device: str | None = None


def describe(seconds: float = 0.0, device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> Machine:
    """Describe this machine; with `seconds`, measure its limits for about so long each, or those of a CUDA `device`."""
    processor = processor_fields()
    on_cuda = device is not None and device.type == "cuda"
    peak_flops: float | None = None
    copy_bytes: float | None = None
    if seconds and on_cuda:
        with torch.cuda.device(device):
            peak_flops, copy_bytes = cuda.product_rate(dtype), cuda.copy_bandwidth()
    elif seconds:
        peak_flops, copy_bytes = multiply_add_peak(seconds, dtype), copy_bandwidth(seconds)
    return Machine(
        cpu=" ".join(filter(None, (processor["model name"], processor.get("vendor_id")))),
        capability=torch.ops.bayesops.cpu_capability(),
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        bernoulli=bernoulli_kind(),
        peak_flops=peak_flops,
        copy_bytes=copy_bytes,
        device=torch.cuda.get_device_name(device) if on_cuda else None,
    )


def best(measured: Sequence[Machine]) -> Machine:
    """Return one of several descriptions of this machine, with the highest of the limits that were measured."""
    return replace(
        measured[0],
        peak_flops=max(machine.peak_flops or 0.0 for machine in measured) or None,
        copy_bytes=max(machine.copy_bytes or 0.0 for machine in measured) or None,
    )


def processor_fields() -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo; ``"model name"`` is there on every system."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.is_file() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return fields | {"model name": fields.get("model name") or platform.processor() or platform.machine()}


def bernoulli_kind() -> str:
    """Say which of its two kernels torch's `bernoulli_` runs: ``"serial"``, or ``"MKL"``.

    MKL's takes one number from torch's generator to start its own streams; the serial one takes one for every element.
    """
    after = []
    for count in (1000, 3000):
        generator = torch.Generator().manual_seed(0)
        torch.empty(count, device="cpu").bernoulli_(0.5, generator=generator)
        after.append(torch.rand((), generator=generator, device="cpu").item())
    return "MKL" if after[0] == after[1] else "serial"


def multiply_add_peak(seconds: float = 0.05, dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of fused multiply-adds in registers, on torch's threads; the best of three.

    Those of float32, which most dtypes are computed in, or of bfloat16: twice as many where the processor has them.
    """
    measure = torch.ops.bayesops.measure_multiply_add_peak
    return max(measure(seconds / 3, dtype == torch.bfloat16) for _ in range(3))


def copy_bandwidth(seconds: float = 0.1, size: int = 2**26) -> float:
    """Bytes per second, read and written, of copying a tensor of `size` bytes on torch's threads; the best."""
    source = torch.ones(size // 4, device="cpu")
    target = torch.empty_like(source)
    target.copy_(source)
    times: list[float] = []
    start = time.perf_counter()
    while not times or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - before)
    return 2 * size / min(times)

"""A CUDA device as a measurement finds it: time by its own clock, and the most that it can do.

Everything here is about torch's current device, and waits for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


def event_seconds(call: Callable[[], object], calls: int = 1) -> float:
    """Time each of `calls` calls in a row, by events on the current stream.

    Of several calls one more goes before those that count: while the device is busy with it, the next is on its way. So
    the pace is measured, and not how long the first kernel takes to arrive.
    """
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    if calls > 1:
        call()
    start.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / calls


def copy_bandwidth(size: int = 2**28) -> float:
    """Bytes per second, read and written, of copying a tensor of `size` bytes; the best of ten times three."""
    source = torch.rand(size // 4, device="cuda")
    target = torch.empty_like(source)
    return 2 * size / min(event_seconds(lambda: target.copy_(source), 3) for _ in range(10))


def product_rate(dtype: torch.dtype, size: int = 4096) -> float:
    """Operations per second of a large matrix product, float32 in TF32 where convolutions are; the best of five."""
    a, b = (torch.randn(size, size, device="cuda").to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    with _tf32_as_in_convolutions():
        return 2 * size**3 / min(event_seconds(lambda: torch.mm(a, b, out=product), 5) for _ in range(5))


@contextmanager
def _tf32_as_in_convolutions() -> Iterator[None]:
    """By default cuDNN's convolutions use TF32, and cuBLAS's products do not."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if torch.backends.cudnn.allow_tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)

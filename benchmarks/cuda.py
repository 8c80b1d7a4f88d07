"""A CUDA device: what it is, the most that it can do, measured in the same run, and its clock."""

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bayesops import _library
from bayesops.profiling.cuda import copy_bandwidth, event_seconds, product_rate
from benchmarks.machine import GIGA, processor, slug
from benchmarks.side_by_side import Turn

TURN_SECONDS = 2e-3  # a turn is as many calls as take this long: events tell half a microsecond
WARM_SECONDS = 0.05  # before it: an idle device has lowered its clocks
ROUNDS = 3
FORMATS = {"TF32": torch.float32, "BF16": torch.bfloat16, "FP16": torch.float16}
DRAWS = [2**22, 2**23, 2**24, 2**26]  # within the device's cache, and beyond


class DeviceClock:
    """The device's clock: a turn is several calls in a row between two events."""

    def __init__(self, timed: Callable[[Callable[[], Any], int], float] = event_seconds) -> None:
        self._timed = timed

    def turn(self, call: Callable[[], Any]) -> Turn:
        """As many calls as take long enough; those before let torch compile, and cuDNN choose."""
        self._timed(call, 1)
        self._timed(call, 1)
        once = self._timed(call, _calls_in(WARM_SECONDS, self._timed(call, 1)))
        calls = _calls_in(TURN_SECONDS, once)
        return Turn(call, calls, calls * once)

    def seconds(self, turn: Turn) -> float:
        """Take a turn; return the time of one call."""
        return self._timed(turn.call, turn.calls)

    def rounds(self, benchmark: Any, turn: Turn, before: Callable[[], None], count: int) -> list[float]:
        """Take `count` turns, each after a call of `before`; pytest-benchmark's own clock does not know the device."""
        own: list[float] = []
        benchmark.pedantic(lambda: own.append(self.seconds(turn)), setup=before, rounds=count, iterations=1)
        return own


def _calls_in(seconds: float, once: float) -> int:
    return max(1, min(1000, round(seconds / max(once, 1e-6))))


@dataclass(frozen=True)
class Ceilings:
    """The most that the device does in a second."""

    copy_bytes: float  # read and written
    products: Mapping[torch.dtype, float]  # operations of a matrix product
    words: float  # of our generator, stored
    normals: float

    @staticmethod
    def best(measured: Sequence["Ceilings"]) -> "Ceilings":
        """Return the highest of each."""
        products = {dtype: max(one.products[dtype] for one in measured) for dtype in measured[0].products}
        copy_bytes, words, normals = (
            max(getattr(one, name) for one in measured) for name in ("copy_bytes", "words", "normals")
        )
        return Ceilings(copy_bytes, products, words, normals)


def measure_ceilings() -> Ceilings:
    """Measure them: the best of several rounds, before which an idle device has lowered its clocks."""
    seed = torch.tensor(0, device="cuda")
    measured = [
        Ceilings(
            copy_bandwidth(2**30),
            {dtype: product_rate(dtype, 8192) for dtype in FORMATS.values()},
            draw_rate(lambda count: torch.ops.bayesops.random_words(seed, [count], 0)),
            draw_rate(lambda count: torch.ops.bayesops.random_normal(seed, [count], 0)),
        )
        for _ in range(ROUNDS)
    ]
    return Ceilings.best(measured)


def draw_rate(draw: Callable[[int], Any], timed: Callable[[Callable[[], Any], int], float] = event_seconds) -> float:
    """Elements a second of what draws and stores so many: the best of several sizes."""
    return max(count / min(timed(lambda count=count: draw(count), 10) for _ in range(5)) for count in DRAWS)


def use_best_settings() -> None:
    """Let cuDNN try its algorithms, and products of float32 be in TF32 as its convolutions are: for both sides."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")


def why_none() -> str | None:
    """Say why the suite cannot run on a CUDA device, or None."""
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else ", which was built without CUDA"
        return f"no CUDA device can be used by torch {torch.__version__}{built}"
    if not _library.has_cuda():
        return "bayesops was built without its CUDA library: build it with BAYESOPS_CUDA=1"
    return None


def facts(ceilings: Ceilings) -> dict[str, Any]:
    """Describe the device and what is around it."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "device": properties.name,
        "kind": slug(properties.name),
        "capability": f"sm_{properties.major}{properties.minor}",
        "memory_gbytes": properties.total_memory / GIGA,
        "driver": driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cpu": processor()[0],
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "copy_gbytes": ceilings.copy_bytes / GIGA,
        "product_tflops": {name: ceilings.products[dtype] / 1e12 for name, dtype in FORMATS.items()},
        "word_gs": ceilings.words / GIGA,
        "normal_gs": ceilings.normals / GIGA,
    }


def driver() -> str:
    """Return the driver's version, as nvidia-smi tells it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return lines[0] if lines else "unknown"

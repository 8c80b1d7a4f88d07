"""What the machine is, and the most it can do: the limits that results are divided by, measured in the same run."""

import platform
import re
import statistics
from pathlib import Path
from typing import Any

import torch

import bayesops._library  # noqa: F401  registers the probe
from benchmarks.side_by_side import seconds_of

_COPY_BYTES = 2**28
GIGA = 1e9


def multiply_add_peak(seconds: float = 0.05) -> float:
    """FLOP/s of fused multiply-adds in registers, on as many threads as torch now uses; the best of three."""
    return max(torch.ops.bayesops.measure_multiply_add_peak(seconds / 3) for _ in range(3))


def copy_bandwidth() -> float:
    """Bytes read and written a second by a copy that fits no cache, on as many threads as torch now uses."""
    source = torch.ones(_COPY_BYTES // 4)
    target = torch.zeros_like(source)
    return 2 * _COPY_BYTES / min(seconds_of(lambda: target.copy_(source)) for _ in range(7))


def word_rate(count: int = 2**18) -> float:
    """Philox words a second on as many threads as torch now uses, written to a block that stays in cache."""
    seed = torch.tensor(0)
    return count / min(seconds_of(lambda: torch.ops.bayesops.random_words(seed, [count], 0)) for _ in range(50))


def bernoulli_kind() -> str:
    """Say which of its two kernels torch's `bernoulli_` runs: serial, or MKL's.

    MKL's takes one number from torch's generator to start its own streams; the serial one takes one for every element.
    """
    after = []
    for count in (1000, 3000):
        generator = torch.Generator().manual_seed(0)
        torch.empty(count).bernoulli_(0.5, generator=generator)
        after.append(torch.rand((), generator=generator).item())
    return "MKL" if after[0] == after[1] else "serial"


def processor() -> tuple[str, str]:
    """Return the processor's name, and a short name of its kind (a virtual machine's name alone may say little)."""
    facts = {}
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().split("\n\n")[0].splitlines():
            key, _, value = line.partition(":")
            facts[key.strip()] = value.strip()
    name = facts.get("model name") or platform.processor() or platform.machine()
    parts = [name] + [f"{letter}{facts[key]}" for letter, key in (("f", "cpu family"), ("m", "model")) if key in facts]
    return name, slug(" ".join(parts))


def slug(text: str) -> str:
    """Make a file name of a processor's name: what sellers add is left out."""
    text = re.sub(r"\((r|tm|c)\)|\bcpu\b|\bprocessor\b|@.*?ghz", " ", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def facts(thread_counts: list[int]) -> dict[str, Any]:
    """Describe the machine and measure its limits for each number of threads."""
    name, kind = processor()
    capability = torch.ops.bayesops.cpu_capability()
    before = torch.get_num_threads()
    peak, copy = {}, {}
    for threads in thread_counts:
        torch.set_num_threads(threads)
        peak[str(threads)] = statistics.median(multiply_add_peak() for _ in range(5)) / GIGA
        copy[str(threads)] = copy_bandwidth() / GIGA
    torch.set_num_threads(1)
    words = word_rate() / GIGA
    torch.set_num_threads(before)
    return {
        "cpu": name,
        "kind": f"{kind}-{capability}",
        "capability": capability,
        "cores": before,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "bernoulli": bernoulli_kind(),
        "multiply_add_gflops": peak,
        "copy_gbytes": copy,
        "philox_gwords": words,
    }

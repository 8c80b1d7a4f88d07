"""What the machine is, and the most it can do: the limits that results are divided by, measured in the same run."""

import platform
import re
import statistics
from typing import Any

import torch

from bayesops.profiling.machine import bernoulli_kind, copy_bandwidth, multiply_add_peak, processor_fields
from benchmarks.side_by_side import seconds_of

COPY_SECONDS, COPY_BYTES = 0.1, 2**28  # large enough for no cache to hold it
GIGA = 1e9


def word_rate(count: int = 2**18) -> float:
    """Philox words a second on as many threads as torch now uses, written to a block that stays in cache."""
    seed = torch.tensor(0)
    return count / min(seconds_of(lambda: torch.ops.bayesops.random_words(seed, [count], 0)) for _ in range(50))


def normal_rate(count: int = 2**17) -> float:
    """Normals a second by our generator on as many threads as torch now uses, to a block that stays in cache."""
    seed = torch.tensor(0)
    return count / min(seconds_of(lambda: torch.ops.bayesops.random_normal(seed, [count], 0)) for _ in range(50))


def processor() -> tuple[str, str]:
    """Return the processor's name, and a short name of its kind (a virtual machine's name alone may say little)."""
    fields = processor_fields()
    name = fields["model name"]
    parts = [name] + [
        f"{letter}{fields[key]}" for letter, key in (("f", "cpu family"), ("m", "model")) if key in fields
    ]
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
        copy[str(threads)] = copy_bandwidth(COPY_SECONDS, COPY_BYTES) / GIGA
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

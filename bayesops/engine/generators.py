"""torch's own generators, for models that draw from them beside ours (its dropout in training mode)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class TorchGenerators:
    """Gives torch's generators of the CPU and of a device the seeds of draws, and their own state back.

    Attributes
    ----------
    are_used : bool or None
        Whether a draw has used them; None before the first draw.
    """

    def __init__(self, device: torch.device) -> None:
        self.are_used: bool | None = None
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generators.append(torch.cuda.default_generators[index])

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Run one draw of a model; nothing is done where draws before have not used the generators."""
        if self.are_used is False:
            yield
            return
        states = [generator.get_state() for generator in self._generators]
        for generator in self._generators:
            generator.manual_seed(seed)
        begin = [generator.get_state() for generator in self._generators]
        try:
            yield
            if self.are_used is None:
                ends = [generator.get_state() for generator in self._generators]
                self.are_used = any(not torch.equal(a, b) for a, b in zip(begin, ends, strict=True))
        finally:
            for generator, state in zip(self._generators, states, strict=True):
                generator.set_state(state)

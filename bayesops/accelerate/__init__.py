"""Models that were built with other libraries: their layers run on our operators, their state dicts are read."""

from bayesops.accelerate._accelerated import Accelerated, accelerate
from bayesops.accelerate._state_dict import import_state_dict

__all__ = ["Accelerated", "accelerate", "import_state_dict"]

"""What sampling costs: a model's T draws beside T deterministic passes and beside a loop in plain PyTorch."""

from bayesops.profiling.layers import LayerCost, Phases
from bayesops.profiling.machine import Machine
from bayesops.profiling.profile import Case, Profile, profile
from bayesops.profiling.timing import Spread

__all__ = ["Case", "LayerCost", "Machine", "Phases", "Profile", "Spread", "profile"]

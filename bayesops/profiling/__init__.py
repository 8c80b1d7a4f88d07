"""What sampling costs, and what it gives: a model's T draws beside T deterministic passes and beside its rivals."""

from bayesops.profiling.accuracy import Accuracy, Needed, Precision
from bayesops.profiling.breakdown import Breakdown, Phases, StepCost
from bayesops.profiling.cases import Case, Way
from bayesops.profiling.flops import flop_formulas
from bayesops.profiling.machine import Machine
from bayesops.profiling.profile import profile
from bayesops.profiling.result import Profile
from bayesops.profiling.timing import Spread

__all__ = [
    "Accuracy",
    "Breakdown",
    "Case",
    "Machine",
    "Needed",
    "Phases",
    "Precision",
    "Profile",
    "Spread",
    "StepCost",
    "Way",
    "flop_formulas",
    "profile",
]

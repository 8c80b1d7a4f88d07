"""T draws of a network as one computation.

`predict` cuts T into chunks (`chunks`), makes them by a traced plan, vmap or a loop (`paths`), and keeps only moments
(`moments`, `quantiles`). A plan (`plan`) is a traced graph (`trace`) of which each node (`nodes`) has become a step
(`steps`) that takes all draws of a chunk. `optimize` does for good what a plan folds.
"""

from bayesops.engine.optimize import optimize
from bayesops.engine.predict import predict
from bayesops.engine.prediction import Prediction

__all__ = ["Prediction", "optimize", "predict"]

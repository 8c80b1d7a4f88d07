"""Fused, seeded sampling operators for Bayesian convolutional networks in PyTorch.

    import bayesops as bo

    model = bo.convert(trained, p=0.1)                     # or build one from bo.nn
    prediction = bo.predict(model.eval(), images, num_samples=100)
    prediction.mean, prediction.variance

Every mask is a pure function of a seed, a stream (the layer) and the element's index: `bo.random` shows it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayesops import (
    _library,  # first of all: the modules below register rules for its operators
    nn,
    ops,
    priors,
    random,
)
from bayesops.accelerate import Accelerated, accelerate, import_state_dict
from bayesops.convert import convert
from bayesops.engine import Prediction, optimize, predict
from bayesops.kl import kl_divergence
from bayesops.sampling import checkpoint_contexts, sampling

if _library.lacks_cuda():
    _library.explain_missing_cuda()

if TYPE_CHECKING:
    from bayesops import acquisition, data, losses, metrics, models, optical, plot, reference
    from bayesops.profiling.profile import profile

__version__ = "0.1.0"
__all__ = [
    "Accelerated",
    "Prediction",
    "accelerate",
    "acquisition",
    "checkpoint_contexts",
    "convert",
    "data",
    "import_state_dict",
    "kl_divergence",
    "losses",
    "metrics",
    "models",
    "nn",
    "ops",
    "optical",
    "optimize",
    "plot",
    "predict",
    "priors",
    "profile",
    "random",
    "reference",
    "sampling",
]

# Not needed by a network that only runs: name, and where it is.
_LAZY = {
    "acquisition": "bayesops.acquisition",
    "data": "bayesops.data",
    "losses": "bayesops.losses",
    "metrics": "bayesops.metrics",
    "models": "bayesops.models",
    "optical": "bayesops.optical",
    "plot": "bayesops.plot",
    "reference": "bayesops.reference",
    "profile": "bayesops.profiling",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'bayesops' has no attribute {name!r}")
    module = import_module(_LAZY[name])
    return module if module.__name__ == f"bayesops.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

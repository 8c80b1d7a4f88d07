"""Pictures of an uncertainty, by matplotlib: every function takes Axes, or makes a figure, and returns the Axes.

A figure that a function makes is nobody's but the caller's: ``ax.figure.savefig(...)``, or ``ax.figure`` at the end of
a notebook's cell. pyplot does not know it, and nothing global is changed. Pictures can be read in grey.
A figure of your own gets the same look within ``matplotlib.rc_context(bo.plot.STYLE)``.
"""

from bayesops.plot.bound import elbo_terms
from bayesops.plot.calibration import interval_calibration, reliability_diagram
from bayesops.plot.convergence import sample_convergence
from bayesops.plot.histograms import entropy_histograms
from bayesops.plot.intervals import class_intervals
from bayesops.plot.maps import uncertainty_maps
from bayesops.plot.posterior import weight_posterior
from bayesops.plot.rejection import precision_recall, risk_coverage
from bayesops.plot.style import STYLE
from bayesops.plot.sweep import sweep

__all__ = [
    "STYLE",
    "class_intervals",
    "elbo_terms",
    "entropy_histograms",
    "interval_calibration",
    "precision_recall",
    "reliability_diagram",
    "risk_coverage",
    "sample_convergence",
    "sweep",
    "uncertainty_maps",
    "weight_posterior",
]

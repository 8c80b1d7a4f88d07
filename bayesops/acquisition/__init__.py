"""Which points of a pool to label next: scores of points, and the choice of a batch.

    scores = bo.acquisition.bald(model.eval(), pool)
    chosen = bo.acquisition.top_k(scores, 10)

Source: Houlsby, Huszár, Ghahramani and Lengyel, "Bayesian active learning for classification and preference learning",
2011; Gal, Islam and Ghahramani, "Deep Bayesian active learning with image data", ICML 2017.
"""

from bayesops.acquisition.batch_bald import AcquiredBatch, batch_bald
from bayesops.acquisition.scores import bald, entropy, random, top_k, variation_ratio

__all__ = ["AcquiredBatch", "bald", "batch_bald", "entropy", "random", "top_k", "variation_ratio"]

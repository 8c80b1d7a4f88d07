"""The random streams as NumPy arrays, from the same compiled generators as the tensors of `bayesops.random`.

Arguments are those of the functions of the same name there; `seed` is an int or an int64 array ``[]`` or ``[S]``.
"""

from bayesops._native import bernoulli_mask, normal, philox4x32, sample_seeds, signs, words

__all__ = ["bernoulli_mask", "normal", "philox4x32", "sample_seeds", "signs", "words"]

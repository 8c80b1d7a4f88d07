"""The negative evidence lower bound, estimated on minibatches."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesops._arguments import check_count, check_number, seed_tensor, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops._messages import first_line
from bayesops.kl import closed_form_kl, gaussian_layers, monte_carlo_kl
from bayesops.random import sample_seeds
from bayesops.sampling import Streams, layer_seed, sampling_many


class ELBOTerms(NamedTuple):
    """An objective and its parts.

    Attributes
    ----------
    loss : Tensor
        ``nll + kl_weight * kl / num_data``, of the dtype of `nll`, ``[]``.
    nll : Tensor
        Negative log likelihood: mean over the batch and the samples, at least float32, ``[]``.
    kl : Tensor
        KL(q || prior) of the whole model, neither weighted nor divided, float64 ``[]``.
    """

    loss: Tensor
    nll: Tensor
    kl: Tensor


class ELBO(nn.Module):
    r"""The negative evidence lower bound for each training example, estimated on a minibatch.

    .. math:: L = \frac{1}{S B} \sum_{s=1}^{S} \sum_{i=1}^{B} -\log p(y_i | x_i, w_s)
              + \frac{\lambda}{N} KL(q(w) \| p(w)), \qquad w_s \sim q

    with a batch of B examples, N = `num_data` and λ = `kl_weight`: −ELBO / N where λ = 1. For batches drawn uniformly
    from the training set its mean is −ELBO / N exactly, whatever B and S. The mean over the batch is `nll`'s: it must
    divide by B, and by nothing else.

    Blundell et al. weigh the M minibatches of an epoch differently (2015, eq. 9): F_i = π_i KL − log p(D_i | w), with
    Σ π_i = 1, for instance π_i = 2^(M−i) / (2^M − 1). Here F_i / B is had by passing ``kl_weight=pi_i * M`` at the call
    (M = N / B); the uniform π_i = 1 / M is λ = 1. Warming up, or tempering, is another `kl_weight` as well.

    Parameters
    ----------
    model : Module
        With at least one Gaussian layer.
    num_data : int
        N, the number of examples in the whole training set (not in the batch).
    kl_weight : float
        λ; may be overruled at each call.
    num_samples : int
        S, the draws of the network for each step. More than one run as one batched call, `torch.vmap` over their seeds.
        The gradient is the mean of the gradients of the single draws. torch's own random layers (`nn.Dropout`) draw for
        each sample.
    nll : callable
        ``nll(model(inputs), target)``: the negative log likelihood, averaged over the batch, a scalar.
    batched : bool
        False makes the draws one after another, for models that `torch.vmap` cannot take (batch normalisation in
        training mode, control flow on the data).

    Raises
    ------
    ValueError
        No Gaussian layer in `model`; `num_data` or `num_samples` below 1.
    TypeError
        A `model` that is no module, a `kl_weight` that is no number.

    Notes
    -----
    The divergence is the closed form where a prior has one. Elsewhere it is log q(w_s) − log p(w_s), averaged over the
    very draws w_s of the forward passes (with ``estimator="weight_sample"``; the other estimators draw no weights, and
    it is estimated at the draws that weight sampling would have made).

    Source: Graves, "Practical variational inference for neural networks", NIPS 2011, eq. 8; Blundell, Cornebise,
    Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML 2015, eqs. 1, 2 and 9.

    Examples
    --------
    >>> elbo = bo.losses.ELBO(model, num_data=len(training_set), num_samples=2)
    >>> elbo(images, labels).backward()
    """

    def __init__(
        self,
        model: nn.Module,
        num_data: int,
        kl_weight: float = 1.0,
        num_samples: int = 1,
        *,
        nll: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
        batched: bool = True,
    ) -> None:
        super().__init__()
        _check_weight(kl_weight)
        gaussian_layers("ELBO", model, "model")
        self.model = model
        self.num_data = check_count("ELBO", "num_data", num_data)
        self.kl_weight = kl_weight
        self.num_samples = check_count("ELBO", "num_samples", num_samples)
        self.nll = nll
        self.batched = batched

    def forward(
        self,
        inputs: Any,
        target: Any,
        *,
        seed: int | Tensor | None = None,
        kl_weight: float | None = None,
    ) -> Tensor:
        """Return the loss alone; arguments as in `terms`."""
        return self.terms(inputs, target, seed=seed, kl_weight=kl_weight).loss

    def terms(
        self,
        inputs: Any,
        target: Any,
        *,
        seed: int | Tensor | None = None,
        kl_weight: float | None = None,
    ) -> ELBOTerms:
        """Compute the loss, and its two terms for those who log them.

        Parameters
        ----------
        inputs : Tensor, or tuple or list
            The argument of the model, or its arguments.
        target : Tensor
            Second argument of `nll`, which may take something else.
        seed : int or int64 Tensor, optional
            An int or ``[]``: the draws are those of ``bayesops.random.sample_seeds(seed, num_samples)``. ``[S]``: one
            seed for each draw. None: the seed of the `bayesops.sampling` block, or a fresh one from torch's generator
            of the target's device (without a tensor: of the model's).
        kl_weight : float, optional
            In place of the constructor's.

        Raises
        ------
        RuntimeError
            Where `torch.vmap` cannot take the model: see `batched`.
        ValueError
            An `nll` that is no scalar, seeds that are not `num_samples`, a weight that is negative or no number.
        """
        arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        layers = gaussian_layers("ELBO", self.model, "model")
        weight = self.kl_weight if kl_weight is None else kl_weight
        _check_weight(weight)
        device = target.device if isinstance(target, Tensor) else next(self.model.parameters()).device
        seeds = self._seeds(seed, device)
        streams = Streams()

        def draw(seed: Tensor) -> tuple[Tensor, ...]:
            with sampling_many(seed, streams):
                nll = self.nll(self.model(*arguments), target)
                if not isinstance(nll, Tensor) or nll.dim() != 0:
                    got = f"shape {tuple(nll.shape)}" if isinstance(nll, Tensor) else type(nll).__name__
                    wrong_value("ELBO", "nll", "a function that returns a scalar, the mean over the batch", got)
                nll = at_least_float32(nll)
                estimate = monte_carlo_kl(layers)
            return (nll,) if estimate is None else (nll, estimate)

        nll, *estimates = self._over_samples(draw, seeds)
        closed = closed_form_kl(layers)
        kl = torch.stack([*estimates, *([] if closed is None else [closed])]).sum()
        return ELBOTerms(nll + (kl * (weight / self.num_data)).to(nll), nll, kl)

    def _seeds(self, seed: int | Tensor | None, device: torch.device) -> Tensor:
        tensor = layer_seed(self, None, device)[0] if seed is None else seed_tensor("ELBO", seed, device)
        if tensor.dim() == 0:
            return sample_seeds(tensor, self.num_samples)
        if len(tensor) != self.num_samples:
            wrong_value(
                "ELBO", "seed", f"one draw, or {self.num_samples} (num_samples)", f"shape {tuple(tensor.shape)}"
            )
        return tensor

    def _over_samples(self, draw: Callable[[Tensor], tuple[Tensor, ...]], seeds: Tensor) -> list[Tensor]:
        """Means of what `draw` returns over the seeds."""
        if len(seeds) == 1:
            return list(draw(seeds[0]))
        if not self.batched:
            return [torch.stack(values).mean(0) for values in zip(*map(draw, seeds.unbind()), strict=True)]
        try:
            samples = torch.vmap(draw, randomness="different")(seeds)
        except Exception as error:
            with torch.no_grad():
                draw(seeds[0])  # a model that is at fault itself fails again, by its own error
            raise RuntimeError(
                f"ELBO: torch.vmap cannot take this model, so its {len(seeds)} samples do not run as one call; with "
                f"batched=False they run one after another ({first_line(error)})"
            ) from error
        return [values.mean(0) for values in samples]

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return f"num_data={self.num_data}, kl_weight={self.kl_weight}, num_samples={self.num_samples}"


def _check_weight(weight: float | Tensor) -> None:
    """Check the weight of the divergence; of a tensor, which may be on a GPU, the number is not looked at."""
    check_number("ELBO", "kl_weight", weight)
    if not isinstance(weight, Tensor) and not 0 <= weight < math.inf:
        wrong_value("ELBO", "kl_weight", "finite and at least 0", weight)

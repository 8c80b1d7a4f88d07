"""Bins of equal width."""

import torch
from torch import Tensor


def equal_edges(upper: float, num_bins: int, device: torch.device) -> Tensor:
    """Return float64 ``[num_bins + 1]`` from 0 to `upper`, each the nearest number to its true place."""
    return torch.arange(num_bins + 1, dtype=torch.float64, device=device) * upper / num_bins


def bin_of(values: Tensor, edges: Tensor) -> Tensor:
    """Return the bin of each value: (edge, next edge], the first with its lower edge; what is outside joins the ends.

    Edges are rounded to the values' dtype, so that 0.8 in float32 is on the edge 0.8 and not above it.
    """
    return (torch.bucketize(values.contiguous(), edges.to(values.dtype)) - 1).clamp_(0, len(edges) - 2)


def counts_of(bins: Tensor, num_bins: int) -> Tensor:
    """Return how many values are in each bin, int64 ``[num_bins]``."""
    return bins.new_zeros(num_bins).index_add_(0, bins, torch.ones_like(bins))


def sums_of(bins: Tensor, values: Tensor, num_bins: int) -> Tensor:
    """Return the sum of the values in each bin, float64 ``[num_bins]``."""
    total = torch.zeros(num_bins, dtype=torch.float64, device=bins.device)
    return total.index_add_(0, bins, values.double())

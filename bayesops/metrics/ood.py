"""Detection of what is out of the training's domain: its uncertainty should be higher."""

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_value
from bayesops.metrics._arguments import check_device, check_not_nan
from bayesops.metrics._torchmetrics import classification
from bayesops.metrics.results import Detection


@torch.no_grad()
def ood_detection(in_domain: Tensor, out_of_domain: Tensor) -> Detection:
    """Compare the scores of two sets of examples.

    Parameters
    ----------
    in_domain : Tensor
        Uncertainty of each example (image, pixel) from the training's domain, of any shape.
    out_of_domain : Tensor
        That of each example from elsewhere: the better a score, the higher it is here.

    Returns
    -------
    Detection
        Areas and rates, in [0, 1].

    Raises
    ------
    ValueError
        An empty tensor, NaN.
    TypeError
        Tensors that are not floating.
    ModuleNotFoundError
        Without torchmetrics: ``pip install 'bayesops[metrics]'``.

    Notes
    -----
    Only the order of the scores matters; equal scores count as half right in the first area, and pass or fail together
    in the others. ROC and precision–recall are torchmetrics': counts are exact, shares are float32. Source: Hendrycks
    and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples in neural networks", ICLR 2017;
    the last number: Liang, Li and Srikant, "Enhancing the reliability of out-of-distribution image detection in neural
    networks", ICLR 2018, where what is in the domain is the positive class.

    Examples
    --------
    >>> digits, clothes = bo.predict(model, digits), bo.predict(model, clothes)
    >>> bo.metrics.ood_detection(digits.mutual_information, clothes.mutual_information).auroc
    """
    for name, scores in (("in_domain", in_domain), ("out_of_domain", out_of_domain)):
        check_floating("ood_detection", name, scores)
        if scores.numel() == 0:
            wrong_value("ood_detection", name, "of at least one element", f"shape {tuple(scores.shape)}")
        check_device("ood_detection", name, scores, in_domain.device)
        check_not_nan("ood_detection", name, scores)
    functional = classification("ood_detection")
    inside, outside = in_domain.flatten(), out_of_domain.flatten()
    both = torch.cat([inside.to(torch.promote_types(inside.dtype, outside.dtype)), outside.to(inside.device)])
    # Ranks in (0, 1) instead of scores: torchmetrics would send scores above 1 through a sigmoid, which makes large
    # ones equal.
    distinct, rank = both.unique(return_inverse=True)
    score = (rank + 1).double() / (len(distinct) + 1)
    is_outside = torch.arange(len(both), device=both.device) >= len(inside)
    return Detection(
        auroc=functional.binary_auroc(score, is_outside.long()).double(),
        aupr_in=functional.binary_average_precision(1 - score, (~is_outside).long()).double(),
        aupr_out=functional.binary_average_precision(score, is_outside.long()).double(),
        fpr95=_pass_rate(rank[: len(inside)], rank[len(inside) :]),
    )


def _pass_rate(inside: Tensor, outside: Tensor) -> Tensor:
    """Return the share outside at or below the lowest threshold that 95 % inside are at or below."""
    place = -(-95 * len(inside) // 100)
    return (outside <= inside.sort().values[place - 1]).double().mean()

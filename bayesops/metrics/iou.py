"""Mean intersection over union of a segmentation."""

import torch
from torch import Tensor

from bayesops._arguments import check_count, wrong_value
from bayesops.engine.prediction import Prediction
from bayesops.metrics._arguments import (
    check_class_range,
    check_classes,
    check_device,
    check_ignore_index,
    check_shape,
    counted,
    probabilities_of,
)
from bayesops.metrics._measure import Measure, Part, Sum
from bayesops.metrics._torchmetrics import classification
from bayesops.metrics.results import IoU


class MeanIoU(Measure[IoU]):
    r"""Intersection over union of each class, over all pixels of all images, and the mean over the classes.

    .. math:: IoU_c = \frac{TP_c}{TP_c + FP_c + FN_c}

    Parameters
    ----------
    num_classes : int
        C, at least 2.
    ignore_index : int
        A target that does not count.

    Raises
    ------
    ValueError
        Fewer than 2 classes.
    TypeError
        `ignore_index` that is not an int.
    ModuleNotFoundError
        Without torchmetrics, which counts: ``pip install 'bayesops[metrics]'``.

    Notes
    -----
    A class that is found neither in targets nor in predictions has none and is not in the mean; one that is predicted
    but never a target has 0. Source: Everingham et al., "The Pascal visual object classes challenge", IJCV 2010,
    section 4.1.2.

    Examples
    --------
    >>> iou = bo.metrics.MeanIoU(num_classes=11)
    >>> for images, labels in loader:
    ...     iou.update(bo.predict(model, images), labels)
    >>> iou.compute().mean
    """

    def __init__(self, num_classes: int, ignore_index: int = -100) -> None:
        self.num_classes = check_count("MeanIoU", "num_classes", num_classes, 2)
        self.ignore_index = check_ignore_index("MeanIoU", ignore_index)
        classification("MeanIoU")
        super().__init__()

    def _fresh_parts(self) -> dict[str, Part]:
        return {"confusion": Sum()}

    @torch.no_grad()
    def update(self, predicted: Tensor | Prediction, target: Tensor) -> "MeanIoU":
        """Count a batch.

        Parameters
        ----------
        predicted : Tensor or Prediction
            Classes, int64 ``[N, *]``; or probabilities (or logits) ``[N, C, *]``, of which the highest is taken.
        target : Tensor
            Classes, int64 ``[N, *]``.

        Returns
        -------
        MeanIoU
            This one.

        Raises
        ------
        ValueError
            Shapes that do not fit, classes out of range, NaN (where it counts).
        TypeError
            Targets that are not integers.
        """
        function = "MeanIoU.update"
        if isinstance(predicted, Prediction) or (isinstance(predicted, Tensor) and predicted.is_floating_point()):
            values = probabilities_of(function, predicted, "predicted")
            if values.shape[1] != self.num_classes:
                wrong_value(function, "predicted", f"of {self.num_classes} classes", f"shape {tuple(values.shape)}")
            counts = counted(function, target, values, self.ignore_index)
            highest, predicted = values.max(1)
            if highest[counts].isnan().any():
                wrong_value(function, "predicted", "free of NaN where targets count", "some")
        else:
            check_classes(function, "predicted", predicted)
            check_classes(function, "target", target)
            check_shape(function, "target", target, predicted.shape)
            check_device(function, "target", target, predicted.device)
            counts = target != self.ignore_index
            or_else = f" or {self.ignore_index} (ignored)"
            check_class_range(function, "target", target, counts, self.num_classes, or_else)
            check_class_range(function, "predicted", predicted, counts, self.num_classes)
        if counts.any():
            matrix = classification(function).multiclass_confusion_matrix(
                predicted[counts].long(), target[counts].long(), self.num_classes, validate_args=False
            )
            self._add(confusion=matrix.long())
        return self

    def compute(self) -> IoU:
        """Return the shares over all that was counted.

        Raises
        ------
        RuntimeError
            Nothing has been counted.
        """
        confusion = self._sum("confusion")
        found = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - found
        per_class = found / union.double()
        return IoU(per_class.nanmean(), per_class, confusion)

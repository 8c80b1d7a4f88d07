"""Intersection over union, against scikit-learn and torchmetrics."""

import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from bayesops import metrics


@pytest.mark.parametrize("size", [(), (6, 7)])
@pytest.mark.parametrize("ignored", [0.0, 0.4])
@pytest.mark.parametrize("form", ["classes", "probabilities"])
def test_scikit_learn_and_torchmetrics(classified, size, ignored, form):
    probabilities, target = classified(n=30, c=5, size=size, ignored=ignored)
    predicted = probabilities.argmax(1)
    iou = metrics.MeanIoU(5)
    given = predicted if form == "classes" else probabilities
    for p, t in zip(given.split(7), target.split(7), strict=True):
        iou.update(p, t)
    found, there = iou.compute(), target >= 0
    pair = target[there].numpy(), predicted[there].numpy()
    assert found.per_class.tolist() == pytest.approx(jaccard_score(*pair, average=None, labels=range(5)).tolist())
    assert found.mean.item() == pytest.approx(jaccard_score(*pair, average="macro", labels=range(5)))
    assert found.confusion.tolist() == confusion_matrix(*pair, labels=range(5)).tolist()
    assert found.accuracy.item() == pytest.approx((pair[0] == pair[1]).mean())
    index = MulticlassJaccardIndex(5, ignore_index=-100)(predicted, target)
    assert found.mean.item() == pytest.approx(index.item())


def test_a_class_that_is_nowhere_is_not_in_the_mean():
    """Class 2 is found nowhere; class 1 is predicted and never a target."""
    found = metrics.MeanIoU(3).update(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0])).compute()
    assert found.per_class[:2].tolist() == pytest.approx([2 / 3, 0])
    assert found.per_class[2].isnan()
    assert found.mean.item() == pytest.approx(1 / 3)


def test_another_ignored_class(classified):
    """A void class is neither a target nor an error; it may still be predicted elsewhere."""
    probabilities, target = classified(c=4)
    found = metrics.MeanIoU(4, ignore_index=3).update(probabilities, target).compute()
    there = target != 3
    expected = metrics.MeanIoU(4).update(probabilities[there], target[there]).compute()
    assert torch.equal(found.confusion, expected.confusion)
    assert found.confusion[3].sum() == 0


def test_what_does_not_count_may_be_anything(classified):
    probabilities, target = classified(ignored=0.5)
    expected = metrics.MeanIoU(4).update(probabilities, target).compute()
    classes = probabilities.argmax(1)
    probabilities[target < 0] = torch.nan
    classes[target < 0] = 99
    assert torch.equal(metrics.MeanIoU(4).update(probabilities, target).compute().confusion, expected.confusion)
    assert torch.equal(metrics.MeanIoU(4).update(classes, target).compute().confusion, expected.confusion)


def test_all_right_and_all_wrong():
    target = torch.tensor([0, 1, 0, 1])
    right, wrong = (metrics.MeanIoU(2).update(p, target).compute() for p in (target, 1 - target))
    assert (right.mean.item(), right.accuracy.item()) == (1, 1)
    assert (wrong.mean.item(), wrong.accuracy.item()) == (0, 0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_classes_of_any_integer_dtype(dtype):
    predicted, target = torch.tensor([0, 1, 2], dtype=dtype), torch.tensor([0, 2, 2], dtype=dtype)
    found = metrics.MeanIoU(3).update(predicted, target).compute()
    assert found.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert found.confusion.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_probabilities_of_any_floating_dtype(classified, dtype):
    probabilities, target = classified(size=(3,), dtype=dtype)
    found = metrics.MeanIoU(4).update(probabilities, target).compute()
    expected = metrics.MeanIoU(4).update(probabilities.argmax(1), target).compute()
    assert torch.equal(found.confusion, expected.confusion)


def test_a_prediction(prediction):
    made, target = prediction(size=(4, 4)), torch.zeros(5, 4, 4, dtype=torch.int64)
    found, expected = (metrics.MeanIoU(3).update(p, target).compute() for p in (made, made.mean))
    assert torch.equal(found.confusion, expected.confusion)


def test_errors(classified, prediction):
    with pytest.raises(ValueError, match="MeanIoU: argument 'num_classes' must be an int of at least 2, got 1"):
        metrics.MeanIoU(1)
    with pytest.raises(TypeError, match="MeanIoU: argument 'ignore_index' must be an int, got None"):
        metrics.MeanIoU(3, None)
    name, update = "MeanIoU.update: argument", metrics.MeanIoU(4).update
    with pytest.raises(ValueError, match=rf"{name} 'predicted' must be a tensor, or a Prediction with link='softmax'"):
        update(prediction(link="identity"), torch.zeros(5, dtype=torch.int64))
    probabilities, target = classified()
    classes = probabilities.argmax(1)
    with pytest.raises(ValueError, match=rf"{name} 'predicted' must be of 4 classes, got shape \(200, 3\)"):
        update(probabilities[:, :3], target)
    with pytest.raises(ValueError, match=f"{name} 'predicted' must be free of NaN where targets count, got some"):
        update(probabilities * torch.nan, target)
    with pytest.raises(ValueError, match=rf"{name} 'predicted' must be in \[0, 4\), got 9"):
        update(classes + 9 * (classes == 0), target)
    with pytest.raises(ValueError, match=rf"{name} 'target' must be in \[0, 4\) or -100 \(ignored\), got 4"):
        update(classes, target + 4 * (target == 0))
    with pytest.raises(ValueError, match=rf"{name} 'target' must be of shape \(200,\), got shape \(200, 1\)"):
        update(classes, target[:, None])
    with pytest.raises(TypeError, match=f"{name} 'target' must be of int64, got torch.float32"):
        update(classes, target.float())
    with pytest.raises(TypeError, match=f"{name} 'predicted' must be a tensor of classes, got list"):
        update([0], target)
    with pytest.raises(RuntimeError, match=f"{name} 'target' must be on the device cpu, got meta"):
        update(classes, target.to("meta"))

"""CamVid: road scenes of which every pixel has a class."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bayesops._arguments import wrong_value
from bayesops._optional import require

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
# As the SegNet tutorial paints them.
CAMVID_COLOURS = (
    "#808080", "#800000", "#c0c080", "#804080", "#3c28de", "#808000", "#c08080", "#404080", "#400080", "#404000",
    "#0080c0",
)  # fmt: skip
UNLABELLED = len(CAMVID_CLASSES)  # in the files


class SegmentedImages(Dataset[tuple[Tensor, Tensor]]):
    """Images, and the class of each of their pixels: a data set of PyTorch, read when it is first used.

    ``images_and_labels[i]`` is a pair: for an int, float32 ``[3, H, W]`` in [0, 1] and int64 ``[H, W]``; for a slice or
    an index tensor the same with a batch in front. A `DataLoader` takes it.

    Parameters
    ----------
    images, labels : sequence of Path
        Files that belong together; all of one size.
    ignore_index : int
        What stands for pixels without a class.

    Attributes
    ----------
    images : Tensor
        uint8 ``[N, 3, H, W]``.
    labels : Tensor
        uint8 ``[N, H, W]``, as in the files: 11 is unlabelled.
    names : list of str
        The files' names without ending.
    """

    def __init__(self, images: list[Path], labels: list[Path], ignore_index: int = -100) -> None:
        self.names = [path.stem for path in images]
        self.ignore_index = ignore_index
        self._files = images, labels
        self._read: tuple[Tensor, Tensor] | None = None

    @property
    def images(self) -> Tensor:
        """All images."""
        return self._content()[0]

    @property
    def labels(self) -> Tensor:
        """The classes of all pixels."""
        return self._content()[1]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int | slice | Tensor) -> tuple[Tensor, Tensor]:
        images, labels = self._content()
        classes = labels[index].long()
        return images[index].float() / 255, classes.where(classes < UNLABELLED, self.ignore_index)

    def _content(self) -> tuple[Tensor, Tensor]:
        if self._read is None:
            images = _stacked(self._files[0], lambda image: np.asarray(image.convert("RGB")).transpose(2, 0, 1))
            labels = _stacked(self._files[1], np.asarray)
            if labels.dim() != 3 or images.shape[-2:] != labels.shape[-2:] or labels.max() > UNLABELLED:
                raise ValueError(
                    f"{self._files[1][0].parent}: classes 0 to {UNLABELLED} of {tuple(images.shape[-2:])} pixels "
                    f"wanted, got shape {tuple(labels.shape[1:])} with values up to {int(labels.max())}"
                )
            self._read = images, labels
        return self._read


@dataclass(frozen=True)
class CamVid:
    """The three parts of CamVid.

    Attributes
    ----------
    train, val, test : SegmentedImages
        367, 101 and 233 images as published.
    classes : tuple of str
        Names of the 11 classes.
    """

    train: SegmentedImages
    val: SegmentedImages
    test: SegmentedImages
    classes: tuple[str, ...] = CAMVID_CLASSES


def camvid(folder: str | Path, ignore_index: int = -100) -> CamVid:
    """Find CamVid in the form of the SegNet tutorial, at any resolution.

    Parameters
    ----------
    folder : str or Path
        With ``train``, ``val`` and ``test``, images (JPEG or PNG), and ``trainannot``, ``valannot`` and ``testannot``,
        PNGs of the same names whose values are classes, 11 where there is none.
    ignore_index : int
        What the labels say where there is no class; not one of the 11 classes.

    Returns
    -------
    CamVid
        Nothing has been read yet: a part is read, whole, when it is first used (16 MB for 100 images of 180 x 240).

    Raises
    ------
    FileNotFoundError
        A folder or a label that is missing.
    ValueError
        An `ignore_index` that is a class; when a part is read: images of different sizes, labels that are no classes.
    ModuleNotFoundError
        Without Pillow, when a part is read.

    Notes
    -----
    Source: Brostow, Fauqueur and Cipolla, "Semantic object classes in video: a high-definition ground truth database",
    Pattern Recognition Letters 2009; the eleven classes and the parts: Badrinarayanan, Kendall and Cipolla, "SegNet",
    PAMI 2017.

    Examples
    --------
    >>> camvid = bo.data.camvid(folder)
    >>> images, labels = camvid.train[:8]
    """
    if 0 <= ignore_index < len(CAMVID_CLASSES):
        wrong_value("camvid", "ignore_index", f"none of the classes 0 to {UNLABELLED - 1}", ignore_index)
    train, val, test = (_part(Path(folder), name, ignore_index) for name in ("train", "val", "test"))
    return CamVid(train, val, test)


def _part(folder: Path, name: str, ignore_index: int) -> SegmentedImages:
    images = sorted(path for path in (folder / name).glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not images:
        raise FileNotFoundError(f"{folder / name}: no images (CamVid as in the SegNet tutorial is wanted)")
    labels = [folder / f"{name}annot" / f"{path.stem}.png" for path in images]
    for path in labels:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, the labels of {name}/{path.stem}")
    return SegmentedImages(images, labels, ignore_index)


def _stacked(paths: list[Path], values: Callable[[Any], np.ndarray]) -> Tensor:
    """Read images into one uint8 tensor ``[N, ...]``."""
    arrays = []
    for path in paths:
        with open_image("camvid", path) as image:
            arrays.append(np.array(values(image), dtype=np.uint8))
        if arrays[-1].shape != arrays[0].shape:
            raise ValueError(f"{path}: shape {arrays[0].shape}, as the others, wanted, got {arrays[-1].shape}")
    return torch.from_numpy(np.stack(arrays))


def open_image(function: str, path: Path) -> Any:
    """Open an image by Pillow, for `function`.

    Raises
    ------
    ModuleNotFoundError
        Without Pillow.
    """
    return require(function, "PIL.Image", "data", "Pillow").open(path)

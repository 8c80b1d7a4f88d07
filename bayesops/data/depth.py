"""Depth from a single image: Make3D and NYU Depth v2, in the form in which they are published."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from bayesops._arguments import wrong_value
from bayesops._optional import require
from bayesops.data.camvid import open_image

Size = tuple[int, int]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DepthImages:
    """A set of images with depths, in two parts, of which each example is read when it is asked for.

    Attributes
    ----------
    name : str
        Which set.
    train, test : Dataset
        Pairs of an image, float32 ``[3, H, W]`` in [0, 1], and its depth, float32 ``[1, H, W]`` in metres, NaN where
        none was measured.
    """

    name: str
    train: Dataset[Pair]
    test: Dataset[Pair]


class _Make3D(Dataset[Pair]):
    def __init__(self, images: list[Path], depths: list[Path], size: Size) -> None:
        self._images, self._depths, self._size = images, depths, size

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Pair:
        loadmat = require("make3d", "scipy.io", "data").loadmat
        with open_image("make3d", self._images[index]) as image:
            image.draft("RGB", self._size[::-1])  # a JPEG of 2272 x 1704 is decoded at a fraction of it
            pixels = np.array(image.convert("RGB")).transpose(2, 0, 1)
        path = self._depths[index]
        grid = loadmat(path).get("Position3DGrid")
        if grid is None or grid.ndim != 3 or grid.shape[2] != 4:
            got = "no such array" if grid is None else f"shape {grid.shape}"
            raise ValueError(f"{path}: Position3DGrid [H, W, 4] wanted, got {got}")
        depth = torch.from_numpy(grid[..., 3].astype(np.float32))
        return _image(torch.from_numpy(pixels), self._size), _depth(depth, self._size)


class _NYUDepth(Dataset[Pair]):
    def __init__(self, file: Path, places: np.ndarray, size: Size | None) -> None:
        self._file, self._places, self._size = file, places, size

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Pair:
        # Opened for each example: an open HDF5 file cannot go to the workers of a DataLoader.
        with closing(_hdf5(self._file)) as content:
            place = int(self._places[index])
            pixels = torch.from_numpy(content["images"][place]).mT.contiguous()  # MATLAB's order is the reverse
            depth = torch.from_numpy(content["depths"][place].astype(np.float32)).mT
        size = self._size or (pixels.shape[-2], pixels.shape[-1])
        return _image(pixels, size), _depth(depth, size)


def make3d(folder: str | Path, size: Sequence[int] = (240, 180)) -> DepthImages:
    """Find Make3D: 400 images to train and 134 to test, with the depths of a laser scanner.

    Parameters
    ----------
    folder : str or Path
        With ``Train400Img/img-*.jpg`` and ``Train400Depth/depth_sph_corr-*.mat``; ``Test134/img-*.jpg`` and their
        depths in ``Test134Depth`` (or ``Gridlaserdata``, as the archive unpacks).
    size : pair of int
        Height and width that images are scaled to; they are upright, 2272 x 1704. Depths, 55 x 305, are brought to this
        size by their nearest neighbours.

    Returns
    -------
    DepthImages
        In the order of the names.

    Raises
    ------
    FileNotFoundError
        No images, or an image without a depth.
    ValueError
        A `size` that is none; when an example is read: a file without Position3DGrid.
    ModuleNotFoundError
        Without Pillow or scipy, when an example is read.

    Notes
    -----
    The scanner does not see beyond about 80 m, and puts there what is further away: studies count depths below 70 m.
    Source: Saxena, Sun and Ng, "Make3D: learning 3D scene structure from a single still image", PAMI 2009.
    """
    folder, wanted = Path(folder), _checked("make3d", size)

    def part(images: str, *depths: str) -> _Make3D:
        found = sorted((folder / images).glob("img-*.jpg"))
        if not found:
            raise FileNotFoundError(f"{folder / images}: no images img-*.jpg")
        return _Make3D(found, [_depth_file(folder, depths, path) for path in found], wanted)

    return DepthImages("Make3D", part("Train400Img", "Train400Depth"), part("Test134", "Test134Depth", "Gridlaserdata"))


def _depth_file(folder: Path, depths: Sequence[str], image: Path) -> Path:
    name = f"depth_sph_corr-{image.stem.removeprefix('img-')}.mat"
    for candidate in depths:
        if (folder / candidate / name).is_file():
            return folder / candidate / name
    raise FileNotFoundError(f"{folder / depths[0] / name}: no such file, the depth of {image.name}")


def nyu_depth_v2(file: str | Path, splits: str | Path | None = None, size: Sequence[int] | None = None) -> DepthImages:
    """Find NYU Depth v2: 795 images of rooms to train and 654 to test, with the depths of a Kinect.

    Parameters
    ----------
    file : str or Path
        ``nyu_depth_v2_labeled.mat``, an HDF5 file.
    splits : str or Path, optional
        ``splits.mat``, which says which images are which; unless given, it is looked for beside `file`.
    size : pair of int, optional
        Height and width that images are scaled to (depths to their nearest neighbours); otherwise 480 x 640.

    Returns
    -------
    DepthImages
        In the order of the splits. Depths are those whose holes the authors have filled.

    Raises
    ------
    FileNotFoundError
        One of the files is missing.
    ValueError
        A `size` that is none, a file without images and depths, splits of images that it does not have.
    ModuleNotFoundError
        Without h5py or scipy.

    Notes
    -----
    Source: Silberman, Hoiem, Kohli and Fergus, "Indoor segmentation and support inference from RGBD images", ECCV 2012.
    """
    loadmat = require("nyu_depth_v2", "scipy.io", "data").loadmat
    file = Path(file)
    splits = file.with_name("splits.mat") if splits is None else Path(splits)
    for path in (file, splits):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    wanted = None if size is None else _checked("nyu_depth_v2", size)
    with closing(_hdf5(file)) as content:
        if not {"images", "depths"} <= set(content):
            raise ValueError(f"{file}: images and depths wanted, got {', '.join(sorted(content))}")
        count = len(content["images"])
    numbers = loadmat(splits)
    places = [numbers[name].ravel().astype(np.int64) - 1 for name in ("trainNdxs", "testNdxs")]
    for part in places:
        if len(part) and not (part.min() >= 0 and part.max() < count):
            raise ValueError(f"{splits}: numbers 1 to {count}, of the images in {file.name}, wanted, got others")
    return DepthImages("NYU Depth v2", *(_NYUDepth(file, part, wanted) for part in places))


def _hdf5(file: Path) -> Any:
    return require("nyu_depth_v2", "h5py", "data").File(file, "r")


def _checked(function: str, size: Sequence[int]) -> Size:
    values = tuple(size)
    if len(values) != 2 or not all(isinstance(value, int) and value >= 1 for value in values):
        wrong_value(function, "size", "height and width, ints of at least 1", size)
    return values[0], values[1]


def _image(pixels: Tensor, size: Size) -> Tensor:
    """Make uint8 ``[3, H, W]`` float32 in [0, 1] of another size."""
    scaled = pixels[None].float() / 255
    if scaled.shape[-2:] != size:
        scaled = functional.interpolate(scaled, size, mode="bilinear", align_corners=False, antialias=True)
    return scaled[0].clamp(0, 1)


def _depth(depth: Tensor, size: Size) -> Tensor:
    """Make ``[H, W]`` in metres ``[1, H, W]`` of another size, by nearest neighbours: there is nothing in between."""
    scaled = functional.interpolate(depth[None, None], size, mode="nearest-exact")[0]
    return scaled.where(scaled > 0, torch.nan)

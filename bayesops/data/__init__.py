"""Data sets, read from their published files, and corruptions of images: for studies, the demo and the tests.

Nothing is downloaded: every function takes the folder where the files are.
"""

from bayesops.data.camvid import CAMVID_CLASSES, CAMVID_COLOURS, CamVid, SegmentedImages, camvid
from bayesops.data.cifar import cifar10, cifar100
from bayesops.data.corruptions import CORRUPTIONS, corrupt
from bayesops.data.depth import DepthImages, make3d, nyu_depth_v2
from bayesops.data.digits import digits, mnist
from bayesops.data.idx import read_idx
from bayesops.data.labelled import LabelledImages
from bayesops.data.spatter import spatter
from bayesops.data.uci import RegressionSplit, UCISettings, uci_settings, uci_split

__all__ = [
    "CAMVID_CLASSES",
    "CAMVID_COLOURS",
    "CORRUPTIONS",
    "CamVid",
    "DepthImages",
    "LabelledImages",
    "RegressionSplit",
    "SegmentedImages",
    "UCISettings",
    "camvid",
    "cifar10",
    "cifar100",
    "corrupt",
    "digits",
    "make3d",
    "mnist",
    "nyu_depth_v2",
    "read_idx",
    "spatter",
    "uci_settings",
    "uci_split",
]

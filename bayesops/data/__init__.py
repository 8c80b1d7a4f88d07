"""Data sets, read from their published files, and corruptions of images: for studies, the demo and the tests.

Nothing is downloaded: every function takes the folder where the files are.
"""

from bayesops.data.cifar import cifar10, cifar100
from bayesops.data.corruptions import CORRUPTIONS, corrupt
from bayesops.data.digits import digits, mnist
from bayesops.data.idx import read_idx
from bayesops.data.labelled import LabelledImages
from bayesops.data.spatter import spatter
from bayesops.data.uci import RegressionSplit, UCISettings, uci_settings, uci_split

__all__ = [
    "CORRUPTIONS",
    "LabelledImages",
    "RegressionSplit",
    "UCISettings",
    "cifar10",
    "cifar100",
    "corrupt",
    "digits",
    "mnist",
    "read_idx",
    "spatter",
    "uci_settings",
    "uci_split",
]

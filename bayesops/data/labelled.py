"""What every set of labelled images is given as."""

from dataclasses import dataclass

from torch import Tensor

from bayesops._arguments import check_count


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and their classes, split in two.

    Attributes
    ----------
    name : str
        Where they come from.
    train_images, test_images : Tensor
        float32 ``[N, C, H, W]`` in [0, 1].
    train_labels, test_labels : Tensor
        int64 ``[N]``.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def subset(self, num_train: int, num_test: int) -> "LabelledImages":
        """Return the first images of each part.

        Parameters
        ----------
        num_train, num_test : int
            How many; all of them where there are fewer.

        Raises
        ------
        ValueError, TypeError
            A number that is negative or no int.
        """
        for argument, value in (("num_train", num_train), ("num_test", num_test)):
            check_count("subset", argument, value, 0)
        return LabelledImages(
            self.name,
            self.train_images[:num_train],
            self.train_labels[:num_train],
            self.test_images[:num_test],
            self.test_labels[:num_test],
        )

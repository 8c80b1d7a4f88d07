"""`bayesops demo`: a small Bernoulli CNN on real digits, from training to intervals, and what its sampling costs."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesops.cli._arguments import UsageError, check_files, check_picture, positive_int, probability, seed, set_threads

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bayesops.data import LabelledImages

# What is enough of MNIST for two cores and two minutes.
_TRAIN_IMAGES, _TEST_IMAGES = 8000, 500
_BATCH = 64
# (row of the table, corruption, strength)
_CONDITIONS = (
    ("clean", "noise", 0.0),
    ("Gaussian noise, σ = 0.3", "noise", 0.3),
    ("two fifths black", "occlusion", 0.4),
)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "demo",
        help="train on digits, predict with uncertainty, show what the sampling costs",
        description="Train a small Bernoulli CNN on digits and predict clean and damaged ones with T draws.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="MNIST idx files; otherwise scikit-learn's digits")
    parser.add_argument("--samples", type=positive_int, default=100, metavar="T", help="draws")
    parser.add_argument("--epochs", type=positive_int, help="default: 30, for MNIST 3")
    parser.add_argument("--p", type=probability, default=0.3, help="probability of dropping a weight")
    parser.add_argument("--seed", type=seed, default=0, help="of training, draws and damage")
    parser.add_argument("--threads", type=positive_int, help="torch's threads")
    parser.add_argument("--output", type=Path, default=Path("demo.png"), metavar="FILE.png", help="the picture")
    parser.add_argument("--quiet", action="store_true", help="print nothing, only write the picture")
    parser.set_defaults(run=run)


@dataclass(frozen=True, eq=False)
class Answers:
    """What the network says of a set of images.

    Attributes
    ----------
    accuracy : float
        Share of right answers.
    entropy, right_entropy, wrong_entropy : float
        Mean entropy of the predictive probabilities in nats: of all images, of the right answers, of the wrong ones
        (NaN where there are none).
    entropies : Tensor
        Of each image.
    right : Tensor
        bool, for each image.
    """

    accuracy: float
    entropy: float
    right_entropy: float
    wrong_entropy: float
    entropies: "Tensor"
    right: "Tensor"


@dataclass(frozen=True, eq=False)
class Portrait:
    """One image and the draws of its class probabilities ``[T, classes]``."""

    image: "Tensor"
    label: int
    draws: "Tensor"


def run(options: argparse.Namespace) -> None:
    """Train, predict, show and draw."""
    import torch

    from bayesops import profiling
    from bayesops.cli import _figures, _render
    from bayesops.data import corrupt

    check_files([options.output])
    check_picture(options.output)
    set_threads(options.threads)
    torch.manual_seed(options.seed)
    images = _load(options.data)
    out = _render.console()
    out.quiet = options.quiet
    out.print(
        f"{images.name}: {len(images.train_images)} images to train, {len(images.test_images)} to test, "
        f"{images.test_images.shape[-1]} pixels a side"
    )

    model = network(images.test_images.shape[-1], options.p)
    train(model, images, options.epochs or (30 if options.data is None else 3), options.quiet)
    answers = {}
    for name, kind, strength in _render.bar("predict", items=_CONDITIONS, quiet=options.quiet):
        damaged = corrupt(images.test_images, kind, strength, seed=options.seed)
        answers[name] = ask(model, damaged, images.test_labels, options.samples, options.seed)
    title = f"Predictions: mean of T = {options.samples} draws; mean entropies in nats"
    out.print(
        _render.table(
            title,
            ["test images", "right", "entropy", "of right answers", "of wrong answers"],
            ([name, f"{100 * a.accuracy:.1f} %", *map(_number, _entropies(a))] for name, a in answers.items()),
            text_columns=1,
        )
    )

    with _render.bar("cost", quiet=options.quiet) as progress:

        def step(done: int, total: int, what: str) -> None:
            progress.total, progress.n = total, done
            progress.set_description(f"cost: {what}")

        cost = profiling.profile(
            model, images.test_images, options.samples, (1, 32), seed=options.seed, seconds=1.0, rivals=(),
            layers=False, accuracy=False, name="demo", progress=step,
        )  # fmt: skip
    out.print(_render.case_table(cost.cases, "Cost of the draws: T passes without masks = 1.00"))
    out.print(_render.machine_line(cost.machine), soft_wrap=True)

    clean = answers[_CONDITIONS[0][0]]
    portraits = [portrait(model, images, index, options) for index in (most_certain(clean), most_uncertain(clean))]
    _figures.demo(portraits, options.samples, options.output)
    out.print(f"The intervals of a certain and an uncertain digit are in {options.output}")


def network(image_size: int, p: float) -> "nn.Sequential":
    """Three masked convolutions and two masked linear layers for images ``[N, 1, image_size, image_size]``.

    Each training example has a mask of its own (Gal and Ghahramani, 2016).
    """
    from torch import nn

    from bayesops.nn import BernoulliConv2d, BernoulliLinear

    options: dict[str, Any] = {"p": p, "per_example": True}
    large = image_size >= 16
    return nn.Sequential(
        BernoulliConv2d(1, 32, 3, padding=1, **options), nn.ReLU(), nn.MaxPool2d(2) if large else nn.Identity(),
        BernoulliConv2d(32, 32, 3, padding=1, **options), nn.ReLU(), nn.MaxPool2d(2),
        BernoulliConv2d(32, 64, 3, padding=1, **options), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        BernoulliLinear(64 * (image_size // (8 if large else 4)) ** 2, 64, **options), nn.ReLU(),
        BernoulliLinear(64, 10, **options),
    )  # fmt: skip


def train(model: "nn.Sequential", images: "LabelledImages", epochs: int, quiet: bool = False) -> None:
    """Train, and leave the model ready to predict, with one mask per draw for the whole batch."""
    import torch
    from torch.nn import functional

    from bayesops.cli import _render
    from bayesops.nn import BernoulliConv2d, BernoulliLinear

    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=epochs)
    with _render.bar("train", total=epochs, quiet=quiet) as progress:
        for _ in range(epochs):
            for batch in torch.randperm(len(images.train_images)).split(_BATCH):
                loss = functional.cross_entropy(model(images.train_images[batch]), images.train_labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
            progress.update()
            progress.set_postfix(loss=f"{loss.item():.3f}")
    model.eval()
    for layer in model:
        if isinstance(layer, (BernoulliConv2d, BernoulliLinear)):
            layer.per_example = False


def ask(model: "nn.Module", images: "Tensor", labels: "Tensor", num_samples: int, seed: int) -> Answers:
    """Predict `images` with `num_samples` draws and judge the answers."""
    from bayesops.engine import predict

    mean = predict(model, images, num_samples, seed).mean
    right = mean.argmax(1) == labels
    entropies = entropy(mean)
    return Answers(
        right.float().mean().item(),
        entropies.mean().item(),
        entropies[right].mean().item(),
        entropies[~right].mean().item(),
        entropies,
        right,
    )


def entropy(probabilities: "torch.Tensor") -> "torch.Tensor":
    """Entropy in nats of ``[N, classes]``."""
    import torch

    return torch.special.entr(probabilities).sum(1)


def most_certain(answers: Answers) -> int:
    """Index of the right answer of least entropy (of any, should none be right)."""
    candidates = answers.entropies.clone()
    if answers.right.any():
        candidates[~answers.right] = float("inf")
    return int(candidates.argmin())


def most_uncertain(answers: Answers) -> int:
    """Index of the answer of largest entropy."""
    return int(answers.entropies.argmax())


def portrait(model: "nn.Module", images: "LabelledImages", index: int, options: argparse.Namespace) -> Portrait:
    """Draw the class probabilities of one test image again, keeping the draws."""
    from bayesops.engine import predict

    image = images.test_images[index]
    draws = predict(model, image[None], options.samples, options.seed, return_samples=True).samples
    assert draws is not None
    return Portrait(image[0], int(images.test_labels[index]), draws[:, 0])


def _load(folder: Path | None) -> "LabelledImages":
    from bayesops import data

    if folder is None:
        return data.digits()
    try:
        images = data.mnist(folder).subset(_TRAIN_IMAGES, _TEST_IMAGES)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not len(images.train_images) or not len(images.test_images) or images.test_images.shape[-1] < 4:
        raise UsageError(f"{folder}: images to train and to test are wanted, of 4 pixels a side or more")
    return images


def _entropies(answers: Answers) -> tuple[float, float, float]:
    return answers.entropy, answers.right_entropy, answers.wrong_entropy


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"

"""A Bayesian CNN with Bayes by Backprop (Shridhar, Laumann and Liwicki, 2019), beside the same CNN without.

LeNet-5 and AlexNet in its form for small images, as they are, and with normally distributed weights, by local
reparameterisation, the variance of a weight being alpha times its squared mean. The authors' activation is softplus;
here it is ReLU, which learns sooner. Three parts can be run apart:

    accuracy     all training images: accuracy, likelihood, calibration; training against validation in their course
    overfitting  the same with few images and many epochs: how far training and validation part
    posterior    LeNet-5, many epochs: the posterior of one weight, and how its standard deviation declines

    python examples/study_bayes_by_backprop.py --out results           # BAYESOPS_DATA has mnist/
    python examples/study_bayes_by_backprop.py --out results --data cifar10 --part accuracy

All parts take about 20 minutes on two cores. For the other data the folder has cifar-10-batches-bin/ or
cifar-100-binary/, as these are published.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional
from tqdm import tqdm

import bayesops as bo
from bayesops import data

NAME = "bayes_by_backprop"
FOLDERS = {"mnist": "mnist", "cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}
NETWORKS = {"lenet5": "LeNet-5", "alexnet": "AlexNet"}
KINDS = ("frequentist", "Bayesian")
EPOCHS_SHOWN = (1, 5, 20, 50, 100)
BATCH, LEARNING_RATE = 128, 1e-3
DELTA = 0.5  # the first standard deviations, in units of the means
POSTERIOR = {"variance": "alpha", "prior": bo.priors.LogUniform(), "bias_prior": bo.priors.Gaussian(0.0, 1.0)}


@dataclass(frozen=True)
class Sizes:
    """What is enough for two cores."""

    epochs: dict  # of the part "accuracy"
    train: int = 60000
    validation: int = 5000
    test: int = 10000
    draws: int = 20
    few: int = 1000  # images that are over-fitted
    few_epochs: int = 100
    posterior: int = 10000  # images
    posterior_epochs: int = 100
    looked_at: int = 2000  # images of training and of validation whose accuracies are followed, by few draws
    looking_draws: int = 5
    looks: int = 25  # at most, in the course of a training


FULL = Sizes({"lenet5": 20, "alexnet": 8})
QUICK = Sizes(
    {"lenet5": 5, "alexnet": 3}, train=2500, validation=500, test=500, draws=10, few=100, few_epochs=10, posterior=500,
    posterior_epochs=5, looked_at=500, looks=3,
)  # fmt: skip


def load(which, sizes):
    """Return images of 32 x 32 pixels, and the number of classes."""
    folder = os.environ.get("BAYESOPS_DATA")
    if not folder:
        sys.exit("BAYESOPS_DATA is not set: it names the folder that holds mnist/, or the published folders of CIFAR")
    images = getattr(data, which)(Path(folder) / FOLDERS[which]).subset(sizes.train, sizes.test)
    border = (32 - images.train_images.shape[-1]) // 2
    parts = [functional.pad(part, (border,) * 4) for part in (images.train_images, images.test_images)]
    return data.LabelledImages(images.name, parts[0], images.train_labels, parts[1], images.test_labels)


def network(name, kind, images):
    options = {"in_channels": images.train_images.shape[1], "num_classes": int(images.train_labels.max()) + 1}
    if name == "lenet5":
        options["image_size"] = 32
    model = bo.models.build(name, activation=nn.ReLU, **options)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")  # with torch's own, AlexNet is slow to start
        else:
            nn.init.zeros_(parameter)
    return bo.convert(model, "gaussian", delta=DELTA, **POSTERIOR) if kind == "Bayesian" else model


def is_bayesian(model):
    return any(isinstance(layer, (bo.nn.GaussianConv2d, bo.nn.GaussianLinear)) for layer in model)


def train(model, images, labels, epochs, what, after_epoch):
    objective = bo.losses.ELBO(model, len(images)) if is_bayesian(model) else cross_entropy_of(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    with tqdm(total=epochs, desc=what, disable=None, leave=False) as bar:
        for epoch in range(1, epochs + 1):
            for batch in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad()
                objective(images[batch], labels[batch]).backward()
                optimizer.step()
            after_epoch(epoch)
            bar.update()


def cross_entropy_of(model):
    return lambda images, labels: functional.cross_entropy(model(images), labels)


def probabilities(model, images, num_samples, seed):
    batches = list(images.split(1000))
    if is_bayesian(model):
        return bo.predict(model, batches, num_samples, seed).mean
    with torch.no_grad():
        return torch.cat([model(batch).softmax(1) for batch in batches])


def followed(model, training, validation, epochs, what, sizes, seed):
    """Train, and look at both accuracies on the way."""
    looks = {int(epoch) for epoch in np.linspace(1, epochs, min(epochs, sizes.looks)).round()}
    curve = {"epochs": [], "training": [], "validation": []}

    def look(epoch):
        if epoch in looks:
            curve["epochs"].append(epoch)
            for part, (images, labels) in (("training", training), ("validation", validation)):
                images, labels = images[: sizes.looked_at], labels[: sizes.looked_at]
                answers = probabilities(model, images, sizes.looking_draws, seed).argmax(1)
                curve[part].append((answers == labels).double().mean().item())

    begun = time.perf_counter()
    train(model, *training, epochs, what, look)
    return {"training_images": len(training[0]), "seconds": time.perf_counter() - begun, "curve": curve}


def compared(images, num_images, epochs, sizes, seed):
    """Train each network in both forms with the first `num_images`; the last of the training images are validation."""
    training = tuple(part[: -sizes.validation][:num_images] for part in (images.train_images, images.train_labels))
    validation = images.train_images[-sizes.validation :], images.train_labels[-sizes.validation :]
    results = {}
    for name, title in NETWORKS.items():
        for kind in KINDS:
            torch.manual_seed(seed)
            model, what = network(name, kind, images), f"{kind} {title}"
            results[what] = followed(model, training, validation, epochs[name], what, sizes, seed)
            predicted = probabilities(model, images.test_images, sizes.draws, seed)
            scores = bo.metrics.ClassificationScores().update(predicted, images.test_labels).compute()
            calibration = bo.metrics.Reliability().update(predicted, images.test_labels).compute()
            results[what]["test"] = {
                "accuracy": scores.accuracy.item(),
                "negative_log_likelihood": scores.negative_log_likelihood.item(),
                "ece": calibration.ece.item(),
            }
    return results


def accuracy(images, sizes, seed):
    return compared(images, len(images.train_images), sizes.epochs, sizes, seed)


def overfitting(images, sizes, seed):
    return compared(images, sizes.few, dict.fromkeys(NETWORKS, sizes.few_epochs), sizes, seed)


def posterior(images, sizes, seed):
    """Follow the weights of the first layer."""
    torch.manual_seed(seed)
    model = network("lenet5", "Bayesian", images)
    layer, means, deviations = model[0], [], []

    def remember(epoch):
        means.append(layer.weight_mu.detach().flatten().clone())
        deviations.append((layer.weight_log_alpha.detach().flatten() / 2).exp() * means[-1].abs())

    begun = time.perf_counter()
    training = images.train_images[: sizes.posterior], images.train_labels[: sizes.posterior]
    train(model, *training, sizes.posterior_epochs, "posterior", remember)
    weight = (means[-1].abs() / deviations[-1]).argmax()  # of which the data tell most
    return {
        "training_images": len(training[0]),
        "seconds": time.perf_counter() - begun,
        "weight": weight.item(),
        "mean": torch.stack(means)[:, weight].tolist(),
        "deviation": torch.stack(deviations)[:, weight].tolist(),
        "median_deviation_of_the_layer": torch.stack(deviations).median(1).values.tolist(),
    }


def show(console, part, found, epochs):
    if part == "posterior":
        columns, rows = ("epoch", "mean", "deviation", "median deviation of the layer"), []
        for epoch in epochs:
            values = (found[key][epoch - 1] for key in ("mean", "deviation", "median_deviation_of_the_layer"))
            rows.append([str(epoch), *(f"{value:.4f}" for value in values)])
    else:
        columns = ("", "images", "epochs", "training, %", "validation, %", "test, %", "nats", "ECE, %", "seconds")
        rows = []
        for name, one in found.items():
            shares = [one["curve"]["training"][-1], one["curve"]["validation"][-1], one["test"]["accuracy"]]
            scores = [f"{one['test']['negative_log_likelihood']:.4f}", f"{100 * one['test']['ece']:.2f}"]
            size = [str(one["training_images"]), str(one["curve"]["epochs"][-1])]
            rows.append([name, *size, *(f"{100 * share:.2f}" for share in shares), *scores, f"{one['seconds']:.0f}"])
    table = Table(title=part, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def curves(found, sizes):
    """Draw training and validation accuracy, a panel for each network; shaded is the error of so many images."""
    with matplotlib.rc_context(bo.plot.STYLE):
        axes = Figure(figsize=(9, 3.4), layout="constrained").subplots(1, len(NETWORKS))
        for ax, title in zip(axes, NETWORKS.values(), strict=True):
            lines, errors = {}, {}
            for kind in KINDS:
                one = found[f"{kind} {title}"]
                counts = {
                    "training": min(sizes.looked_at, one["training_images"]),
                    "validation": min(sizes.looked_at, sizes.validation),
                }
                for side, count in counts.items():
                    shares = torch.tensor(one["curve"][side])
                    lines[f"{kind}, {side}"] = 100 * shares
                    errors[f"{kind}, {side}"] = 100 * (shares * (1 - shares) / count).sqrt()
            bo.plot.sweep(one["curve"]["epochs"], lines, errors, xlabel="epoch", ylabel="accuracy, %", ax=ax)
            ax.locator_params(axis="x", integer=True)
            ends = min(float(line[-1]) for line in lines.values())
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, ends - 5), min(high, 100.5))  # not from the first epoch's accuracy
            ax.set_title(title)
    return axes[0].figure


def weight_picture(found, shown):
    history = dict(enumerate(zip(found["mean"], found["deviation"], strict=True), start=1))
    return bo.plot.weight_posterior(history, shown)[0].figure


def main(arguments=None):
    parts = {"accuracy": accuracy, "overfitting": overfitting, "posterior": posterior}
    parser = argparse.ArgumentParser(description="Bayesian CNNs by Bayes by Backprop, beside frequentist ones.")
    parser.add_argument("--data", choices=FOLDERS, default="mnist")
    parser.add_argument("--part", choices=parts, nargs="+", default=list(parts), help="others' figures are kept")
    parser.add_argument("--quick", action="store_true", help="few images, few epochs: within a minute")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    images = load(options.data, sizes)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = NAME if options.data == "mnist" else f"{NAME}_{options.data}"
    file, console = options.out / f"{stem}.json", Console(width=None if sys.stdout.isatty() else 110)
    results = json.loads(file.read_text()) if file.exists() else {}
    shown = [epoch for epoch in EPOCHS_SHOWN if epoch <= sizes.posterior_epochs]
    for part in options.part:
        begun, given = time.perf_counter(), sys.argv[1:] if arguments is None else arguments
        found = parts[part](images, sizes, options.seed)
        results[part] = {
            "command": " ".join(["python", f"examples/study_{NAME}.py", *given]), "seed": options.seed,
            "torch": torch.__version__, "threads": torch.get_num_threads(),
            "seconds": time.perf_counter() - begun, "found": found,
        }  # fmt: skip
        file.write_text(json.dumps(results, indent=1) + "\n")
        show(console, part, found, shown)
        figure = weight_picture(found, shown) if part == "posterior" else curves(found, sizes)
        figure.savefig(options.out / f"{stem}_{part}.png", dpi=130, metadata={"Software": None})
        console.print(f"{results[part]['seconds']:.0f} s; figures and pictures are in {options.out}")


if __name__ == "__main__":
    main()

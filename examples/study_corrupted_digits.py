"""A Bayesian convolutional network and corrupted digits: MNIST, and MNIST under grey splashes (MNIST-C, "spatter").

Three networks of one form, 8 filters of 5 x 5, relu, a maximum over 6 x 6 and a linear layer:

- deterministic: trained by cross entropy, it answers a class;
- probabilistic: it answers a categorical distribution, trained by its log likelihood. What it cannot tell is in the
  image (aleatoric). The numbers are those of the first, which is the point: only the reading differs;
- Bayesian: the convolution's weights are drawn for each batch, and so are the linear layer's, whose prior is a spike
  and slab, N(0, 1) and N(0, 10²) in equal parts. The divergence is weighed by 1 / N. What it cannot tell may also be in
  the weights (epistemic): 200 draws differ.

The source is an exercise of the course "Probabilistic deep learning with TensorFlow 2" (Imperial College London, 2020).
Its settings are kept: dark digits on white, RMSprop, batches of 32, 5 epochs (10 for the Bayesian network). Its mixture
is of whole weight vectors, ours of single weights, and its convolution has a bias without a distribution.

    python examples/study_corrupted_digits.py --out results           # BAYESOPS_DATA has mnist/

takes a minute or two on 2 cores. With `--quick` it is a part of the data.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.distributions import OneHotCategorical
from tqdm import tqdm

import bayesops as bo

NAME = "corrupted_digits"
BATCH = 32
SETS = ("MNIST", "spatter")
# Accuracies in % that a write-up of the exercise prints: L. Roque, "Deterministic vs. probabilistic deep learning",
# Towards Data Science, 2023.
PUBLISHED = {
    "deterministic": {"MNIST": "96.6", "spatter": "90.2"}, "probabilistic": {"MNIST": "96.4", "spatter": "89.1"}
}  # fmt: skip


def load(quick, seed):
    """Return the training images and labels, and the test images of both sets with their labels."""
    folder = os.environ.get("BAYESOPS_DATA")
    if not folder:
        sys.exit("BAYESOPS_DATA is not set: it names the folder that holds mnist/ (idx files)")
    digits = bo.data.mnist(Path(folder) / "mnist")
    if quick:
        digits = digits.subset(6000, 1000)
    tests = {"MNIST": 1 - digits.test_images, "spatter": 1 - bo.data.spatter(digits.test_images, 4, seed)}
    return 1 - digits.train_images, digits.train_labels, tests, digits.test_labels


def bayesian_network():
    return nn.Sequential(
        bo.nn.GaussianConv2d(1, 8, 5, estimator="weight_sample", rho_init=-3.0), nn.ReLU(), nn.MaxPool2d(6),
        nn.Flatten(),
        bo.nn.GaussianLinear(
            8 * 4 * 4, 10, estimator="weight_sample", rho_init=0.0, prior=bo.priors.ScaleMixture(0.5, 1.0, 10.0)
        ),
    )  # fmt: skip


def negative_log_likelihood(logits, labels):
    """What the probabilistic network is trained by: that of the distribution which it answers."""
    return -OneHotCategorical(logits=logits).log_prob(nn.functional.one_hot(labels, 10).float()).mean()


def train(name, network, loss, images, labels, epochs, seed):
    """Minimise ``loss(images, labels)``."""
    torch.manual_seed(seed)
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
    with tqdm(total=epochs * math.ceil(len(images) / BATCH), desc=name, leave=False, disable=None) as bar:
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).split(BATCH):
                value = loss(images[batch], labels[batch])
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                bar.update()
            bar.set_postfix(loss=f"{value.item():.3f}")
    return network.eval()


def train_all(images, labels, epochs, seed):
    """Return the networks by name, and the seconds of an epoch of each."""
    networks, seconds = {}, {}
    losses = {"deterministic": nn.functional.cross_entropy, "probabilistic": negative_log_likelihood}
    for name in (*losses, "Bayesian"):
        torch.manual_seed(seed)
        begun = time.perf_counter()
        if name == "Bayesian":
            network, passes = bayesian_network(), 2 * epochs
            loss = bo.losses.ELBO(network, num_data=len(images))
        else:
            network, passes = bo.models.OneConvOneFC(), epochs

            def loss(images, labels, network=network, nll=losses[name]):
                return nll(network(images), labels)

        networks[name] = train(name, network, loss, images, labels, passes, seed)
        seconds[name] = (time.perf_counter() - begun) / passes
    return networks, seconds


def figures(prediction, labels):
    right = prediction.mean.argmax(1) == labels
    bits = bo.metrics.predictive_entropy(prediction, base=2)
    return {
        "accuracy": right.double().mean().item(),
        "negative_log_likelihood": bo.metrics.negative_log_likelihood(prediction, labels).item(),
        "ece": bo.metrics.Reliability().update(prediction, labels).compute().ece.item(),
        "bits_right": bits[right].mean().item(),
        "bits_wrong": bits[~right].mean().item(),
        "mutual_information_bits": prediction.mutual_information.mean().item() / math.log(2),
    }


def show(console, results):
    table = Table(title="Test images", title_justify="left")
    for column in ("", "", "right, %", "published", "nats", "ECE, %", "bits if right", "if wrong", "of the weights"):
        table.add_column(column, justify="right" if column else "left")
    for name, sets in results["networks"].items():
        for which, found in sets.items():
            table.add_row(
                name, which, f"{100 * found['accuracy']:.2f}", PUBLISHED.get(name, {}).get(which, ""),
                f"{found['negative_log_likelihood']:.3f}", f"{100 * found['ece']:.1f}", f"{found['bits_right']:.2f}",
                f"{found['bits_wrong']:.2f}", f"{found['mutual_information_bits']:.3f}",
            )  # fmt: skip
    console.print(table)
    console.print(
        f"One draw of the Bayesian network: {100 * results['single_draw']['MNIST']:.2f} | "
        f"{100 * results['single_draw']['spatter']:.2f} % right of MNIST | spatter\n"
        f"Weights of the other two differ by at most {results['largest_difference']:.1e}"
    )


def draw_intervals(predictions, tests, labels, chosen):
    """An image a row; what the probabilistic network says of it, and the interval of the Bayesian one's draws."""
    with matplotlib.rc_context(bo.plot.STYLE):
        figure = Figure(figsize=(9.6, 1.9 * len(chosen)), layout="constrained")
        rows = figure.subplots(len(chosen), 3, width_ratios=[1, 2.4, 2.4], squeeze=False)
        for row, (which, index) in zip(rows, chosen, strict=True):
            plain, bayesian = (predictions[name][which] for name in ("probabilistic", "Bayesian"))
            truth = int(labels[index])
            bo.plot.class_intervals(bayesian, index, image=tests[which][index], truth=truth, axes=row[[0, 2]])
            bo.plot.class_intervals(plain, index, truth=truth, axes=row[1])
            row[0].set_title(f"{which} {index}", loc="center")
        for ax in rows[1:, 1:].flat:
            ax.get_legend().remove()  # the first row's are enough
        for ax, name in zip(rows[0][1:], ("probabilistic", "Bayesian"), strict=True):
            ax.set_title(name, loc="left")
    return figure


def draw_entropies(predictions, labels):
    with matplotlib.rc_context(bo.plot.STYLE):
        axes = Figure(figsize=(8.4, 5.4), layout="constrained").subplots(2, 2, sharex=True)
        for row, name in zip(axes, ("probabilistic", "Bayesian"), strict=True):
            for ax, which in zip(row, SETS, strict=True):
                prediction = predictions[name][which]
                histogram = bo.metrics.EntropyHistogram(num_bins=20, num_classes=10, base=2)
                histogram.update(prediction, prediction.mean.argmax(1) == labels)
                bo.plot.entropy_histograms(histogram.compute(), ax=ax)
                ax.set_title(f"{name}, {which}", loc="left")
    return axes[0, 0].figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Corrupted digits and a Bayesian convolutional network.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data: seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="default: 5, with --quick 8; the Bayesian network has twice as many")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    epochs = options.epochs or (8 if options.quick else 5)
    images, labels, tests, truth = load(options.quick, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    networks, seconds = train_all(images, labels, epochs, options.seed)
    begun = time.perf_counter()
    predictions = {
        name: {
            which: bo.predict(
                network, tests[which], options.draws if name == "Bayesian" else 1, options.seed,
                quantiles=(0.025, 0.975), return_samples=True,
            )
            for which in SETS
        }
        for name, network in networks.items()
    }  # fmt: skip
    seconds["predict"] = time.perf_counter() - begun

    # Sure and unsure: of each set its first digit and that of the largest entropy; and one which the source shows, too.
    bayesian = predictions["Bayesian"]
    chosen = [(which, index) for which in SETS for index in (0, int(bayesian[which].entropy.argmax()))]
    chosen += [(which, 9241) for which in SETS if len(truth) > 9241]
    pairs = zip(networks["deterministic"].parameters(), networks["probabilistic"].parameters(), strict=True)
    given = sys.argv[1:] if arguments is None else arguments
    results = {
        "command": " ".join(["python", f"examples/study_{NAME}.py", *given]),
        "seed": options.seed, "torch": torch.__version__, "threads": torch.get_num_threads(),
        "seconds": {f"{name}, an epoch" if name in networks else name: spent for name, spent in seconds.items()},
        "training_images": len(images), "epochs": epochs, "draws": options.draws,
        "networks": {
            name: {which: figures(prediction, truth) for which, prediction in found.items()}
            for name, found in predictions.items()
        },
        "single_draw": {
            which: (bayesian[which].samples[0].argmax(1) == truth).double().mean().item() for which in SETS
        },
        "largest_difference": max((one - other).abs().max().item() for one, other in pairs),
        "shown": [{"set": which, "index": index, "label": int(truth[index])} for which, index in chosen],
    }  # fmt: skip
    (options.out / f"{NAME}.json").write_text(json.dumps(results, indent=1) + "\n")
    console = Console()
    console.width = max(console.width, 110)
    show(console, results)
    drawn = {
        "intervals": draw_intervals(predictions, tests, truth, chosen), "entropies": draw_entropies(predictions, truth)
    }  # fmt: skip
    for name, figure in drawn.items():
        figure.savefig(options.out / f"{NAME}_{name}.png", dpi=130, metadata={"Software": None})
    spent = ", ".join(f"{name} {taken:.1f} s" for name, taken in results["seconds"].items())
    console.print(f"{spent}; figures and pictures are in {options.out}")


if __name__ == "__main__":
    main()

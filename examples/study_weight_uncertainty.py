"""Weight uncertainty in neural networks (Blundell et al., 2015), on FashionMNIST.

Every weight of the network 784-400-400-10 has a normal distribution (mu, rho), under a prior that mixes a wide and a
narrow normal distribution. Training draws two networks for each batch. What comes out is an ensemble: is it better than
each of its networks, and than the network of mean weights? And does it notice that MNIST's digits are no clothes?
Settings, and the figures to compare with, are those of github.com/nitarshan/bayes-by-backprop.

    python examples/study_weight_uncertainty.py --out results          # BAYESOPS_DATA has mnist/ and fashion-mnist/

trains 20 epochs, draws 100 networks, and writes figures and pictures. With `--quick` it is a part of the data.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import nn
from tqdm import tqdm

import bayesops as bo
from bayesops import data

NAME = "weight_uncertainty"
BATCH, LEARNING_RATE, TRAINING_DRAWS = 100, 1e-3, 2
COMPONENTS = 10  # draws that are looked at one by one
PRIOR = bo.priors.ScaleMixture(0.5, math.exp(0), math.exp(-6))
PUBLISHED = {"single draws": "84.7 – 85.5", "mean weights": "86.9", f"ensemble of {COMPONENTS}": "87.65"}


def load(quick):
    folder = os.environ.get("BAYESOPS_DATA")
    if not folder:
        sys.exit("BAYESOPS_DATA is not set: it names the folder that holds mnist/ and fashion-mnist/ (idx files)")
    clothes, digits = (data.mnist(Path(folder) / name) for name in ("fashion-mnist", "mnist"))
    return (clothes.subset(6000, 1000), digits.subset(0, 1000)) if quick else (clothes, digits)


def network():
    model = bo.models.build("mlp", bayesian=True, posterior="gaussian", estimator="weight_sample", prior=PRIOR)
    for name, parameter in model.named_parameters():
        nn.init.uniform_(parameter, *((-5.0, -4.0) if name.endswith("rho") else (-0.2, 0.2)))
    return model


def train(model, images, labels, epochs):
    """Return the terms of the bound for each epoch."""
    # Each batch has an equal share of the divergence: kl_weight = 1.
    elbo = bo.losses.ELBO(model, num_data=len(images), num_samples=TRAINING_DRAWS)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    history = []
    with tqdm(total=epochs * math.ceil(len(images) / BATCH), desc="train", disable=None) as bar:
        for _ in range(epochs):
            steps = []
            for batch in torch.randperm(len(images)).split(BATCH):
                terms = elbo.terms(images[batch], labels[batch])
                optimizer.zero_grad()
                terms.loss.backward()
                optimizer.step()
                steps.append(torch.stack([term.detach().double() for term in terms]))
                bar.update()
            history.append(bo.losses.ELBOTerms(*torch.stack(steps).mean(0)))
            bar.set_postfix(loss=f"{history[-1].loss:.3f}")
    return history


def accuracies(model, prediction, images, labels):
    """Figures of the draws one by one, of the network of mean weights, and of ensembles."""

    def figures(probabilities):
        return {
            "accuracy": (probabilities.argmax(1) == labels).double().mean().item(),
            "negative_log_likelihood": bo.metrics.negative_log_likelihood(probabilities, labels).item(),
            "ece": bo.metrics.Reliability().update(probabilities, labels).compute().ece.item(),
        }

    bo.nn.use_mean(model)
    with torch.no_grad():
        mean_weights = model(images).softmax(1)
    bo.nn.use_mean(model, False)
    draws = prediction.samples
    return {
        "single draws": [figures(draw) for draw in draws[:COMPONENTS]],
        "mean weights": figures(mean_weights),
        f"ensemble of {COMPONENTS}": figures(draws[:COMPONENTS].mean(0)),
        f"ensemble of {len(draws)}": figures(prediction.mean),
    }


def doubts(clothes, digits):
    """Mean entropies in bits of the two predictions, and how well they tell digits from clothes."""
    means = {
        name: {
            measure: getattr(prediction, measure).mean().item() / math.log(2)
            for measure in ("entropy", "expected_entropy", "mutual_information")
        }
        for name, prediction in (("FashionMNIST", clothes), ("MNIST", digits))
    }
    detection = {}
    for measure in ("entropy", "expected_entropy", "mutual_information"):
        found = bo.metrics.ood_detection(getattr(clothes, measure), getattr(digits, measure))
        detection[measure] = {"auroc": found.auroc.item(), "fpr95": found.fpr95.item()}
    return {"bits": means, "detection": detection}


def show(console, results):
    table = Table(title="FashionMNIST, test images", title_justify="left")
    for column in ("", "right, %", "published, %", "nats", "ECE, %"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in results["accuracies"].items():
        several = found if isinstance(found, list) else [found]
        cells = [
            " – ".join(f"{factor * end:.{places}f}" for end in dict.fromkeys((min(values), max(values))))
            for key, factor, places in (("accuracy", 100, 2), ("negative_log_likelihood", 1, 3), ("ece", 100, 1))
            for values in [[one[key] for one in several]]
        ]
        table.add_row(name, cells[0], PUBLISHED.get(name, ""), *cells[1:])
    console.print(table)
    table = Table(title="Entropies in bits, and what tells digits from clothes", title_justify="left")
    for column in ("", "FashionMNIST", "MNIST", "AUROC", "FPR at 95 % TPR"):
        table.add_column(column, justify="right" if column else "left")
    for measure, found in results["doubts"]["detection"].items():
        bits = [f"{results['doubts']['bits'][name][measure]:.2f}" for name in ("FashionMNIST", "MNIST")]
        table.add_row(measure.replace("_", " "), *bits, f"{found['auroc']:.3f}", f"{found['fpr95']:.3f}")
    console.print(table)


def pictures(model, history, clothes, digits, labels):
    """Yield a name and a figure at a time."""
    ax = bo.plot.elbo_terms(history, num_data=len(labels["train"]), xlabel="epoch")
    ax.set(ylim=(0.1, None), yscale="log")  # the divergence is far above the likelihood
    ax.locator_params(axis="x", integer=True)
    yield "training", ax.figure

    histogram = bo.metrics.EntropyHistogram(num_bins=24, num_classes=10, base=2)
    histogram.update(bo.metrics.predictive_entropy(clothes, base=2), clothes.mean.argmax(1) == labels["test"])
    yield "in_domain", bo.plot.entropy_histograms(histogram.compute()).figure

    with matplotlib.rc_context(bo.plot.STYLE):
        axes = Figure(figsize=(7.2, 2.9), layout="constrained").subplots(1, 2)
        for ax, measure in zip(axes, ("entropy", "mutual_information"), strict=True):
            bits = [(getattr(prediction, measure) / math.log(2)).numpy() for prediction in (clothes, digits)]
            edges = np.linspace(0, max(map(np.max, bits)), 25)
            for name, values, look in zip(("FashionMNIST", "MNIST"), bits, ("-", "--"), strict=True):
                counts, _ = np.histogram(values, edges)
                ax.stairs(100 * counts / counts.sum(), edges, label=name, linestyle=look, linewidth=1.4)
            ax.set(xlabel=f"{measure.replace('_', ' ')}, bits", xlim=(0, edges[-1]))
        axes[0].set_ylabel("% of the images")
        axes[0].legend()
    yield "out_of_domain", axes[0].figure

    layers = [layer for layer in model if isinstance(layer, bo.nn.GaussianLinear)]
    mu = torch.cat([layer.weight_mu.detach().flatten() for layer in layers])
    sigma = nn.functional.softplus(torch.cat([layer.weight_rho.detach().flatten() for layer in layers]))
    drawn = mu + sigma * torch.randn(len(mu))
    widest = drawn.abs().max().item()
    with matplotlib.rc_context(bo.plot.STYLE):
        left, right = Figure(figsize=(7.2, 2.9), layout="constrained").subplots(1, 2)
        for values, name, look in ((drawn, "a draw", "-"), (mu, "means", "--"), (sigma, "standard deviations", ":")):
            density, edges = np.histogram(values.numpy(), np.linspace(-1, 1, 121) * widest, density=True)
            left.stairs(density, edges, label=name, linestyle=look, linewidth=1.4)
        left.set(xlabel="weight", ylabel="density (logarithmic)", yscale="log")
        left.legend(loc="upper left")
        decibels = 10 * (mu.abs() / sigma).clamp_min(1e-4).log10()
        density, edges = np.histogram(decibels.numpy(), 100, density=True)
        right.stairs(density, edges)
        right.set(xlabel="|mean| / standard deviation, dB", ylabel="density")
    yield "weights", left.figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Bayes by Backprop on FashionMNIST, and MNIST as foreign input.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data and few epochs: seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="default: 20, with --quick 4")
    parser.add_argument("--draws", type=int, help="of the large ensemble; default: 100, with --quick 20")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    epochs = options.epochs or (4 if options.quick else 20)
    num_samples = options.draws or (20 if options.quick else 100)
    clothes, digits = load(options.quick)
    options.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(options.seed)
    model, seconds, begun = network(), {}, time.perf_counter()
    history = train(model, clothes.train_images, clothes.train_labels, epochs)
    seconds["train"], begun = time.perf_counter() - begun, time.perf_counter()
    # With weight samples each draw is one network, the same for both sets.
    known = bo.predict(
        model, clothes.test_images, num_samples, options.seed, return_samples=True, progress=sys.stderr.isatty()
    )
    foreign = bo.predict(model, digits.test_images, num_samples, options.seed)
    seconds["predict"] = time.perf_counter() - begun

    given = sys.argv[1:] if arguments is None else arguments
    results = {
        "command": " ".join(["python", f"examples/study_{NAME}.py", *given]),
        "seed": options.seed, "torch": torch.__version__, "threads": torch.get_num_threads(), "seconds": seconds,
        "training_images": len(clothes.train_images), "epochs": epochs, "draws": num_samples,
        "bound": [{name: value.item() for name, value in terms._asdict().items()} for terms in history],
        "accuracies": accuracies(model, known, clothes.test_images, clothes.test_labels),
        "doubts": doubts(known, foreign),
    }  # fmt: skip
    (options.out / f"{NAME}.json").write_text(json.dumps(results, indent=1) + "\n")
    console = Console(width=None if sys.stdout.isatty() else 110)
    show(console, results)
    labels = {"train": clothes.train_labels, "test": clothes.test_labels}
    for name, figure in pictures(model, history, known, foreign, labels):
        figure.savefig(options.out / f"{NAME}_{name}.png", dpi=130, metadata={"Software": None})
    spent = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
    console.print(f"{spent}; figures and pictures are in {options.out}")


if __name__ == "__main__":
    main()

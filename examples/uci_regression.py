"""Regression with dropout that stays on: error and log likelihood over the published splits of a UCI set.

    python examples/uci_regression.py FOLDER    # a set as Gal published it, such as UCI_Datasets/concrete
    python examples/uci_regression.py           # without: scikit-learn's diabetes, splits of our own
    python examples/uci_regression.py --quick

One hidden layer of relu, dropout in front of both layers (Gal and Ghahramani, "Dropout as a Bayesian approximation",
2016, section 5.2). The rate of dropout and the precision τ of the noise are those with the best log likelihood on a
fifth of the training part. 20 splits of diabetes with 4 rates take a minute or two on 2 cores.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from tqdm import tqdm

import bayesops as bo

RATES = (0.005, 0.01, 0.05, 0.1)
NOISES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)  # standard deviations, as shares of the targets': where no τ is given
BATCH = 128
LENGTH_SCALE = 1e-2


def diabetes_split(number):
    """As the published splits are made: a tenth of the rows, drawn at random, to test."""
    from sklearn.datasets import load_diabetes

    inputs, targets = (torch.from_numpy(array) for array in load_diabetes(return_X_y=True))
    order = torch.from_numpy(np.random.default_rng(number).permutation(len(targets)))
    train, test = order.split([round(0.9 * len(order)), len(order) - round(0.9 * len(order))])
    split = bo.data.RegressionSplit("diabetes", inputs[train], targets[train], inputs[test], targets[test])
    return split.normalised()


def train(inputs, targets, rate, precision, options, seed):
    """Return a network trained on normalised data; `precision` is in their unit, too."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        bo.nn.Dropout(rate), nn.Linear(inputs.shape[1], options.hidden), nn.ReLU(),
        bo.nn.Dropout(rate), nn.Linear(options.hidden, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(options.epochs):
        for batch in torch.randperm(len(inputs)).split(BATCH):
            squares = (network(inputs[batch])[:, 0] - targets[batch]).square().mean()
            prior = bo.losses.dropout_regularisation(
                network, len(inputs), plain_p=rate, length_scale=LENGTH_SCALE, precision=precision
            )
            optimizer.zero_grad()
            (squares / 2 + prior).backward()
            optimizer.step()
    return network


def draws(network, inputs, split, options):
    """Draws of the targets' means, in their own unit: ``[T, N]``."""
    prediction = bo.predict(
        network, inputs, num_samples=options.samples, seed=options.seed, link="identity", return_samples=True
    )
    return split.target_mean + split.target_std * prediction.samples[..., 0]


def log_likelihood(means, targets, precision):
    return -bo.metrics.gaussian_mixture_nll(means, targets, 1 / precision).item()


def best_of_grid(split, rates, precisions, options, seed):
    """Rate and τ with the best log likelihood on the last fifth of the training part."""
    count = int(0.8 * len(split.train_inputs))
    own_unit = split.target_mean + split.target_std * split.train_targets[count:]
    scores = {}
    for rate in rates:
        # τ hardly matters to the training, whose prior is weak: one network serves all of them.
        middle = precisions[len(precisions) // 2] * split.target_std**2
        network = train(split.train_inputs[:count], split.train_targets[:count], rate, middle, options, seed)
        means = draws(network, split.train_inputs[count:], split, options)
        scores |= {(rate, precision): log_likelihood(means, own_unit, precision) for precision in precisions}
    return max(scores, key=scores.get)


def evaluate(split, rates, precisions, options, seed):
    if precisions is None:
        precisions = [1 / (noise * split.target_std) ** 2 for noise in NOISES]
    rate, precision = rates[0], precisions[0]
    if len(rates) * len(precisions) > 1:
        rate, precision = best_of_grid(split, rates, precisions, options, seed)
    network = train(split.train_inputs, split.train_targets, rate, precision * split.target_std**2, options, seed)
    means = draws(network, split.test_inputs, split, options)
    targets = split.target_mean + split.target_std * split.test_targets
    return {
        "rmse": (means.mean(0) - targets).square().mean().sqrt().item(),
        "log_likelihood": log_likelihood(means, targets, precision),
        "rate": rate,
        "precision": precision,
    }


def read_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a UCI set in Gal's form; otherwise diabetes")
    parser.add_argument("--quick", action="store_true", help="two splits, few epochs and draws")
    parser.add_argument("--splits", type=int, help="how many; all of them unless given")
    parser.add_argument(
        "--epochs-times", type=int, default=10, help="what the published number of epochs is multiplied by"
    )
    parser.add_argument("--samples", type=int, default=1000, help="draws of a prediction")
    parser.add_argument("--rate", type=float, help="of dropout; otherwise searched")
    parser.add_argument("--tau", type=float, help="precision of the noise, in the targets' unit; otherwise searched")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for uci_regression.json")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = read_options(arguments)
    settings = bo.data.UCISettings(20, 50, 40) if options.folder is None else bo.data.uci_settings(options.folder)
    count = options.splits or settings.num_splits
    options.hidden, options.epochs = settings.num_hidden, settings.num_epochs * options.epochs_times
    rates = settings.dropout_rates or RATES
    if options.quick:
        count, options.epochs, options.samples, rates = min(count, 2), 100, 100, rates[-2:]
    rates = rates if options.rate is None else (options.rate,)
    precisions = (settings.precisions or None) if options.tau is None else (options.tau,)

    start, name, results = time.perf_counter(), "diabetes", []
    for number in tqdm(range(count), desc="splits", leave=False, disable=None):
        split = diabetes_split(number) if options.folder is None else bo.data.uci_split(options.folder, number)
        name = split.name
        results.append(evaluate(split, rates, precisions, options, options.seed + number))
    seconds = time.perf_counter() - start

    table = Table(
        title=f"{name}: {count} splits, {options.epochs} epochs, {options.samples} draws", title_justify="left"
    )
    for column in ("", "mean", "standard error"):
        table.add_column(column, justify="right" if column else "left")
    figures = {}
    for key, label in (("rmse", "RMSE"), ("log_likelihood", "test log likelihood")):
        values = np.array([result[key] for result in results])
        figures[key] = {"mean": values.mean(), "standard_error": values.std() / len(values) ** 0.5}
        table.add_row(label, *(f"{value:.3f}" for value in figures[key].values()))
    Console().print(table)
    print(f"{seconds:.0f} s")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        given = sys.argv[1:] if arguments is None else map(str, arguments)
        content = {
            "set": name, "command": " ".join(["python", "examples/uci_regression.py", *given]),
            "seed": options.seed, "seconds": seconds,
            "epochs": options.epochs, "samples": options.samples,
            "torch": torch.__version__, "threads": torch.get_num_threads(), **figures, "splits": results,
        }  # fmt: skip
        (options.out / "uci_regression.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()

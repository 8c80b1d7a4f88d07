"""Model uncertainty of a CNN by kernel dropout, on an electronic and on an optical processor.

Two convolutions whose kernels are masked at random, in training and at prediction. Each network is trained once, by
plain electronics, and then predicts by either processor with the same weights and the same masks; the optical one (a 4f
correlator, simulated) shows image and kernel with few bits, sees intensities, and reads them with noise. How do
accuracy and the spread of the draws depend on the drop rate, on the number of training images, and on the optics?

What a mask switches is a kernel, the window of one input and one output channel: it is what the optical processor shows
in one piece, or does not show at all. (Single weights would have to be blanked within it, and their many small losses
average out: the draws would hardly differ.)

    python examples/study_kernel_dropout.py --out results       # BAYESOPS_DATA has mnist/

trains 20 networks, about 15 minutes on two cores. A run that was stopped goes on where it was; `--part` runs the drop
rates, the training sizes or the kinds of optics alone. With `--quick` there are few networks, images and draws.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from tqdm import tqdm

import bayesops as bo
from bayesops import data

NAME = "kernel_dropout"
PARTS = ("rates", "sizes", "optics")
PROCESSORS = ("electronic", "optical")
RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
SIZES = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000]
RATE = 0.3  # where it is not what varies
# Light modulators and camera of 8 bits; the noise is half a level of the camera.
OPTICS = {
    "input_bits": 8, "kernel_bits": 8, "detection": "intensity", "sign": "split", "readout_noise": 0.002,
    "readout_bits": 8,
}  # fmt: skip
KINDS = {
    "ideal": {},
    "field read with 1 % noise": {"readout_noise": 0.01},
    "modulators of 8 bits": {"input_bits": 8, "kernel_bits": 8},
    "modulators of 4 bits": {"input_bits": 4, "kernel_bits": 4},
    "modulators of 2 bits": {"input_bits": 2, "kernel_bits": 2},
    "camera, sign lost": {"detection": "intensity"},
    "camera, 8 bits, split kernels": {"detection": "intensity", "sign": "split", "readout_bits": 8},
    "camera, 8 bits, reference wave": {"detection": "intensity", "sign": "reference", "readout_bits": 8},
    "as in the sweeps": OPTICS,
    "as in the sweeps, 1 % noise": {**OPTICS, "readout_noise": 0.01},
}


def load(quick):
    folder = os.environ.get("BAYESOPS_DATA")
    if not folder:
        sys.exit("BAYESOPS_DATA is not set: it names the folder that holds mnist/ (idx files)")
    images = data.mnist(Path(folder) / "mnist")
    return images.subset(2000, 200) if quick else images.subset(60_000, 2000)


def train(images, labels, rate, steps, seed):
    """The same number of steps for any number of images, so that only what is learned from differs."""
    torch.manual_seed(seed)
    model = bo.models.build("2conv1fc", bayesian=True, p=rate, granularity="kernel", where=nn.Conv2d)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for batch in torch.randint(len(images), (steps, 64)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def ask(model, images, labels, draws, seed):
    """Accuracy of the mean of the draws, and how far the draws are from each other."""
    prediction = bo.predict(model, list(images.split(250)), draws, seed, return_samples=True)
    answers = prediction.mean.argmax(1)
    of_answers = prediction.variance.gather(1, answers[:, None]).sqrt()
    single = (prediction.samples.argmax(2) == labels).double().mean(1)
    return {
        "accuracy": (answers == labels).double().mean().item(),
        "deviation": of_answers.mean().item(),  # of the probability of the answer
        "mutual_information": prediction.mutual_information.mean().item(),
        "single": [single.mean().item(), single.std(correction=0).item()],
    }


def points(part, quick):
    """Yield name, drop rate, training images, and optics of each processor to ask."""
    both = {"electronic": None, "optical": OPTICS}
    if part == "rates":
        for rate in [0.0, 0.4, 0.8] if quick else RATES:
            yield rate, rate, None, both
    elif part == "sizes":
        for size in [100, 2000] if quick else SIZES:
            yield size, RATE, size, both
    else:
        yield RATE, RATE, None, {"electronic": None, **KINDS}


def run(part, images, settings, found, save):
    """Train and ask what is not in `found` yet."""
    todo = [point for point in points(part, settings["quick"]) if str(point[0]) not in found]
    for name, rate, size, processors in tqdm(todo, desc=part, disable=None):
        begun = time.perf_counter()
        subset = slice(size)
        model = train(
            images.train_images[subset], images.train_labels[subset], rate, settings["steps"], settings["seed"]
        )
        seconds, answers = {"train": time.perf_counter() - begun}, {}
        for processor, optics in processors.items():
            begun = time.perf_counter()
            asked = model if optics is None else bo.optical.convert(model, **optics)
            answers[processor] = ask(asked, images.test_images, images.test_labels, settings["draws"], settings["seed"])
            seconds[processor] = time.perf_counter() - begun
        found[str(name)] = {"answers": answers, "seconds": seconds}
        save()


def cells(answers):
    return (
        f"{100 * answers['accuracy']:.2f}",
        f"{100 * answers['single'][0]:.2f} ± {100 * answers['single'][1]:.2f}",
        f"{100 * answers['deviation']:.2f}",
        f"{answers['mutual_information']:.4f}",
    )


def show(console, results):
    what = {"rates": "drop rate", "sizes": "training images", "optics": "processor"}
    for part, found in results["parts"].items():
        table = Table(title=f"Test digits, by {what[part]} (MI: mutual information)", title_justify="left")
        for column in (what[part], "", "right, %", "each draw, %", "deviation, %", "MI, nats"):
            if column or part != "optics":
                table.add_column(column, justify="right" if column and column != "processor" else "left")
        for name, point in found.items():
            for processor, answers in point["answers"].items():
                table.add_row(*([processor] if part == "optics" else [name, processor]), *cells(answers))
        console.print(table)


def picture(part, found):
    """Accuracy as a line, within the mean deviation of the draws."""
    places = sorted(found, key=float)
    lines, bands = {}, {}
    for processor in PROCESSORS:
        answers = [found[place]["answers"][processor] for place in places]
        lines[processor] = [100 * each["accuracy"] for each in answers]
        bands[processor] = [100 * each["deviation"] for each in answers]
    xlabel = "drop rate" if part == "rates" else "training images"
    ax = bo.plot.sweep(
        [float(place) for place in places], lines, bands, xlabel=xlabel, ylabel="accuracy ± deviation of draws, %"
    )
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, 0), min(high, 101))
    if part == "sizes":
        ax.set_xscale("log")
    return ax.figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Kernel dropout on MNIST, by electronics and by simulated optics.")
    parser.add_argument("--quick", action="store_true", help="few networks, images and draws: seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS), help="default: all")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    images = load(options.quick)
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {
        "seed": options.seed, "quick": options.quick, "torch": torch.__version__, "threads": torch.get_num_threads(),
        "training_images": len(images.train_images), "test_images": len(images.test_images),
        "steps": 200 if options.quick else 1500, "draws": 8 if options.quick else 25, "rate": RATE, "optics": OPTICS,
    }  # fmt: skip
    given = sys.argv[1:] if arguments is None else arguments
    file = options.out / f"{NAME}.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    if results.get("settings") != settings:
        results = {"settings": settings, "parts": {}}
    results["command"] = " ".join(["python", f"examples/study_{NAME}.py", *given])

    def save():
        file.write_text(json.dumps(results, indent=1) + "\n")

    for part in options.part:
        run(part, images, settings, results["parts"].setdefault(part, {}), save)
    save()
    console = Console(width=None if sys.stdout.isatty() else 110)
    show(console, results)
    for part in ("rates", "sizes"):
        if part in results["parts"]:
            figure = picture(part, results["parts"][part])
            figure.savefig(options.out / f"{NAME}_{part}.png", dpi=130, metadata={"Software": None})
    spent = sum(sum(point["seconds"].values()) for found in results["parts"].values() for point in found.values())
    console.print(f"{spent:.0f} s; figures and pictures are in {options.out}")


if __name__ == "__main__":
    main()

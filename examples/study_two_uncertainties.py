"""What uncertainties do we need in Bayesian deep learning for computer vision? (Kendall and Gal, 2017), on CamVid.

Aleatoric uncertainty is learned as noise: of the logits of a segmentation, of the target of a regression. Epistemic
uncertainty is what draws of dropout disagree about. Do they help, do they know where answers are wrong, and which of
the two do more data remove? Three parts, each of which can be run by itself (`--part`):

- segmentation: four networks, plain, with aleatoric, with epistemic and with both uncertainties;
- amount: the network with both, trained on a quarter, half and all of the images, on road scenes and on foreign images;
- regression: a target of every pixel with Laplace noise, by the amount of data as well. It is the colour of a grey
  image, blue against yellow, which the camera has measured; with `--depth make3d FOLDER` or `--depth nyu FILE` it is
  the depth, as in the source.

    python examples/study_two_uncertainties.py --out results      # BAYESOPS_DATA has camvid-240x180/ and fashion-mnist/

The network is small, and works at half of the images' resolution; each of the nine trainings takes some three minutes
on two cores. What has been trained is kept in the folder, and not trained again. `--quick` takes a tenth of the images.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

import bayesops as bo

NAME = "two_uncertainties"
PARTS = ("segmentation", "amount", "regression")
NETWORKS = ("plain", "aleatoric", "epistemic", "both")
AMOUNTS = {"a quarter": 0.25, "half": 0.5, "all": 1.0}
IGNORED = -100
DROPOUT = 0.5  # of Bayesian SegNet (Kendall, Badrinarayanan and Cipolla, 2015), whose inner scales have it as well


def folder():
    found = os.environ.get("BAYESOPS_DATA")
    if not found:
        sys.exit("BAYESOPS_DATA is not set: it names the folder that holds camvid-240x180/ and fashion-mnist/")
    return Path(found)


def thinned(images, targets, quick):
    """All of it; or every tenth image at half of the resolution."""
    return TensorDataset(*((part[::10, ..., ::2, ::2] if quick else part).contiguous() for part in (images, targets)))


def scenes(options):
    camvid = bo.data.camvid(folder() / "camvid-240x180", ignore_index=IGNORED)
    return [thinned(*part[:], options.quick) for part in (camvid.train, camvid.test)]


def colours(options):
    """Luminance in [0, 1], and blue against yellow (Cb of ITU-R BT.601) in tens of the 255 levels."""
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    for part in scenes(options):
        images = part.tensors[0]
        grey = (images * weights).sum(1, keepdim=True)
        yield TensorDataset(grey, 25.5 * 0.564 * (images[:, 2:] - grey))


def depths(options):
    """Images and depths in metres, NaN where there is none (or, of Make3D, where its scanner cannot see)."""
    kind, path = options.depth
    sets = bo.data.make3d(path, (240, 180)) if kind == "make3d" else bo.data.nyu_depth_v2(path, size=(180, 240))
    for part in (sets.train, sets.test):
        images, depth = (torch.stack(values) for values in zip(*map(part.__getitem__, range(len(part))), strict=True))
        yield thinned(images, depth.where(depth < (70 if kind == "make3d" else torch.inf), torch.nan), options.quick)


def foreign(options, count, size, channels):
    """Clothes of FashionMNIST, tiled and coloured: images as the training has none."""
    generator = torch.Generator().manual_seed(options.seed)
    clothes = bo.data.mnist(folder() / "fashion-mnist").test_images
    rows, columns = (-(-side // 28) for side in size)
    tiles = clothes[torch.randint(len(clothes), (count, rows * columns), generator=generator)]
    ink, ground = torch.rand(2, count, rows * columns, channels, 1, 1, generator=generator)
    tiles = (tiles * ink + (1 - tiles) * ground).unflatten(1, (rows, columns)).permute(0, 3, 1, 4, 2, 5)
    return tiles.reshape(count, channels, 28 * rows, 28 * columns)[..., : size[0], : size[1]].contiguous()


def share(images, amount):
    """Return the first images of each quarter of the sequence: neighbours are alike, every fourth shows nearly all."""
    quarters = torch.arange(len(images)).chunk(4)
    chosen = torch.cat([quarter[: math.ceil(amount * len(quarter))] for quarter in quarters])
    return TensorDataset(*(part[chosen] for part in images.tensors))


def trained(name, images, network, loss, options):
    """Train by random crops, half of them mirrored; or read what was trained before. Return the seconds, too."""
    network = network.to(memory_format=torch.channels_last)
    kept = options.out / f"{NAME}_{name.replace(' ', '_')}_{options.steps}_{options.seed}{'_quick' * options.quick}.pt"
    if kept.exists():
        state, seconds = torch.load(kept)
        network.load_state_dict(state)
        return network.eval(), seconds
    torch.manual_seed(options.seed)
    begun = time.perf_counter()
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=options.steps)
    height, width = images.tensors[0].shape[-2:]
    rows, columns = 2 * height // 3, 2 * width // 3
    with tqdm(range(options.steps), desc=name, disable=None) as bar:
        for _ in bar:
            chosen = torch.randint(len(images), (options.batch,))
            top, left = (int(torch.randint(most + 1, ())) for most in (height - rows, width - columns))
            crops = [part[chosen, ..., top : top + rows, left : left + columns] for part in images.tensors]
            inputs, targets = [crop.flip(-1) for crop in crops] if torch.rand(()) < 0.5 else crops
            value = loss(network(inputs.contiguous(memory_format=torch.channels_last)), targets)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            bar.set_postfix(loss=f"{value.item():.3f}", refresh=False)
    seconds = time.perf_counter() - begun
    torch.save((network.state_dict(), seconds), kept)
    return network.eval(), seconds


def segmenter(kind, images, options, label=""):
    aleatoric, epistemic = kind in ("aleatoric", "both"), kind in ("epistemic", "both")
    torch.manual_seed(options.seed)
    network = bo.models.EncoderDecoder(
        3, 11, widths=options.widths, p=DROPOUT if epistemic else 0.0, log_var="each" if aleatoric else None
    )
    # Classes are not weighted by how rare they are: rare ones would gain, but probabilities would not be calibrated.
    if aleatoric:
        loss = bo.losses.LogitNoiseCrossEntropy(10, ignore_index=IGNORED)
    else:
        loss = nn.CrossEntropyLoss(ignore_index=IGNORED)
    return trained(f"{kind}{label}", images, network, loss, options)


def judge(kind, network, test, options):
    """What a network gets right, and by which of its uncertainties that could have been told."""
    draws = 1 if kind == "plain" else options.draws
    noisy = nn.Sequential(network, bo.nn.LogitNoise()).eval() if network.log_var is not None else network
    iou, reliability = bo.metrics.MeanIoU(11, IGNORED), bo.metrics.Reliability(ignore_index=IGNORED)
    scores, rejections = bo.metrics.ClassificationScores(ignore_index=IGNORED), {}
    for images, labels in tqdm(DataLoader(test, options.batch), desc=f"{kind}: test", disable=None, leave=False):
        prediction = bo.predict(noisy, images, draws, options.seed)
        for measure in (iou, reliability, scores):
            measure.update(prediction, labels)
        doubts = {"total": prediction.entropy}
        if kind == "both":  # the weights alone: without the noise, of which a draw has another one
            weights = bo.predict(network, images, draws, options.seed, output=0)
            doubts |= {"aleatoric": weights.expected_entropy, "epistemic": weights.mutual_information}
        elif kind == "epistemic":
            doubts |= {"epistemic": prediction.mutual_information}
        counts = labels != IGNORED
        right = (prediction.mean.argmax(1) == labels)[counts]
        for name, doubt in doubts.items():
            rejections.setdefault(name, bo.metrics.Rejection()).update(doubt[counts], correct=right)
    found, score = iou.compute(), scores.compute()
    curves = {name: rejection.compute() for name, rejection in rejections.items()}
    figures = {
        "mean_iou": found.mean.item(), "iou": dict(zip(bo.data.CAMVID_CLASSES, found.per_class.tolist(), strict=True)),
        "accuracy": score.accuracy.item(), "negative_log_likelihood": score.negative_log_likelihood.item(),
        "brier_score": score.brier_score.item(), "ece": reliability.compute().ece.item(),
        "aurc": {name: curve.area.item() for name, curve in curves.items()},
        "precision_at_half": {name: curve.precision[curve.recall >= 0.5][0].item() for name, curve in curves.items()},
    }  # fmt: skip
    return figures, curves, reliability.compute()


def segmentation(options):
    """Yield figures, then pictures by their names."""
    train, test = scenes(options)
    figures, curves, reliability = {}, {}, {}
    for kind in NETWORKS:
        network, seconds = segmenter(kind, train, options)
        figures[kind], of_kind, reliability[kind] = judge(kind, network, test, options)
        figures[kind]["training_seconds"] = seconds
        curves |= {f"{kind}, {name}": curve for name, curve in of_kind.items()}
    yield figures
    yield "reliability", bo.plot.reliability_diagram(reliability)
    yield "precision_recall", bo.plot.precision_recall({name: curves[name] for name in curves if "both" in name})
    yield "precision_recall_networks", bo.plot.precision_recall({kind: curves[f"{kind}, total"] for kind in NETWORKS})
    images, labels = test[:: max(1, len(test) // 3)]
    weights = bo.predict(network, images, options.draws, options.seed, output=0)
    yield (
        "maps",
        bo.plot.uncertainty_maps(
            images,
            labels,
            weights,
            classes=bo.data.CAMVID_CLASSES,
            class_colours=bo.data.CAMVID_COLOURS,
            ignore_index=IGNORED,
        ),
    )


def levels(network, images, options, regression=False):
    """Mean over the pixels of each image, by the kind of uncertainty: variances, and of classes also entropies."""
    found = []
    for batch in tqdm(images.split(options.batch), desc="levels", disable=None, leave=False):
        told = bo.predict(network, batch, options.draws, options.seed, link="gaussian")
        maps = {"aleatoric": told.aleatoric_variance, "epistemic": told.variance}  # of the logits, or of the target
        if not regression:
            weights = bo.predict(network, batch, options.draws, options.seed, output=0)
            maps |= {"aleatoric, nats": weights.expected_entropy, "epistemic, nats": weights.mutual_information}
        found.append({name: values.flatten(1).mean(1) for name, values in maps.items()})
    return {name: torch.cat([part[name] for part in found]) for name in found[0]}


def by_amount(train, test, fit, score, options, regression=False):
    """Figures for each amount of training images, in the domain and on foreign images; and the picture of them."""
    inputs = test.tensors[0]
    strange = foreign(options, len(inputs[:: options.every]), inputs.shape[-2:], inputs.shape[1])
    figures, known = {}, {}
    for name, amount in AMOUNTS.items():
        part = share(train, amount)
        network, seconds = fit(part, "" if amount == 1 else f" {name}")
        known[name], outside = (levels(network, x, options, regression) for x in (inputs[:: options.every], strange))
        figures[name] = score(network) | {
            "training_images": len(part), "training_seconds": seconds,
            "known": {key: values.mean().item() for key, values in known[name].items()},
            "foreign": {key: values.mean().item() for key, values in outside.items()},
            "auroc": {key: bo.metrics.ood_detection(known[name][key], outside[key]).auroc.item() for key in outside},
        }  # fmt: skip
    middle, error = {}, {}
    for kind in ("aleatoric", "epistemic"):
        found = [of[kind if regression else f"{kind}, nats"] for of in known.values()]
        middle[kind] = torch.stack([values.mean() for values in found]) / found[0].mean()
        error[kind] = torch.stack([values.std() / len(values) ** 0.5 for values in found]) / found[0].mean()
    picture = bo.plot.sweep(
        list(AMOUNTS.values()), middle, error, xlabel="share of the training images",
        ylabel=f"mean {'variance' if regression else 'nats'}, of that with a quarter",
    )  # fmt: skip
    return figures, picture


def amount(options):
    train, test = scenes(options)

    def score(network):
        iou = bo.metrics.MeanIoU(11, IGNORED)
        for images, labels in DataLoader(test, options.batch):
            iou.update(bo.predict(network, images, options.draws, options.seed, output=0), labels)
        return {"mean_iou": iou.compute().mean.item()}

    figures, picture = by_amount(
        train, test, lambda part, label: segmenter("both", part, options, label), score, options
    )
    yield figures
    yield "amount", picture


def regression(options):
    train, test = depths(options) if options.depth else colours(options)
    kept, what = {}, options.depth[0] if options.depth else "colour"
    centre = train.tensors[1].nanmedian().item()

    def fit(part, label):
        torch.manual_seed(options.seed)
        channels = train.tensors[0].shape[1]
        network = bo.models.EncoderDecoder(channels, 1, widths=options.widths, p=DROPOUT, log_var="each")
        nn.init.constant_(network.answer.bias, centre)

        def loss(output, target):
            return bo.losses.laplace_nll(output[0], target, output[1], mask=~target.isnan())

        return trained(f"{what}{label}", part, network, loss, options)

    def score(network):
        """Errors, ranking and calibration by each uncertainty; what the last network has stays in `kept`."""
        names = ("aleatoric", "epistemic", "both")
        rejections = {name: bo.metrics.Rejection() for name in names}
        calibration = {name: bo.metrics.IntervalCalibration(distribution="laplace") for name in names}
        total, squares, nats = 0, 0.0, 0.0
        for images, target in tqdm(DataLoader(test, options.batch), desc="test", disable=None, leave=False):
            told = bo.predict(network, images, options.draws, options.seed, link="gaussian")
            counts = ~target.isnan()
            mean, truth = told.mean[counts], target[counts]
            parts = dict(zip(names, (told.aleatoric_variance, told.variance, told.total_variance), strict=True))
            for name, variance in parts.items():
                rejections[name].update(variance[counts], (mean - truth).abs())
                calibration[name].update(mean, truth, variance[counts])
            total, squares = total + len(truth), squares + (mean - truth).square().sum().item()
            nats += bo.losses.laplace_nll(mean, truth, told.total_variance[counts].log(), reduction="sum").item()
        kept["curves"] = {name: rejection.compute() for name, rejection in rejections.items()}
        kept["calibration"] = {name: measure.compute() for name, measure in calibration.items()}
        kept["network"] = network
        return {
            "rmse": (squares / total) ** 0.5, "negative_log_likelihood": nats / total,
            "mean_error": kept["curves"]["both"].risk[-1].item(),
            "ause": {name: curve.ause.item() for name, curve in kept["curves"].items()},
            "interval_error": {name: one.error.item() for name, one in kept["calibration"].items()},
        }  # fmt: skip

    figures, picture = by_amount(train, test, fit, score, options, regression=True)
    yield {"target": what, "deviation": train.tensors[1][~train.tensors[1].isnan()].std().item(), **figures}
    yield f"{what}_amount", picture
    yield f"{what}_risk", bo.plot.risk_coverage(kept["curves"])
    yield f"{what}_intervals", bo.plot.interval_calibration(kept["calibration"])
    images, target = test[:: max(1, len(test) // 3)]
    told = bo.predict(kept["network"], images, options.draws, options.seed, link="gaussian")
    yield f"{what}_maps", bo.plot.uncertainty_maps(images, target[:, 0], told)


def show(console, part, figures):
    """Print the table of a part."""
    rows = {name: found for name, found in figures.items() if isinstance(found, dict)}
    if part == "segmentation":
        columns = ("mean_iou", "accuracy", "negative_log_likelihood", "brier_score", "ece", "training_seconds")
        cells = [[name, *(found[column] for column in columns)] for name, found in rows.items()]
    else:
        quality = "mean_iou" if part == "amount" else "rmse"
        columns = ("uncertainty, mean", "road scenes" if part == "amount" else "known", "foreign", "AUROC", quality)
        cells = [
            [name, key, *(found[where][key] for where in ("known", "foreign", "auroc")), found[quality]]
            for name, found in rows.items()
            for key in found["known"]
        ]
    table = Table(title=part, title_justify="left")
    for column in ("", *columns):
        table.add_column(column.replace("_", " "), justify="right" if column else "left")
    for row in cells:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3g}" for value in row))
    console.print(table)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Aleatoric and epistemic uncertainty of a segmentation, a regression.")
    parser.add_argument("--quick", action="store_true", help="a few images at half of the resolution: seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS, help="run one of the parts; default: all")
    parser.add_argument("--steps", type=int, help="of each training; default: 3000, with --quick 150")
    parser.add_argument("--draws", type=int, help="T; default: 50, with --quick 5")
    parser.add_argument("--depth", nargs=2, metavar=("SET", "PATH"), help="'make3d FOLDER' or 'nyu FILE'")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    if options.depth and options.depth[0] not in ("make3d", "nyu"):
        parser.error(f"--depth: 'make3d' or 'nyu' wanted, got {options.depth[0]!r}")
    options.steps = options.steps or (150 if options.quick else 3000)
    options.draws = options.draws or (5 if options.quick else 50)
    options.batch, options.every = 8, 1 if options.quick else 4
    options.widths = (16, 24, 32) if options.quick else (32, 64, 96, 128)
    options.out.mkdir(parents=True, exist_ok=True)

    file = options.out / f"{NAME}.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    console = Console(width=None if sys.stdout.isatty() else 110)
    given = sys.argv[1:] if arguments is None else arguments
    for part in [options.part] if options.part else PARTS:
        begun = time.perf_counter()
        figures, *pictures = globals()[part](options)
        results[part] = {
            "command": " ".join(["python", f"examples/study_{NAME}.py", *given]), "seed": options.seed,
            "torch": torch.__version__, "threads": torch.get_num_threads(), "seconds": time.perf_counter() - begun,
            "steps": options.steps, "draws": options.draws, "figures": figures,
        }  # fmt: skip
        file.write_text(json.dumps(results, indent=1) + "\n")
        show(console, part, figures)
        for name, axes in pictures:
            figure = getattr(axes, "flat", [axes])[0].figure
            dots = 80 if name.endswith("maps") else 130  # maps are photographs: large files, and no finer for more dots
            figure.savefig(options.out / f"{NAME}_{name}.png", dpi=dots, metadata={"Software": None})
        console.print(f"{part}: {results[part]['seconds']:.0f} s; figures and pictures are in {options.out}")


if __name__ == "__main__":
    main()

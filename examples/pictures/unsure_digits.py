"""Digits, clean and damaged, and a network with random masks: what it is sure of, and whether rightly."""

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import nn

import bayesops as bo
from bayesops import data


def trained(p, digits, epochs):
    torch.manual_seed(0)
    model = nn.Sequential(
        bo.nn.BernoulliConv2d(1, 32, 3, padding=1, p=p), nn.ReLU(),
        bo.nn.BernoulliConv2d(32, 32, 3, padding=1, p=p), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        bo.nn.BernoulliLinear(512, 64, p=p), nn.ReLU(), bo.nn.BernoulliLinear(64, 10, p=p),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(digits.train_images)).split(64):
            loss = nn.functional.cross_entropy(model(digits.train_images[batch]), digits.train_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def pictures(quick):
    digits = data.digits()
    epochs, draws = (1, 10) if quick else (40, 200)
    model = trained(0.3, digits, epochs)
    plain = trained(0.0, digits, epochs)

    # The test digits six times, with more and more noise.
    strengths = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    images = torch.cat([data.corrupt(digits.test_images, "noise", s, seed=i) for i, s in enumerate(strengths)])
    labels = digits.test_labels.repeat(len(strengths))
    prediction = bo.predict(model, images, num_samples=draws, quantiles=(0.025, 0.975))
    without = bo.predict(plain, images, num_samples=1)
    count = len(digits.test_images)

    clean = int(prediction.entropy[:count].argmin())
    noisy = clean + 4 * count  # σ = 0.4
    with matplotlib.rc_context(bo.plot.STYLE):
        rows = Figure(figsize=(7.2, 4.8), layout="constrained").subplots(2, 2, width_ratios=[1, 2.7])
        for row, number in zip(rows, (clean, noisy), strict=True):
            bo.plot.class_intervals(
                prediction, number, image=images[number], truth=labels[number], cmap="gray_r", axes=row
            )
    yield "class_intervals", rows

    histogram = bo.metrics.EntropyHistogram(num_bins=24, num_classes=10, base=2)
    histogram.update(bo.metrics.predictive_entropy(prediction, base=2), prediction.mean.argmax(1) == labels)
    axes = bo.plot.entropy_histograms(histogram.compute())
    yield "entropy_histograms", axes

    networks = {"without masks": without, f"mean of {draws} masks": prediction}
    reliability = {
        name: bo.metrics.Reliability(num_bins=10).update(predicted, labels).compute()
        for name, predicted in networks.items()
    }
    axes = bo.plot.reliability_diagram(reliability)
    yield "reliability_diagram", axes

    curves = {
        name: bo.metrics.Rejection().update(predicted.entropy, correct=predicted.mean.argmax(1) == labels).compute()
        for name, predicted in networks.items()
    }
    axes = bo.plot.risk_coverage(curves)
    yield "risk_coverage", axes

    strengths = torch.arange(6) / 8  # of noise, its deviation; of occlusion, the share of rows or columns that is lost
    accuracy, shaded = {}, {}
    for kind in ("noise", "occlusion"):
        damaged = torch.cat([data.corrupt(digits.test_images, kind, float(strength)) for strength in strengths])
        swept = bo.predict(model, damaged, num_samples=draws)
        answer = swept.mean.argmax(1, keepdim=True)
        deviation = swept.variance.gather(1, answer).sqrt().reshape(len(strengths), count).mean(1)
        accuracy[kind] = (answer[:, 0] == labels).float().reshape(len(strengths), count).mean(1)
        shaded[kind] = torch.stack([accuracy[kind] - deviation, (accuracy[kind] + deviation).clamp(max=1)])
    axes = bo.plot.sweep(strengths, accuracy, shaded, xlabel="strength of the damage", ylabel="accuracy ± deviation")
    yield "sweep", axes

    unsure = int(prediction.entropy[:count].argmax())
    many = bo.predict(model, images[unsure : unsure + 1], num_samples=20 if quick else 2000, return_samples=True)
    axes = bo.plot.sample_convergence(many, index=0, top=3)
    yield "sample_convergence", axes

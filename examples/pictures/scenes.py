"""Dense prediction: which digit is where, in scenes of several digits on noisy ground."""

import matplotlib
import torch
from torch import nn

import bayesops as bo
from bayesops import data

SIZE, DIGIT = 48, 16
IGNORED = -100
CLASSES = ["none", *map(str, range(10))]


def compose(digits, labels, count, noise, generator, turned=False):
    """Scenes [count, 1, 48, 48] of four digits, and the classes [count, 48, 48] of their pixels; rims have none.

    With `turned` the first digit of each scene lies on its side.
    """
    images = torch.zeros(count, SIZE, SIZE)
    classes = torch.zeros(count, SIZE, SIZE, dtype=torch.int64)
    for scene in range(count):
        for corner, chosen in enumerate(torch.randint(len(digits), (4,), generator=generator)):
            digit = nn.functional.interpolate(digits[chosen][None], (DIGIT, DIGIT), mode="bilinear")[0, 0]
            if turned and corner == 0:
                digit = digit.rot90()
            down, right = torch.randint(SIZE // 2 - DIGIT + 1, (2,), generator=generator).tolist()
            top, left = SIZE // 2 * (corner // 2) + down, SIZE // 2 * (corner % 2) + right
            images[scene, top : top + DIGIT, left : left + DIGIT] = digit
            place = classes[scene, top : top + DIGIT, left : left + DIGIT]
            place[digit > 0.15] = IGNORED
            place[digit > 0.4] = 1 + labels[chosen]
    images += noise * torch.randn(images.shape, generator=generator)
    return images.clamp(0, 1)[:, None], classes


def step(conv):
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())


class EncoderDecoder(nn.Module):
    """Two halvings and back, with a shortcut; the weights of its inner half are dropped at random."""

    def __init__(self, p=0.2, width=16):
        super().__init__()

        def plain(inputs, outputs):
            return step(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))

        def drawn(inputs, outputs):
            return step(bo.nn.BernoulliConv2d(inputs, outputs, 3, padding=1, p=p))

        self.fine = nn.Sequential(plain(1, width), plain(width, width))
        self.coarse = nn.Sequential(
            nn.MaxPool2d(2), plain(width, 2 * width),
            nn.MaxPool2d(2), drawn(2 * width, 4 * width), drawn(4 * width, 4 * width), drawn(4 * width, 4 * width),
            nn.Upsample(scale_factor=2), drawn(4 * width, 2 * width),
            nn.Upsample(scale_factor=2), plain(2 * width, width),
        )  # fmt: skip
        self.answer = bo.nn.BernoulliConv2d(2 * width, len(CLASSES), 3, padding=1, p=p)

    def forward(self, images):
        fine = self.fine(images)
        return self.answer(torch.cat([fine, self.coarse(fine)], 1))


def train(model, images, classes, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for batch in torch.randint(len(images), (steps, 16)):
        loss = nn.functional.cross_entropy(model(images[batch]), classes[batch], ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def pictures(quick):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    digits = data.digits()
    model = EncoderDecoder()
    scenes = compose(digits.train_images, digits.train_labels, 1000, 0.15, generator)
    train(model, *scenes, steps=3 if quick else 600)
    model.eval()

    kinds = {"as in training": (0.15, False), "twice the noise": (0.3, False), "one digit on its side": (0.15, True)}
    tests = [
        compose(digits.test_images, digits.test_labels, 40, noise, generator, turned)
        for noise, turned in kinds.values()
    ]
    images, classes = (torch.cat(parts) for parts in zip(*tests, strict=True))
    prediction = bo.predict(model, images, num_samples=5 if quick else 50)

    colours = ["black", *matplotlib.colormaps["cubehelix"](torch.linspace(0.25, 0.95, 10))]
    axes = bo.plot.uncertainty_maps(
        images, classes, prediction, indices=(1, 41, 80), classes=CLASSES, class_colours=colours, cmap="gray_r"
    )
    yield "uncertainty_maps", axes

    curves = {}
    right = prediction.mean.argmax(1) == classes
    for kind, part in zip(kinds, torch.arange(len(images)).chunk(len(kinds)), strict=True):
        of_digits = classes[part] > 0  # the ground is easy, and rims have no class
        rejection = bo.metrics.Rejection()
        rejection.update(prediction.entropy[part][of_digits], correct=right[part][of_digits])
        curves[kind] = rejection.compute()
    axes = bo.plot.precision_recall(curves)
    yield "precision_recall", axes

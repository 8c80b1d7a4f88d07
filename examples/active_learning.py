import itertools

import torch
from torch import nn

import bayesops as bo
from bayesops import acquisition, data

digits = data.digits()  # scikit-learn's, 8 x 8 pixels; the labels of 1400 of them stand for those to be asked for


def train(images, labels, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), bo.nn.BernoulliConv2d(16, 32, 3, p=0.25), nn.ReLU(), nn.Flatten(),
        bo.nn.BernoulliLinear(32 * 4 * 4, 10, p=0.5),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for batch in torch.randint(len(images), (200, 32)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    return model.eval()


def accuracy(model):
    mean = bo.predict(model, digits.test_images, num_samples=50).mean
    return (mean.argmax(1) == digits.test_labels).double().mean().item()


def learn(choose, seed):
    """Yield the accuracy with 20 labels, then 30, 40 and so on: those that `choose` asks for."""
    labelled = torch.zeros(len(digits.train_images), dtype=torch.bool)
    labelled[acquisition.top_k(acquisition.random(len(labelled), seed=seed), 20)] = True
    for round in itertools.count(100 * seed):
        model = train(digits.train_images[labelled], digits.train_labels[labelled], seed=round)
        yield accuracy(model)
        pool = (~labelled).nonzero()[:, 0]
        labelled[pool[choose(model, digits.train_images[pool], round)]] = True


def best(scores):
    return acquisition.top_k(scores, 10)


WAYS = {
    "random": lambda model, pool, seed: best(acquisition.random(len(pool), seed=seed)),
    "BALD": lambda model, pool, seed: best(acquisition.bald(model, pool, num_samples=50, seed=seed)),
    "BatchBALD": lambda model, pool, seed: (
        acquisition.batch_bald(
            model, pool, 10, num_samples=50, seed=seed, candidates=200, max_configurations=2000
        ).indices
    ),
}

if __name__ == "__main__":
    print("labels    " + "".join(f"{labels:7d}" for labels in range(20, 121, 20)))
    for name, choose in WAYS.items():
        curves = torch.tensor([list(itertools.islice(learn(choose, seed), 11)) for seed in range(3)])
        print(f"{name:10s}" + "".join(f"{mean:7.1%}" for mean in curves.mean(0)[::2].tolist()))

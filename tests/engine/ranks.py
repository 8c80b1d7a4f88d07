"""One rank of `test_distributed`, started by torchrun: ``ranks.py SCENARIO FOLDER`` leaves what it found in FOLDER."""

import datetime
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import bayesops as bo
from bayesops.engine.distributed import gathered_in_turn

FIELDS = ("mean", "variance", "expected_entropy", "quantiles", "samples")


def classifier():
    torch.manual_seed(0)
    return nn.Sequential(
        bo.nn.GaussianConv2d(1, 4, 3, rho_init=-1.0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        bo.nn.BernoulliLinear(36, 5, p=0.3),
    ).eval()  # fmt: skip


def images():
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def perceptron():
    torch.manual_seed(0)
    options = {"estimator": "weight_sample", "rho_init": -2.0}
    return nn.Sequential(bo.nn.GaussianLinear(4, 8, **options), nn.ReLU(), bo.nn.GaussianLinear(8, 2, **options))


def rows():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 4, generator=generator), torch.randint(2, (12,), generator=generator)


def objective(model, inputs, labels):
    """The mean of the examples' losses, and the divergence over the number of data: as one rank or one process."""
    return nn.functional.cross_entropy(model(inputs), labels) + bo.kl_divergence(model).float() / 100


def predictions(rank):
    """Everything that may be asked of a group."""
    world, model = dist.group.WORLD, classifier()
    options = {"quantiles": (0.1, 0.9), "return_samples": True, "group": world}
    batches = list(images().split(2))
    found = {
        "samples": bo.predict(model, images(), 11, **options),
        "fewer_samples_than_ranks": bo.predict(model, images(), 1, **options),
        "identity": bo.predict(model, images(), 8, link="identity", **options),
        "sigmoid": bo.predict(model, images(), 8, link="sigmoid", **options),
        "batches": bo.predict(model, batches, 7, shard="batches", **options),
        "samples_of_batches": bo.predict(model, batches, 7, **options),
        "auto": bo.predict(model, images(), "auto", tolerance=0.02, **options),
    }
    return {
        name: {"num_samples": one.num_samples, **{field: getattr(one, field) for field in FIELDS}}
        for name, one in found.items()
    }


def failures(rank):
    """The model fails on one rank only: the other one says so and goes on."""

    def failing(x):
        if rank == 1:
            raise ZeroDivisionError("the model's own fault")
        return x

    messages = []
    for options in ({}, {"shard": "batches"}):
        inputs = [torch.ones(2, 3)] * 2 if options else torch.ones(2, 3)
        try:
            bo.predict(failing, inputs, 4, group=dist.group.WORLD, **options)
        except (RuntimeError, ZeroDivisionError) as error:
            messages.append(f"{type(error).__name__}: {error}")
    dist.barrier()
    return messages


def death(rank):
    """One rank is gone in the middle."""

    def dying(x):
        if rank == 1:
            os._exit(0)
        return x

    try:
        bo.predict(dying, torch.ones(2, 3), 4, group=dist.group.WORLD)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def devices(rank):
    """What comes from other ranks is where this one wants it, wherever it was there."""
    part = bo.predict(classifier(), images(), 3)
    gathered = gathered_in_turn([part], dist.group.WORLD, torch.device(("cpu", "meta")[rank]))
    return [one.mean.device.type for one in gathered]


def training(rank):
    """Gradients of two ranks with half of the batch each."""
    model = DistributedDataParallel(perceptron())
    inputs, labels = rows()
    with bo.sampling(seed=5):
        objective(model, inputs[rank::2], labels[rank::2]).backward()
    return {name: parameter.grad for name, parameter in model.module.named_parameters()}


def wrapped(rank):
    """A prediction of one rank alone: the wrapper would wait for the other."""
    model = DistributedDataParallel(classifier())
    return bo.predict(model.eval(), images(), 3).path if rank == 0 else ""


def main():
    scenario, folder = sys.argv[1:]
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    torch.set_num_threads(1)
    rank = dist.get_rank()
    scenarios = {function.__name__: function for function in (predictions, failures, death, devices, training, wrapped)}
    torch.save(scenarios[scenario](rank), Path(folder) / f"{rank}.pt")
    if scenario != "death":
        dist.destroy_process_group()
    os._exit(0)  # a rank that has lost its peer would wait for it here


if __name__ == "__main__":
    main()

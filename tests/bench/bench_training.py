"""Training: our CNN against the fastest recipe published, both on the whole MNIST.

Five seeds each; what is printed is the mean. The peer is trained as it was published,
but, like ours, from one tensor without a loader, which is to its advantage.
"""

import statistics

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnviz.datasets import mnist_tensors
from cnnviz.models import CNN, count_parameters
from cnnviz.training import evaluate, fit

SEEDS = range(5)


def published_model():
    """Conv 5 × 5 → 24, pool, conv 3 × 3 → 32, pool, 800-256-10: 215,194 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def train_as_published(model, images, labels, seed):
    """One epoch of Adam with betas 0.7 and 0.9, one cycle to 1e-2, batches of 256."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.7, 0.9))
    batches = torch.randperm(len(images)).split(256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-2, total_steps=len(batches)
    )
    for batch in batches:
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def train_ours(model, images, labels, seed):
    fit(model, images, labels, learning_rate=0.03, seed=seed, progress=False)


@pytest.mark.benchmark(group="training on the whole MNIST")
@pytest.mark.parametrize(
    ("make", "train"),
    [(CNN, train_ours), (published_model, train_as_published)],
    ids=["cnnviz.models.CNN", "fastest published recipe"],
)
def bench_training(benchmark, request, make, train):
    train_data, test_data = mnist_tensors(train=True), mnist_tensors(train=False)
    seeds = iter(SEEDS)
    models = []

    def setup():
        seed = next(seeds)
        torch.manual_seed(seed)
        models.append(make())
        return (models[-1], *train_data, seed), {}

    benchmark.pedantic(train, setup=setup, rounds=len(SEEDS))
    accuracies = [evaluate(model, *test_data).accuracy for model in models]
    print(
        f"\n{request.node.callspec.id}: {count_parameters(models[0]):,} parameters, "
        f"accuracy {statistics.mean(accuracies):.2%} "
        f"({min(accuracies):.2%}–{max(accuracies):.2%}), "
        f"{benchmark.stats.stats.mean:.1f} s"
    )

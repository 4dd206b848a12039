"""
Eight filters that nobody made
==============================

The first layer of the trained network has eight kernels. We draw them, watch how they
came about, compare them with kernels made by hand, and see what they answer to a digit.
"""

import torch

from cnnviz.datasets import mnist_tensors
from cnnviz.models import CNN
from cnnviz.plotting import plot_feature_maps, plot_kernels
from cnnviz.training import fit

# %%
# The network of the last pages:

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
torch.manual_seed(0)
cnn = CNN()
history = fit(
    cnn,
    *mnist_tensors(train=True),
    learning_rate=0.03,
    snapshots=SNAPSHOTS,
    cache=True,
)

# %%
# What it learned
# ---------------
# 200 weights. Look for kernels that are red on one side and blue on the other: these
# answer to edges.

learned = cnn.conv1.weight[:, 0].detach()
names = [f"filter {i}" for i in range(8)]
figure = plot_kernels(learned, titles=names, columns=4)
figure.suptitle("x", wrap=True)
print(cnn.norm1.weight)

# %%
# How they came about

steps = torch.stack(
    [state["conv1.weight"][:4, 0] for state in history.snapshots.values()]
)
figure = plot_feature_maps(
    steps.transpose(0, 1).flatten(0, 1),
    titles=[f"step {step}" for step in SNAPSHOTS] * 4,
    columns=6,
    signed=True,
)
figure.suptitle("x", wrap=True)

# %%
# Next to kernels made by hand

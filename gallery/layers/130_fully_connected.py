"""
Fully connected: every number meets every score
===============================================

At the end of a classifier the maps are laid out in one row, and each score is a
weighted sum of all of it. What that costs, how it relates to convolution, and what
dropout does.
"""

# sphinx_gallery_thumbnail_number = 3

import torch
from torch import nn

from cnnviz.datasets import dog, mnist
from cnnviz.kernels import edge_bank
from cnnviz.models import MLP, FilterBankNet, count_parameters
from cnnviz.plotting import plot_feature_maps, plot_kernels

# %%
# Four maps, one row
# ------------------
# A digit goes through the article's net, with pooling windows of 8 × 8 so that the maps
# are small enough to print. Compare the four maps with the row of numbers.

digit, label = mnist()[7]
net = FilterBankNet(edge_bank(), pool_size=8)
maps = net(digit[None]).pool
row = nn.Flatten()(maps)
print("maps", tuple(maps.shape), "row", tuple(row.shape))
print(row.numpy().round(2))
titles = ["brighter right", "brighter left", "brighter below", "brighter above"]
figure = plot_feature_maps(maps, titles=titles, columns=4, numbers=True)
figure.suptitle(
    f"The {label}, as four pooled maps. Flattened, map follows map and row follows "
    "row; no value is changed.",
    wrap=True,
)

# %%
# Ten scores
# ----------
# A fully connected layer (``nn.Linear``) has one weight for each input and score, and
# one bias a score. Its weights here are random, so the scores mean nothing yet; look at
# how they come about.

torch.manual_seed(0)
linear = nn.Linear(36, 10)
scores = linear(row)[0]
by_hand = [(linear.weight[c] * row[0]).sum() + linear.bias[c] for c in range(10)]
print("weights", tuple(linear.weight.shape), "bias", tuple(linear.bias.shape))
print("scores ", scores.detach().numpy().round(2))
print("by hand", torch.stack(by_hand).detach().numpy().round(2))

# %%
# It is a convolution
# -------------------
# Fold the weights of one score back into the shape of the maps. They are the slices of
# a filter, as large as the maps it looks at:

folded = linear.weight.reshape(10, 4, 3, 3)
figure = plot_kernels(folded[3], titles=[f"for {title}" for title in titles])
figure.suptitle("All weights of one score: a filter with four slices of 3 × 3.")

# %%
# A filter as large as its input has one position, so it gives one number. A
# convolution with these ten filters is the same layer:

conv = nn.Conv2d(4, 10, kernel_size=3)
conv.weight.data, conv.bias.data = folded.data, linear.bias.data
as_map = conv(maps)
print("convolution", tuple(as_map.shape), "fully connected", tuple(linear(row).shape))
print(f"largest difference: {(as_map.flatten(1) - linear(row)).abs().max():.1g}")

# %%
# .. note::
#    In the article, "convolutions don't use fully connected layers", and later "FC
#    layers come at the end". The first is about a layer: a convolution connects each
#    output to one small window. The second is about the network drawn there: first
#    convolutions, then, for the scores, a fully connected layer.
#
# What it costs
# -------------
# Why not fully connected layers all the way? Count the weights on the dog's pixels.
# ``device="meta"`` makes layers without memory for them; that is needed here.

rows, columns, _ = dog().shape
pixels = rows * columns
outputs = 4 * (rows - 3) * (columns - 3)
hidden = nn.Linear(pixels, 512, device="meta")
same_output = nn.Linear(pixels, outputs, device="meta")
bank = nn.Conv2d(1, 4, kernel_size=4, bias=False)
print(f"fully connected, 512 neurons:      {count_parameters(hidden):19,}")
print(f"fully connected, {outputs:,} neurons:{count_parameters(same_output):19,}")
print(f"convolution, 4 filters of 4 x 4:   {count_parameters(bank):19,}")

# %%
# The last two give equally many outputs. The convolution gets by with so little
# because it assumes something: what is worth finding here is worth finding everywhere,
# and can be seen in a small window.
#
# Dropout
# -------
# The article lists dropout among the hidden layers. It has no neurons and nothing to
# learn: while a network trains, it sets each value to zero with a given probability, so
# that no neuron relies on a single other one, and scales up the rest, so that sums stay
# the same on average. ``train()`` switches it on, ``eval()`` off. Below, a multi-layer
# perceptron (MLP: fully connected layers with dropout between them) gets a batch of
# eight copies of one digit, and dropout draws anew for each. Watch what changes from
# row to row.

torch.manual_seed(0)
mlp = MLP()
print("parameters of its dropout layers:", count_parameters(mlp.dropout1))
same_digit = digit.expand(8, 1, 28, 28)
with torch.no_grad():
    training = mlp.train()(same_digit)
    predicting = mlp.eval()(same_digit)
figure = plot_feature_maps(
    torch.stack([training, predicting]), titles=["train mode", "eval mode"]
)
figure.suptitle(
    "Rows are copies, columns the ten scores of an untrained MLP. In train mode "
    "dropout gives each copy other scores; in eval mode it is off.",
    wrap=True,
)

# %%
# The scaling makes up for the missing values on average. The mean over many copies in
# train mode comes close to the scores in eval mode. It need not meet them exactly,
# because the ReLU after the first dropout is not linear.

with torch.no_grad():
    many = mlp.train()(digit.expand(4000, 1, 28, 28))
for copies in (1, 10, 100, 4000):
    distance = (many[:copies].mean(dim=0) - predicting[0]).abs().max()
    print(f"mean of {copies:4}: at most {distance:.4f} from eval mode")

# %%
# Forgetting ``model.eval()`` before a prediction is a common mistake. Nothing warns;
# the scores are a little different each time.
#
# To take away
# ------------
# Flattening changes the shape, not the numbers. A fully connected layer is one weighted
# sum over everything for each score: a convolution whose kernel is as large as its
# input. It costs a weight for each pair of input and output, so it stands at the end,
# where maps are small.
#
# Try it
# ------
# Give both layers, ``linear`` and ``conv``, a larger picture: the digit at double size.

large = nn.functional.interpolate(digit[None], scale_factor=2)
maps = net(large).pool
print("maps", tuple(maps.shape), "convolution gives", tuple(conv(maps).shape))
try:
    linear(maps.flatten(1))
except RuntimeError as error:
    print("fully connected:", error)

# %%
# The convolution slides, and gives a map of scores. The fully connected layer has one
# weight for each input it was built for; with another number of inputs it can't run.
# That is why a classifier that ends in this way insists on one size of picture.
#
# Next: all these layers in a row, on the dog.

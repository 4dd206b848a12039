"""
Two networks, every parameter counted
=====================================

The article's perceptron has 669,706 parameters, the small convolutional network that
we compare it with 6,018. This page counts both layer by layer, by hand and by machine.
"""

# sphinx_gallery_thumbnail_number = 2

from torch import nn

from cnnviz.architecture import summarize
from cnnviz.datasets import mnist
from cnnviz.models import CNN, MLP, count_parameters
from cnnviz.plotting import plot_architecture, plot_boxes

# %%
# The perceptron
# --------------
# An MLP, multi-layer perceptron, lays out the 28 × 28 pixels in a row and connects all
# to all, three times. A *neuron* is one weighted sum of its inputs plus a bias, with
# ReLU after it except at the end; a *layer* is many neurons, a *model* many layers in a
# row.
# ``summarize`` runs the model and writes down what each layer gives and holds. Look at
# where the parameters are.

mlp = MLP()
for layer in summarize(mlp, (1, 28, 28)):
    print(f"{layer.name:9}{layer.kind:8}{layer.output_shape!s:8}{layer.parameters:>8,}")
print(f"{'total':25}{count_parameters(mlp):>8,}")

# %%
# All the parameters are in three layers. A fully connected layer has one weight for
# each pair of input and output, and one bias for each output. By hand:

hidden1 = 784 * 512 + 512
hidden2 = 512 * 512 + 512
scores = 512 * 10 + 10
print(f"{hidden1:,} + {hidden2:,} + {scores:,} = {hidden1 + hidden2 + scores:,}")
print(f"in the first layer: {hidden1 / count_parameters(mlp):.0%}")

# %%
# The same run as a drawing. Bars are vectors; their length grows with the logarithm of
# the number of units.

figure = plot_architecture(mlp, (1, 28, 28))
figure.suptitle(
    "The picture becomes one long row at once: from there on, nothing knows which "
    "pixels were neighbours.",
    wrap=True,
)

# %%
# .. note::
#    In the article, the drawings of an MLP and a CNN are made by hand, and dropout is
#    called a hidden layer. Here both come from the models that run: dropout has no
#    neurons and no parameters. The article's MLP ends in softmax, which makes
#    probabilities of the ten scores; it has no parameters, and here it is part of the
#    loss.
#
# The convolutional network
# -------------------------
# Two convolutions, each followed by pooling, batch normalisation and ReLU; only the end
# is fully connected, as in LeNet (LeCun and others, 1998). Unlike in the article's net,
# pooling comes first, so that the layers behind it have less to compute.

cnn = CNN()
for layer in summarize(cnn, (1, 28, 28)):
    shape = " x ".join(map(str, layer.output_shape))
    print(f"{layer.name:9}{shape:12}{layer.parameters:>6,}")
print(f"{'total':21}{count_parameters(cnn):>6,}")

# %%
# A filter has one weight for each pixel of its window in each channel it reads, and the
# size of the picture does not matter. Batch normalisation has two numbers a map, a
# scale and a shift.

conv1 = 8 * (1 * 5 * 5)
conv2 = 16 * (8 * 5 * 5)
norms = 2 * 8 + 2 * 16
scores = (16 * 4 * 4) * 10 + 10
print(
    f"{conv1} + {conv2:,} + {norms} + {scores:,} = {conv1 + conv2 + norms + scores:,}"
)

# %%
# In the drawing, maps stay maps until the last step: they become more, and smaller.

figure = plot_architecture(cnn, (1, 28, 28))
figure.suptitle(
    "Stacks of maps in proportion to their sides. The first convolution has the "
    "largest output and almost no parameters.",
    wrap=True,
)

# %%
# Why so few
# ----------
# Two ideas save the weights. **Local connections**: a unit looks at a small window.
# **Shared weights**: all windows are looked at with the same filter.

digit, label = mnist()[7]
ax = plot_boxes(
    digit[0],
    [(0, 0, 28, 28), (7, 12, 12, 17)],
    labels=["one neuron of fc1: 784 weights", "conv1: 25 weights"],
    title="what one unit looks at",
)
ax.figure.suptitle(
    "A neuron of fc1 has a weight of its own for every pixel. A filter of conv1 has 25 "
    "weights and uses them at each of 24 × 24 places.",
    wrap=True,
)

# %%
# How much is saved:

ratio = count_parameters(mlp) / count_parameters(cnn)
print(f"{count_parameters(mlp):,} / {count_parameters(cnn):,} = {ratio:.0f}")

# %%
# Few parameters, not little work
# -------------------------------
# A shared weight is used once for each position of its window. Count multiplications
# instead of parameters, and most of the gap is gone:

mlp_work = 784 * 512 + 512 * 512 + 512 * 10
cnn_work = conv1 * (24 * 24) + conv2 * (8 * 8) + 256 * 10
print(f"multiplications for one digit: MLP {mlp_work:,}, CNN {cnn_work:,}")
print(f"ratio: {mlp_work / cnn_work:.1f}, not {ratio:.0f}")

# %%
# To take away
# ------------
# A fully connected layer pays for every pair of input and output, a convolution for
# the size of its window and the number of maps. So the MLP has most of its parameters
# where it meets the pixels, the CNN hardly any. The MLP has 111 times the CNN's
# parameters, but only 2.1 times its multiplications.
#
# Try it
# ------
# Give the MLP one hidden layer, and no more parameters than the CNN has. How many
# neurons can it afford?

for neurons in (6, 7, 8):
    hidden, scores = nn.Linear(784, neurons), nn.Linear(neurons, 10)
    small = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), scores)
    count = count_parameters(small)
    fits = count <= count_parameters(cnn)
    print(f"{neurons} neurons: {count:,}", "fits" if fits else "too many")

# %%
# Seven, since each costs a weight for every pixel. Whether the CNN's parameters are
# also better spent has to be measured, and will be.
#
# Next: where good weights come from.

"""
Move a digit by three pixels
============================

We count how many digits each of the two networks still reads after a shift, and find
out why even the better one fails in the end.
"""

# sphinx_gallery_thumbnail_number = 4

import torch
import torch.nn.functional as F

from cnnviz import live
from cnnviz.activations import record_activations
from cnnviz.datasets import mnist_tensors
from cnnviz.models import CNN, MLP
from cnnviz.plotting import (
    plot_digits,
    plot_feature_maps,
    plot_history,
    plot_shift_accuracy,
)
from cnnviz.training import evaluate, fit

# %%
# The two networks of the page before, trained or read from the cache:

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
digits = mnist_tensors(train=True)

torch.manual_seed(0)
mlp = MLP()
fit(mlp, *digits, learning_rate=0.01, snapshots=SNAPSHOTS, cache=True)

torch.manual_seed(0)
cnn = CNN()
fit(cnn, *digits, learning_rate=0.03, snapshots=SNAPSHOTS, cache=True)

# %%
# One digit
# ---------
# ``F.pad`` with a positive number adds black columns, with a negative one it takes
# columns away: together a shift. Above are the MLP's answers, below the CNN's.

images, labels = mnist_tensors(train=False)
shifts = range(-6, 7, 2)
moved = torch.cat([F.pad(images[:1], (dx, -dx, 0, 0)) for dx in shifts])
with torch.no_grad():
    answers = torch.cat([mlp(moved).argmax(1), cnn(moved).argmax(1)])
names = ["MLP"] * 7 + ["CNN"] * 7
titles = [f"{name}: {answer}" for name, answer in zip(names, answers, strict=True)]
figure = plot_digits(moved.repeat(2, 1, 1, 1), titles, columns=7)
figure.suptitle(
    "From 6 pixels to the left, in steps of 2, to 6 pixels to the right. Each title is "
    f"a network's answer; {labels[0]} is right.",
    wrap=True,
)

# %%
# The same digit at all shifts to the side: how much probability do the nets give to its
# label? Look at the two ends.

shifts = range(-6, 7)
moved = torch.cat([F.pad(images[:1], (dx, -dx, 0, 0)) for dx in shifts])
with torch.no_grad():
    right = {
        "MLP": (shifts, mlp(moved).softmax(1)[:, labels[0]]),
        "CNN": (shifts, cnn(moved).softmax(1)[:, labels[0]]),
    }
ax = plot_history(
    right, xlabel="shift to the right, pixels", ylabel="probability of the label"
)
(_, by_mlp), (_, by_cnn) = right.values()
ax.figure.suptitle(
    f"Six pixels to the right, the MLP gives the label {by_mlp[-1]:.0%} and the CNN "
    f"{by_cnn[-1]:.0%}; six to the left, {by_mlp[0]:.0%} and {by_cnn[0]:.0%}.",
    wrap=True,
)

# %%
# Your own digit
# --------------
# Both nets run in this page, too, with weights rounded to 8 bits so that they load
# quickly. What does the rounding cost, over all test digits?

quantised = [live.quantise_weights(net) for net in (cnn, mlp)]
cnn_reads, mlp_reads = (evaluate(net, images, labels) for net in quantised)
for name, net, reads in (("CNN", cnn, cnn_reads), ("MLP", mlp, mlp_reads)):
    before = evaluate(net, images, labels).accuracy
    print(f"{name} reads {before:.2%}, with 8-bit weights {reads.accuracy:.2%}")

# %%
# Below you can draw, and at each stroke see what every layer of the CNN finds and what
# both nets answer. Or start from a test digit and move it to the right: who gives up
# first? Turn it, make it thicker. Then draw a small digit in a corner and let it be
# centred as MNIST's digits were: scaled into 20 × 20 pixels, its centre of mass in the
# middle. Point at the maps, and a frame shows what of the picture a unit saw.

cnn_right = cnn_reads.predictions == labels
mlp_right = mlp_reads.predictions == labels
both = cnn_right & mlp_right
chosen = [(both & (labels == digit)).nonzero()[:2, 0] for digit in range(10)]
chosen += [(right != both).nonzero()[:10, 0] for right in (cnn_right, mlp_right)]
chosen = torch.cat(chosen)
answers = torch.where(cnn_right, mlp_reads.predictions, cnn_reads.predictions)
figure = plot_digits(
    images[chosen], labels[chosen].tolist(), predictions=answers[chosen].tolist()
)
figure.suptitle(
    "Digits to start from: some that both nets read, then some that only the MLP "
    "misreads, and some that only the CNN does.",
    wrap=True,
)
live.draw_digit({"CNN": cnn, "MLP": mlp}, images[chosen], labels[chosen], digit=14)

# %%
# Five hundred digits
# -------------------
# One digit proves nothing. So take five hundred test digits, move them by up to six
# pixels in all directions, and count. MNIST's digits measure up to 20 × 20 pixels and
# are centred by their mass. In its worst direction, a shift of three pixels pushes ink
# out of the picture for a third of them, a shift of four for almost three quarters.

torch.manual_seed(0)
sample = torch.randperm(10_000)[:500]
accuracy = torch.zeros(2, 13, 13)
for row, dy in enumerate(shifts):
    for column, dx in enumerate(shifts):
        moved = F.pad(images[sample], (dx, -dx, dy, -dy))
        for net, model in enumerate((mlp, cnn)):
            accuracy[net, row, column] = evaluate(model, moved, labels[sample]).accuracy

# %%
# Each cell is one shift, numbers are per cent. Look at how large the bright spot is.

ax = plot_shift_accuracy(accuracy[0], title="MLP")
ax.figure.suptitle(
    f"In place {accuracy[0, 6, 6]:.0%}, three pixels further right "
    f"{accuracy[0, 6, 9]:.0%}, six up and to the left {accuracy[0, 0, 0]:.0%}. "
    "Guessing would give 10%.",
    wrap=True,
)

# %%
# And for the CNN, in the same colours:

ax = plot_shift_accuracy(accuracy[1], title="CNN")
ax.figure.suptitle(
    f"In place {accuracy[1, 6, 6]:.0%}, three pixels further right "
    f"{accuracy[1, 6, 9]:.0%}. The bright spot is wider, but it is a spot: this net, "
    "too, depends on the place.",
    wrap=True,
)

# %%
# In one table: the mean over all shifts by so many pixels. For a diagonal shift, we
# count the larger of its two components.

down, right = torch.meshgrid(torch.arange(-6, 7), torch.arange(-6, 7), indexing="ij")
distance = torch.maximum(down.abs(), right.abs())
print("pixels  MLP   CNN")
for pixels in range(7):
    a, b = accuracy[:, distance == pixels].mean(dim=1)
    print(f"{pixels:4}{a:8.1%}{b:6.1%}")

# %%
# What moves along
# ----------------
# A convolution of stride 1 looks at every place with the same weights. So when the
# digit moves, its feature maps move along, unchanged: this is called **equivariance**.
# Here are four maps of the first layer, for a digit and for the same digit four pixels
# further right.

still = record_activations(cnn, images[:1])
there = record_activations(cnn, F.pad(images[:1], (4, -4, 0, 0)))
names = [f"map {i}" for i in range(4)]
figure = plot_feature_maps(
    torch.cat([still["relu1"][0, :4], there["relu1"][0, :4]]),
    titles=names + [f"{name}, moved" for name in names],
    columns=4,
)
figure.suptitle(
    "The moved maps are the others, two pixels further right: a pixel after pooling "
    "is two pixels before it.",
    wrap=True,
)

# %%
# In numbers: move the digit so far that the maps move by exactly one of their pixels,
# move them back, and take the largest difference.

for layer, pixels in (("conv1", 1), ("relu1", 2), ("relu2", 4)):
    there = record_activations(cnn, F.pad(images[:1], (pixels, -pixels, 0, 0)))
    difference = (there[layer][..., 1:] - still[layer][..., :-1]).abs().max()
    print(f"{layer}, digit moved by {pixels}: {difference:.1g}")
print(f"largest value in relu2: {still['relu2'].max():.1f}")

# %%
# Up to ``relu2``, nothing is lost but what leaves the picture. The last layer then has
# a weight of its own for each place of each map. It is like the MLP in that; but a
# place is four pixels wide here, and max pooling passes on the largest value within it.
# So the net is **not invariant**: it tolerates small shifts but not large ones.

scores = torch.cat([still["fc"], there["fc"]])
print("scores in place:   ", scores[0].numpy().round(1))
print("moved by 4 pixels: ", scores[1].numpy().round(1))

# %%
# To take away
# ------------
# What a convolution finds, it finds everywhere: move the digit, and its maps move
# along. The MLP has learned each pixel separately, and a moved digit meets weights that
# were made for something else. Convolution is equivariant; for a prediction that
# doesn't change at all, the later layers must discard position.
#
# Try it
# ------
# Let the nets practise: train both once more, on digits moved at random by up to six
# pixels. Then give old and new nets test digits moved likewise.

torch.manual_seed(0)
both = torch.cat([digits[0], images])
offsets = torch.randint(-6, 7, (len(both), 2)).tolist()
moved = torch.stack(
    [F.pad(x, (dx, -dx, dy, -dy)) for x, (dx, dy) in zip(both, offsets, strict=True)]
)
moved_train, moved_test = moved.split([60_000, 10_000])
mlp2, cnn2 = MLP(), CNN()
fit(mlp2, moved_train, digits[1], learning_rate=0.01, cache=True)
fit(cnn2, moved_train, digits[1], learning_rate=0.03, cache=True)

# %%
# How many of the moved test digits do they read?

print("trained on      MLP          CNN")
for name, nets in (("in place", (mlp, cnn)), ("moved", (mlp2, cnn2))):
    a, b = (evaluate(net, moved_test, labels).accuracy for net in nets)
    print(f"digits {name:9}{a:6.1%}{b:12.1%}")

# %%
# Practice helps both: data can teach what the structure doesn't give. The CNN still
# leads: what its convolutions learn in one place holds in all others.
#
# Next: the filters that the CNN has found.

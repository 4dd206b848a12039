"""
A kernel that finds itself
==========================

We filter twenty digits with Sobel's kernel, hide the kernel, and let gradient descent
find it again from the pictures alone. That is all that "learning filters" means.
"""

# sphinx_gallery_thumbnail_number = 4

import cv2
import torch
import torch.nn.functional as F
from torch import nn

from cnnviz import live
from cnnviz.datasets import dog, mnist_tensors
from cnnviz.kernels import SOBEL_X
from cnnviz.plotting import (
    plot_digits,
    plot_feature_maps,
    plot_history,
    plot_kernels,
)

# %%
# Questions and answers
# ---------------------
# Examples come in pairs: a picture, and what the unknown filter makes of it. First four
# of the twenty pictures:

pictures, labels = mnist_tensors(train=True)
pictures = pictures[:20]
figure = plot_digits(pictures[:4], labels[:4], columns=4)
figure.suptitle("The questions.")

# %%
# And the answers. Look at the two sides of an upright stroke.

sobel = torch.tensor(SOBEL_X, dtype=torch.float32)
answers = F.conv2d(pictures, sobel[None, None])
titles = [f"answer to the {label}" for label in labels[:4]]
figure = plot_feature_maps(answers[:4, 0], titles=titles, columns=4)
figure.suptitle(
    "Positive where a stroke begins, negative where it ends, little along horizontal "
    "strokes. From such pairs one could guess the rule.",
    wrap=True,
)

# %%
# Gradient descent
# ----------------
# A convolution of 3 × 3 starts with nine random weights. Each step compares its output
# with the answers: the loss is the mean squared difference. ``backward`` computes how
# the loss changes with each weight, and ``step`` moves all nine against that.

torch.manual_seed(0)
conv = nn.Conv2d(1, 1, kernel_size=3, bias=False)
optimizer = torch.optim.SGD(conv.parameters(), lr=1)
losses, kernels = [], [conv.weight.detach().clone()]
for _ in range(500):
    loss = F.mse_loss(conv(pictures), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    kernels.append(conv.weight.detach().clone())

# %%
# The vertical axis is logarithmic: each line of the grid is a loss ten times smaller.

ax = plot_history({"loss": losses}, ylabel="mean squared difference")
ax.set_yscale("log")
ax.figure.suptitle(
    f"From {losses[0]:.1f} to {losses[-1]:.0e}: steep at first, then slower.",
    wrap=True,
)

# %%
# The kernel on its way
# ---------------------
# Look for the two columns, negative on the left and positive on the right. They are
# there after a few steps. The middle column and the ratio 1 : 2 : 1 take longer.

steps = (0, 1, 3, 10, 30, 100, 500)
figure = plot_kernels(
    [kernels[step][0, 0] for step in steps] + [sobel],
    titles=[f"step {step}" for step in steps] + ["SOBEL_X"],
    columns=4,
    limit=2,
)
figure.suptitle(
    "Noise, then an edge finder, then Sobel's. All panels have the same colours.",
    wrap=True,
)

# %%
# And what it makes of the first picture on its way. **Live:** press *play*, then choose
# another target. To spoil it, double the learning rate: each step then overshoots by
# more than it gains.

steps = (0, 3, 100)
figure = plot_feature_maps(
    [F.conv2d(pictures[0], kernels[step])[0] for step in steps] + [answers[0, 0]],
    titles=[f"step {step}" for step in steps] + ["SOBEL_X"],
    columns=4,
)
figure.suptitle(
    "The output looks right long before the nine weights are right.", wrap=True
)
live.learn_kernel(pictures, SOBEL_X)

# %%
# How close is it?

error = (conv.weight[0, 0] - sobel).abs().max()
print(conv.weight[0, 0].detach().numpy().round(3))
print(f"largest error of a weight: {error:.4f}")

# %%
# .. note::
#    In the article, "filters are a set of pixel values". They are weights: nothing in a
#    kernel is a brightness. A network learns them, as this one did.
#
# A picture it never saw
# ----------------------
# Nine weights learned from digits know nothing of digits. On the dog, the learned
# kernel does what Sobel's does:

grey = cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY).astype("float32") / 255
photo = torch.from_numpy(grey)[None, None]
with torch.no_grad():
    learned, wanted = conv(photo)[0, 0], F.conv2d(photo, sobel[None, None])[0, 0]
difference = (learned - wanted).abs().max()
figure = plot_feature_maps([learned, wanted], titles=["learned", "SOBEL_X"], limit=2)
figure.suptitle(
    f"No pixel differs by more than {difference:.4f}; responses reach "
    f"{wanted.abs().max():.1f}.",
    wrap=True,
)

# %%
# To take away
# ------------
# A kernel need not be invented. Examples of what it should do, a measure of how far off
# it is and a rule to make that smaller are enough. A network does the same with all its
# kernels at once; only there nobody supplies the right response for each filter, just
# the labels at the very end.
#
# Try it
# ------
# Learn from pictures without any vertical edge: smear each row of a digit into its
# mean. Sobel's response to these is zero everywhere.

torch.manual_seed(0)
smeared = pictures.mean(dim=3, keepdim=True).expand(20, 1, 28, 28)
answers = F.conv2d(smeared, sobel[None, None])
blind = nn.Conv2d(1, 1, kernel_size=3, bias=False)
before = blind.weight.detach().clone()
optimizer = torch.optim.SGD(blind.parameters(), lr=1)
for _ in range(500):
    loss = F.mse_loss(blind(smeared), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss:.0e}")
print("sums of rows before", before.sum(dim=3).flatten().numpy().round(2))
print(
    "sums of rows after ", blind.weight.sum(dim=3).detach().flatten().numpy().round(2)
)

# %%
# A loss of next to nothing, and this kernel:

figure = plot_kernels(
    [before[0, 0], blind.weight[0, 0], sobel], titles=["before", "after", "SOBEL_X"]
)
figure.suptitle("Within each row, the differences are still those of the start.")

# %%
# Where all pixels of a row are equal, only the sum of a row of weights matters. The
# sums came close to zero, as Sobel's are; all else stayed as chance had it. A network
# learns what its examples ask for. A low loss on them says nothing about what they
# don't contain.
#
# Next: not one kernel but two whole networks, learning from labels.

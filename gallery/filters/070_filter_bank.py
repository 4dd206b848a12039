"""
Four filters, four questions to the dog
=======================================

The article's four kernels and what each of them finds. Two are the negatives of the two
others, which looks like waste until ReLU has cut the negative half.
"""

import cv2
import numpy as np

from cnnviz.datasets import dog
from cnnviz.kernels import apply_kernel, edge_bank
from cnnviz.plotting import plot_feature_maps, plot_kernels, plot_signed

# %%
# The kernels are 4 × 4, one half −1 and one half +1. Each asks a question: is it
# brighter under my red half than under my blue half?

bank = edge_bank()
questions = ["brighter right", "brighter left", "brighter below", "brighter above"]
figure = plot_kernels(bank, titles=questions, columns=2)
figure.suptitle(
    "Each sums to 0, so an even area answers 0. In each row the right kernel is the "
    "left one with its signs turned.",
    wrap=True,
)

# %%
# .. note::
#    In the article, filters are "a set of pixel values". They are weights: pixels are
#    what they are multiplied with. These were chosen by hand; a network learns its own.
#
# What they answer
# ----------------
# All four on the dog (at half its size, which makes edges easier to see), on one scale:
# red is yes, blue is the opposite. Look at the dark pillars at the left and
# right border, then at the boards of the wall.

grey = cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY) / 255
grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
answers = np.stack([apply_kernel(grey, kernel, padding="valid") for kernel in bank])
figure = plot_feature_maps(answers, titles=questions, columns=2, limit=4)
figure.suptitle(
    "The upper two see vertical edges: the pillars, the sides of the wheels. The lower "
    "two see horizontal ones: the boards, the top tube.",
    wrap=True,
)

# %%
# .. note::
#    In the article, each map is stretched to its own range. Here all have one scale, so
#    a pale map is one that got weak answers.
#
# In each pair, the second map is the first one with its signs turned:

print("picture", grey.shape, "answers", answers.shape)
print("largest |right + left|:", np.abs(answers[0] + answers[1]).max())
print("largest |below + above|:", np.abs(answers[2] + answers[3]).max())

# %%
# So the second and the fourth filter add nothing, yet.
#
# After ReLU
# ----------
# A network sends its answers through ReLU, which keeps positive values and makes all
# others 0. Look at the two pillars again: the edge of the left one is mainly in the
# first map, that of the right one mainly in the second.

kept = np.maximum(answers, 0)
figure = plot_feature_maps(kept, titles=questions, columns=2, limit=4)
figure.suptitle(
    "Black is 0. Each map has the edges that its question was about, and no others.",
    wrap=True,
)

# %%
# How much does one map alone keep, and do two together have all?

for question, before, after in zip(questions, answers, kept, strict=True):
    print(
        f"{question:15} {after.sum() / np.abs(before).sum():.0%} of its strength kept"
    )
both = (kept[0] > 0) & (kept[1] > 0)
print("pixels that answer yes to both, right and left:", both.sum())
restored = np.array_equal(kept[0] - kept[1], answers[0])
print("first minus second is the answer before ReLU:", restored)

# %%
# Each keeps about half, none overlaps with its opposite, and together they have
# everything. A network with ReLU needs both to know both kinds of edge.
#
# To take away
# ------------
# A filter's answer is signed: how much the picture is like the kernel, or like its
# negative. ReLU keeps "like the kernel" only. Filters of opposite signs are one filter
# before ReLU and two after it.
#
# Try it
# ------
# Ask a question of your own. Weights of +1 above the diagonal and −1 below it:

diagonal = np.triu(np.ones((4, 4)), 1) - np.tril(np.ones((4, 4)), -1)
own = apply_kernel(grey, diagonal, padding="valid")
ax = plot_signed(own, title="brighter at the upper right?", limit=4)
ax.figure.suptitle(
    "The wheel answers at its upper right and lower left, where it runs along the "
    "kernel's diagonal. At its upper left and lower right it fades.",
    wrap=True,
)

# %%
# Edges along the other diagonal cancel: half of such an edge lies on weights of +1, the
# other half on −1. With enough questions, all directions are covered.
#
# Next: how these answers are computed.

"""
ReLU: the same map with its negative half cut off
=================================================

ReLU replaces negative values by zero and leaves the others alone. It has nothing to
learn, and yet without it ten layers could do no more than one.
"""

import cv2
import numpy as np
import torch
from torch.nn.functional import relu

from cnnviz.datasets import dog
from cnnviz.kernels import SOBEL_X, SOBEL_Y, apply_kernel, edge_bank
from cnnviz.plotting import plot_feature_maps, plot_kernels

grey = cv2.cvtColor(dog()[200:440, 120:440], cv2.COLOR_RGB2GRAY) / 255

# %%
# Before and after
# ----------------
# The first of the article's kernels answers where the picture gets brighter to the
# right: red below. Blue, negative, is the same kind of edge in the other direction,
# from bright to dark. Both maps have one scale; here and below, 2 and more has full
# colour, or white. Look at what happens to the blue.

edges = torch.tensor(apply_kernel(grey, edge_bank()[0], padding="valid"))
before_and_after = torch.stack([edges, relu(edges)])
figure = plot_feature_maps(before_and_after, titles=["before", "after ReLU"], limit=2)
figure.suptitle(
    f"Red is unchanged, blue is gone: {(edges < 0).double().mean():.0%} of all values "
    "were negative and are now zero.",
    wrap=True,
)

# %%
# Why do they vanish? Because ReLU is :math:`\max(0, x)`, no more:

few = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
print("in ", few.tolist())
print("out", relu(few).tolist())

# %%
# A zero now has two meanings: no edge here, or an edge the other way. The other way
# needs a second filter. The article's bank has it: each kernel is there twice, once
# with its signs changed. The second map is minus the first one, so ReLU keeps the other
# half.

other = apply_kernel(grey, edge_bank()[1], padding="valid")
halves = torch.stack([relu(edges), relu(torch.tensor(other))])
titles = ["brighter right", "brighter left"]
figure = plot_feature_maps(halves, titles=titles, limit=2)
figure.suptitle(
    "The dog's back, with bright boards to its left, is in the second map only. The "
    "two sides of a tyre are in different maps.",
    wrap=True,
)

# %%
# Nothing is lost between the two: subtract them and the signed map is back.

print("largest difference:", (halves[0] - halves[1] - edges).abs().max().item())

# %%
# Without ReLU, two layers are one
# --------------------------------
# Two convolutions in a row, with nothing between, are one convolution. Its kernel is
# found by convolving the two kernels with each other. Here: first the derivative along
# x, then along y.

both = apply_kernel(SOBEL_Y, SOBEL_X, padding=2, convolution=True)
figure = plot_kernels({"first": SOBEL_X, "second": SOBEL_Y, "both in one": both})
figure.suptitle("Two 3 × 3 kernels make one of 5 × 5.")

# %%
# Compare the outputs: two steps against one, on the same picture.

first = apply_kernel(grey, SOBEL_X, padding="valid")
two_steps = apply_kernel(first, SOBEL_Y, padding="valid")
one_step = apply_kernel(grey, both, padding="valid")
print(
    f"largest difference {np.abs(two_steps - one_step).max():.0e}, "
    f"in a map that reaches {np.abs(one_step).max():.0f}"
)

# %%
# Only rounding. Without ReLU, stacked convolutions can do no more than one larger
# kernel. With ReLU in between there is no such kernel. The proof: change the signs of
# all pixels, and any kernel answers with the signs changed, so that both answers add up
# to zero. Two layers with ReLU between don't do that.

one_kernel = one_step + apply_kernel(-grey, both, padding="valid")
print(f"one kernel, largest sum: {np.abs(one_kernel).max():.1f}")
first_of_negative = apply_kernel(-grey, SOBEL_X, padding="valid")
with_relu = sum(
    apply_kernel(np.maximum(edge_map, 0), SOBEL_Y, padding="valid")
    for edge_map in (first, first_of_negative)
)
print(f"with ReLU, largest sum:  {np.abs(with_relu).max():.1f}")

# %%
# .. note::
#    In the article, ReLU cuts off the negative answers on purpose. Its earlier picture,
#    the dog after Sobel, lost them too, by accident: ``filter2D`` on 8-bit pixels can't
#    store what is below 0.
#
# To take away
# ------------
# ReLU keeps "how much of my pattern is here" and drops "how much of its opposite". It
# is the bend that stops layers from collapsing into one. Where both directions matter,
# it takes two filters.
#
# Try it
# ------
# A bias is added before ReLU. With a bias of −0.5, an edge must be stronger than 0.5 to
# get through:

biased = relu(edges - 0.5)
without_and_with = torch.stack([relu(edges), biased])
figure = plot_feature_maps(without_and_with, titles=["bias 0", "bias −0.5"], limit=2)
figure.suptitle(
    f"From {(edges > 0).double().mean():.0%} of all values above zero to "
    f"{(biased > 0).double().mean():.0%}: with ReLU, the bias is a threshold.",
    wrap=True,
)

# %%
# Most of the fur and the faint lines of the background are gone, strong edges stay. A
# network learns its biases together with its kernels.
#
# Next: maps that hold less and keep the strongest.

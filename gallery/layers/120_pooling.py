"""
Pooling: four numbers become one
================================

A pooling layer cuts each map into windows and keeps one number of each: the largest, or
the mean. The map shrinks, and small shifts of the picture matter less.
"""

import cv2
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d

from cnnviz.datasets import dog, mnist
from cnnviz.geometry import output_size
from cnnviz.kernels import edge_bank
from cnnviz.models import FilterBankNet
from cnnviz.plotting import plot_boxes, plot_images, plot_pixel_values

# %%
# With numbers
# ------------
# A piece of a digit, 6 × 6 pixels. Windows of 2 × 2 lie side by side. Compare one
# window with its cell in the other two grids.

digit, label = mnist()[7]
piece = digit[:, 4:10, 9:15]
windows = [(r, c, r + 2, c + 2) for r in (0, 2, 4) for c in (0, 2, 4)]
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
plot_boxes(piece[0], windows, axes[0])
plot_pixel_values(piece[0], axes[0], title="6 × 6", format=".1f")
plot_pixel_values(max_pool2d(piece, 2)[0], axes[1], title="largest", format=".1f")
plot_pixel_values(avg_pool2d(piece, 2)[0], axes[2], title="average", format=".1f")
figure.suptitle(
    "The largest value stays as bright as it was. The average is darker wherever a "
    "window is partly empty.",
    wrap=True,
)

# %%
# .. note::
#    In the article, pooling is "max or average"; its network uses the maximum.
#
# On the dog
# ----------
# The map below comes from the article's first kernel and ReLU. At this size windows of
# 2 × 2 are hard to see, so there are 8 × 8 ones too. Look at the bicycle's frame and
# the edge of the pillar. All four pictures have one scale: white is 2 and more.

grey = torch.tensor(cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY) / 255).float()
edges = FilterBankNet(edge_bank())(grey[None, None]).relu[0, :1]
pictures = [edges, max_pool2d(edges, 2), max_pool2d(edges, 8), avg_pool2d(edges, 8)]
names = ["after ReLU", "max 2 × 2", "max 8 × 8", "average 8 × 8"]
titles = [
    f"{name}: {picture.shape[1]} × {picture.shape[2]}"
    for name, picture in zip(names, pictures, strict=True)
]
figure = plot_images([p[0].clamp(max=2) / 2 for p in pictures], titles, columns=2)
figure.suptitle(
    "Max pooling keeps thin lines at full strength and makes them wider. Averaging "
    "thins them out among the zeros around them.",
    wrap=True,
)

# %%
# Size
# ----
# Pooling slides like a convolution, so the formula is the same one, floor included.
# Only the default differs: unless told otherwise, the stride equals the window.

pool = nn.MaxPool2d(2)
print(f"window {pool.kernel_size}, stride {pool.stride}, parameters", end=" ")
print(sum(p.numel() for p in pool.parameters()))
for name, size in zip(["rows", "columns"], edges.shape[1:], strict=True):
    pooled = output_size(size, kernel_size=2, stride=2)
    print(f"{name}: {size} become {pooled}, which uses {2 * pooled} of them")
print("torch says", tuple(pool(edges).shape[1:]))

# %%
# Both sides are odd: the last row and the last column fall off.
#
# A shift by one pixel
# --------------------
# Move the whole picture by one pixel. The map after ReLU moves along by one pixel, with
# not a value changed: that is called equivariance. It holds for every convolution of
# stride 1, except at the border.

net = FilterBankNet(edge_bank())
still = net(grey[None, None, :, :-1]).relu
moved = net(grey[None, None, :, 1:]).relu
difference = (still[..., 1:] - moved[..., :-1]).abs().max()
print("difference once the shift is undone:", difference.item())

# %%
# But a later layer looks at fixed places. How much do the values change there? Below,
# the sum of all changes in per cent of the sum of all values, before pooling (window 1)
# and after.

print("window    max  average")
for window in (1, 2, 4, 8, 16):
    changes = [
        (pool(still, window) - pool(moved, window)).abs().sum()
        / pool(still, window).sum()
        for pool in (max_pool2d, avg_pool2d)
    ]
    print(f"{window:6} {changes[0]:6.0%} {changes[1]:8.0%}")

# %%
# The larger the window, the less a pixel matters: as long as an edge stays in its
# window, the maximum stays what it was. Yet nothing reaches 0%: some edges always
# cross into the next window. Pooling gives *some* tolerance to small shifts, not
# invariance.
#
# To take away
# ------------
# Pooling has nothing to learn. Max pooling says how strongly something was found in a
# window, and forgets where in it. That buys smaller maps and a little calm, at the
# price of precision.
#
# Try it
# ------
# Does it matter whether ReLU or pooling comes first?

maps = net(grey[None, None]).conv
for pool in (nn.MaxPool2d(2), nn.AvgPool2d(2)):
    same = torch.equal(pool(maps.relu()), pool(maps).relu())
    print(type(pool).__name__, "gives the same in both orders:", same)

# %%
# For the maximum it doesn't: ReLU never reverses the order of two values, so the
# largest stays the largest. An average taken first lets positive and negative values
# cancel, and that can't be undone.
#
# Next: the last layers, where every number meets every other.

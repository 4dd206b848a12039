"""
The article's network, stage by stage
=====================================

One convolution with four kernels made by hand, ReLU, max pooling: the dog goes in, and
this page shows what leaves each layer.
"""

# sphinx_gallery_thumbnail_number = 5

import cv2
import torch

from cnnviz.datasets import dog
from cnnviz.kernels import edge_bank
from cnnviz.models import FilterBankNet
from cnnviz.plotting import (
    plot_architecture,
    plot_feature_maps,
    plot_image,
    plot_kernels,
)

# %%
# The picture
# -----------
# Grey, floats from 0 to 1, in the shape that PyTorch expects: one image, one channel.

grey = cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY).astype("float32") / 255
batch = torch.from_numpy(grey)[None, None]
print(tuple(batch.shape), f"from {grey.min():.2f} to {grey.max():.2f}")
ax = plot_image(grey)
ax.figure.suptitle(
    "Look for edges: the dark pillars and tyres, the dog's back, the boards.", wrap=True
)

# %%
# .. note::
#    In the article, ``cv2.imread`` loads the file. It gives blue, green, red instead of
#    red, green, blue, and ``None`` instead of an error if there is no such file.
#
# The kernels
# -----------
# Two pairs, each kernel with its opposite. Positive weights are where the picture must
# be bright for a positive answer.

titles = ["brighter right", "brighter left", "brighter below", "brighter above"]
figure = plot_kernels(edge_bank(), titles=titles)
figure.suptitle("The first two find vertical edges, the others horizontal ones.")

# %%
# The network
# -----------
# The kernels become the weights of a convolution. Nothing is trained.

net = FilterBankNet(edge_bank())
print(net)

# %%
# One call runs the picture through and returns all three stages.

stages = net(batch)
for name, maps in stages._asdict().items():
    print(f"{name:5}{tuple(maps.shape)}, from {maps.min():.2f} to {maps.max():.2f}")

# %%
# .. note::
#    In the article, the model is built but never called, so ``activated_layer`` and
#    ``pooled_layer`` don't exist when they are drawn. It lacks ``net(batch)``.
#
# The same as a drawing, made from such a run:

figure = plot_architecture(net, (1, *grey.shape))
figure.suptitle("Only the first layer has weights, and these are not learned.")

# %%
# After CONV
# ----------
# Signed maps: red where the kernel's pattern is, blue where its opposite is. Compare
# the maps of a pair. Here and in the next two figures, 2 and more has full colour, or
# white.

figure = plot_feature_maps(stages.conv, titles=titles, columns=2, limit=2)
figure.suptitle(
    "Within a pair, red and blue have changed places. The boards of the wall are "
    "mainly in the lower pair, the edges of the pillars mainly in the upper.",
    wrap=True,
)

# %%
# After ReLU
# ----------
# Negative answers become zero. Each map keeps one direction of edge, and two maps
# together hold what one held before.

figure = plot_feature_maps(stages.relu, titles=titles, columns=2, limit=2)
figure.suptitle(
    "Follow the dog's back: it is dark on a bright ground, so its outline is in the "
    "maps for “brighter left” and “brighter above”, not in their opposites.",
    wrap=True,
)

# %%
# After POOL
# ----------
# The largest of each 2 × 2 window. Half as many rows and columns, a quarter of the
# numbers.

figure = plot_feature_maps(stages.pool, titles=titles, columns=2, limit=2)
figure.suptitle(
    "The same edges on a quarter of the pixels: lines look thicker and brighter, since "
    "each window keeps its strongest pixel.",
    wrap=True,
)

# %%
# To take away
# ------------
# Each stage returns what the next one takes: a stack of maps. Convolution says where a
# pattern is and where its opposite, ReLU drops the opposite, pooling makes the maps
# smaller and keeps the strongest answers. A deep network repeats these three, with
# learned kernels.
#
# Try it
# ------
# Make the second kernel a tenth as strong, and draw its map beside the first: once each
# on a scale of its own, as the article's ``viz_layer`` does, then on a shared one.

bank = edge_bank()[:2]
bank[1] *= 0.1
weak = FilterBankNet(bank, pool_size=4)(batch).pool
figure = plot_feature_maps(weak, titles=["strong", "weak"], shared_scale=False)
figure.suptitle("Each on its own scale: only the colour bars give the weak map away.")

# %%
# And on one scale:

figure = plot_feature_maps(weak, titles=["strong", "weak"])
figure.suptitle("On one scale the difference shows: what the next layer gets is faint.")

# %%
# A scale of its own shows where a filter answers, a shared one how strongly. The
# article's function scaled each map alone and said nothing of it. It also had to be
# told the number of maps, which is in the array's shape.
#
# Next: no more kernels made by hand. The network finds them.

"""
How much one unit sees: receptive fields
========================================

A unit of a convolutional network sees a window of the picture, its receptive field. We
draw it on a digit and on the dog, and measure which part of it has a say.
"""

# sphinx_gallery_thumbnail_number = 4

import numpy as np
import torch
from torch import nn
from torchvision.models import resnet18

from cnnviz import live
from cnnviz.activations import record_activations
from cnnviz.datasets import dog, mnist_tensors
from cnnviz.geometry import effective_receptive_field, receptive_field
from cnnviz.models import CNN
from cnnviz.plotting import plot_boxes, plot_digits, plot_overlay
from cnnviz.training import fit

# %%
# Layer by layer
# --------------
# A first convolution of 5 × 5 sees 5 × 5 pixels. The next one sees 5 × 5 of **those
# units**, which lie further apart when a pooling came before: their stride on the image
# is larger. So a layer with kernel :math:`k` widens the receptive field by
# :math:`k - 1` of these strides, and its own stride :math:`s` multiplies them:
#
# .. math:: \text{size} \leftarrow \text{size} + (k - 1) \cdot \text{stride}, \qquad
#    \text{stride} \leftarrow \text{stride} \cdot s
#
# ``receptive_field`` follows this through any model. For our trained CNN, in pixels:

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
torch.manual_seed(0)
cnn = CNN()
fit(
    cnn,
    *mnist_tensors(train=True),
    learning_rate=0.03,
    snapshots=SNAPSHOTS,
    cache=True,
)
fields = receptive_field(cnn, (1, 28, 28))
print("layer    size stride starts at")
for name, field in fields.items():
    print(f"{name:9}{field.size[0]:4}{field.stride[0]:7}{field.start[0]:10}")

# %%
# Both directions are alike, so the table has one number for each. Normalisation and
# ReLU look at single units and widen nothing. The fully connected layer sees all; its
# units have no position in the image, so the table gives 0.
#
# One unit on a digit
# -------------------
# We choose the ``relu2`` unit with the largest activation for this 7. That unit depends
# on 2 × 2 units of ``conv2``, and each of those on 10 × 10 units of ``conv1``. The
# figure also outlines the window of one unit from each layer.

images, labels = mnist_tensors(train=False)
digit = images[:1]
relu2 = record_activations(cnn, digit)["relu2"][0]
channel, row, column = (relu2 == relu2.max()).nonzero()[0].tolist()
windows = [
    fields["relu2"].window(row, column),
    fields["conv2"].window(2 * row + 1, 2 * column + 1),
    fields["conv1"].window(4 * row + 6, 4 * column + 6),
]
ax = plot_boxes(digit[0, 0], windows, labels=["relu2", "conv2", "conv1"])
ax.set_title("three receptive fields")
ax.figure.suptitle(
    f"The unit in row {row}, column {column} of relu2 sees {fields['relu2'].size[0]} "
    f"of 28 pixels each way, a unit of conv1 only {fields['conv1'].size[0]}.",
    wrap=True,
)

# %%
# That the unit sees this window and no more can be tested. First we replace everything
# outside by noise, then we invert sixteen pixels in the middle. Watch the unit's output
# over the pictures.

top, left, bottom, right = windows[0]
torch.manual_seed(0)
outside = torch.rand(1, 1, 28, 28)
outside[..., top:bottom, left:right] = digit[..., top:bottom, left:right]
inside = digit.clone()
middle = np.s_[..., top + 6 : top + 10, left + 6 : left + 10]
inside[middle] = 1 - inside[middle]
pictures = torch.cat([digit, outside, inside])
outputs = record_activations(cnn, pictures)["relu2"][:, channel, row, column]
figure = plot_digits(pictures, [f"output {y:.4f}" for y in outputs], columns=3)
figure.suptitle(
    "Noise outside of its window changes nothing, sixteen pixels inside do.", wrap=True
)

# %%
# What each filter responds to most
# ---------------------------------
# Windows also show what a filter has learned. For each of six filters of ``relu2``,
# these are the eight windows, from 10,000 test digits, with the largest activations.
# Above each stands the digit that it is cut from. What do the windows of a row share?

maps = record_activations(cnn, images, layers=["relu2"])["relu2"]
patches, sources = [], []
for channel in range(6):
    for index in maps[:, channel].amax(dim=(1, 2)).topk(8).indices:
        row, column = divmod(maps[index, channel].argmax().item(), 4)
        top, left, bottom, right = fields["relu2"].window(row, column)
        patches.append(images[index, 0, top:bottom, left:right])
        sources.append(f"from a {labels[index]}")
figure = plot_digits(torch.stack(patches), sources, columns=8)
mixed = sum(len(set(sources[i : i + 8])) > 1 for i in range(0, 48, 8))
figure.suptitle(
    f"One row of eight windows for each filter. In {mixed} of 6 rows, they come from "
    "different digits: a filter responds to parts, which digits may share.",
    wrap=True,
)

# %%
# A deeper network
# ----------------
# ResNet-18 halves its maps five times. Look at how the stride drives the size.

torch.manual_seed(0)
resnet = resnet18(weights=None).eval()
fields = receptive_field(resnet, (3, 448, 448))
stages = ["layer1", "layer2", "layer3", "layer4"]
print("layer    size stride")
for name in ["conv1", "maxpool", *stages]:
    print(f"{name:9}{fields[name].size[0]:4}{fields[name].stride[0]:7}")

# %%
# The last is nearly twice as wide as the images of 224 × 224 for which this network
# was made. Look at it on the dog's face, cut out so that it is in the middle. **Live:**
# choose a layer, point at the photo or at the map, and change the list of layers (the
# longest way through the network). The colour is the subject of the next section.

photo = dog()[64:512, 32:480]
windows = {}
for name in stages:
    middle = 224 // fields[name].stride[0]
    windows[name] = fields[name].window(middle, middle)
ax = plot_boxes(photo, list(windows.values()), labels=stages)
ax.set_title("the middle unit of each stage")
ax.figure.suptitle(
    "Part of the face; the head; the dog down to its belly, with parts of the bicycle; "
    "nearly everything.",
    wrap=True,
)
blocks = [*resnet.layer1, *resnet.layer2, *resnet.layer3, *resnet.layer4]
convolutions = [conv for block in blocks for conv in (block.conv1, block.conv2)]
path = nn.Sequential(resnet.conv1, resnet.maxpool, *convolutions)
nets = {"ResNet-18": path, "our CNN": cnn}
live.receptive_field(nets, {"ResNet-18": photo, "our CNN": digit[0, 0]})

# %%
# What counts within it
# ---------------------
# A unit need not use all that it sees. The **effective** receptive field (Luo and
# others, 2016) is the size of the gradient: how much the unit's output changes when one
# pixel does. Below is that of the largest window, for our ResNet with random weights.
# Where pixels have no influence, the photo stays as it is. The shape depends on the
# photo, too, since a ReLU whose output is zero passes no gradient.

batch = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
effective = {n: effective_receptive_field(resnet, batch, n) for n in stages}
influence = effective["layer4"]
ax = plot_overlay(photo, influence, title="layer4, effective", limit=0.3, colorbar=True)
falling = np.sort(influence, axis=None)[::-1].cumsum() / influence.sum()
ax.figure.suptitle(
    "The window is nearly the whole picture, but half of all influence is with "
    f"{(falling < 0.5).mean():.0%} of the pixels, about the middle. The largest is 1; "
    "from 0.3 on colour is full.",
    wrap=True,
)

# %%
# In numbers: how much of the influence lies in the inner half of a window, half as wide
# and half as high? If all pixels counted alike, it would be the part's share of the
# area. The first row is the trained CNN, a mean over 500 digits.

windows["relu2"] = receptive_field(cnn, (1, 28, 28))["relu2"].window(2, 2)
effective["relu2"] = effective_receptive_field(cnn, images[:500], "relu2")
print("layer   size  inner half: of the area  of the influence")
for name in ["relu2", *stages]:
    top, left, bottom, right = windows[name]
    size = bottom - top
    whole = effective[name][top:bottom, left:right]
    inner = whole[size // 4 : -(size // 4), size // 4 : -(size // 4)]
    area, share = inner.size / whole.size, inner.sum() / whole.sum()
    print(f"{name:8}{size:4}{area:24.0%}{share:18.0%}")

# %%
# A pixel in the middle reaches the unit along many paths, through all the small windows
# that contain it. A pixel in the corner has one path. With more layers the receptive
# field grows, but the unit relies more on the field's centre.
#
# To take away
# ------------
# A receptive field follows from kernels and strides alone: kernels widen it, strides
# make all later kernels widen it more. It is a bound. Within it, the middle counts
# more than its share of the area.
#
# Try it
# ------
# Set the stride of the ResNet's first convolution to 1. What is left of the largest
# field?

resnet.conv1.stride = (1, 1)
fields = receptive_field(resnet, (3, 448, 448))
for name in ["conv1", "maxpool", *stages]:
    print(f"{name:9}{fields[name].size[0]:4}{fields[name].stride[0]:7}")

# %%
# About half, because all later strides are half as long; the first window stays.
# In exchange, there are four times as many units to compute.
#
# Next: which pixels a decision rests on.

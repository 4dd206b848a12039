"""
One filter takes all maps: why 8 maps and 16 filters give 16
============================================================

A colour image has three channels, and a layer inside a network has many maps. Each
filter has a slice for every one of them, and adds up what the slices find.
"""

# sphinx_gallery_thumbnail_number = 2

import cv2
import numpy as np
import torch
from torch import nn
from torchvision.transforms.functional import to_tensor

from cnnviz import live
from cnnviz.activations import record_activations
from cnnviz.datasets import dog
from cnnviz.kernels import BOX_BLUR, apply_kernel
from cnnviz.models import count_parameters
from cnnviz.plotting import plot_feature_maps, plot_kernels

# %%
# Three maps in
# -------------
# The photo is the first stack of maps: red, green and blue, floats from 0 to 1.

image = to_tensor(dog())
print("maps, rows, columns:", tuple(image.shape))

# %%
# A filter for it needs three slices, one a channel. This one looks for red: it counts
# red in favour and green against. The weights of all slices add up to zero, so on grey,
# where the three channels are equal, the answer is zero.

weights = np.stack([1.0 * BOX_BLUR, -1.2 * BOX_BLUR, 0.2 * BOX_BLUR])
figure = plot_kernels(weights, titles=["slice for red", "for green", "for blue"])
figure.suptitle("One filter: three slices of 3 × 3 weights, here chosen by hand.")

# %%
# Each slice slides over its own channel only. That gives three partial maps. Their sum
# is the filter's output: one map. Look at the bicycle, the leaves and the floor in the
# partial maps, then in the sum. **Live:** point at one of them, press *play* and see
# its number grow and shrink. What if green is not subtracted? Switch it off.

partial = [
    apply_kernel(channel, kernel, padding="valid")
    for channel, kernel in zip(image, weights, strict=True)
]
output = sum(partial)
titles = ["red × its slice", "green × its slice", "blue × its slice", "sum"]
figure = plot_feature_maps([*partial, output], titles=titles, columns=2)
figure.suptitle(
    "The grey floor is strong in the first two maps and cancels in the sum. The red "
    "frame stays: green takes little away there. Leaves come out negative.",
    wrap=True,
)
small = cv2.resize(dog(), (192, 144), interpolation=cv2.INTER_AREA)
live.channel_sum(to_tensor(small), weights, names=["red", "green", "blue"])

# %%
# None of the partial maps says where red is; only the sum does, because it compares
# channels. PyTorch's layer does the same in one step. Its weights are one array with
# the shape (filters, slices, rows, columns):

layer = nn.Conv2d(3, 1, kernel_size=3, bias=False)
layer.weight.data = torch.tensor(weights, dtype=torch.float32)[None]
difference = np.abs(layer(image[None])[0, 0].detach().numpy() - output).max()
print("weights", tuple(layer.weight.shape))
print(f"largest difference from our sum: {difference:.1g}")

# %%
# Eight maps in, sixteen out
# --------------------------
# The next layer takes the maps before it as this one took the colours. With 8 maps and
# 16 filters there are 128 pairs of a map and a slice, and 128 partial maps. But each
# filter adds its eight into one, and a bias. To see it, one filter of a layer, taken
# apart:

torch.manual_seed(0)
maps = torch.rand(1, 8, 28, 28)
second = nn.Conv2d(8, 16, kernel_size=5)
filter_3 = second.weight[3]
parts = [
    nn.functional.conv2d(maps[:, i : i + 1], filter_3[None, i : i + 1])
    for i in range(8)
]
by_hand = sum(parts) + second.bias[3]
print("weights", tuple(second.weight.shape), "output", tuple(second(maps).shape))
print(f"{len(second.weight)} filters x {len(parts)} partial maps each")
print(f"map 3 by hand: difference {(by_hand - second(maps)[:, 3:4]).abs().max():.1g}")

# %%
# So the number of output maps is the number of filters, however many maps came in. What
# grows with the input are the weights. Two layers in a row, on the dog:

model = nn.Sequential(nn.Conv2d(3, 8, kernel_size=5), nn.Conv2d(8, 16, kernel_size=5))
outputs = record_activations(model, image[None])
for name, conv in model.named_children():
    filters, slices, rows, columns = conv.weight.shape
    print(
        f"layer {name}: {filters} filters x ({slices} x {rows} x {columns} weights + 1 "
        f"bias) = {count_parameters(conv):,} parameters, output "
        f"{tuple(outputs[name].shape)}"
    )

# %%
# To take away
# ------------
# A filter is as deep as its input: one slice for each map. The partial maps are added,
# and a bias, so one filter gives one map. That sum is where a network combines what
# earlier filters found: red here but no green, an edge here and another there.
#
# Try it
# ------
# What if the 128 partial maps were kept, as many expect? PyTorch can do it:
# ``groups=8`` gives each input map filters of its own.

apart = nn.Conv2d(8, 128, kernel_size=5, groups=8)
print("weights", tuple(apart.weight.shape), "output", tuple(apart(maps).shape))
print(f"{count_parameters(second):,} parameters with sums,", end=" ")
print(f"{count_parameters(apart):,} without")
print(f"one more layer like it would give {128 * 16:,} maps")

# %%
# The weights are as many as before (only biases are added), but nothing is summed: each
# map knows one of its input maps and no other, and their number explodes from layer to
# layer.
#
# Next: what happens to the negative values.

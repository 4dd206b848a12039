"""
Four settings of a convolution layer
====================================

Before a layer learns anything, four numbers decide what it can see and how large its
output is: the size of the kernel, its stride, the padding and the dilation.
"""

# sphinx_gallery_thumbnail_number = 3

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch

from cnnviz import live
from cnnviz.datasets import dog, mnist
from cnnviz.geometry import output_size
from cnnviz.kernels import SOBEL_X, apply_kernel
from cnnviz.plotting import plot_boxes, plot_images, plot_overlay, plot_signed

photo = dog()[200:440, 120:440] / 255
print("a piece of the dog's photo:", photo.shape, "floats from 0 to 1")

# %%
# Kernel size
# -----------
# Each output value is made of as many pixels as the kernel has weights. Here all
# weights are equal, so the output is the mean of the window. Watch the lettering on the
# bicycle: its strokes are thinner than the large windows, and sink into the mean.

sizes = [2, 3, 5, 9]
blurred = [
    apply_kernel(photo, np.full((size, size), 1 / size**2), padding="valid")
    for size in sizes
]
titles = [
    f"{size} × {size} gives {image.shape[0]} × {image.shape[1]}"
    for size, image in zip(sizes, blurred, strict=True)
]
figure = plot_images(blurred, titles, columns=2)
figure.suptitle(
    "The larger the kernel, the stronger the blur. The output shrinks by the kernel's "
    "size less one.",
    wrap=True,
)

# %%
# Stride
# ------
# The stride is the distance from one window to the next. Below is the dog's face on
# 8 × 8 pixels. The windows along its diagonal are drawn, in turn orange and blue; each
# gives one output. Look at the right and the lower edge.

face = cv2.resize(dog()[215:335, 205:325], (8, 8), interpolation=cv2.INTER_AREA)
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
for stride, ax in zip([1, 2, 3], axes, strict=True):
    first = stride * np.arange(output_size(8, 3, stride))
    windows = np.stack([first, first, first + 3, first + 3], axis=1)
    plot_boxes(face, windows, ax, title=f"stride {stride}: {len(first)} × {len(first)}")
figure.suptitle(
    "A larger stride gives a smaller output. With strides 2 and 3 the next window no "
    "longer fits, and the pixels beyond the last one are never seen.",
    wrap=True,
)

# %%
# Padding
# -------
# Padding puts a rim around the image before the kernel slides. With one pixel of it, a
# 3 × 3 window can be centred on every pixel, also on those in the corner.

figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.8), layout="compressed")
for padding, ax in zip([0, 1], axes, strict=True):
    size = output_size(8, 3, padding=padding)
    first, last = -padding, size - 1 - padding
    windows = [(first, first, first + 3, first + 3), (last, last, last + 3, last + 3)]
    plot_boxes(face, windows, ax, title=f"padding {padding}: {size} × {size}")
axes[1].imshow(
    np.zeros((10, 10)), cmap="gray", extent=(-1.5, 8.5, 8.5, -1.5), zorder=-1
)
figure.suptitle(
    "First and last window. With padding they reach over the edge, and the output is "
    "as large as the image.",
    wrap=True,
)

# %%
# What stands in the rim? By default zeros, that is: black. A wide kernel mixes it into
# the picture. ``padding_mode`` chooses something else.

wide = np.full((25, 25), 1 / 25**2)
modes = ["zeros", "replicate"]
padded = [apply_kernel(photo, wide, padding_mode=mode) for mode in modes]
figure = plot_images(padded, [f"padding_mode={mode!r}" for mode in modes])
figure.suptitle(
    "Zeros darken the border, twelve pixels deep: half the kernel's width. Repeating "
    "the outermost pixels doesn't.",
    wrap=True,
)

# %%
# .. note::
#    In the article, kernel size and stride are explained; padding and dilation aren't
#    named. Its own network uses neither, so each map loses three rows and columns to a
#    4 × 4 kernel.
#
# Dilation
# --------
# Dilation pulls the weights apart. The kernel below always has nine of them; marked are
# the nine pixels that make the first output. It sees farther at the same price, with
# gaps.

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
for dilation, ax in zip([1, 2, 3], axes, strict=True):
    seen = np.zeros((8, 8))
    seen[: 3 * dilation : dilation, : 3 * dilation : dilation] = 1
    size = output_size(8, 3, dilation=dilation)
    plot_overlay(face, seen, ax, title=f"dilation {dilation}: {size} × {size}")
figure.suptitle(
    "Nine weights each time, over a wider and wider span. Fewer positions fit, so the "
    "output shrinks.",
    wrap=True,
)

# %%
# The output's size
# -----------------
# All four in one formula. For a side of :math:`n` pixels, kernel :math:`k`, stride
# :math:`s`, padding :math:`p` on both sides and dilation :math:`d`:
#
# .. math::
#    \text{output} = \left\lfloor\frac{n + 2p - d\,(k - 1) - 1}{s}\right\rfloor + 1
#
# :math:`d\,(k - 1) + 1` is what the kernel spans; the fraction counts the steps that
# fit. The brackets round down: a step that doesn't fit is not taken. ``output_size`` is
# this formula, the last column is what PyTorch's layer gives.

settings = [(3, 1, 0, 1), (3, 2, 0, 1), (3, 3, 0, 1), (3, 1, 1, 1), (3, 1, 0, 2)]
print("kernel  stride  padding  dilation   formula  torch")
for kernel, stride, padding, dilation in settings:
    layer = torch.nn.Conv2d(1, 1, kernel, stride, padding, dilation)
    formula = output_size(8, kernel, stride, padding, dilation)
    torchs = layer(torch.zeros(1, 1, 8, 8)).shape[-1]
    print(f"{kernel:6}{stride:8}{padding:9}{dilation:10}{formula:10}{torchs:7}")

# %%
# Rows two and three are those where the floor bites:

for stride in (2, 3):
    used = (output_size(8, 3, stride) - 1) * stride + 3
    print(
        f"stride {stride}: (8 - 3) / {stride} = {5 / stride:.2f}, rounded down "
        f"{5 // stride}. Windows cover {used} of 8 pixels, {8 - used} left out."
    )

# %%
# All four at once
# ----------------
# A digit under Sobel's kernel, with three settings. Compare the sizes, and how broad
# the edges are.
#
# **Live:** set all four yourself, on the digit, on the dog or on a picture of your own.

digit = mnist(train=True).data[7].numpy()
maps = {
    "plain": apply_kernel(digit, SOBEL_X, padding="valid"),
    "stride 2": apply_kernel(digit, SOBEL_X, stride=2, padding="valid"),
    "dilation 3": apply_kernel(digit, SOBEL_X, dilation=3, padding="valid"),
}
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
for (name, edges), ax in zip(maps.items(), axes, strict=True):
    size = f"{edges.shape[0]} × {edges.shape[1]}"
    plot_signed(edges, ax, limit=1020, title=f"{name}: {size}", colorbar=False)
figure.suptitle(
    "Stride 2 keeps every second row and column: a quarter of the responses. Dilation "
    "3 compares columns six pixels apart instead of two, so edges look broader.",
    wrap=True,
)
live.kernel_playground({"a 3": digit, "the dog": dog()}, SOBEL_X, row=8, column=11)

# %%
# To take away
# ------------
# Kernel size and dilation say how far one output looks, stride how densely outputs are
# made, padding what happens at the border. The size of the output follows from the
# four, and so does what is left out.
#
# Try it
# ------
# Half a kernel of padding, ``kernel // 2``, should keep a digit at 28 pixels. For which
# kernels does it?

for kernel in (2, 3, 4, 5, 9):
    size = output_size(28, kernel, padding=kernel // 2)
    print(f"{kernel} x {kernel}: 28 becomes {size}")

# %%
# Only for odd ones. An even kernel has no middle pixel to centre on the image's pixels,
# so equal padding on both sides gives one row too many. Most kernels are odd.
#
# Next: images have three channels, layers have many maps. How a kernel takes them all.

"""
Colour is three grey pictures
=============================

The photo of the dog taken apart into red, green and blue, and put together again as
grey. The order of the three matters, and so do their weights.
"""

# sphinx_gallery_thumbnail_number = 2

import cv2
import matplotlib.pyplot as plt
import numpy as np

from cnnviz import live
from cnnviz.datasets import dog
from cnnviz.plotting import (
    plot_channels,
    plot_image,
    plot_images,
    plot_pixel_values,
    plot_signed,
)

# %%
# A colour picture has a third axis, the channel. Look at the bicycle: its frame is much
# brighter in the red channel than in the two others. The yellow wall is about equally
# bright in red and green, and darker in blue: yellow light is red and green together.

photo = dog()
print("shape", photo.shape, photo.dtype)
figure = plot_channels(photo)
figure.suptitle(
    "Each channel says how much of one light there is. Where all three are nearly "
    "alike, as on the floor, we see grey.",
    wrap=True,
)

# %%
# The numbers of a pixel
# ----------------------
# Closer: 7 × 7 pixels at the rim of the frame, with the wall on the right. A pixel is
# three numbers, one at the same place in each table. From left to right, red changes
# little, while green grows most: that makes yellow of red. **Live:** point at other
# places, and look for a pixel that has much of one colour alone.

patch = photo[290:297, 380:387]
figure, axes = plt.subplots(2, 2, figsize=(7.2, 7.6), layout="compressed")
plot_image(patch, axes[0, 0], title="colour")
plot_pixel_values(patch[..., 0], axes[0, 1], title="red channel")
plot_pixel_values(patch[..., 1], axes[1, 0], title="green channel")
plot_pixel_values(patch[..., 2], axes[1, 1], title="blue channel")
figure.suptitle(
    f"Red, green and blue of the pixel in the upper left corner are "
    f"{patch[0, 0].tolist()}, in the lower right corner {patch[-1, -1].tolist()}.",
    wrap=True,
)
live.pixel_inspector(photo[245:341, 335:431], row=48, column=48)

# %%
# Grey from colour
# ----------------
# One number has to stand for three. ``cv2.cvtColor`` weights them as television did,
# by the standard ITU-R BT.601:
#
# .. math:: \text{grey} = 0.299\,R + 0.587\,G + 0.114\,B
#
# By hand that is one product of matrices:

grey = photo @ [0.299, 0.587, 0.114]
ready_made = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
print(f"largest difference from OpenCV: {np.abs(grey - ready_made).max():.2f} of 255")

# %%
# That difference is OpenCV's rounding to whole numbers. Why not the plain mean of the
# three? Because the eye takes green light for much brighter than blue. The map shows
# the difference: red where the weighted grey is brighter, blue where the mean is.

mean = photo.mean(axis=2)
ax = plot_signed(grey - mean, title="weighted grey − plain mean")
ax.figure.suptitle(
    "The plain mean makes the yellow wall and the leaves darker than the weighted grey "
    "does, the red frame brighter. On the grey floor the two nearly agree.",
    wrap=True,
)

# %%
# Red first or blue first
# -----------------------
# Nothing in the array says which channel is which. ``cv2.imread`` puts blue first,
# matplotlib and PyTorch's models expect red first. Here are the channels in the wrong
# order:

swapped = photo[..., ::-1]
figure = plot_images([photo, swapped], ["RGB", "BGR, drawn as RGB"])
figure.suptitle(
    "Red and blue have changed places: a blue bicycle before a cyan wall. The black "
    "dog and the grey floor hardly show it.",
    wrap=True,
)
wrong = cv2.cvtColor(swapped, cv2.COLOR_RGB2GRAY)
off = np.abs(wrong - grey)
print(f"grey made of the wrong order: off by up to {off.max():.0f} of 255")

# %%
# In colour the mistake leaps to the eye. In grey it does not: all the shapes are there,
# with other shades. So convert when you read:
# ``cv2.cvtColor(image, cv2.COLOR_BGR2RGB)``. ``cnnviz.datasets.read_image`` gives RGB.
#
# To take away
# ------------
# A colour picture is three tables of the same size: ``(row, column, channel)``. PyTorch
# wants the channel first. Grey is a weighted sum of the three, which is a filter
# already: one weight for each channel.
#
# Try it
# ------
# Take three pure colours. How bright are they to the weights, how bright to the mean?

stripes = np.repeat(np.eye(3)[None], 2, axis=0)
figure = plot_images(
    [stripes, stripes @ [0.299, 0.587, 0.114], stripes.mean(axis=2)],
    ["colour", "weighted grey", "plain mean"],
)
figure.suptitle("Three colours, three greys, and one grey.", wrap=True)

# %%
# To the mean all pure colours are the same: it can't tell a red stripe from a green
# one. The weights keep them apart, in the order in which the eye sees them: green,
# red, blue.
#
# Next: filters, which weigh neighbouring pixels instead of channels.

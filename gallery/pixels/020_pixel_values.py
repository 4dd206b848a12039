"""
A 3, written as 784 numbers
===========================

The digit at index 7 of MNIST, with the value of every pixel written in. Then the same
numbers from 0 to 1, as networks get them, and how a plot can lie about them.
"""

import matplotlib.pyplot as plt
import numpy as np

from cnnviz import live
from cnnviz.datasets import mnist
from cnnviz.plotting import plot_image, plot_pixel_values

# %%
# The files of MNIST hold whole numbers: 0 is black, 255 is white. Step back and you see
# a 3; come close and there are numbers only. Look at the border of the stroke: the
# values in between, neither black nor white, are what makes it smooth.

train = mnist(train=True)
values = train.data[7].numpy()
ax = plot_pixel_values(values)
ax.figure.suptitle(
    f"A {train.targets[7]}: {values.shape[0]} × {values.shape[1]} = {values.size} "
    "numbers. The black around the stroke is numbers too, all of them 0.",
    wrap=True,
)

# %%
# **Live:** point at a pixel, or go there with the arrow keys. Walk from the black
# across the border into the stroke.

ax = plot_image(values, title="0 is black, 255 is white")
ax.figure.suptitle(
    f"Row 8, column 11, on the upper stroke: {values[8, 11]}. Two columns to the left, "
    f"on its border: {values[8, 9]}.",
    wrap=True,
)
live.pixel_inspector(values, row=8, column=11)

# %%
# From 0–255 to 0–1
# -----------------
# Layers compute in floats, so ``ToTensor`` makes floats of bytes and divides by 255.
# Compare the two tables, cut from the upper end of the stroke: each number on the right
# is the one on the left, divided, and the picture is the same.

image, label = train[7]
scaled = image[0].numpy()
end = np.s_[4:11, 8:15]
figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.8), layout="compressed")
plot_pixel_values(values[end], axes[0], title="uint8, 0 to 255")
plot_pixel_values(scaled[end], axes[1], title="float32, 0 to 1")
figure.suptitle(
    "The same greys: 255 is white on the left, 1 on the right. Two decimals are "
    "written, more are stored.",
    wrap=True,
)

# %%
# Is anything lost? Go back, for all 256 values that a byte can have:

every_byte = np.arange(256)
there = (every_byte / 255).astype(np.float32)
back = (there * 255).round().astype(np.uint8)
print(f"{np.unique(there).size} different floats for 256 different bytes")
print("all back as they were:", np.array_equal(back, every_byte))
print(f"the digit as bytes: {values.nbytes} bytes, as floats: {scaled.nbytes} bytes")

# %%
# Nothing is lost but memory.
#
# A plot that lies
# ----------------
# Now a faint digit: a quarter of the brightness, as a hard pencil leaves it. Both faint
# panels get the same numbers. ``plot_image`` draws floats with 0 as black and 1 as
# white, always. ``imshow`` with ``cmap="gray"`` draws the smallest value as black and
# the largest as white, and does not say so.

faint = scaled / 4
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
plot_image(scaled, axes[0], title="the digit")
plot_image(faint, axes[1], title="faint, drawn 0 to 1")
axes[2].imshow(faint, cmap="gray")
axes[2].set_title("faint, stretched", fontsize=11)
axes[2].set(xticks=[], yticks=[])
figure.suptitle(
    f"Stretched, the faint digit looks like the other, but its brightest pixel is "
    f"{faint.max():.2f}, not {scaled.max():.0f}.",
    wrap=True,
)

# %%
# .. note::
#    In the article, pictures with one channel are drawn by ``imshow`` without
#    ``vmin`` and ``vmax``, so each is stretched to its own range and they can't be
#    compared. ``imshow(image, cmap="gray", vmin=0, vmax=1)`` is honest. Colour pictures
#    are never stretched.
#
# To take away
# ------------
# A grey picture is a table. 0–255 and 0–1 are two ways to write the same table; which
# of them you have is worth knowing before you compute or draw. A plot without fixed
# limits hides how bright a picture is.
#
# Try it
# ------
# Ink is dark and paper light. What changes if the digit is written that way?

negative = 255 - values
ax = plot_pixel_values(negative[end], title="255 − value")
ax.figure.suptitle("The same stroke as dark ink on light paper.", wrap=True)
print(f"{(values == 0).mean():.0%} of the digit are 0")
print(f"{(negative == 0).mean():.0%} of its negative are 0")

# %%
# For a person, nothing. For a network, the work: whatever weight meets a 0 adds nothing
# to a sum, so with light ink on black only the stroke speaks. With dark ink on white,
# the empty paper would be the loudest part.
#
# Next: colour, which is three such tables.

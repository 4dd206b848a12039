"""
Half of the edges vanish in 8 bits
==================================

A filter's responses are often negative, and bytes are not. OpenCV cuts what does not
fit, without a word. A light stripe shows it, and the photo of the dog.
"""

# sphinx_gallery_thumbnail_number = 2

import cv2
import matplotlib.pyplot as plt
import numpy as np

from cnnviz.datasets import dog
from cnnviz.kernels import SOBEL_X
from cnnviz.plotting import plot_image, plot_kernel, plot_pixel_values, plot_signed

# %%
# A stripe on a darker ground has two edges: it gets lighter at the left one and darker
# at the right one. ``SOBEL_X`` should answer to both. Filter it as it is, in bytes; the
# ``-1`` asks OpenCV for a result of the same type as the picture.

stripe = np.full((3, 10), 100, dtype=np.uint8)
stripe[:, 4:7] = 150
in_bytes = cv2.filter2D(stripe, -1, SOBEL_X)
in_floats = cv2.filter2D(stripe, cv2.CV_64F, SOBEL_X)

figure, axes = plt.subplots(3, 1, figsize=(7.2, 7.2), layout="compressed")
plot_pixel_values(stripe, axes[0], title="the stripe")
plot_pixel_values(in_bytes, axes[1], title="filtered in bytes: one edge")
plot_kernel(in_floats, axes[2], title="filtered in floats: both edges")
figure.suptitle(
    f"The right edge answers with {in_floats.min():.0f}. In bytes that is cut to "
    f"{in_bytes[0, 7]}, as if there were no edge.",
    wrap=True,
)

# %%
# How much is lost
# ----------------
# The same on the dog. First the proof that cutting is all that happens, then how often
# it does:

grey = cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY)
cut = cv2.filter2D(grey, -1, SOBEL_X)
full = cv2.filter2D(grey, cv2.CV_64F, SOBEL_X)
print("bytes are the floats, cut:", np.array_equal(cut, full.clip(0, 255)))
print(f"responses run from {full.min():.0f} to {full.max():.0f}")
print(f"{(full < 0).mean():.0%} are below 0, {(full > 255).mean():.1%} above 255")
print(f"of all edge strength, {1 - cut.sum() / np.abs(full).sum():.0%} is lost")

# %%
# Clipped, absolute, signed
# -------------------------
# The rear wheel, three times, always with 255 as the limit. Look at the tyre: clipped,
# its outer edge is missing on the left and its inner edge on the right. The absolute
# value has every edge, but not which side is lighter. The signed map has both.

wheel = np.s_[230:430, 370:580]
absolute = np.minimum(np.abs(full[wheel]) / 255, 1)
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
plot_image(cut[wheel], axes[0], title="clipped: 0 to 255")
plot_image(absolute, axes[1], title="absolute: 0 to 255")
plot_signed(full[wheel], axes[2], limit=255, colorbar=False, title="signed: ±255")
figure.suptitle(
    "Clipped, the tyre has one edge on each side. Absolute and signed, it has two. "
    "What goes beyond a limit gets the limit's colour.",
    wrap=True,
)

# %%
# .. note::
#    In the article, the dog is filtered by ``cv2.filter2D(grey, -1, …)`` in bytes. Only
#    the edges where the picture gets lighter downwards appear.
#
# To take away
# ------------
# Filter in floats: ``cv2.filter2D(grey, cv2.CV_64F, kernel)``, or PyTorch, whose layers
# compute in floats anyway. Show signed values with limits symmetric about 0, and write
# down the limits. No warning will tell you that values were cut.
#
# Try it
# ------
# Turn the signs of the kernel around and filter in bytes again. Are the lost edges
# there?

other = cv2.filter2D(grey, -1, -SOBEL_X)
together = np.maximum(cut, other)
print("both together:", np.array_equal(together, np.abs(full).clip(0, 255)))
print(f"lost of all edge strength now: {1 - together.sum() / np.abs(full).sum():.0%}")

# %%
# They are: the two results together lack only what exceeds 255. Remember this pair of
# kernels of opposite sign. ReLU, too, sets negative responses to 0, so a network needs
# such pairs.
#
# Next: filters that blur and sharpen.

"""
Convolution by hand
===================

Multiply, add, move on: a filter in plain numpy, first one pixel, then all of them, then
without loops. OpenCV and PyTorch give the same, and none of them flips the kernel.
"""

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn.functional import conv2d

from cnnviz.datasets import dog, mnist
from cnnviz.kernels import EMBOSS, GAUSSIAN_BLUR, SOBEL_X, SOBEL_Y, apply_kernel
from cnnviz.plotting import (
    plot_boxes,
    plot_images,
    plot_kernel,
    plot_kernels,
    plot_pixel_values,
)

# %%
# One pixel
# ---------
# Take a window of the digit, as large as the kernel. Multiply each value with the
# weight at the same place. Add the nine products: that is one pixel of the output.

digit = mnist().data[7].numpy()
window = digit[7:10, 11:14]
products = window * SOBEL_Y
figure, axes = plt.subplots(2, 2, figsize=(7.2, 7.6), layout="compressed")
plot_boxes(digit, (7, 11, 10, 14), axes[0, 0], title="digit, window")
plot_pixel_values(window, axes[0, 1], title="window")
plot_kernel(SOBEL_Y, axes[1, 0], title="× kernel")
plot_kernel(products, axes[1, 1], title="= products")
figure.suptitle(
    "The white upper row counts negative, the black lower row adds little: it gets "
    "darker downwards, so the sum is far below 0.",
    wrap=True,
)
print(*(f"{product:+.0f}" for product in products.flat), f"= {products.sum():.0f}")

# %%
# All pixels
# ----------
# Now slide the window. Two loops say where it is. A window of 3 × 3 has two places
# fewer than there are rows and columns, so the output is smaller:

rows, columns = digit.shape[0] - 2, digit.shape[1] - 2
output = np.zeros((rows, columns))
for row in range(rows):
    for column in range(columns):
        window = digit[row : row + 3, column : column + 3]
        output[row, column] = (window * SOBEL_Y).sum()
print(digit.shape, "becomes", output.shape)
print(f"the pixel from above: {output[7, 11]:.0f}")

# %%
# Without loops
# -------------
# ``sliding_window_view`` gives all windows at once, as an array with four axes, without
# copying anything. ``einsum`` multiplies and adds along the last two of them.


def correlate(image, kernel):
    windows = sliding_window_view(image, kernel.shape)
    return np.einsum("rcij,ij->rc", windows, kernel)


print("as the loops:", np.array_equal(correlate(digit, SOBEL_Y), output))

# %%
# The same on the dog, against three others. OpenCV adds a border first, which is left
# out here.

grey = cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY) / 255
ours = correlate(grey, SOBEL_Y)
batch, weights = torch.tensor(grey)[None, None], torch.tensor(SOBEL_Y)[None, None]
others = {
    "cv2.filter2D": cv2.filter2D(grey, -1, SOBEL_Y)[1:-1, 1:-1],
    "torch conv2d": conv2d(batch, weights)[0, 0].numpy(),
    "apply_kernel": apply_kernel(grey, SOBEL_Y, padding="valid"),
}
for name, other in others.items():
    print(f"{name}: largest difference {np.abs(ours - other).max():.0e}")

# %%
# All four agree to the last digits of a float.
#
# Flipped or not
# --------------
# Mathematics calls this operation cross-correlation. Its *convolution* flips the kernel
# first, upside down and left to right. A single bright pixel shows the difference: it
# copies the kernel into the output.

dot = np.zeros((5, 5))
dot[2, 2] = 1
figure = plot_kernels(
    {
        "kernel": EMBOSS,
        "correlation": correlate(dot, EMBOSS),
        "convolution": correlate(dot, np.flip(EMBOSS)),
    }
)
figure.suptitle(
    "Around one pixel of 1, correlation leaves the kernel turned by half a turn. "
    "Convolution leaves it as it was.",
    wrap=True,
)

# %%
# .. note::
#    In the article, as in OpenCV and in PyTorch, what is called convolution is
#    cross-correlation.
#
# When does it matter? Compare both on the dog, for three kernels:

kernels = {"Gaussian blur": GAUSSIAN_BLUR, "Sobel x": SOBEL_X, "emboss": EMBOSS}
for name, kernel in kernels.items():
    plain, flipped = correlate(grey, kernel), correlate(grey, np.flip(kernel))
    same, opposite = np.allclose(plain, flipped), np.allclose(plain, -flipped)
    print(f"{name:14} same: {same!s:6} opposite sign: {opposite}")

# %%
# A kernel that half a turn leaves unchanged gives the same result. Sobel's changes its
# sign, others give another picture. To a network that learns its weights it makes no
# difference: it would learn them flipped.
#
# To take away
# ------------
# One output pixel is a sum of products, and a filter is that sum at each place.
# Frameworks do this faster and nothing else. When you take kernels from a textbook or
# use SciPy's ``convolve``, check which of the two is meant.
#
# Try it
# ------
# A kernel with a single 1 at its right end: which way does the digit move?

shift = np.zeros((1, 9))
shift[0, -1] = 1
moved = [apply_kernel(digit, shift, convolution=flip) / 255 for flip in (False, True)]
figure = plot_images([digit, *moved], ["digit", "correlation", "convolution"])
figure.suptitle(
    "The same kernel moves the digit to the left, or to the right.", wrap=True
)

# %%
# To the left: each output pixel takes the value at the right end of the kernel's reach.
# Flipped, it takes the one at the left end.
#
# Next: layers, which do this with many kernels at once.

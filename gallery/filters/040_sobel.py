"""
Sobel finds edges, one direction at a time
==========================================

Two kernels of nine weights, slid over the photo of the dog: one finds vertical edges,
the other horizontal ones. Together they say how steep an edge is and where it faces.
"""

# sphinx_gallery_thumbnail_number = 3

import cv2
import matplotlib.pyplot as plt
import numpy as np

from cnnviz import live
from cnnviz.datasets import dog
from cnnviz.kernels import SOBEL_X, SOBEL_Y, apply_kernel, gradient
from cnnviz.plotting import (
    plot_boxes,
    plot_feature_maps,
    plot_image,
    plot_kernel,
    plot_kernels,
    plot_pixel_values,
)

# %%
# An edge is where brightness changes. The rear wheel has edges in every direction, dark
# tyre against light wall, so we look there first.

grey = cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY)
wheel = grey[230:430, 370:580]
ax = plot_boxes(grey, (230, 370, 430, 580), labels=["wheel"])
ax.figure.suptitle("The dog in grey, and the part that comes next.", wrap=True)

# %%
# The two kernels
# ---------------
# Put a kernel on a pixel, multiply its nine weights with the nine values under it, and
# add. ``SOBEL_X`` is right minus left: it answers where brightness changes along x,
# which is at **vertical** edges. ``SOBEL_Y`` is below minus above: it answers at
# **horizontal** edges. Where all is even, both sides cancel.

figure = plot_kernels({"SOBEL_X": SOBEL_X, "SOBEL_Y": SOBEL_Y})
figure.suptitle(
    "Blue weights are negative, red ones positive. The second kernel is the first one, "
    "transposed.",
    wrap=True,
)

# %%
# Responses have signs. Look at the right side of the tyre in the left panel. From the
# rim to the tyre it gets darker: negative, blue. From the tyre to the wall it gets
# lighter: positive, red. Top and bottom are missing; the right panel has them.

responses = [
    apply_kernel(wheel, SOBEL_X, padding="valid"),
    apply_kernel(wheel, SOBEL_Y, padding="valid"),
]
figure = plot_feature_maps(responses, titles=["along x", "along y"])
figure.suptitle(
    "Each kernel sees two parts of the circle and fades where the rim turns away. "
    "Colours have one scale in both panels.",
    wrap=True,
)

# %%
# One of these numbers in full, from where the rim meets the tyre on the right: the nine
# pixels under the kernel, its weights, and the products, whose sum is the response.
#
# **Live:** point at other places of the response, let the kernel slide, choose another
# kernel or change its weights.

row, column = 100, 190
window = wheel[row : row + 3, column : column + 3]
products = window * SOBEL_X
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
plot_pixel_values(window, axes[0], title="window")
plot_kernel(SOBEL_X, axes[1], title="SOBEL_X")
plot_kernel(products, axes[2], title=f"products, sum {products.sum():g}")
figure.suptitle(
    f"It gets darker to the right: the left column takes away "
    f"{-products[:, 0].sum():g}, the right one adds only {products[:, 2].sum():g}, and "
    f"the response is −{-products.sum():g}.",
    wrap=True,
)
live.kernel_playground({"the wheel": wheel}, SOBEL_X, row=row, column=column)

# %%
# .. note::
#    In the article, the kernel is called ``sobel``. It is the derivative along y, one
#    of the two. Then ``sobel_y`` is used, a name that nothing has, and Python stops.
#
# How steep
# ---------
# The two responses are the sides of a right-angled triangle. Its hypotenuse, the
# magnitude, is large at any edge:
#
# .. math:: \text{magnitude} = \sqrt{x^2 + y^2}

edges = gradient(wheel)
figure = plot_feature_maps([edges.magnitude], titles=["magnitude"])
figure.suptitle("The whole circle, twice: outside and inside of the tyre.", wrap=True)

# %%
# Which way
# ---------
# The angle of the same triangle tells where brightness grows: 0° is to the right, 90°
# down. Below are arrows for the upper right of the wheel. They point where the angle
# says, and their length shows the magnitude.

part = np.s_[6:86:3, 130:210:3]
row, column = np.mgrid[part]
ax = plot_image(wheel, title="where brightness grows")
ax.quiver(
    column, row, edges.x[part], edges.y[part], angles="xy", color="#d4501a", width=0.005
)
ax.set(xlim=(129.5, 209.5), ylim=(85.5, 5.5))
ax.figure.suptitle(
    "Arrows leave the dark tyre on both sides. At the lower end of this arc the angle "
    f"is {edges.angle[80, 194]:.0f}° outside and {edges.angle[80, 189]:.0f}° inside, "
    "nearly the opposite.",
    wrap=True,
)

# %%
# The whole dog, then. Nobody told the kernels what a dog is; the outline comes out by
# itself, and with it the leaves and the boards of wall and floor.

magnitude = gradient(grey).magnitude
ax = plot_image(
    np.minimum(magnitude / 400, 1), title="magnitude: 0 is black, 400 and more white"
)
ax.figure.suptitle(
    f"Strong (up to {magnitude.max():.0f}) wherever dark meets light: the pillars, the "
    "leaves, the tyres, the outline of the dog. Weaker inside its black fur, weakest "
    "on the even floor.",
    wrap=True,
)

# %%
# To take away
# ------------
# Sobel's kernels measure how brightness changes, along x and along y. Their signs say
# which side is lighter, and cutting them off loses that. An edge is called after the
# line that you see: vertical edges come from the derivative along x.
#
# Try it
# ------
# Transpose the picture, so that rows become columns. What does ``SOBEL_X`` find now?

turned = gradient(wheel.T)
print("x of the transposed picture is y of the picture, transposed:")
print(np.array_equal(turned.x, edges.y.T))

# %%
# It finds what were horizontal edges: only the places of its weights make a kernel look
# for vertical ones.
#
# Next: what is lost when responses are kept in 8 bits.

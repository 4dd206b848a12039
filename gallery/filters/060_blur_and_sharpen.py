"""
Blur, sharpen, emboss: the weights decide
=========================================

The dog's face through five small kernels. Their weights say what they do: the sum tells
whether brightness stays, the signs tell what is taken away.
"""

# sphinx_gallery_thumbnail_number = 2

import cv2
import matplotlib.pyplot as plt
import numpy as np

from cnnviz import live
from cnnviz.datasets import dog
from cnnviz.kernels import (
    BOX_BLUR,
    EMBOSS,
    GAUSSIAN_BLUR,
    IDENTITY,
    KERNELS,
    LAPLACIAN,
    SHARPEN,
    apply_kernel,
)
from cnnviz.plotting import plot_image, plot_images, plot_kernels, plot_signed

# %%
# Blur
# ----
# A blur replaces each pixel by a mean of its neighbourhood. The box takes its 3 × 3
# pixels alike. The Gaussian reaches over 5 × 5, and takes more of what is near and less
# of what is far.

figure = plot_kernels({"box blur": BOX_BLUR, "Gaussian blur": GAUSSIAN_BLUR})
figure.suptitle(
    "All weights are positive (the Gaussian's corners are 1/256, rounded to 0.00), and "
    "those of a kernel sum to 1: a mean.",
    wrap=True,
)

# %%
# The face of the dog, from 0 to 1. Look at the hair and at the rims of the eyes: small
# things go first, large ones stay. **Live:** the face in colour. Set the channel to
# red, and all three are blurred. Type other weights: which keep the brightness?

photo = dog()
grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
face = grey[222:302, 232:312] / 255
boxed = apply_kernel(face, BOX_BLUR, padding_mode="reflect")
blurred = apply_kernel(face, GAUSSIAN_BLUR, padding_mode="reflect")
figure = plot_images([face, boxed, blurred], ["as it is", "box blur", "Gaussian blur"])
figure.suptitle(
    "Both blurs keep the brightness and lose the hair. The Gaussian reaches farther, "
    "but gives most weight to the middle, so they look alike.",
    wrap=True,
)
live.kernel_playground(
    {"face": photo[222:302, 232:312]}, GAUSSIAN_BLUR, padding=2, view="clipped"
)

# %%
# Why the sum matters
# -------------------
# On an even grey, each weight meets the same value, so the response is that value times
# the sum of the weights. Here for all kernels that have a name, on a grey of 100:

flat = np.full((5, 5), 100)
for name, kernel in KERNELS.items():
    response = apply_kernel(flat, kernel, padding="valid").mean()
    print(f"{name:14} sum {round(kernel.sum(), 9):g}, response {round(response, 9):g}")

# %%
# A kernel whose weights sum to 1 keeps the brightness of even areas; one whose weights
# sum to 0 turns them to zero, so only changes remain.
#
# Sharpen
# -------
# What did the blur take away? Subtract it from the picture and see: the detail. Now add
# the detail once more to the picture. That is all there is to sharpening.

detail = face - blurred
limit = np.abs(detail).max()
sharper = (face + detail).clip(0, 1)
figure, axes = plt.subplots(2, 2, figsize=(7.2, 7.6), layout="compressed")
plot_image(face, axes[0, 0], title="picture")
plot_image(blurred, axes[0, 1], title="− blurred")
plot_signed(detail, axes[1, 0], title=f"= detail, ±{limit:.2f}", colorbar=False)
plot_image(sharper, axes[1, 1], title="picture + detail")
figure.suptitle(
    "The detail is signed: red is lighter than what is around it, blue is darker. "
    "Look at the eyes and the fur with the detail doubled.",
    wrap=True,
)

# %%
# In one step
# -----------
# A single kernel can do that. The Laplacian is the sum of the four neighbours minus
# four times the pixel; ``SHARPEN`` is the picture minus the Laplacian. ``EMBOSS`` adds
# a diagonal derivative to the picture, which looks like light from one side.

names = {"Laplacian": LAPLACIAN, "sharpen": SHARPEN, "emboss": EMBOSS}
figure = plot_kernels(names)
figure.suptitle(
    f"The sums are {LAPLACIAN.sum():.0f}, {SHARPEN.sum():.0f} and {EMBOSS.sum():.0f}: "
    "the first gives edges, the others give pictures.",
    wrap=True,
)

# %%
# Their answers leave the range from 0 to 1. The Laplacian is signed and drawn so; the
# two others are cut to 0–1 for drawing only. **Live:** switch the view between clipped
# and signed, and see what is cut.

answers = [apply_kernel(face, k, padding_mode="reflect") for k in names.values()]
limit = np.abs(answers[0]).max()
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), layout="compressed")
plot_signed(answers[0], axes[0], title=f"Laplacian, ±{limit:.2f}", colorbar=False)
plot_image(answers[1].clip(0, 1), axes[1], title="sharpen")
plot_image(answers[2].clip(0, 1), axes[2], title="emboss")
figure.suptitle(
    "The Laplacian responds on both sides of an edge, with both signs. Sharpened, the "
    "hair is crisper.",
    wrap=True,
)
live.kernel_playground(
    {"face": grey[222:302, 232:312]}, SHARPEN, view="clipped", row=22, column=56
)

# %%
# Is it really blur and subtract? Take the mean of a pixel and its four neighbours as
# the blur:

cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5
print(np.allclose(SHARPEN, IDENTITY + 5 * (IDENTITY - cross)))

# %%
# The same kernel: the picture, plus five times its detail.
#
# To take away
# ------------
# Weights that sum to 1 keep the brightness, weights that sum to 0 keep changes only.
# Sharpening adds what a blur takes away. Kernels can be added and subtracted like
# numbers, because filtering is nothing but sums.
#
# Try it
# ------
# Does sharpening undo a blur? Blur the face, then sharpen it.

again = apply_kernel(blurred, SHARPEN, padding_mode="reflect").clip(0, 1)
figure = plot_images([face, blurred, again], ["as it is", "blurred", "then sharpened"])
figure.suptitle(
    f"On a scale of 0 to 1, blurring changes a pixel by "
    f"{np.abs(blurred - face).mean():.3f} on average; sharpening reduces that to "
    f"{np.abs(again - face).mean():.3f}.",
    wrap=True,
)

# %%
# It does so only in part: it strengthens what the blur has left of the detail, and no
# kernel can restore what the blur has removed entirely.
#
# Next: the article's four filters.

"""
Twenty digits, as a network sees them
=====================================

MNIST is the data set on which convolutional networks became known: 70,000 digits
written by hand, each with its label. Here are the first twenty.
"""

from torch.utils.data import DataLoader

from cnnviz.datasets import mnist
from cnnviz.plotting import plot_digits

# %%
# ``mnist`` returns torchvision's own data set. Its transform, ``ToTensor``, turns bytes
# of a picture, 0–255, into floats from 0 to 1.

train = mnist(train=True)
test = mnist(train=False)
print(f"{len(train):,} digits to learn from, {len(test):,} to test on")

# %%
# A loader hands them out in batches. Without shuffling they come in their order, so
# these are the same twenty each time.

loader = DataLoader(train, batch_size=20)
images, labels = next(iter(loader))
print("images", tuple(images.shape), images.dtype, "labels", tuple(labels.shape))
print(f"values from {images.min():.0f} to {images.max():.0f}")

# %%
# The shape of a batch is always (image, channel, row, column). Look at how differently
# two people write the same digit, say the four 1s: this is what a classifier has to see
# through.

figure = plot_digits(images, labels)
figure.suptitle("The first twenty training digits, each under its label.", wrap=True)

# %%
# .. note::
#    In the article that these pages follow, "Understanding CNNs through visualisations
#    in PyTorch" (2019), the batch is fetched with ``dataiter.next()``. That method is
#    gone from PyTorch; Python's own ``next(iter(loader))`` does the same.
#
# To take away
# ------------
# A picture is a grid of numbers, a batch is a stack of them, and the label is one more
# number. Nothing else reaches a network.
#
# Try it
# ------
# Are the digits equally frequent? Count the labels of all of them:

print(train.targets.bincount().tolist())

# %%
# Not quite: there are 24% more 1s than 5s. A classifier that has learned nothing and
# always says "1", the most frequent digit, is right in about one case of nine: that is
# what any network has to beat.
#
# Next: the numbers, written into the picture.

"""
What each layer answers, asked by name
======================================

One function records the output of every layer of any PyTorch model. Here it looks into
our trained network reading a 7, then into a ResNet-18 that has learned nothing.
"""

# sphinx_gallery_thumbnail_number = 2

import torch
from torchvision.models import resnet18

from cnnviz.activations import record_activations
from cnnviz.datasets import dog, mnist_tensors
from cnnviz.models import CNN
from cnnviz.plotting import plot_feature_maps, plot_image
from cnnviz.training import evaluate, fit

# %%
# The trained network is that of the page on training. Its weights come from the cache
# if that page has run here.

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
torch.manual_seed(0)
cnn = CNN()
history = fit(
    cnn,
    *mnist_tensors(train=True),
    learning_rate=0.03,
    snapshots=SNAPSHOTS,
    cache=True,
)

# %%
# One digit, every layer
# ----------------------
# ``record_activations`` hooks all layers, runs the model once and takes the hooks off.
# It returns the outputs by name, in the order in which the layers ran.

images, labels = mnist_tensors(train=False)
activations = record_activations(cnn, images[:1])
for name, output in activations.items():
    low, high = output.min(), output.max()
    print(f"{name:8}{tuple(output.shape)!s:16}{low:6.1f} to {high:4.1f}")

# %%
# ``output`` is the model as a whole. The digit that all this comes from:

ax = plot_image(images[0, 0], title=f"a {labels[0]} from the test set")
ax.figure.suptitle("One bar, one slanted stroke. Keep both in mind.", wrap=True)

# %%
# Eight filters have looked at it. Which respond to ink, which to one side of a line
# only? Compare how each treats the bar and the stroke.

titles = [f"conv1, map {i}" for i in range(8)]
figure = plot_feature_maps(activations["conv1"], titles=titles)
figure.suptitle(
    "The responses of the eight filters, on one scale. All keep the shape of the "
    "digit, since each looks at 5 × 5 pixels only.",
    wrap=True,
)

# %%
# Three layers then change these maps. Pooling halves their sides. Batch normalisation
# gives each map a scale and a shift of its own. ReLU cuts off what is negative.

names = ["pool1", "norm1", "relu1"]
figure = plot_feature_maps(
    torch.cat([activations[name][0] for name in names]),
    titles=[f"{name} {i}" for name in names for i in range(8)],
    columns=8,
)
passed = (activations["relu1"][0, :, 0, 0] > 0.1).sum()
figure.suptitle(
    "Each column follows one map through three layers. The shift also moves the empty "
    f"background: in {passed} of 8 maps to more than 0.1, which passes the ReLU.",
    wrap=True,
)

# %%
# The second convolution reads all eight at once and makes sixteen, of 8 × 8. Where can
# you still see the 7?

titles = [f"conv2 {i}" for i in range(16)]
figure = plot_feature_maps(activations["conv2"], titles=titles, columns=8)
figure.suptitle(
    "Each map says where one filter finds its combination of the eight maps before.",
    wrap=True,
)

# %%
# After pooling, normalisation and ReLU again, this is all that is left, sixteen maps of
# 4 × 4:

titles = [f"relu2 {i}" for i in range(16)]
figure = plot_feature_maps(activations["relu2"], titles=titles, columns=8)
figure.suptitle(
    f"{activations['relu2'].count_nonzero()} of 256 numbers are not zero. The ten "
    "scores are made of these and nothing else.",
    wrap=True,
)

# %%
# The last layer weighs the 256 numbers once for each class. The highest score is the
# prediction.

for digit, score in enumerate(activations["fc"][0]):
    print(f"{digit}: {score:5.1f}")

# %%
# A wrong name
# ------------
# Names are easily mistyped. The error says which ones are close. Whether or not the
# call fails, the model is left unchanged: without hooks, and in the mode it was in,
# which after training is that for evaluation.

try:
    record_activations(cnn, images[:1], layers=["conv1", "conv3"])
except ValueError as error:
    print(error)
print("hooks left:", sum(len(module._forward_hooks) for module in cnn.modules()))
print("in training mode:", cnn.training)

# %%
# A ResNet with random weights
# ----------------------------
# The same call works for any model. torchvision's ResNet-18 is a network for photos. We
# leave its weights as they are when it is made: random.

torch.manual_seed(0)
resnet = resnet18(weights=None).eval()
photo = torch.from_numpy(dog()).permute(2, 0, 1)[None] / 255
photo = photo - photo.mean()
activations = record_activations(resnet, photo)
for name, output in activations.items():
    if "." not in name:
        print(f"{name:8}{tuple(output.shape)!s:20}{output.min():6.2f}")

# %%
# The last column is the smallest value: negative before the ReLU, zero after it, though
# this ReLU overwrites its input. Left out are the layers inside the four stages. Their
# names say where they are; ``relu:2`` is the second use of the same module.

inside = [name for name in activations if name.startswith("layer1.0")]
print(f"{len(activations)} in all, of these in one block:", *inside, sep="\n")

# %%
# Now the first convolution, 7 × 7 weights for each of three colours, all random. Red
# and blue are the two signs.

titles = [f"conv1, map {i}" for i in range(4)]
figure = plot_feature_maps(activations["conv1"][:, :4], titles=titles, columns=2)
figure.suptitle(
    "Nothing was learned, and yet the dog and the bicycle can be seen in every map.",
    wrap=True,
)

# %%
# Why random weights find edges
# -----------------------------
# Split each slice of a kernel into its mean and a remainder. The mean blurs and passes
# brightness on. The remainder adds up to zero, so it gives zero where all is even, and
# something else where brightness changes: a crude edge detector. Take the mean away and
# look:

with torch.no_grad():
    resnet.conv1.weight -= resnet.conv1.weight.mean(dim=(2, 3), keepdim=True)
edges = record_activations(resnet, photo, layers=["conv1"])["conv1"]
figure = plot_feature_maps(edges[:, :4], titles=titles, columns=2, limit=0.2)
figure.suptitle(
    "The same four kernels, each slice without its mean. Even areas are white; edges "
    "are what is left. Values from 0.2 on have full colour.",
    wrap=True,
)

# %%
# Deeper layers mix such maps, at random again. From the third of the four stages:

titles = [f"layer3, map {i}" for i in range(4)]
figure = plot_feature_maps(activations["layer3"][:, :4], titles=titles, columns=2)
figure.suptitle(
    "Places are kept, since each unit sees a window around its own. What a map "
    "responds to is random, because its weights are.",
    wrap=True,
)

# %%
# To take away
# ------------
# Any layer of any model can be looked at, by name, with one call. Look at values and
# scales, not at pretty shapes: maps that resemble the picture come for free, from any
# small kernels. They don't show that something was learned.
#
# Try it
# ------
# Put the weights from before training back into our CNN. Can you tell from the maps?

names = ["untrained", "trained"]
maps = []
for name, step in zip(names, (0, 470), strict=True):
    cnn.load_state_dict(history.snapshots[step])
    maps.append(record_activations(cnn, images[:1], layers=["conv1"])["conv1"][0])
    print(f"{name}: {evaluate(cnn, images, labels).accuracy:.1%} right")

# %%
# The first four filters of each:

figure = plot_feature_maps(
    torch.cat([maps[0][:4], maps[1][:4]]),
    titles=[f"{name} {i}" for name in names for i in range(4)],
)
figure.suptitle(
    "The upper maps are paler, but they show the 7, too. Only the accuracy reveals "
    "which network can read digits.",
    wrap=True,
)

# %%
# Next: how much of the picture a unit of each layer can see.

"""
Eight filters that nobody made
==============================

The first layer of the trained network has eight kernels. We draw them, watch how they
came about, compare them with kernels made by hand, and see what they answer to a digit.
"""

import cv2
import numpy as np
import torch

from cnnviz.activations import record_activations
from cnnviz.datasets import mnist_tensors
from cnnviz.kernels import GAUSSIAN_BLUR
from cnnviz.models import CNN
from cnnviz.plotting import plot_feature_maps, plot_kernels
from cnnviz.training import evaluate, fit

# %%
# The network of the last two pages, trained or read from the cache:

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
digits = mnist_tensors(train=True)

torch.manual_seed(0)
cnn = CNN()
history = fit(cnn, *digits, learning_rate=0.03, snapshots=SNAPSHOTS, cache=True)

# %%
# What it learned
# ---------------
# Its first layer holds 200 weights. Look for red on one side and blue on the other,
# which finds edges, and for a band of one colour, which finds lines.

learned = cnn.conv1.weight[:, 0].detach().numpy()
names = [f"filter {i}" for i in range(8)]
figure = plot_kernels(learned, titles=names, columns=4)
figure.suptitle(
    "The eight kernels of conv1, positive weights red, negative ones blue. Most are "
    "mixtures without a name.",
    wrap=True,
)

# %%
# .. note::
#    In the article, four kernels are made by hand, and the learned ones it speaks of
#    are never shown. These are learned, and less tidy.
#
# How they came about
# -------------------
# Four filters, each from its random start to the last step. Watch when they change.

weights = torch.stack([state["conv1.weight"] for state in history.snapshots.values()])
figure = plot_feature_maps(
    weights[:, :4, 0].transpose(0, 1).flatten(0, 1),
    titles=[f"step {step}" for step in SNAPSHOTS] * 4,
    columns=6,
)
figure.suptitle(
    "Filters 0 to 3. Until step 30 they hardly change; most of the change comes "
    "between steps 30 and 300.",
    wrap=True,
)

# %%
# Next to kernels made by hand
# ----------------------------
# Six kernels of the same size, five of them OpenCV's: the blur and its derivatives
# along x and y, once and twice. Edges are first derivatives, lines are second ones.

orders = {"edge x": (1, 0), "edge y": (0, 1), "line x": (2, 0), "line y": (0, 2)}
orders["saddle"] = (1, 1)
bank = {"blur": GAUSSIAN_BLUR}
for name, order in orders.items():
    along_x, along_y = cv2.getDerivKernels(*order, ksize=5)
    bank[name] = np.outer(along_y, along_x)
bank = {name: kernel / np.linalg.norm(kernel) for name, kernel in bank.items()}
figure = plot_kernels(bank, columns=3)
figure.suptitle("Six kernels made by hand, scaled to the same sum of squares.")

# %%
# How much of a learned filter can a weighted sum of these six reproduce? That part is
# its projection; its share is measured in squares. Six of 25 dimensions make up 24% of
# a random kernel on average. So compare the second column with 24%.

basis, _ = np.linalg.qr(np.stack([kernel.ravel() for kernel in bank.values()], axis=1))
test = mnist_tensors(train=False)
print("step  hand-made share  test accuracy")
for step, state in history.snapshots.items():
    filters = state["conv1.weight"].flatten(1).numpy()
    shares = ((filters @ basis) ** 2).sum(axis=1) / (filters**2).sum(axis=1)
    cnn.load_state_dict(state)
    print(f"{step:4}{shares.mean():17.0%}{evaluate(cnn, *test).accuracy:15.1%}")

# %%
# Training takes the filters towards what people would have made, without being told.
# But look at step 30: the network already reads most digits, although its first filters
# are still almost random. The later layers learn first.
#
# The four filters that are closest to such sums, above, and the sums, below:

best = np.argsort(-shares)[:4]
mixtures = (filters @ basis @ basis.T).reshape(8, 5, 5)
figure = plot_kernels(
    [*learned[best], *mixtures[best]],
    titles=[f"filter {i}" for i in best] + [f"{shares[i]:.0%} of it" for i in best],
    columns=4,
)
figure.suptitle(
    f"Filter {shares.argmin()}, not shown, fits worst: the six reproduce "
    f"{shares.min():.0%} of it.",
    wrap=True,
)

# %%
# What they respond to
# --------------------
# The maps of a digit, on one scale. "Edge y" is positive on the upper sides of strokes
# and negative on the lower ones. Which filters show that, which show the opposite? The
# cosine of two kernels says how alike they are: 1 for equals, −1 for opposites.

directions = filters / np.linalg.norm(filters, axis=1, keepdims=True)
likeness = directions @ bank["edge y"].ravel()
top, bottom = likeness.argmax(), likeness.argmin()
cosine = f"{directions[top] @ directions[bottom]:.2f}".replace("-", "−")
maps = record_activations(cnn, digits[0][7:8], ["conv1"])["conv1"]
figure = plot_feature_maps(maps, titles=names, columns=4)
figure.suptitle(
    f"Most like “edge y” is filter {top}, with a cosine of {likeness[top]:.2f}, least "
    f"like it filter {bottom}. The cosine of these two is {cosine}; in a pair of the "
    "article's bank it is −1.",
    wrap=True,
)

# %%
# To take away
# ------------
# Filters begin as noise. Nobody says what they should become, and yet training brings
# them closer to blurs, edges and lines. These are not tidy. Networks trained on a
# million photos show clear edges and colours in their first layer (Krizhevsky and
# others, 2012).
#
# Try it
# ------
# Does the first layer have to be learned? Give it eight edges in eight directions, or
# leave it at random. Freeze it, and train the rest.

angles = np.radians(np.arange(0, 360, 45))
edges = [np.cos(a) * bank["edge x"] + np.sin(a) * bank["edge y"] for a in angles]
torch.manual_seed(0)
frozen = {"random": CNN(), "hand-made": CNN()}
frozen["hand-made"].conv1.weight.data[:, 0] = torch.tensor(np.array(edges))
print(f"learned   {evaluate(cnn, *test).accuracy:.2%}")
for name, net in frozen.items():
    net.conv1.weight.requires_grad = False
    fit(net, *digits, learning_rate=0.03, cache=True)
    print(f"{name:10}{evaluate(net, *test).accuracy:.2%}")

# %%
# Hand-made edge filters do about as well as learned ones, and random ones lose less
# than one percentage point: for digits the first layer matters little, as long as the
# second convolution can learn to use it. (One run each: a tenth of a point means
# nothing.) Learning pays where nobody knows which filters are needed, and from the
# second layer on nobody does.
#
# Next: looking into any model.

"""
Which pixels a decision rests on
================================

The gradient and covering both map the pixels that a prediction depends on, and their
maps differ. So we erase the pixels that each ranks highest, and see what that does.
"""

# sphinx_gallery_thumbnail_number = 3

import itertools

import matplotlib.pyplot as plt
import torch

from cnnviz.datasets import mnist_tensors
from cnnviz.models import CNN
from cnnviz.plotting import plot_digits, plot_history, plot_images, plot_overlay
from cnnviz.training import evaluate, fit

# %%
# Four digits
# -----------
# The trained network is that of the page on training; its weights come from the cache
# if that page has run here.

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
torch.manual_seed(0)
cnn = CNN()
fit(
    cnn,
    *mnist_tensors(train=True),
    learning_rate=0.03,
    snapshots=SNAPSHOTS,
    cache=True,
)

# %%
# We study three digits that the network reads correctly, and its most confident
# mistake. How would you read the fourth?

images, labels = mnist_tensors(train=False)
result = evaluate(cnn, images, labels)
certainty = result.probabilities.amax(dim=1)
worst = result.mistakes[certainty[result.mistakes].argmax()].item()
chosen = [0, 1, 4, worst]
digits, answers = images[chosen], result.predictions[chosen]
figure = plot_digits(digits, labels[chosen], predictions=answers, columns=4)
figure.suptitle(
    f"The fourth is labelled {labels[worst]}; the network predicts "
    f"{result.predictions[worst]} with a probability of {certainty[worst]:.3f}.",
    wrap=True,
)

# %%
# Saliency, from the gradient
# ---------------------------
# How much would the score of the answer change if one pixel changed a little? That is
# the gradient of the score with respect to the pixels (Simonyan and others, 2014). One
# run backwards gives it for all pixels. Its size is called saliency.

pixels = digits.clone().requires_grad_()
scores = cnn(pixels).gather(1, answers[:, None])
(gradient,) = torch.autograd.grad(scores.sum(), pixels)
saliency = gradient.abs()[:, 0]

# %%
# Drawn over the digits, made pale for it; each panel has a scale of its own. Is the
# colour on the strokes?

titles = [f"answer {answer}" for answer in answers]
figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1), layout="compressed")
for ax, digit, heat, title in zip(axes, digits, saliency, titles, strict=True):
    plot_overlay(1 - digit[0] / 3, heat, ax, title=title)
ink = digits[:, 0] > 0.5
share = saliency[ink].sum() / saliency.sum()
figure.suptitle(
    f"Ink (pixels above 0.5) is {ink.float().mean():.0%} of all pixels and has "
    f"{share:.0%} of the saliency. Most of the rest lies close to it, where added ink "
    "would change the score.",
    wrap=True,
)

# %%
# Covering
# --------
# The other way needs no gradient. Cover a part, ask again, and see how far the score
# drops (Zeiler and Fergus, 2014). Our patch has 4 × 4 pixels, is black like the empty
# ground, and moves in steps of two: 169 places, one batch for each digit.

starts = range(0, 25, 2)
covers = torch.zeros(169, 1, 28, 28)
for cover, (row, column) in zip(covers, itertools.product(starts, starts), strict=True):
    cover[0, row : row + 4, column : column + 4] = 1
with torch.no_grad():
    covered = torch.stack([cnn(digit * (1 - covers)) for digit in digits])
before = result.logits[chosen]
drops = [before[i, answer] - covered[i, :, answer] for i, answer in enumerate(answers)]

# %%
# A pixel lies under several patches and gets the mean of their drops. Where covering
# raises the score, nothing is drawn.

shares = covers[:, 0] / covers[:, 0].sum(dim=0)
importance = torch.einsum("np,phw->nhw", torch.stack(drops), shares).clamp(min=0)
figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1), layout="compressed")
for ax, digit, heat, title in zip(axes, digits, importance, titles, strict=True):
    plot_overlay(1 - digit[0] / 3, heat, ax, title=title)
figure.suptitle(
    "Smoother, and closer to the strokes. Black on black changes nothing, so this "
    "method cannot see what matters by being empty.",
    wrap=True,
)

# %%
# Where the mistake comes from
# ----------------------------
# In the fourth map, the strokes with colour support the prediction. Of all places of
# the patch, the next figure shows the one where covering most favours the label over
# the prediction.

label, answer = labels[worst], answers[3]
place = (covered[3, :, label] - covered[3, :, answer]).argmax()
figure = plot_digits(
    torch.stack([digits[3], digits[3] * (1 - covers[place])]),
    [label, label],
    predictions=[answer, covered[3, place].argmax()],
)
right = (covered[3].argmax(dim=1) == label).sum()
figure.suptitle(
    f"On the right, the patch covers what spoke most for {answer} and against "
    f"{label}. At {right} of 169 places, covering makes the network read {label}.",
    wrap=True,
)

# %%
# Do they tell the truth?
# -----------------------
# A map that looks right to us need not be right. So erase the pixels that a method
# ranks highest: the probability of the prediction should fall faster than with pixels
# chosen by chance. Only ink can be erased, so all choose among ink. We take the first
# 100 test digits that have at least forty pixels of it.

ink = (images > 0.5).flatten(1)
many = (ink.sum(dim=1) >= 40).nonzero().flatten()[:100]
ink, given = ink[many], result.predictions[many][:, None]
pixels = images[many].requires_grad_()
(gradient,) = torch.autograd.grad(cnn(pixels).gather(1, given).sum(), pixels)
pixels = pixels.detach()

hidden = (pixels[:, None] * (1 - covers)).flatten(0, 1)
each = given.repeat_interleave(169, dim=0)
scores = evaluate(cnn, hidden, each[:, 0]).logits.gather(1, each).view(100, 169)

# %%
# Each ranking puts the ink of a digit in order. Covering takes ink away in clumps, so
# chance may try that, too.

torch.manual_seed(0)
rankings = {
    "chance": torch.rand(100, 784),
    "chance, clumps": torch.einsum("np,phw->nhw", torch.rand(100, 169), shares),
    "gradient": gradient.abs(),
    "covering": -torch.einsum("np,phw->nhw", scores, shares),
}
orders = {
    name: ranking.flatten(1).where(ink, -torch.inf).argsort(dim=1, descending=True)
    for name, ranking in rankings.items()
}

# %%
# The first twenty pixels of each order become black. Compare where the holes are.

pixels = pixels.flatten(1)
erased = [pixels.scatter(1, order[:, :20], 0)[1] for order in orders.values()]
examples = torch.stack([pixels[1], *erased]).view(-1, 28, 28)
figure = plot_images(examples, ["whole", *orders], columns=5)
named = {n: torch.zeros(100, 784).scatter(1, o[:, :20], 1) for n, o in orders.items()}
common = (named["gradient"] * named["covering"]).sum(dim=1).mean()
figure.suptitle(
    "One of the digits. Over all 100, gradient and covering have "
    f"{common:.1f} of twenty pixels in common; "
    f"chance would have {(400 / ink.sum(dim=1)).mean():.1f}.",
    wrap=True,
)

# %%
# Over all 100 digits, and from none to forty pixels:

counts = range(0, 41, 5)
curves = {name: [] for name in orders}
for (name, order), count in itertools.product(orders.items(), counts):
    erased = pixels.scatter(1, order[:, :count], 0).view(-1, 1, 28, 28)
    with torch.no_grad():
        probability = cnn(erased).softmax(dim=1).gather(1, given).mean()
    curves[name].append(probability.item())
ax = plot_history(
    {name: (counts, curve) for name, curve in curves.items()},
    xlabel="pixels erased",
    ylabel="probability of the answer",
)
ax.set_ylim(0, 1.02)
at_20 = "; ".join(f"{name}: {curve[4]:.2f}" for name, curve in curves.items())
ax.figure.suptitle(f"After twenty pixels, {at_20}.", wrap=True)

# %%
# Both methods beat chance, and covering beats the gradient. But covering has an
# advantage: it measures what the test measures, the effect of missing ink. The
# gradient's size tells what a small change would do, up or down.
#
# To take away
# ------------
# There is no single map of "what the network looked at". The gradient shows where a
# small change matters, covering shows what would be missed. Erasing tells how well they
# do it. Even that has a limit: a digit with holes is unlike all that the network has
# learned from, and some of the fall may come from that.
#
# Try it
# ------
# Ask the gradient the question of the test. Erasing a pixel of brightness :math:`x`
# changes it by :math:`-x`, so the score should fall by about gradient × pixel. Keep the
# sign this time.

ranking = (gradient.flatten(1) * pixels).where(ink, -torch.inf)
order = ranking.argsort(dim=1, descending=True)
erased = pixels.scatter(1, order[:, :20], 0).view(-1, 1, 28, 28)
with torch.no_grad():
    probability = cnn(erased).softmax(dim=1).gather(1, given).mean()
print(f"after twenty pixels, gradient x pixel: {probability:.2f}")
print(f"before: {curves['gradient'][4]:.2f}, covering: {curves['covering'][4]:.2f}")
against = gradient.flatten(1).gather(1, orders["gradient"][:, :20]) < 0
print(f"erased before, though the sign was negative: {against.float().mean():.0%}")

# %%
# The probability now falls further than by the gradient's size, still for one backward
# pass where covering takes 169 runs. Some of the largest gradients are negative: their
# pixels speak against the prediction, so erasing them helps it. The size alone can't
# tell them from the others.
#
# This was the last page. Now look into a network and a picture of your own.

"""
A large perceptron against a small convolutional network
========================================================

Both learn from the same 60,000 digits, in the same order, for the same number of steps.
Then both read 10,000 digits that they have never seen, and we look at their mistakes.
"""

import numpy as np
import torch
from torch import nn

from cnnviz import live
from cnnviz.datasets import mnist_tensors
from cnnviz.models import CNN, MLP, count_parameters
from cnnviz.plotting import plot_confusion_matrix, plot_digits, plot_history
from cnnviz.training import evaluate, fit

# %%
# Training
# --------
# A step takes 256 digits, computes the loss (how little probability the true labels
# got) and moves all weights a little. Two passes over the digits make 470 steps.
# ``fit`` draws their order from its seed alone, so both networks get the same batches.
# Only the learning rate is each network's own.

SNAPSHOTS = (0, 10, 30, 100, 300, 470)
digits = mnist_tensors(train=True)

torch.manual_seed(0)
mlp = MLP()
mlp_history = fit(mlp, *digits, learning_rate=0.01, snapshots=SNAPSHOTS, cache=True)

torch.manual_seed(0)
cnn = CNN()
cnn_history = fit(cnn, *digits, learning_rate=0.03, snapshots=SNAPSHOTS, cache=True)

# %%
# The loss varies from step to step, because each step has different digits. So each
# point below is the mean of ten steps. The loss axis is logarithmic.

middle = np.arange(5.5, 470, 10)
curves = {
    "MLP": (middle, np.reshape(mlp_history.loss, (-1, 10)).mean(axis=1)),
    "CNN": (middle, np.reshape(cnn_history.loss, (-1, 10)).mean(axis=1)),
}
ax = plot_history(curves, ylabel="training loss")
ax.set_yscale("log")
ax.figure.suptitle(
    "The training loss of both networks, each point the mean of ten steps. The CNN's "
    "ends lower. Dropout is on while the MLP trains, and raises its loss.",
    wrap=True,
)

# %%
# .. note::
#    ``fit`` takes tensors, and ``validation=(images, labels)`` to measure as it goes.
#    Where data come from a ``DataLoader``, the loop is short enough to write out::
#
#        for images, labels in loader:
#            loss = torch.nn.functional.cross_entropy(model(images), labels)
#            optimizer.zero_grad()
#            loss.backward()
#            optimizer.step()
#
# Digits never seen
# -----------------
# What counts is the test set. ``snapshots`` has kept the weights of six moments, so we
# can ask each of them.

test = mnist_tensors(train=False)
print("step    MLP     CNN")
for step in SNAPSHOTS:
    mlp.load_state_dict(mlp_history.snapshots[step])
    cnn.load_state_dict(cnn_history.snapshots[step])
    a, b = evaluate(mlp, *test).accuracy, evaluate(cnn, *test).accuracy
    print(f"{step:4}{a:8.2%}{b:8.2%}")

# %%
# At step 100, the CNN's test accuracy is lower than its training loss suggests. Batch
# normalisation predicts with running averages, which have not yet caught up with the
# weights. With the averages of the test digits themselves, the same weights reach:

cnn.load_state_dict(cnn_history.snapshots[100])
with torch.no_grad():
    answers_100 = cnn.train()(test[0]).argmax(dim=1)
cnn.eval().load_state_dict(cnn_history.snapshots[470])
print(f"step 100: {(answers_100 == test[1]).float().mean():.2%}")

# %%
# The last row is the result. Another 10,000 digits, or another seed, would have given
# slightly other numbers. The first of these chances is what the standard error tells:

answers = {"MLP": evaluate(mlp, *test), "CNN": evaluate(cnn, *test)}
for model, (name, answer) in zip((mlp, cnn), answers.items(), strict=True):
    error = (answer.accuracy * (1 - answer.accuracy) / 10_000) ** 0.5
    print(
        f"{name}: {count_parameters(model):,} parameters, {answer.accuracy:.2%} right"
    )
    print(f"     standard error {error:.2%}, {len(answer.mistakes)} wrong")

# %%
# .. note::
#    In the article, a CNN is said to do better than an MLP. Here it is measured.
#
# Which digits are taken for which
# --------------------------------
# Rows are true digits, columns answers. The right ones are on the diagonal; look for
# the darkest of the others. **Live:** go through training step by step, and watch
# filters form and mistakes go. Point at a cell to see which digits they are.

matrix = answers["CNN"].confusion_matrix
ax = plot_confusion_matrix(matrix, title="CNN")
errors = matrix.clone().fill_diagonal_(0)
true, predicted = divmod(errors.argmax().item(), 10)
ax.figure.suptitle(
    f"Mistakes are not spread evenly: the most frequent is a {true} taken for a "
    f"{predicted}, {errors.max()} times.",
    wrap=True,
)
live.training_steps({"MLP": (mlp, mlp_history), "CNN": (cnn, cnn_history)}, *test)

# %%
# Hard digits
# -----------
# If mistakes were accidents, the two nets would seldom fail at the same digit. How
# often do they?

wrong_mlp = answers["MLP"].predictions != test[1]
wrong_cnn = answers["CNN"].predictions != test[1]
both = wrong_mlp & wrong_cnn
expected = wrong_mlp.sum() * wrong_cnn.sum() / len(both)
print(f"only the MLP {(wrong_mlp & ~wrong_cnn).sum()}")
print(f"only the CNN {(wrong_cnn & ~wrong_mlp).sum()}")
print(f"both         {both.sum()}, by accident it would be {expected:.1f}")

# %%
# Here are digits that both get wrong, with their label and the CNN's answer. Cover the
# titles and try for yourself.

shown = both.nonzero().flatten()[:32]
figure = plot_digits(
    test[0][shown],
    test[1][shown],
    predictions=answers["CNN"].predictions[shown],
    columns=8,
)
figure.suptitle(
    "Loops left open, strokes run together, odd slants: some are hard for people, too.",
    wrap=True,
)

# %%
# And digits that only the MLP gets wrong, with its answers:

shown = (wrong_mlp & ~wrong_cnn).nonzero().flatten()[:24]
figure = plot_digits(
    test[0][shown],
    test[1][shown],
    predictions=answers["MLP"].predictions[shown],
    columns=8,
)
figure.suptitle(
    "Most of these are plain to read. The CNN has read them all.", wrap=True
)

# %%
# To take away
# ------------
# The CNN has far fewer parameters than the MLP and makes far fewer mistakes. Many of
# those are the MLP's as well: these digits are hard. The others fail the MLP for no
# reason that we can see, and the next page looks for one.
#
# Try it
# ------
# Is it enough to have few parameters? Train the largest perceptron with one hidden
# layer that costs no more than the CNN.

torch.manual_seed(0)
tiny = nn.Sequential(nn.Flatten(), nn.Linear(784, 7), nn.ReLU(), nn.Linear(7, 10))
fit(tiny, *digits, learning_rate=0.01, cache=True)
accuracy = evaluate(tiny, *test).accuracy
print(f"{count_parameters(tiny):,} parameters: {accuracy:.2%}")

# %%
# No. Seven neurons with a weight for every pixel each can't tell the digits apart as
# well. It depends on what the parameters are used for.
#
# Next: the same digits, moved by a few pixels.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cnnviz._plain_weights import copy_to_evaluate, copy_with_plain_weights
from cnnviz._probing import check_model, modules_of
from cnnviz._validation import as_integer, describe, invalid
from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import pack_picture, pack_weights
from cnnviz.training import History, evaluate

if TYPE_CHECKING:
    from cnnviz._types import Integer

SHADES = 16
COLUMNS = 32


def training_steps(
    models: Mapping[str, tuple[nn.Module, History]],
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    filters: Integer = 8,
    digits: Integer = 12,
    examples: Integer = 6,
) -> LiveFigure:
    """Go through the moments at which the weights of classifiers were kept.

    At each, the figure shows some of the first weights of every model, which share of
    the images it classifies rightly, which classes it takes for which, and images of
    which the models are least sure, or most wrong.

    All of it is worked out here, from the weights that were kept; the page shows it.
    Weights are drawn from 8-bit numbers with a scale a filter, images in 16 shades, and
    probabilities are rounded to whole per cent.

    Parameters
    ----------
    models : mapping of str to (torch.nn.Module, History)
        Classifiers by name, with what `cnnviz.training.fit` returned for them, all with
        ``snapshots`` of the same steps. The models are left as they are.
    images : torch.Tensor, shape (N, 1, H, W), float
        Grey images to classify, 0–1.
    labels : torch.Tensor, shape (N,), int64
        The class of each image.
    filters : int, default 8
        How many kernels, or neurons, of the first layer are shown: the first ones.
    digits : int, default 12
        How many doubtful images are shown.
    examples : int, default 6
        How many images are shown, at most, for a mistake.

    Returns
    -------
    LiveFigure
        The element ``<cnn-training-steps>``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, or a model's first layer
        does not take grey images of this size.
    """
    filters = as_integer(filters, "filters", 1)
    digits = as_integer(digits, "digits", 1)
    examples = as_integer(examples, "examples", 0)
    steps = _check_models(models)
    answers = {
        name: [evaluate(kept, images, labels) for kept in _at_steps(name, *pair)]
        for name, pair in models.items()
    }
    shown = {}
    nets = [
        {
            "name": name,
            **_first_weights(name, *models[name], images.shape, filters),
            "scores": [f"{answer.accuracy:.2%} right" for answer in steps_of_one],
            "tables": [_table(answer.confusion_matrix) for answer in steps_of_one],
            "examples": _mistakes(steps_of_one, examples, shown),
        }
        for name, steps_of_one in answers.items()
    ]
    doubts = {
        choice: [
            [[_place(i, shown), *_words(answers, step, i)] for i in indices]
            for step, indices in enumerate(chosen)
        ]
        for choice, chosen in _doubts(answers, digits).items()
    }
    data = {
        "steps": steps,
        "nets": nets,
        "doubts": doubts,
        "most": float(np.log1p(labels.bincount().max().item())),
        "labels": labels[[*shown]].tolist(),
        "size": list(images.shape[2:]),
        "columns": COLUMNS,
        "sheet": _sheet(images[[*shown], 0].numpy()),
    }
    last = [*answers.values()][-1][-1]
    settings = {"checkpoint": len(steps) - 1, "cell": _most_frequent(last)}
    return LiveFigure("training_steps", data, settings)


def _check_models(models):
    """Return the steps at which the weights of all models were kept."""
    if not isinstance(models, Mapping) or not models:
        expected = "a mapping of names to (model, history)"
        raise invalid("models", expected, describe(models), TypeError)
    steps = None
    for name, pair in models.items():
        named = f"models[{name!r}]"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise invalid(named, "a pair (model, history)", describe(pair), TypeError)
        model, history = pair
        check_model(model)
        if not isinstance(history, History):
            raise invalid(named, "with a History", describe(history), TypeError)
        kept = sorted(history.snapshots)
        if not kept or kept != (steps or kept):
            expected = f"one with snapshots of the steps {steps}" if steps else "one"
            raise invalid(f"snapshots of {named}", expected, kept or "none")
        steps = kept
    return steps


def _at_steps(name, model, history):
    """Yield a model as it was at each of the steps at which its weights were kept."""
    copy = copy_to_evaluate(model)
    for step, state in sorted(history.snapshots.items()):
        try:
            copy.load_state_dict(state)
        except RuntimeError as error:
            expected = f"of the same parameters as the one kept at step {step}"
            raise invalid(f"models[{name!r}]", expected, f"others: {error}") from None
        yield copy_with_plain_weights(copy)


def _first_weights(name, model, history, shape, count):
    """Return the weights of a model's first layer at each step, as pictures."""
    stacks = []
    for kept in _at_steps(name, model, history):
        layers = [
            (path, module)
            for path, module in modules_of(kept)
            if isinstance(module, (nn.Conv2d, nn.Linear))
        ]
        if not layers:
            expected = "with a convolution or a fully connected layer"
            raise invalid(f"models[{name!r}]", expected, type(model).__name__)
        layer, module = layers[0]
        stacks.append(module.weight.detach()[:count])
    neurons = isinstance(module, nn.Linear)
    if neurons and module.in_features == shape[2] * shape[3]:
        stacks = [stack.view(-1, 1, *shape[2:]) for stack in stacks]
    if stacks[0].ndim != 4 or stacks[0].shape[1] != 1:
        expected = f"with a first layer that takes grey images of {tuple(shape[2:])}"
        got = f"weights of shape {tuple(module.weight.shape)}"
        raise invalid(f"models[{name!r}]", expected, got)
    kind = "neurons" if neurons else "filters"
    return {
        "kind": f"{len(stacks[0])} of {len(module.weight)} {kind} of {layer or 'it'}",
        "weights": [pack_weights(stack[:, 0]) for stack in stacks],
    }


def _table(matrix):
    """Return a confusion matrix row by row, with its headings, which are texts."""
    names = [str(number) for number in range(len(matrix))]
    rows = zip(names, matrix.tolist(), strict=True)
    return ["", *names, *(cell for name, row in rows for cell in (name, *row))]


def _mistakes(answers, most, shown):
    """Return some images of each mistake at each step, by "true class,answer".

    From the last step on backwards, those that are shown anyway come first: most
    mistakes are made at earlier steps, too, so the page needs fewer images.
    """
    examples = []
    for answer in reversed(answers):
        found = {}
        pairs = torch.stack([answer.labels, answer.predictions], dim=1).tolist()
        for index in answer.mistakes.tolist():
            found.setdefault("{},{}".format(*pairs[index]), []).append(index)
        for indices in found.values():
            indices.sort(key=lambda index: index not in shown)
            indices[:] = [_place(index, shown) for index in indices[:most]]
        examples.append(found)
    return examples[::-1]


def _place(index, shown):
    """Return the place of an image among those shown, where it is added if missing."""
    return shown.setdefault(index, len(shown))


def _doubts(answers, count):
    """Return the images that are doubtful at each step, by how they are chosen."""
    chosen = {"least sure": [], "most wrong": []}
    for step in zip(*answers.values(), strict=True):
        labels = step[0].labels[:, None]
        sure = sum(answer.probabilities.amax(dim=1) for answer in step)
        right = sum(answer.probabilities.gather(1, labels)[:, 0] for answer in step)
        chosen["least sure"].append(sure.argsort(stable=True)[:count].tolist())
        chosen["most wrong"].append(right.argsort(stable=True)[:count].tolist())
    in_the_end = {f"{k} in the end": v[-1:] * len(v) for k, v in chosen.items()}
    return in_the_end | {f"{k} at this step": v for k, v in chosen.items()}


def _words(answers, step, index):
    """Return what an image is, what each model says at a step, and how sure it is."""
    label = next(iter(answers.values()))[step].labels[index]
    words = [f"a {label}"]
    for name, steps_of_one in answers.items():
        answer = steps_of_one[step]
        chances = answer.logits[index].softmax(dim=0)
        said = chances.argmax().item()
        mark = "" if said == label else "✗"
        words.append(f"{name} {said}{mark} {chances[said]:.0%}")
    return words


def _sheet(images):
    """Return images side by side as one picture."""
    count, height, width = images.shape
    rows = -(-count // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, height, width))
    sheet[:count] = np.rint(images * (SHADES - 1)) / (SHADES - 1)
    sheet = sheet.reshape(rows, COLUMNS, height, width).swapaxes(1, 2)
    return pack_picture(sheet.reshape(rows * height, -1), "images")


def _most_frequent(answer):
    """Return the most frequent mistake, "true class,answer"."""
    errors = answer.confusion_matrix.fill_diagonal_(0)
    return ",".join(map(str, divmod(errors.argmax().item(), len(errors))))

"""Seeded training and evaluation of classifiers.

Data are two tensors, images and labels: a set of this size fits into memory, and
without a loader an epoch takes less time.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from cnnviz._kept import cache_folder, kept, remember
from cnnviz._probing import (
    buffers_of,
    check_model,
    evaluating,
    parameters_of,
    set_evaluating,
    with_modes,
)
from cnnviz._validation import as_integer, as_number, describe, invalid

if TYPE_CHECKING:
    from cnnviz._types import Integer, Number

__all__ = ["Evaluation", "History", "cache_folder", "evaluate", "fit"]


@dataclass(frozen=True)
class History:
    """What happened while a model was trained, in each step and each epoch."""

    loss: list[float]
    """Mean cross-entropy of each step's batch, in nats."""
    learning_rate: list[float]
    """The learning rate of each step."""
    seconds: float
    """How long training took; as measured then, where it was read from the cache."""
    snapshots: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    """The model's `state_dict` by the number of steps taken."""
    epoch_loss: list[float] = field(default_factory=list)
    """Mean cross-entropy of all training images in each epoch, in nats: that of each
    image when it was met, in training mode, before the step that it was part of."""
    epoch_accuracy: list[float] = field(default_factory=list)
    """The share of training images classified rightly in each epoch, 0–1, likewise."""
    validation_loss: list[float] = field(default_factory=list)
    """Mean cross-entropy of the validation images after each epoch, in nats, in
    evaluation mode; empty where there were none."""
    validation_accuracy: list[float] = field(default_factory=list)
    """The share of validation images classified rightly after each epoch, 0–1."""


def fit(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    validation: tuple[torch.Tensor, torch.Tensor] | None = None,
    epochs: Integer = 2,
    batch_size: Integer = 256,
    learning_rate: Number = 0.02,
    weight_decay: Number = 0.01,
    seed: Integer = 0,
    snapshots: Iterable[Integer] = (),
    cache: bool = False,
    progress: bool = True,
) -> History:
    """Train a classifier with AdamW and a one-cycle learning rate.

    The model is trained in place and left in evaluation mode. With the same model,
    data, arguments, number of threads, versions and processor, the result is the same.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images to one score (logit) a class.
    images : torch.Tensor, shape (N, ...), float
        All training images, such as (N, C, H, W), of the model's dtype.
    labels : torch.Tensor, shape (N,), int64
        The class of each image.
    validation : (images, labels), optional
        Other images and their labels, on which the model is evaluated after each epoch.
        They do not change what the model learns.
    epochs : int, default 2
        How often each image is seen.
    batch_size : int, default 256
        How many images make a step.
    learning_rate : float, default 0.02
        The highest learning rate of the cycle.
    weight_decay : float, default 0.01
        AdamW's decoupled weight decay.
    seed : int, default 0
        Seeds the order of the images, which is the same for all models, and PyTorch's
        random numbers in the model, such as dropout's. The initial weights are the
        model's own: call `torch.manual_seed` before making it.
    snapshots : iterable of int, default ()
        Numbers of steps after which the model's weights are kept, 0 being the
        model before training.
    cache : bool, default False
        Keep the result in `cache_folder`, and read it from there the next time. It is
        found by a hash of what it depends on: the model's classes, attributes and
        initial weights, the functions and globals that its code names, the data, the
        settings, the versions and the processor. Models for which that can't be told
        (hooks, compiled or scripted parts, locks, open files), and trainings that
        change more than the `state_dict`, are trained each time. What code finds out
        only when it runs is not seen: files that it reads, `sys.modules`, how Python
        or PyTorch is set up beyond dtypes, precision and threads.
    progress : bool, default True
        Show a progress bar. The environment variable ``TQDM_DISABLE=1`` hides it, too.

    Returns
    -------
    History
        Losses, accuracies, learning rates and snapshots.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, the model does not take
        the images, or the weights do not stay finite. The state and the mode of the
        model are then as before; so they are if training is interrupted.

    Warns
    -----
    UserWarning
        If a kept result is damaged, so that the model is trained again, or if the
        result cannot be kept.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019.
    L. Smith and N. Topin, "Super-Convergence", 2018.
    """
    check_model(model)
    _check_data(images, labels)
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            got = describe(validation)
            raise invalid("validation", "a pair (images, labels)", got, TypeError)
        _check_data(*validation, "validation's ")
    if isinstance(snapshots, str) or not isinstance(snapshots, Iterable):
        raise invalid(
            "snapshots", "an iterable of integers", describe(snapshots), TypeError
        )
    settings = {
        "epochs": as_integer(epochs, "epochs", 1),
        "batch_size": min(as_integer(batch_size, "batch_size", 1), len(images)),
        "learning_rate": as_number(learning_rate, "learning_rate", 0),
        "weight_decay": as_number(weight_decay, "weight_decay", 0),
        "seed": as_integer(seed, "seed", 0),
        "snapshots": sorted({as_integer(step, "snapshots", 0) for step in snapshots}),
    }
    steps = settings["epochs"] * -(-len(images) // settings["batch_size"])
    if settings["snapshots"] and settings["snapshots"][-1] > steps:
        expected = f"at most the {steps} steps taken"
        raise invalid("snapshots", expected, settings["snapshots"][-1])
    if settings["seed"] >= 2**63:
        raise invalid("seed", "an integer below 2**63", settings["seed"])
    data = (images.detach(), labels, validation)

    def train():
        return _train(model, *data, **settings, progress=progress)

    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        _check_trainable(model, *data, settings["batch_size"])
        if not cache:
            return History(**train())
        code = Path(__file__).read_text("utf-8")
        return History(**kept(train, model, data, settings, code))


def _check_trainable(model, images, labels, validation, batch_size):
    """Refuse a model that can't be trained on the images, before anything is done."""
    with evaluating(model), torch.no_grad():
        first = images[:batch_size], labels[:batch_size], int(labels.max())
        _scores(model, *first)
        if validation is not None:
            (x, y), whose = validation, "validation's "
            _scores(model, x[:batch_size], y[:batch_size], int(y.max()), whose)
    parameters = parameters_of(model)
    if not any(parameter.requires_grad for parameter in parameters):
        raise invalid("model", "a model with parameters to train", repr(model)[:60])
    if any(tensor.is_inference() for tensor in (*parameters, *buffers_of(model))):
        expected = "made outside of torch.inference_mode"
        raise invalid("model", expected, "weights that were made in it")
    if not all(torch.isfinite(parameter).all() for parameter in parameters):
        raise invalid("model", "a model of finite weights", "NaN or infinite values")


def _train(
    model,
    images,
    labels,
    validation,
    *,
    epochs,
    batch_size,
    learning_rate,
    weight_decay,
    seed,
    snapshots,
    progress,
):
    """Return the attributes of a `History`."""
    history = {name: [] for name in History.__dataclass_fields__} | {"snapshots": {}}
    steps = epochs * -(-len(images) // batch_size)
    highest = int(labels.max())
    order = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    if 0 in snapshots:
        history["snapshots"][0] = copy.deepcopy(model.state_dict())
    shown = {} if progress else {"disable": True}
    start = time.perf_counter()
    with (
        _undone_on_failure(model),
        torch.enable_grad(),
        tqdm(total=steps, unit="step", desc="training", **shown) as bar,
    ):
        optimizer = torch.optim.AdamW(
            parameters_of(model), learning_rate, weight_decay=weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, learning_rate, total_steps=steps
        )
        for _ in range(epochs):
            _set_training(model)
            total = right = 0
            shuffled = torch.randperm(len(images), generator=order, device="cpu")
            for batch in shuffled.split(batch_size):
                wanted = labels[batch]
                scores = _scores(model, images[batch], wanted, highest)
                if not scores.requires_grad:
                    expected = "a model whose scores depend on its weights"
                    raise invalid("model", expected, "scores without a gradient")
                loss = F.cross_entropy(scores, wanted)
                optimizer.zero_grad()
                loss.backward()
                history["learning_rate"].append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
                history["loss"].append(loss.item())
                total += loss.item() * len(batch)
                right += (scores.argmax(dim=1) == wanted).sum().item()
                bar.update()
                step = len(history["loss"])
                if step in snapshots:
                    history["snapshots"][step] = copy.deepcopy(model.state_dict())
            history["epoch_loss"].append(total / len(images))
            history["epoch_accuracy"].append(right / len(images))
            if validation is not None:
                with torch.random.fork_rng(devices=[]):
                    result = evaluate(model, *validation, batch_size=batch_size)
                history["validation_loss"].append(result.loss)
                history["validation_accuracy"].append(result.accuracy)
        optimizer.zero_grad()
        if not all(torch.isfinite(p).all() for p in parameters_of(model)):
            raise invalid(
                "learning_rate",
                "with weight_decay, small enough for finite weights",
                f"{learning_rate} with weight_decay {weight_decay}",
            )
    set_evaluating(model)
    return history | {"seconds": time.perf_counter() - start}


def _set_training(model):
    """Put a model into training mode, also by a `train` of its own where it has one."""
    modules = with_modes(model)
    for module in modules:
        module.training = True
    for module in reversed(modules):
        if type(module).train is not nn.Module.train:
            type(module).train(module)


@contextmanager
def _undone_on_failure(model):
    """Give a model its state and modes back when training fails or is interrupted."""
    give_back = remember(model)
    try:
        yield
    except BaseException:
        give_back()
        for parameter in parameters_of(model):
            parameter.grad = None
        raise


@dataclass(frozen=True)
class Evaluation:
    """What a classifier says of images whose classes are known."""

    logits: torch.Tensor
    """Scores, (N, K), of the model's dtype."""
    labels: torch.Tensor
    """True classes, (N,) int64."""

    @property
    def predictions(self) -> torch.Tensor:
        """The class with the highest score, (N,) int64."""
        return self.logits.argmax(dim=1)

    @property
    def probabilities(self) -> torch.Tensor:
        """Softmax of the scores, (N, K), which sum to 1 along K."""
        return self.logits.softmax(dim=1)

    @property
    def accuracy(self) -> float:
        """The share of images classified rightly, 0–1."""
        return (self.predictions == self.labels).double().mean().item()

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return F.cross_entropy(self.logits, self.labels).item()

    @property
    def mistakes(self) -> torch.Tensor:
        """Indices of the images classified wrongly, (M,) int64."""
        return (self.predictions != self.labels).nonzero().flatten()

    @property
    def confusion_matrix(self) -> torch.Tensor:
        """Counts, (K, K) int64: row = true class, column = predicted class."""
        classes = self.logits.shape[1]
        cells = self.labels * classes + self.predictions
        return torch.bincount(cells, minlength=classes**2).view(classes, classes)


def evaluate(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    batch_size: Integer = 1000,
) -> Evaluation:
    """Run a classifier over images whose classes are known.

    The model is run in evaluation mode, without gradients, and left in the mode it
    was in.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images to one score (logit) a class.
    images : torch.Tensor, shape (N, ...), float
        The images, such as (N, C, H, W), of the model's dtype.
    labels : torch.Tensor, shape (N,), int64
        The class of each image.
    batch_size : int, default 1000
        How many images are run at once; the result does not depend on it.

    Returns
    -------
    Evaluation
        The scores, and what follows from them.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range.
    """
    check_model(model)
    _check_data(images, labels)
    batch_size = as_integer(batch_size, "batch_size", 1)
    highest = int(labels.max())
    scores = []
    with evaluating(model), torch.no_grad():
        for batch, wanted in zip(
            images.split(batch_size), labels.split(batch_size), strict=True
        ):
            scores.append(_scores(model, batch, wanted, highest))
    return Evaluation(torch.cat(scores), labels)


def _check_data(images, labels, whose=""):
    for value, name in ((images, "images"), (labels, "labels")):
        name = whose + name
        if not isinstance(value, torch.Tensor):
            expected = "a torch.Tensor (torch.from_numpy makes one of an array)"
            raise invalid(name, expected, describe(value), TypeError)
        if value.is_meta or value.layout != torch.strided:
            raise invalid(name, "a dense tensor with values", describe(value))
    if images.ndim < 2 or not images.is_floating_point() or not images.numel():
        expected = "a float tensor (N, ...), such as (N, C, H, W)"
        raise invalid(f"{whose}images", expected, describe(images))
    if not torch.isfinite(images).all():
        raise invalid(f"{whose}images", "finite", "NaN or infinite values")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        expected = f"an int64 tensor ({len(images)},), a class for each image"
        raise invalid(f"{whose}labels", expected, describe(labels))
    if labels.min() < 0:
        raise invalid(f"{whose}labels", "classes from 0 on", int(labels.min()))


def _scores(model, images, labels, highest, whose=""):
    """Return a score a class for each image, or refuse a model that gives others."""
    try:
        scores = model(images)
    except (RuntimeError, ValueError) as error:
        got = f"{describe(images)}: {error}"
        raise invalid(f"{whose}images", "what the model takes", got) from error
    if not isinstance(scores, torch.Tensor) or not scores.is_floating_point():
        raise invalid(
            "model", "a model that returns one tensor of floats", describe(scores)
        )
    if scores.ndim != 2 or len(scores) != len(labels):
        expected = f"a model that returns ({len(labels)}, classes) for so many images"
        raise invalid("model", expected, f"an output of shape {tuple(scores.shape)}")
    if highest >= scores.shape[1]:
        raise invalid(
            f"{whose}labels",
            f"classes that the model's output of shape {tuple(scores.shape)} has",
            f"a largest label of {highest}",
        )
    return scores

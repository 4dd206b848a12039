"""Seeded training and evaluation of classifiers.

Data are two tensors, images and labels: a set of this size fits into memory, and
without a loader an epoch takes less time.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import nn
from tqdm import tqdm

from cnnviz._fingerprint import UntoldError, fingerprint
from cnnviz._probing import check_model, evaluating, parameters_of
from cnnviz._validation import as_integer, as_number, describe, invalid
from cnnviz.datasets import cache_folder

if TYPE_CHECKING:
    from cnnviz._types import Integer, Number

__all__ = ["Evaluation", "History", "evaluate", "fit"]

CHECKSUM = hashlib.sha256().digest_size


@dataclass(frozen=True)
class History:
    """What happened while a model was trained."""

    loss: list[float]
    """Mean cross-entropy of each step's batch, in nats."""
    learning_rate: list[float]
    """The learning rate of each step."""
    seconds: float
    """How long training took; as measured then, where it was read from the cache."""
    snapshots: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    """The model's `state_dict` by the number of steps taken."""
    epoch_loss: list[float] = field(default_factory=list)
    """Mean cross-entropy of each epoch's images, as they were trained on."""
    epoch_accuracy: list[float] = field(default_factory=list)
    """The share classified rightly of each epoch's images, as they were trained on.

    Like `epoch_loss`, it is counted while the model changes, and with dropout.
    """
    validation_loss: list[float] = field(default_factory=list)
    """Mean cross-entropy of the validation images after each epoch."""
    validation_accuracy: list[float] = field(default_factory=list)
    """The share of validation images classified rightly after each epoch."""


def fit(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: Integer = 2,
    batch_size: Integer = 256,
    learning_rate: Number = 0.02,
    weight_decay: Number = 0.01,
    seed: Integer = 0,
    snapshots: Iterable[Integer] = (),
    validation: tuple[torch.Tensor, torch.Tensor] | None = None,
    cache: bool = False,
    progress: bool = True,
) -> History:
    """Train a classifier with AdamW and a one-cycle learning rate.

    The model is trained in place and left in evaluation mode. With the same model,
    data, arguments and number of threads, the result is the same on the same processor
    and versions. The order of the images depends on `seed` alone: every model gets the
    same batches.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images to one score (logit) a class.
    images : torch.Tensor, shape (N, ...), float
        All training images, such as (N, C, H, W).
    labels : torch.Tensor, shape (N,), int64
        The class of each image.
    epochs : int, default 2
        How often each image is seen.
    batch_size : int, default 256
        How many images make a step.
    learning_rate : float, default 0.02
        The highest learning rate of the cycle.
    weight_decay : float, default 0.01
        AdamW's decoupled weight decay.
    seed : int, default 0
        Seeds the order of the images and dropout. The initial weights are the
        model's own: call `torch.manual_seed` before making it.
    snapshots : iterable of int, default ()
        Numbers of steps after which the model's weights are kept, 0 being the
        model before training.
    validation : pair of torch.Tensor, optional
        Images and labels that are not trained on. The model classifies them after each
        epoch.
    cache : bool, default False
        Keep the result in the cache folder, by a hash of what it depends on (all that
        the model holds, the code of its classes, the data, the settings, the versions,
        the processor), and read it from there the next time. Not covered is code that
        a class's own functions call, and globals that they read: do without `cache`
        where these change.
    progress : bool, default True
        Show a progress bar. The environment variable ``TQDM_DISABLE=1`` hides it, too.

    Returns
    -------
    History
        `loss`, `learning_rate`, `seconds` and `snapshots`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, or the weights do not stay
        finite. The model is then as it was before.

    Warns
    -----
    UserWarning
        If a kept result is damaged, so that the model is trained again, or if the
        result cannot be kept: also where the model holds what can't be told apart by
        its value, such as a hook.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019.
    L. Smith and N. Topin, "Super-Convergence", 2018.
    """
    check_model(model)
    _check_data(images, labels)
    if validation is not None:
        validation = _as_validation(validation, images)
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
    parameters = parameters_of(model)
    if not any(parameter.requires_grad for parameter in parameters):
        raise invalid("model", "a model with parameters to train", repr(model)[:60])
    if any(parameter.is_inference() for parameter in parameters):
        expected = "made outside torch.inference_mode(), which allows no training"
        raise invalid("model", expected, "parameters that were made in it")
    highest = max(int(each.max()) for each in (labels, *(validation or ())[1:]))
    with torch.inference_mode(False):
        with evaluating(model), torch.no_grad():
            _check_scores(model(images[:1]), labels[:1], highest)
        data = images, labels, validation
        key = _key(model, data, settings) if cache else None
        if key is None:
            return _train(model, *data, **settings, progress=progress)
        path = cache_folder() / "trained" / f"{key}.pt"
        with _locked(path):
            history = _load(model, path)
            if history is None:
                history = _train(model, *data, **settings, progress=progress)
                _save(model, history, path)
        return history


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
    steps = epochs * -(-len(images) // batch_size)
    losses, rates = [], []
    epochs_seen, validated = [], []
    order = torch.Generator().manual_seed(seed)
    kept = {0: _copy_state(model)} if 0 in snapshots else {}
    start = time.perf_counter()
    with (
        _undone_on_failure(model),
        torch.random.fork_rng(devices=[]),
        torch.enable_grad(),
    ):
        torch.manual_seed(seed)
        model.train()
        optimizer = torch.optim.AdamW(
            model.parameters(), learning_rate, weight_decay=weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, learning_rate, total_steps=steps
        )
        shown = {} if progress else {"disable": True}
        with tqdm(total=steps, unit="step", desc="training", **shown) as bar:
            for _ in range(epochs):
                seen = []
                shuffled = torch.randperm(len(images), generator=order)
                for batch in shuffled.split(batch_size):
                    scores = model(images[batch])
                    loss = F.cross_entropy(scores, labels[batch])
                    right = (scores.argmax(dim=1) == labels[batch]).sum()
                    optimizer.zero_grad()
                    loss.backward()
                    rates.append(schedule.get_last_lr()[0])
                    optimizer.step()
                    schedule.step()
                    losses.append(loss.item())
                    seen.append((len(batch) * losses[-1], right.item()))
                    bar.update()
                    if len(losses) in snapshots:
                        kept[len(losses)] = _copy_state(model)
                sums = map(sum, zip(*seen, strict=True))
                epochs_seen.append([total / len(images) for total in sums])
                if validation is not None:
                    found = evaluate(model, *validation)
                    validated.append((found.loss, found.accuracy))
        optimizer.zero_grad()
        if not all(torch.isfinite(p).all() for p in model.parameters()):
            raise invalid(
                "learning_rate",
                "with weight_decay, small enough for finite weights",
                f"{learning_rate} with weight_decay {weight_decay}",
            )
    model.eval()
    seconds = time.perf_counter() - start
    measured = [*_columns(epochs_seen), *_columns(validated)]
    return History(losses, rates, seconds, kept, *measured)


def _columns(pairs):
    """Return the first and the second numbers of some pairs."""
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@contextmanager
def _undone_on_failure(model):
    """Give a model back its weights and its mode when training fails."""
    state = _copy_state(model)
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    except Exception:
        model.load_state_dict(state)
        model.zero_grad()
        for module, training in modes:
            module.training = training
        raise


def _copy_state(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@dataclass(frozen=True)
class Evaluation:
    """What a classifier says of images whose classes are known."""

    logits: torch.Tensor
    """Scores, (N, K) float32."""
    labels: torch.Tensor
    """True classes, (N,) int64."""

    @property
    def predictions(self) -> torch.Tensor:
        """The class with the highest score, (N,) int64."""
        return self.logits.argmax(dim=1)

    @property
    def probabilities(self) -> torch.Tensor:
        """Softmax of the scores, (N, K) float32 that sum to 1 along K."""
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
        The images, such as (N, C, H, W).
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
            scores.append(model(batch))
            _check_scores(scores[-1], wanted, highest)
    return Evaluation(torch.cat(scores), labels)


def _check_data(images, labels):
    for value, name in ((images, "images"), (labels, "labels")):
        if not isinstance(value, torch.Tensor):
            expected = "a torch.Tensor (torch.from_numpy makes one of an array)"
            raise invalid(name, expected, describe(value), TypeError)
    if images.ndim < 2 or not images.is_floating_point() or not images.numel():
        raise invalid(
            "images", "a float tensor (N, ...), such as (N, C, H, W)", describe(images)
        )
    if not torch.isfinite(images).all():
        raise invalid("images", "finite", "NaN or infinite values")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise invalid("labels", f"an int64 tensor ({len(images)},)", describe(labels))
    if labels.min() < 0:
        raise invalid("labels", "classes from 0 on", int(labels.min()))


def _check_scores(scores, labels, highest):
    """Refuse a model that does not give a score a class for each image."""
    if not isinstance(scores, torch.Tensor) or not scores.is_floating_point():
        raise invalid(
            "model", "a model that returns one tensor of floats", describe(scores)
        )
    if scores.ndim != 2 or len(scores) != len(labels):
        expected = f"a model that returns ({len(labels)}, classes) for so many images"
        raise invalid("model", expected, f"an output of shape {tuple(scores.shape)}")
    if highest >= scores.shape[1]:
        raise invalid(
            "labels",
            f"classes that the model's output of shape {tuple(scores.shape)} has",
            f"a largest label of {highest}",
        )


def _as_validation(validation, images):
    """Return a checked pair of images like those trained on, and their labels."""
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        expected = "a pair (images, labels)"
        raise invalid("validation", expected, describe(validation), TypeError)
    try:
        _check_data(*validation)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from None
    if validation[0].shape[1:] != images.shape[1:]:
        expected = f"images (N, {', '.join(map(str, images.shape[1:]))})"
        raise invalid("validation", expected, describe(validation[0]))
    return tuple(validation)


def _key(model, data, settings):
    """Return a hash of what the result of training depends on, None if none can be."""
    try:
        told = fingerprint(model)
    except UntoldError as error:
        warnings.warn(
            f"the trained network cannot be kept, since another one might be taken "
            f"for it: {error}",
            stacklevel=3,
        )
        return None
    digest = hashlib.sha256()
    described = (
        told,
        Path(__file__).read_text(encoding="utf-8"),
        sorted(settings.items()),
        sys.version,
        torch.__version__,
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
    )
    digest.update(repr(described).encode())
    images, labels, validation = data
    for tensor in (images, labels, *(validation or ())):
        layout = tensor.dtype, tensor.shape, tensor.stride(), str(tensor.device)
        digest.update(repr(layout).encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(values.numpy())
    return digest.hexdigest()[:32]


def _load(model, path):
    """Put a kept result into the model and return its history, if there is one."""
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        checksum, content = content[:CHECKSUM], content[CHECKSUM:]
        if _checksum(path, content) != checksum:
            raise ValueError("another checksum")
        kept = torch.load(io.BytesIO(content), weights_only=True)
        history = History(**kept["history"])
        with _undone_on_failure(model):
            model.load_state_dict(kept["model"])
    except Exception as error:
        warnings.warn(
            f"the trained network {path} is damaged ({type(error).__name__}): "
            "training again",
            stacklevel=3,
        )
        return None
    model.eval()
    return history


def _save(model, history, path):
    """Keep a result: written aside, then moved into place in one step."""
    file = io.BytesIO()
    torch.save({"model": _copy_state(model), "history": asdict(history)}, file)
    content = file.getvalue()
    part = path.with_suffix(".part")
    try:
        try:
            part.write_bytes(_checksum(path, content) + content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"the trained network cannot be kept as {path} ({error})", stacklevel=3
        )


def _checksum(path, content):
    """Return a hash that says that this content, whole, belongs to this path."""
    return hashlib.sha256(path.name.encode() + content).digest()


@contextmanager
def _locked(path):
    """Keep other processes from training the same network meanwhile."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        warnings.warn(
            f"{lock.lock_file} cannot be locked ({error}): other processes may train "
            "the same network meanwhile",
            stacklevel=4,
        )
        yield
    else:
        try:
            yield
        finally:
            lock.release()

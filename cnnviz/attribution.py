"""What a classifier's score for a class rests on, as maps over the image.

Each function takes a batch of images and gives a map for each, which `plot_overlay`
and `plot_signed` draw. A gradient tells what a small change of a pixel would do,
occlusion what covering a patch does, Grad-CAM which places of a layer count.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from cnnviz._probing import check_layer, check_model, evaluating, layers_of
from cnnviz._validation import as_integer, as_number, describe, invalid, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnviz._types import Integer, Number

__all__ = ["grad_cam", "gradient_times_input", "occlusion", "saliency"]


def saliency(
    model: nn.Module,
    x: torch.Tensor,
    target: Integer | Sequence[int] | torch.Tensor | None = None,
) -> torch.Tensor:
    """Return how strongly a small change of each pixel changes the score of a class.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images to one score a class, (N, K). It runs in evaluation mode and is left
        as it was.
    x : torch.Tensor, shape (N, C, H, W), float
        Images, as the model takes them.
    target : int or N of them, optional
        The class whose score counts; by default what the model predicts for each image.

    Returns
    -------
    torch.Tensor, shape (N, H, W), of the dtype of `x`
        The largest magnitude, over the channels, of the score's derivative: 0 or more,
        in score per unit of `x`.

    Raises
    ------
    TypeError, ValueError
        If `model`, `x` or `target` is of another kind or shape, or the score doesn't
        depend on `x`.

    References
    ----------
    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks:
    Visualising Image Classification Models and Saliency Maps", 2014, arXiv:1312.6034.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> weights = model[1].weight.detach()
    >>> map = saliency(model, torch.zeros(1, 1, 2, 2), target=1)
    >>> torch.equal(map, weights[1].abs().view(1, 2, 2))
    True
    """
    return _input_gradient(model, x, target).abs().amax(dim=1)


def gradient_times_input(
    model: nn.Module,
    x: torch.Tensor,
    target: Integer | Sequence[int] | torch.Tensor | None = None,
) -> torch.Tensor:
    """Return what each pixel contributes to the score of a class, to first order.

    Parameters
    ----------
    model, x, target
        As for `saliency`.

    Returns
    -------
    torch.Tensor, shape (N, H, W), of the dtype of `x`
        The score's derivative times the pixel, added over the channels: signed. For a
        network without biases whose layers are linear or ReLU, a map adds up to the
        score.

    Raises
    ------
    TypeError, ValueError
        As for `saliency`.

    References
    ----------
    A. Shrikumar and others, "Not Just a Black Box: Learning Important Features Through
    Propagating Activation Differences", 2016, arXiv:1605.01713.
    """
    return (_input_gradient(model, x, target) * x.detach()).sum(dim=1)


def occlusion(
    model: nn.Module,
    x: torch.Tensor,
    target: Integer | Sequence[int] | torch.Tensor | None = None,
    *,
    size: Integer,
    stride: Integer | None = None,
    fill: Number = 0.0,
    output: Literal["score", "probability"] = "score",
    batch_size: Integer = 64,
) -> torch.Tensor:
    """Return how much covering each place lowers the score of a class.

    A square patch is laid over the image at every `stride` pixels from the upper left;
    the last ones are cut off at the border.

    Parameters
    ----------
    model, x, target
        As for `saliency`.
    size : int
        The side of the patch in pixels.
    stride : int, optional
        The distance of neighbouring patches in pixels; by default `size`.
    fill : float, default 0
        What the patch consists of, in units of `x`.
    output : {"score", "probability"}, default "score"
        What is measured: what the model returns, or the softmax of it.
    batch_size : int, default 64
        How many covered images are run at once.

    Returns
    -------
    torch.Tensor, shape (N, H, W), of the dtype of the scores
        The mean, over the patches that cover a pixel, of the score without the patch
        minus the score with it: positive where the class needs what is there.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or shape, or the patch is larger than the
        image.

    References
    ----------
    M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    size = as_integer(size, "size", 1)
    stride = size if stride is None else as_integer(stride, "stride", 1)
    fill = as_number(fill, "fill")
    one_of(output, "output", ("score", "probability"))
    batch_size = as_integer(batch_size, "batch_size", 1)
    _check(model, x)
    height, width = x.shape[-2:]
    if size > min(height, width):
        raise invalid("size", f"at most the image's {min(height, width)}", size)
    rows, columns = (range(0, side - size + stride, stride) for side in (height, width))
    places = [
        (slice(row, row + size), slice(column, column + size))
        for row, column in product(rows, columns)
    ]

    def measure(images, classes):
        scores = model(images)
        if output == "probability":
            scores = scores.softmax(dim=1)
        return scores.gather(1, classes[:, None])[:, 0]

    with evaluating(model), torch.inference_mode(False), torch.no_grad():
        classes = _as_classes(target, model(x))
        whole = measure(x, classes)
        falls = torch.zeros(len(x), height, width, dtype=whole.dtype, device=x.device)
        counts = torch.zeros(height, width, dtype=whole.dtype, device=x.device)
        for image, (clean, kind) in enumerate(zip(x, classes, strict=True)):
            for first in range(0, len(places), batch_size):
                some = places[first : first + batch_size]
                covered = clean.repeat(len(some), 1, 1, 1)
                for each, place in zip(covered, some, strict=True):
                    each[(slice(None), *place)] = fill
                with_patch = measure(covered, kind.repeat(len(some)))
                for value, place in zip(with_patch, some, strict=True):
                    falls[(image, *place)] += whole[image] - value
        for place in places:
            counts[place] += 1
    return falls / counts


def grad_cam(
    model: nn.Module,
    x: torch.Tensor,
    layer: str,
    target: Integer | Sequence[int] | torch.Tensor | None = None,
) -> torch.Tensor:
    """Return where the maps of a layer speak for a class.

    Each map is weighted by the mean of the score's derivative over its units; of the
    sum, negative values are cut off.

    Parameters
    ----------
    model, x, target
        As for `saliency`.
    layer : str
        The name of a layer whose output is (N, C, h, w), such as `record_activations`
        gives it. Usual is the last one before the maps are averaged or flattened.

    Returns
    -------
    torch.Tensor, shape (N, h, w)
        0 or more, on the layer's grid; `plot_overlay` enlarges it.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or shape, the layer is not called or gives no
        maps, or the score doesn't depend on it.

    References
    ----------
    R. Selvaraju and others, "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization", ICCV 2017.
    """
    _check(model, x)
    with _kept_output(model, layer) as kept, _differentiating(model):
        scores = model(x)
        if not kept:
            raise invalid("layer", "a layer that is called", f"{layer!r}, which isn't")
        maps = kept[0]
        gradient = _gradient(scores, _as_classes(target, scores), maps, f"{layer!r}")
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        return (weights * maps).sum(dim=1).relu().detach()


def _input_gradient(model, x, target):
    """Return the derivative of the classes' scores, of the shape of `x`."""
    _check(model, x)
    with _differentiating(model):
        x = x.detach().clone().requires_grad_()
        scores = model(x)
        return _gradient(scores, _as_classes(target, scores), x, "x")


def _gradient(scores, classes, of, words):
    """Return the derivative of the classes' scores, which must depend on `of`."""
    chosen = scores.gather(1, classes[:, None]).sum()
    found = None
    if chosen.requires_grad:
        (found,) = torch.autograd.grad(chosen, of, allow_unused=True)
    if found is None:
        raise invalid("model", f"a model whose scores depend on {words}", "constants")
    return found


@contextmanager
def _differentiating(model):
    """Run in evaluation mode, with gradients, whatever mode is on."""
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def _kept_output(model, name):
    """Keep what a layer outputs, as the start of the graph behind it.

    What comes later works on a copy, also where it works in place.
    """
    layers = dict(layers_of(model))
    check_layer(name, "layer", layers)
    kept = []

    def keep(module, inputs, output):
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            expected = "a layer whose output is one tensor (N, C, h, w)"
            raise invalid("layer", expected, f"{name!r}: {describe(output)}")
        if kept:
            raise invalid("layer", "called once", f"{name!r}, which is called again")
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()

    handle = nn.Module.register_forward_hook(layers[name], keep)
    try:
        yield kept
    finally:
        handle.remove()


def _check(model, x):
    check_model(model)
    if not isinstance(x, torch.Tensor):
        raise invalid("x", "a float tensor (N, C, H, W)", describe(x), TypeError)
    if x.ndim != 4 or not x.is_floating_point() or not x.numel():
        raise invalid("x", "a float tensor (N, C, H, W), not empty", describe(x))


def _as_classes(target, scores):
    """Return the class of each image, int64 (N,)."""
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        raise invalid("model", "a model that returns (N, classes)", describe(scores))
    if target is None:
        return scores.argmax(dim=1)
    count, classes = scores.shape
    values = target.tolist() if hasattr(target, "tolist") else target
    if not isinstance(values, (list, tuple)):
        values = [values] * count
    values = [as_integer(value, "target", 0) for value in values]
    if len(values) != count:
        raise invalid("target", f"one class, or {count}", f"{len(values)} of them")
    if max(values) >= classes:
        raise invalid("target", f"below the {classes} classes", max(values))
    return torch.tensor(values, device=scores.device)

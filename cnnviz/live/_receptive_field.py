from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
from torch import nn

from cnnviz._validation import as_pixels, describe, invalid
from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import pack_picture

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ELEMENTWISE = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.BatchNorm2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
)


def receptive_field(
    layers: str | nn.Sequential | Mapping[str, str | nn.Sequential],
    image: ArrayLike | Mapping[str, ArrayLike],
) -> LiveFigure:
    """Write a list of layers, and see which pixels each unit sees, and the reverse.

    The reader can change the list. A layer is ``conv`` or ``pool``, a size and, where
    needed, ``stride``, ``padding`` or ``dilation`` with a number, as in
    ``"conv 5 stride 2, pool 2, conv 3 padding 1"``; commas or new lines part them.
    Without ``stride``, it is 1 for ``conv`` and the size for ``pool``, as in PyTorch.

    The colours show the size of the gradient between a unit and each pixel: its root
    mean square over independent random weights with mean 0, for layers of this kind in
    a row without ReLU, of which max pooling passes the gradient of one unit, chosen at
    random. All products of weights along two different paths are uncorrelated, so this
    is the square root of the number of paths between the two.

    Parameters
    ----------
    layers : str or torch.nn.Sequential, or mapping of str to such
        A list, or a network in a row, which is taken up to where its units stop to have
        a place (global pooling, fully connected layers). Of several, the reader chooses
        one by its name to start from.
    image : (H, W) or (H, W, 3) array_like, or mapping of str to such
        Pixels, uint8 0–255 or float 0–1, at most 1024 a side; shown in grey. One for
        all, or one for each name in `layers`.

    Returns
    -------
    LiveFigure
        The element ``<cnn-receptive-field>``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or a network has layers that such
        a list can't hold.

    References
    ----------
    W. Luo, Y. Li, R. Urtasun, R. Zemel, "Understanding the Effective Receptive Field
    in Deep Convolutional Neural Networks", NeurIPS 2016, arXiv:1701.04128.
    """
    if not isinstance(layers, Mapping):
        layers = {"layers": layers}
    if not layers:
        raise invalid("layers", "at least one list of layers", "none")
    if not isinstance(image, Mapping):
        image = dict.fromkeys(layers, image)
    if image.keys() != layers.keys():
        raise invalid("image", f"one for each of {[*layers]}", [*image])
    data = {
        str(name): {
            "list": _as_list(layers[name], f"layers[{name!r}]"),
            "picture": _as_grey(image[name], f"image[{name!r}]"),
        }
        for name in layers
    }
    return LiveFigure("receptive_field", data)


def _as_list(layers, name):
    """Return layers as the text that the reader gets."""
    if isinstance(layers, str):
        return layers
    if not isinstance(layers, nn.Sequential):
        expected = "a list such as 'conv 3, pool 2' or a torch.nn.Sequential"
        raise invalid(name, expected, describe(layers), TypeError)
    parts = []
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            parts.append(_as_part(layer, name))
        elif isinstance(layer, (nn.Flatten, nn.Linear, nn.AdaptiveAvgPool2d)):
            break
        elif not isinstance(layer, ELEMENTWISE):
            expected = "convolutions, pooling and functions of single elements"
            raise invalid(name, expected, type(layer).__name__)
    return ", ".join(parts)


def _as_part(layer, name):
    """Return one layer in words; what PyTorch takes by default is left out."""
    kind = "conv" if isinstance(layer, nn.Conv2d) else "pool"
    size = _as_number(layer.kernel_size, layer, name)
    usual = {"stride": 1 if kind == "conv" else size, "padding": 0, "dilation": 1}
    words = [kind, size]
    for setting, value in usual.items():
        number = _as_number(getattr(layer, setting, value), layer, name)
        if number != value:
            words += [setting, number]
    return " ".join(map(str, words))


def _as_number(value, layer, name):
    """Return a setting that is the same in both directions."""
    values = set(value) if isinstance(value, tuple) else {value}
    if len(values) > 1 or "same" in values or getattr(layer, "ceil_mode", False):
        expected = "layers that are alike in both directions and on both sides"
        raise invalid(name, expected, layer)
    return 0 if value == "valid" else values.pop()


def _as_grey(image, name):
    """Return a picture in grey."""
    pixels, white = as_pixels(image, name)
    if max(pixels.shape) > 1024:
        raise invalid(name, "at most 1024 pixels a side", describe(pixels))
    if white == 1:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return pack_picture(pixels, name)

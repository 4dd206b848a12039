"""Numbers and pictures as text that a browser reads: base64, without loss."""

import base64
import zlib
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from cnnviz._plain_weights import copy_with_plain_weights
from cnnviz._probing import check_initialized, modules_of
from cnnviz._validation import as_array, as_integer, as_pixels, invalid

LAYERS = (nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear)
Model = TypeVar("Model", bound=nn.Module)


def pack(array):
    """Return an array as a dict for JSON; all but bytes become float32."""
    array = np.ascontiguousarray(array)
    if array.dtype not in (np.uint8, np.int8):
        array = np.ascontiguousarray(array, dtype="<f4")
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(array.tobytes()).decode(),
    }


def pack_weights(weights):
    """Return weights as 8-bit numbers with a scale a row (the first dimension).

    The largest magnitude of a row becomes ±127, so a weight is off by at most 1/254 of
    that.
    """
    levels, scale = _round(weights)
    return {**pack(levels), "scale": pack(scale)}


def quantise_weights(model: Model) -> Model:
    """Return a copy of a network with the weights that live figures run it with.

    Those of convolutions and linear layers are 8-bit numbers times a scale a row. What
    that costs in accuracy, `cnnviz.training.evaluate` tells.

    Parameters
    ----------
    model : torch.nn.Module
        Any model; it is left as it is.

    Returns
    -------
    torch.nn.Module
        The copy, in evaluation mode. What pruning, weight or spectral normalisation
        and other parametrisations of PyTorch work weights out from is gone from it:
        the weights that `model` runs with are rounded, and plain parameters.

    Raises
    ------
    TypeError
        If `model` is not a module.
    ValueError
        If weights are not initialised, not finite, or not there (on "meta"), or layers
        are scripted or traced.

    Notes
    -----
    Transposed convolutions, and what `torch.ao.quantization` has quantised, are left as
    they are; so is what a layer's own code makes of its weights when it runs.

    Examples
    --------
    >>> from cnnviz.models import CNN
    >>> quantise_weights(CNN()).conv1.weight[0].unique().numel() <= 25
    True
    """
    check_initialized(model)
    quantised = copy_with_plain_weights(model)
    for path, layer in modules_of(quantised):
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            name = f"model's {path}.weight" if path else "model's weight"
            levels, scale = _round(layer.weight, name)
            rows = levels.astype(np.float32).reshape(len(scale), -1) * scale[:, None]
            layer.weight.data.copy_(torch.from_numpy(rows.reshape(levels.shape)))
    return quantised


def pack_network(model):
    """Return the layers of a network as the browser's ``readNetwork`` takes them.

    Weights are those of `quantise_weights`. Batch normalisation becomes a factor and an
    offset a map; what does nothing in evaluation mode is left out.
    """
    check_initialized(model)
    plain = copy_with_plain_weights(model)
    if not isinstance(plain, nn.Sequential):
        raise invalid("model", "an nn.Sequential", type(plain).__name__)
    return [{"name": name, **_pack_layer(layer)} for name, layer in _flat(plain)]


def run_as_packed(model, x):
    """Return what a network's packed layers alone make of `x`."""
    for _, layer in _flat(model):
        if isinstance(layer, nn.Conv2d):
            x = nn.Conv2d._conv_forward(layer, x, layer.weight, layer.bias)
        else:
            kind = next(kind for kind in LAYERS if isinstance(layer, kind))
            x = kind.forward(layer, x)
    return x


def _flat(model):
    """Return the layers of nested `nn.Sequential` that do something, with paths."""
    layers = []
    for name, layer in model._modules.items():
        if isinstance(layer, nn.Sequential):
            layers += [(f"{name}.{path}", inner) for path, inner in _flat(layer)]
        elif not isinstance(layer, (nn.Dropout, nn.Dropout2d, nn.Identity)):
            layers.append((name, layer))
    return layers


def _pack_layer(layer):
    """Return a layer's kind with its weights and settings."""
    match layer:
        case nn.Conv2d(groups=1, padding_mode="zeros"):
            settings = _windows(layer, "stride", "padding", "dilation")
            return {"kind": "conv", **settings, **_pack_affine(layer)}
        case nn.MaxPool2d(padding=0 | (0, 0), dilation=1 | (1, 1), ceil_mode=False) if (
            not layer.return_indices
        ):
            settings = _windows(layer, "kernel_size", "stride")
            return {"kind": "maxpool", "size": settings.pop("kernel_size"), **settings}
        case nn.BatchNorm2d(track_running_stats=True):
            factor = 1 / (layer.running_var.double() + layer.eps).sqrt()
            offset = -layer.running_mean.double() * factor
            if layer.affine:
                factor = factor * layer.weight.detach()
                offset = offset * layer.weight.detach() + layer.bias.detach()
            return {"kind": "norm", "factor": pack(factor), "offset": pack(offset)}
        case nn.ReLU():
            return {"kind": "relu"}
        case nn.Flatten(start_dim=1, end_dim=-1):
            return {"kind": "flatten"}
        case nn.Linear():
            return {"kind": "linear", **_pack_affine(layer)}
    raise invalid("model", "built of layers that live figures can run", repr(layer))


def _windows(layer, *names):
    """Return settings of square windows as integers."""
    settings = {}
    for name in names:
        value = getattr(layer, name)
        sides = value if isinstance(value, tuple) else (value,)
        if isinstance(value, str) or len(set(sides)) > 1:
            raise invalid("model", f"of layers with one {name}", repr(layer))
        settings[name] = sides[0]
    return settings


def _pack_affine(layer):
    """Return the weights, and the bias where there is one (linear layers: always)."""
    packed = {"weight": pack_weights(layer.weight)}
    if layer.bias is not None:
        packed["bias"] = pack(layer.bias.detach())
    elif isinstance(layer, nn.Linear):
        packed["bias"] = pack(np.zeros(layer.out_features))
    return packed


def _round(weights, name="weights"):
    """Return weights as 8-bit levels and a float32 scale a row."""
    weights = as_array(weights, name, (2, 3, 4, 5), "weights").astype(np.float32)
    rows = weights.reshape(len(weights), -1)
    largest = np.abs(rows).max(axis=1)
    scale = np.maximum(largest / np.float32(127), np.finfo(np.float32).tiny)
    levels = np.rint(rows / scale[:, None]).astype(np.int8)
    return levels.reshape(weights.shape), scale


def as_text(number):
    """Return a number as a setting, with all its digits."""
    return repr(float(number)).removesuffix(".0")


def pack_place(row, column, size):
    """Return a place as the setting "row,column"; it must be within `size`."""
    place = as_integer(row, "row", 0), as_integer(column, "column", 0)
    for value, name, side in zip(place, ("row", "column"), size, strict=True):
        if value >= side:
            raise invalid(name, f"at most {side - 1}", value)
    return "{},{}".format(*place)


def pack_maps(maps):
    """Return maps as float32, or as bytes with a scale a map where they are pixels."""
    maps = np.asarray(maps)
    levels = np.rint(maps * 255.0)
    if (
        levels.min() < 0
        or levels.max() > 255
        or np.abs(maps * 255.0 - levels).max() > 1e-4
    ):
        return pack(maps)
    scale = np.full(len(maps), 1 / 255)
    return {**pack(levels.astype(np.uint8)), "scale": pack(scale)}


def pack_picture(image, name="image"):
    """Return pixels as the browser's ``unpackPicture`` takes them.

    Floats are rounded to the nearest of 256 levels. Each level is stored as its
    difference from a prediction, red and blue as what they are above green; so a photo
    deflates to half its size. Browsers may falsify what is read from a picture, but
    not bytes.

    References
    ----------
    M. J. Weinberger, G. Seroussi, G. Sapiro, "The LOCO-I lossless image compression
    algorithm", IEEE Transactions on Image Processing 9 (8), 2000, for the prediction:
    the median of left, above, and left + above - diagonal.
    """
    pixels, white = as_pixels(image, name)
    if white == 1:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    if max(height, width) > 4096:
        raise invalid(name, "at most 4096 pixels a side", f"{height}×{width}")
    levels = pixels.reshape(height, width, -1).astype(np.int16)
    if levels.shape[2] == 3:
        levels[..., [0, 2]] = (levels[..., [0, 2]] - levels[..., [1]]) % 256
    around = np.pad(levels, [(1, 0), (1, 0), (0, 0)])
    left, above, diagonal = around[1:, :-1], around[:-1, 1:], around[:-1, :-1]
    lowest, highest = np.minimum(left, above), np.maximum(left, above)
    predicted = np.clip(left + above - diagonal, lowest, highest)
    stored = np.moveaxis(levels - predicted, 2, 0).astype(np.uint8)
    deflated = base64.b64encode(zlib.compress(stored.tobytes(), 9)).decode()
    return {"shape": list(stored.shape), "deflated": deflated}


def pack_pictures(images, name="images"):
    """Return one picture, or a mapping of names to pictures, as named pictures."""
    if not hasattr(images, "items"):
        images = {"picture": images}
    if not images:
        raise invalid(name, "at least one picture", "none")
    return {str(k): pack_picture(v, f"{name}[{k!r}]") for k, v in images.items()}

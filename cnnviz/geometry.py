"""Sizes and receptive fields: what a unit of a convolutional network sees.

`output_size` is arithmetic; `receptive_field` and `effective_receptive_field` work out
and measure what the units of any model's layers depend on.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

import torch
from torch import nn

from cnnviz._probing import (
    as_input_shape,
    blank_input,
    buffers_of,
    check_initialized,
    check_layer,
    evaluating,
    layers_of,
    parameters_of,
    run,
    tensors_in,
    watched,
)
from cnnviz._validation import as_array, as_integer, describe, invalid, one_of
from cnnviz._windows import Unknown, WindowTracker, grids_of

if TYPE_CHECKING:
    from cnnviz._types import Floats, Integer, Sizes

__all__ = [
    "ReceptiveField",
    "effective_receptive_field",
    "output_size",
    "receptive_field",
]


@overload
def output_size(
    size: Integer,
    kernel_size: Integer,
    stride: Integer = 1,
    padding: Integer | Literal["same", "valid"] = 0,
    dilation: Integer = 1,
    ceil_mode: bool = False,
) -> int: ...


@overload
def output_size(
    size: Sizes,
    kernel_size: Integer | Sizes,
    stride: Integer | Sizes = 1,
    padding: Integer | Sizes | Literal["same", "valid"] = 0,
    dilation: Integer | Sizes = 1,
    ceil_mode: bool = False,
) -> tuple[int, int]: ...


@overload
def output_size(
    size: Integer | Sizes,
    kernel_size: Integer | Sizes,
    stride: Integer | Sizes = 1,
    padding: Integer | Sizes | Literal["same", "valid"] = 0,
    dilation: Integer | Sizes = 1,
    ceil_mode: bool = False,
) -> int | tuple[int, int]: ...


def output_size(size, kernel_size, stride=1, padding=0, dilation=1, ceil_mode=False):
    """Return how many positions a kernel or pooling window has on an input.

    Parameters
    ----------
    size : int or pair of int
        The input's size in pixels, one number or (height, width). So for the others:
        one number stands for both directions.
    kernel_size : int or pair of int
        The size of the window.
    stride : int or pair of int, default 1
        The distance from one window to the next.
    padding : int, pair of int, "same" or "valid", default 0
        Pixels put on both sides. "valid" is none; "same" keeps the size, and takes
        stride 1 only, as in `torch.nn.functional.conv2d`.
    dilation : int or pair of int, default 1
        The distance of neighbouring pixels in the window.
    ceil_mode : bool, default False
        Count a last window that is partly outside, as the pooling of PyTorch can. It
        must start inside the input or the padding before it.

    Returns
    -------
    int or tuple of int
        A pair (height, width) if any argument is one.

    Raises
    ------
    TypeError, ValueError
        If a number isn't an integer or too small, or no window fits.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
    2016, arXiv:1603.07285; ``ceil_mode`` as in `torch.nn.MaxPool2d`.

    Examples
    --------
    >>> output_size(28, 3), output_size((576, 768), 7, stride=2, padding=3)
    (26, (288, 384))
    """
    named = isinstance(padding, str)
    same = named and one_of(padding, "padding", ("same", "valid")) == "same"
    arguments = {
        "size": (size, 1),
        "kernel_size": (kernel_size, 1),
        "stride": (stride, 1),
        "padding": (0 if named else padding, 0),
        "dilation": (dilation, 1),
    }
    pairs = [_pair(value, name, least) for name, (value, least) in arguments.items()]
    if same and pairs[2] != (1, 1):
        raise invalid("stride", '1 with padding "same"', repr(stride))
    counts = [
        length if same else _count_windows(length, *window, ceil_mode)
        for length, *window in zip(*pairs, strict=True)
    ]
    if any(isinstance(value, (tuple, list)) for value, _ in arguments.values()):
        return tuple(counts)
    return counts[0]


def _pair(value, name, minimum):
    """Return `value` for both directions."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise invalid(name, "an integer or a pair (height, width)", describe(value))
    return tuple(as_integer(each, name, minimum) for each in values)


def _count_windows(length, kernel, stride, padding, dilation, ceil_mode):
    """Count the windows that fit along one direction."""
    room = length + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        count = room // stride + 1
    else:
        count = -(-room // stride) + 1
        if (count - 1) * stride >= length + padding:
            count -= 1
    if count < 1:
        covered = dilation * (kernel - 1) + 1
        expected = f"a window of at most the {length + 2 * padding} padded pixels"
        raise invalid("kernel_size", expected, f"one of {covered}")
    return count


class _Grid(NamedTuple):
    """Three numbers along y, and three along x."""

    size: tuple[int, int]
    """Height and width of a window in pixels, the part in the padding included."""
    stride: tuple[int, int]
    """Pixels from one unit's window to the next; 0 where there is no such number."""
    start: tuple[int, int]
    """The first pixel of the first unit's window, negative in the padding."""


class ReceptiveField(_Grid):
    """The windows of input pixels that the units of a layer see, as (y, x) pairs.

    The unit in row ``r`` and column ``c`` sees `size` pixels from
    ``start + (r, c) * stride`` on, and of these what is in the image. Where flipping
    has turned the units round, `stride` is negative.

    Along an axis whose `stride` is 0, all units see the same pixels, or their windows
    make no such grid (after upsampling, for one). Then `size` is that of the largest
    window without padding, `start` the first unit's, and `window` has those of all.
    """

    _seen = None
    """What each unit sees, where the field is that of a model."""

    def window(
        self, row: Integer, column: Integer, image_size: Sizes | None = None
    ) -> tuple[int, int, int, int]:
        """Return the pixels that one unit sees.

        Parameters
        ----------
        row, column : int
            The unit's place in its feature map, from 0.
        image_size : pair of int, optional
            The (height, width) of the image, to leave out what lies in the padding.

        Returns
        -------
        top, left, bottom, right : int
            The window is ``image[top:bottom, left:right]``. With `image_size`, it is
            the smallest that holds all pixels on which the unit depends, and empty,
            0, 0, 0, 0, where the unit sees nothing but padding.

        Raises
        ------
        TypeError, ValueError
            If an argument is not an integer or negative, the map has no such unit, or
            `image_size` isn't that of the image for which `receptive_field` was called:
            for another, the windows at the border are others.
        """
        place = as_integer(row, "row", 0), as_integer(column, "column", 0)
        limits = None if image_size is None else _pair(image_size, "image_size", 1)
        if self._seen is not None:
            self._check(place, limits)
        spans = [self._span(axis, place, limits) for axis in (0, 1)]
        return *(first for first, _ in spans), *(stop for _, stop in spans)

    def _check(self, place, limits):
        """Refuse what the model doesn't have."""
        for name, index, count in zip(
            ("row", "column"), place, self._seen.units, strict=True
        ):
            if count is not None and index >= count:
                raise invalid(name, f"below {count}, which the map has", index)
        if limits not in (None, self._seen.image_size):
            expected = f"{self._seen.image_size}, for which the windows are known"
            raise invalid("image_size", expected, limits)

    def _span(self, axis, place, limits):
        """Return the first pixel along an axis and the one behind the last."""
        if self._seen is not None and (limits or not self.stride[axis]):
            table = self._seen.windows[axis]
            at = [min(i, n - 1) for i, n in zip(place, table.shape[1:], strict=True)]
            return tuple(map(int, table[:, *at]))
        first = self.start[axis] + place[axis] * self.stride[axis]
        span = first, first + self.size[axis]
        return span if limits is None else [min(max(i, 0), limits[axis]) for i in span]


def receptive_field(model: nn.Module, input_shape: Sizes) -> dict[str, ReceptiveField]:
    """Return what the units of each layer of a model see of the input.

    Parameters
    ----------
    model : torch.nn.Module
        Any network of convolutions, transposed ones too, pooling, upsampling, fully
        connected layers, attention, functions of single elements, and operations that
        only move elements, in a row or in branches. It runs once, on zeros, in
        evaluation mode, and is left as it was.
    input_shape : tuple of int
        The shape ``(C, H, W)`` of an image.

    Returns
    -------
    dict of str to ReceptiveField
        The windows by layer, with the names and in the order of
        `cnnviz.activations.record_activations`. What doesn't depend on the image is
        left out.

    Warns
    -----
    UserWarning
        If layers are left out because an operation before or in them can't be followed
        (recurrent layers, deformable convolution, numbers that are read from tensors,
        …). It names the first one and its layer.

    Raises
    ------
    TypeError
        If `model` is not a module or `input_shape` not a tuple of integers.
    ValueError
        If the model fails on such an image, or no layer that depends on it can be
        followed, or layers are not initialised, scripted or traced.

    Notes
    -----
    A window is the smallest rectangle that holds all pixels on which the unit depends
    by the network's wiring, whatever the weights. Where the branches of a network
    meet, it holds the windows of all of them; of units that differ in their channel
    alone, it holds those of all channels. Gradients would not serve: they vanish where
    a ReLU is dead or another unit is the maximum, and need a backward run a unit.

    Rows and columns are the last two dimensions of a layer's output. They are others
    where the windows move with these, as in maps with the channels last. Where no
    dimension counts rows or columns any more (global pooling, fully connected layers,
    sequences of patches), all units share the window that holds all of theirs.

    References
    ----------
    A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural
    Networks", Distill, 2019, doi:10.23915/distill.00021.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2))
    >>> field = receptive_field(model, (1, 28, 28))["1"]
    >>> field
    ReceptiveField(size=(4, 4), stride=(2, 2), start=(-1, -1))
    >>> field.window(0, 5, image_size=(28, 28))
    (0, 9, 3, 13)
    """
    check_initialized(model)
    shape = as_input_shape(input_shape, "the shape (C, H, W) of an image", ndim=3)
    image = blank_input(model, shape)
    tracker = WindowTracker(image)
    outputs = {}

    def note(name, module, output):
        """Keep the windows of each tensor in a layer's output."""
        for part, tensor in tensors_in(name, output):
            outputs[part] = tracker.axes(tensor), tensor.shape

    layers = layers_of(model)
    with watched(layers, note), tracker.following(layers):
        run(model, image)

    known = {}
    fields, left_out = {}, {}
    for part, (axes, size) in outputs.items():
        if isinstance(axes, Unknown):
            left_out[part] = axes
        elif axes:
            key = *map(id, axes), size
            if key not in known:
                known[key] = grids_of(axes, size, shape[1:])
            if known[key]:
                *grid, seen = known[key]
                fields[part] = ReceptiveField(*grid)
                fields[part]._seen = seen
    if left_out:
        _tell_what_is_left_out(left_out, fields)
    return fields


def _tell_what_is_left_out(left_out, fields):
    """Warn about layers that were not followed; refuse where there are no others."""
    (first, cause), *others = left_out.items()
    got = f"{cause.operation} in layer {cause.layer!r}"
    if not fields:
        expected = "built of operations whose windows are known"
        raise invalid("model", expected, got)
    more = f" and {len(others)} more" if others else ""
    message = f"left out are {first!r}{more}, whose windows are not known, after {got}"
    warnings.warn(message, stacklevel=3)


def effective_receptive_field(model: nn.Module, x: torch.Tensor, layer: str) -> Floats:
    """Measure how much each input pixel matters to the centre unit of a layer.

    Parameters
    ----------
    model : torch.nn.Module
        A network. It runs in evaluation mode and is left as it was, the gradients of
        its parameters included.
    x : torch.Tensor, shape (N, C, H, W), floating point
        Images to average over: photos, or noise such as ``torch.randn(16, 3, 64, 64)``.
    layer : str
        A layer by its name in `cnnviz.activations.record_activations`, whose output
        is ``(N, C, H', W')``; of other shapes, the middle along all but the first two
        dimensions is taken.

    Returns
    -------
    numpy.ndarray, shape (H, W), float
        The absolute gradient of the centre unit, summed over its feature maps, with
        respect to each pixel: mean over the images and their channels, divided by the
        largest. It is 0 everywhere if the unit is dead.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such a batch, finite and not empty, or the model has no such
        layer, or the layer doesn't depend on `x` or runs without gradients, or layers
        are not initialised, scripted, traced or made in `torch.inference_mode`.

    Whatever the model itself raises passes through.

    References
    ----------
    W. Luo, Y. Li, R. Urtasun, R. Zemel, "Understanding the Effective Receptive Field
    in Deep Convolutional Neural Networks", NeurIPS 2016, arXiv:1701.04128.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    >>> field = effective_receptive_field(model, torch.rand(1, 1, 9, 9), "1")
    >>> field.shape, int((field > 0).sum())
    ((9, 9), 25)
    """
    check_initialized(model)
    layers = layers_of(model)
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        expected = "a floating-point tensor (N, C, H, W)"
        raise invalid("x", expected, describe(x), TypeError)
    as_array(x, "x", 4, "images (N, C, H, W)")
    if any(p.is_inference() for p in [*parameters_of(model), *buffers_of(model)]):
        expected = "made outside torch.inference_mode(), to have gradients"
        raise invalid("model", expected, "parameters or buffers made in it")
    centres = {}

    def note(name, module, output):
        """Keep the centre of each tensor now: later operations may work in place."""
        for part, tensor in tensors_in(name, output):
            middle = (size // 2 for size in tensor.shape[2:])
            centres[part] = tensor[..., *middle].sum()

    with torch.inference_mode(False), torch.enable_grad():
        pixels = x.detach().clone().requires_grad_()
        with evaluating(model), watched(layers, note):
            model(pixels.clone())
        check_layer(layer, "layer", centres)
        gradient = None
        if centres[layer].requires_grad:
            (gradient,) = torch.autograd.grad(centres[layer], pixels, allow_unused=True)
    if gradient is None:
        expected = "a layer that depends on x, and runs with gradients"
        raise invalid("layer", expected, repr(layer))
    influence = gradient.abs().double().mean(dim=(0, 1)).cpu().numpy()
    return influence / (influence.max() or 1)

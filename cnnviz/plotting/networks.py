"""Networks: every layer with what it is, what it gives and what it learns."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.collections import PolyCollection

from cnnviz._validation import invalid
from cnnviz.plotting._style import (
    ACCENT,
    FRAME,
    HAIRLINE,
    LABEL,
    MUTED,
    SECOND,
    TICK,
    TITLE,
    VERBATIM,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from cnnviz._types import Integer, Sizes

__all__ = ["plot_architecture"]

# Inches, from the left and downwards. Narrow enough for a phone.
_WIDTH, _ROW = 3.6, 0.52
_DRAWING, _NAME, _NUMBERS = 0.5, 1.05, 3.5
_HEADER, _TOTAL = 0.45, 0.4
_LINE = 0.095  # half of the way from a row's first line to its second
_LARGEST_SIDE, _SPREAD, _RISE = 0.32, 0.5, 0.12
_LONGEST_BAR, _BAR_HEIGHT = 0.9, 0.12
_MOST_ROWS, _MOST_MAPS = 80, 32


def plot_architecture(
    model: nn.Module,
    input_shape: Sizes | Sequence[Sizes] | None = None,
    *,
    input_data: torch.Tensor
    | tuple[Any, ...]
    | list[Any]
    | Mapping[str, Any]
    | None = None,
    depth: Integer | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a network, layer by layer, as it runs.

    Nothing is drawn from memory: shapes and numbers of parameters are those of a run.
    Feature maps are stacks of rectangles in proportion to their sides, one for each
    map (but 32 at most); other outputs are bars whose length grows with the logarithm
    of the number of units. Functions that the network calls between its layers, such as
    ``F.relu(x)`` or ``x + y``, are drawn where 80 rows allow; of a network of more than
    80 layers, blocks are drawn.

    Parameters
    ----------
    model : torch.nn.Module
        A network of any depth.
    input_shape : tuple of int, or sequence of tuples of int
        The shape of its input, or of several, as `cnnviz.architecture.summarize` takes
        them.
    input_data : torch.Tensor, or tuple, list or dict with tensors
        Instead of `input_shape`, the input itself, as `summarize` takes it.
    depth : int, optional
        How many levels of modules inside modules to look into, as `summarize` takes
        it. By default as many as 80 rows allow.
    title : str, optional
        The title over the drawing.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If the network cannot be run on such an input, or has more than 80 layers or
        blocks at `depth`, or at any.
    """
    from cnnviz.architecture import FUNCTION, summarize_within

    layers, inputs = summarize_within(model, input_shape, input_data, _MOST_ROWS, depth)
    if len(layers) > _MOST_ROWS:
        expected = f"a network of at most {_MOST_ROWS} layers or blocks"
        raise invalid("model", expected, f"{len(layers)} (see `depth`)")
    shapes = [shape for _, shape in inputs] + [row.output_shape for row in layers]

    top = _HEADER + 0.35 * (title is not None)
    bottom = top + _ROW * len(shapes)
    height = bottom + _TOTAL
    figure = plt.figure(figsize=(_WIDTH, height))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH), ylim=(height, 0))
    ax.set_axis_off()
    if title is not None:
        ax.text(
            _WIDTH / 2, 0.2, title, ha="center", va="center", fontsize=TITLE, **VERBATIM
        )
    _write(ax, top - 0.24, "layer", "output", color=MUTED, fontsize=TICK)
    _write(ax, top - 0.09, "", "parameters", fontsize=TICK)
    _rule(ax, top)

    centres = [top + _ROW * (row + 0.5) for row in range(len(shapes))]
    _draw_flow(ax, centres, shapes)
    for y, (name, shape) in zip(centres, inputs, strict=False):
        _write_layer(ax, y, name, "", shape, None)
    for y, layer in zip(centres[len(inputs) :], layers, strict=True):
        about = FUNCTION
        if layer.description != FUNCTION:
            about = ": ".join(filter(None, (layer.kind, _typeset(layer.description))))
        _write_layer(ax, y, layer.name, about, layer.output_shape, layer.parameters)

    _rule(ax, bottom)
    total = sum(layer.parameters for layer in layers)
    _write(ax, bottom + _TOTAL / 2, "total", f"{total:,}", fontweight="bold")
    return figure


def _write_layer(ax, y, name, about, shape, parameters):
    """Write a layer's name and output, and below them what it is and learns."""
    shape = " × ".join(map(str, shape)) or "–"
    count = "" if parameters is None else f"{parameters:,}" if parameters else "–"
    shift = _LINE if about else 0
    _write(ax, y - shift, name, shape, fontweight="bold")
    _write(ax, y + shift, about, count, color=MUTED, fontsize=TICK)


def _typeset(text):
    """Return a description with the signs that plain ASCII lacks."""
    return re.sub(r"(?<=\d)x(?=\d)", "×", text).replace("->", "→")


def _write(ax, y, left, right, **style):
    """Write a line: words to the left, in this style, and numbers to the right."""
    size = style.setdefault("fontsize", LABEL)
    words = ax.text(_NAME, y, left, va="center", **style, **VERBATIM)
    numbers = ax.text(_NUMBERS, y, right, ha="right", va="center", fontsize=size)
    free = numbers.get_window_extent().x0 - 0.05 * ax.figure.dpi
    while left and words.get_window_extent().x1 > free:
        left = left[:-1]
        words.set_text(f"{left}…")


def _draw_flow(ax, centres, shapes):
    """Draw all outputs on a line, one below the other."""
    sides = [max(shape[-2:]) for shape in shapes if _is_maps(shape)]
    units = [shape[0] for shape in shapes if len(shape) == 1]
    maps, bars = [], []
    for y, shape in zip(centres, shapes, strict=True):
        if _is_maps(shape):
            maps += _stack(y, shape, _LARGEST_SIDE / max(sides))
        elif shape:
            length = math.log2(1 + shape[0]) / math.log2(1 + max(units))
            bars.append(_rectangle(y, 0, _LONGEST_BAR * length, _BAR_HEIGHT))
    middle = [_DRAWING, _DRAWING]
    ax.plot(middle, [centres[0], centres[-1]], color=FRAME, linewidth=1, zorder=0)
    for rectangles, face, edge in (
        (maps, "#9cc4f2", SECOND),
        (bars, "#f0a684", ACCENT),
    ):
        collection = PolyCollection(
            rectangles, facecolor=face, edgecolor=edge, linewidth=0.7
        )
        ax.add_collection(collection, autolim=False)


def _stack(y, shape, scale):
    """Return a rectangle for each map, the last in front."""
    height, width = (max(side * scale, 0.06) for side in shape[-2:])
    count = min(math.prod(shape[:-2]), _MOST_MAPS)
    right, up = min(0.08, width / 2, _SPREAD / count), min(0.02, _RISE / count)
    places = [(count - 1) / 2 - i for i in range(count)]
    return [_rectangle(y - p * up, p * right, width, height) for p in places]


def _rectangle(y, shift, width, height):
    """Return the corners of a rectangle around the middle of the drawing."""
    left, right = _DRAWING + shift - width / 2, _DRAWING + shift + width / 2
    top, bottom = y - height / 2, y + height / 2
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _is_maps(shape):
    """Tell whether an output has two sides, as feature maps have."""
    return len(shape) >= 2


def _rule(ax, y):
    """Draw a hairline across the figure."""
    ax.plot([0.1, _NUMBERS], [y, y], color=FRAME, linewidth=HAIRLINE)

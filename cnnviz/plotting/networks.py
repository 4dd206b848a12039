"""Networks: every layer with what it is, what it gives and what it learns."""

import math

import matplotlib.pyplot as plt
from matplotlib.collections import PolyCollection

from cnnviz._validation import invalid
from cnnviz.architecture import summarize
from cnnviz.plotting._style import (
    ACCENT,
    FRAME,
    HAIRLINE,
    LABEL,
    MUTED,
    SECOND,
    TICK,
    TITLE,
    WIDTH,
)

__all__ = ["plot_architecture"]

# Inches, from the left and downwards.
_ROW = 0.6
_NAME, _DRAWING, _SHAPE, _PARAMETERS = 0.1, 4.0, 6.0, 7.1
_HEADER, _TOTAL = 0.35, 0.45
_LARGEST_SIDE, _SPREAD, _RISE = 0.36, 0.9, 0.14
_LONGEST_BAR, _BAR_HEIGHT = 1.5, 0.13
_MOST_LAYERS, _MOST_MAPS = 80, 32


def plot_architecture(model, input_shape, *, title=None):
    """Draw a network, layer by layer, as it runs.

    Nothing is drawn from memory: shapes and numbers of parameters are those of a run.
    Feature maps are stacks of rectangles in proportion to their sides, one for each
    map (but 32 at most); other outputs are bars whose length grows with the logarithm
    of the number of units.

    Parameters
    ----------
    model : torch.nn.Module
        A network of at most 80 layers.
    input_shape : tuple of int
        The shape of its input, as `cnnviz.architecture.summarize` takes it.
    title : str, optional
        The title over the drawing.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If the network cannot be run on such an input, or has more layers.
    """
    layers = summarize(model, input_shape)
    if len(layers) > _MOST_LAYERS:
        expected = f"a network of at most {_MOST_LAYERS} layers"
        raise invalid("model", expected, f"{len(layers)} layers")
    shapes = [tuple(input_shape), *(layer.output_shape for layer in layers)]

    top = _HEADER + 0.35 * (title is not None)
    height = top + _ROW * len(shapes) + _TOTAL
    figure = plt.figure(figsize=(WIDTH, height))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    ax.set_axis_off()
    if title is not None:
        ax.text(WIDTH / 2, 0.2, title, ha="center", va="center", fontsize=TITLE)
    _write_row(ax, top - 0.15, "layer", "output", "parameters", color=MUTED)
    _rule(ax, top)

    centres = [top + _ROW * (row + 0.5) for row in range(len(shapes))]
    _draw_flow(ax, centres, shapes)
    _write_name(ax, centres[0], "input", "", "")
    _write_row(ax, centres[0], "", _shape_text(shapes[0]), "")
    for y, layer in zip(centres[1:], layers, strict=True):
        _write_name(ax, y, layer.name, layer.kind, layer.description)
        count = f"{layer.parameters:,}" if layer.parameters else "–"
        _write_row(ax, y, "", _shape_text(layer.output_shape), count)

    bottom = top + _ROW * len(shapes)
    _rule(ax, bottom)
    total = sum(layer.parameters for layer in layers)
    _write_row(ax, bottom + 0.22, "total", "", f"{total:,}", fontweight="bold")
    return figure


def _write_row(ax, y, left, shape, parameters, **style):
    """Write the columns of one row."""
    style = {"fontsize": LABEL, "va": "center"} | style
    ax.text(_NAME, y, left, ha="left", **style)
    ax.text(_SHAPE, y, shape, ha="right", **style)
    ax.text(_PARAMETERS, y, parameters, ha="right", **style)


def _write_name(ax, y, name, kind, description):
    """Write a layer's name and kind, and below them its hyper-parameters."""
    second = _shorten(f"{kind}: {description}" if description else kind, 40)
    first = _shorten(name, 32)
    shift = 0.095 if second else 0
    ax.text(_NAME, y - shift, first, va="center", fontsize=LABEL, fontweight="bold")
    ax.text(_NAME, y + shift, second, va="center", fontsize=TICK, color=MUTED)


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


def _shape_text(shape):
    """Write a shape as it is read: 8 × 26 × 26."""
    return " × ".join(map(str, shape)) or "–"


def _shorten(text, longest):
    """Cut what would run into the drawing."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _rule(ax, y):
    """Draw a hairline across the figure."""
    ax.plot([_NAME, _PARAMETERS], [y, y], color=FRAME, linewidth=HAIRLINE)

"""How every figure looks: sizes, colours, frames, grids and colour bars.

Figures stand in a text column of 7.2 inches and are shown on white and on near-black.
So type has the size of the text around it, and the two accents were chosen to be
equally legible on both grounds and to differ for colour-blind readers.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox

from cnnviz._validation import as_flag, as_text, describe, invalid

WIDTH = 7.2
"""Width of the text column, in inches."""
TITLE, LABEL, TICK = 11, 10, 9
"""Font sizes, in points."""
ACCENT, SECOND = "#d4501a", "#277bdf"
"""Orange and blue: contrast at least 4.2 on white and on ``#131416``."""
COLORS = (ACCENT, SECOND)
FRAME, HAIRLINE = "#808080", 0.5
"""Colour and width (points) of frames: mid-grey, the same on both grounds."""
MUTED = "#666666"
"""Text of second rank."""
VERBATIM = {"parse_math": False}
"""Names and titles are no formulas, whatever signs are in them."""
DIVERGING = "RdBu_r"
"""Signed values: blue is negative, white zero, red positive."""

NARROWEST = 3.6
"""The least width of a figure, in inches."""
PAD, BAR_WIDTH = 0.04, 0.65
"""Inches around pictures, and for a colour bar with its numbers."""

_PICTURE_HEIGHT, _LOWEST, _LONGEST = 4.2, 0.5, 50


def new_axes(ax=None, figsize=(WIDTH, 3.6)):
    """Return `ax`, or the axes of a new figure of `figsize` inches."""
    if ax is None:
        return subplots(1, 1, figsize)[1][0, 0]
    if not isinstance(ax, Axes):
        raise invalid("ax", "matplotlib Axes or None", describe(ax), TypeError)
    return ax


def picture_axes(ax, shape, title=None, *, bar=False, largest_cell=math.inf):
    """Return `ax`, or new axes of the proportions of a picture of this `shape`.

    No cell is larger than `largest_cell` inches.
    """
    shape = drawn_shape(shape)
    title, bar = as_text(title, "title"), as_flag(bar, "colorbar")
    around = 2 * PAD + BAR_WIDTH * bar
    cell = min((WIDTH - around) / shape[1], _PICTURE_HEIGHT / shape[0], largest_cell)
    width = max(NARROWEST, shape[1] * cell + around)
    height = shape[0] * cell + 2 * PAD + title_height(TITLE, title)
    return new_axes(ax, (width, max(height, _LOWEST)))


def drawn_shape(shape):
    """Return the height and width of a picture as drawn, in cells.

    A picture many times as long as wide would be thinner than a pixel of the screen:
    its cells are not drawn square.
    """
    height, width = shape[:2]
    return max(height, width / _LONGEST), max(width, height / _LONGEST)


def frame(ax, title=None):
    """Give a picture its title and a hairline frame, and take its ticks away."""
    ax.set(xticks=[], yticks=[])
    shape = abs(np.subtract(*ax.get_ylim())), abs(np.subtract(*ax.get_xlim()))
    height, width = drawn_shape(shape)
    if (height, width) != shape:
        ax.set(aspect="auto", box_aspect=height / width)
    ax.spines[:].set(color=FRAME, linewidth=HAIRLINE)
    if title is not None:
        ax.set_title(title, fontsize=title_size(_columns(ax)), **VERBATIM)
    return ax


def finish(ax, title=None, xlabel=None, ylabel=None):
    """Give a diagram its title, axis labels and quiet lines."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=FRAME, linewidth=HAIRLINE)
    ax.tick_params(labelsize=TICK, color=FRAME, width=HAIRLINE, length=3)
    ax.grid(axis="y", color=FRAME, linewidth=HAIRLINE, alpha=0.4)
    ax.set_axisbelow(True)
    if title is not None:
        ax.set_title(title, fontsize=TITLE, **VERBATIM)
    if xlabel is not None:
        ax.set_xlabel(xlabel, fontsize=LABEL, **VERBATIM)
    if ylabel is not None:
        ax.set_ylabel(ylabel, fontsize=LABEL, **VERBATIM)
    return ax


def legend(ax):
    """Name what was drawn with labels."""
    for text in ax.legend(fontsize=TICK, frameon=False).get_texts():
        text.set(**VERBATIM)


def title_size(columns):
    """Return the font size of titles over so many columns of pictures."""
    return TITLE if columns <= 4 else TICK


def color_bar(mappable, axes):
    """Draw one colour bar for all `axes` (one or a list)."""
    axes = np.atleast_1d(axes).tolist()
    figure = axes[0].get_figure()
    length = Bbox.union([ax.get_window_extent() for ax in axes]).height / figure.dpi
    bar = figure.colorbar(mappable, ax=axes, aspect=10 * length, pad=0.02)
    bar.outline.set(edgecolor=FRAME, linewidth=HAIRLINE)
    bar.ax.tick_params(labelsize=TICK, color=FRAME, width=HAIRLINE, length=3)
    return bar


def subplots(rows, columns, figsize, heights=None, layout="compressed"):
    """Return a new figure and its axes, without space between them but for pads."""
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=figsize,
        height_ratios=heights,
        squeeze=False,
        layout=layout,
    )
    figure.get_layout_engine().set(w_pad=PAD, h_pad=PAD, wspace=0, hspace=0)
    return figure, axes


def _columns(ax):
    """Return in how many columns the axes beside `ax` stand."""
    place = ax.get_subplotspec()
    return place.get_gridspec().ncols if place else 1


def title_height(size, title):
    """Return the inches that a title of this size takes, 0 where there is none."""
    return 0 if title is None else (1.2 * size * (title.count("\n") + 1) + 6) / 72


def text_width(text, size):
    """Return the inches that a text of this size takes."""
    font = FontProperties(size=size)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72

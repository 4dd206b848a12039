"""Pictures with the number of every pixel written in.

A `matplotlib` text for each cell is slow: 16,384 texts take many seconds. Here each
distinct number becomes one outline, drawn as the marker of all the cells that hold it.
"""

import math
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from cnnviz._validation import describe, invalid
from cnnviz.plotting._style import LABEL, TITLE, WIDTH, as_pixels, frame, new_axes
from cnnviz.plotting.images import draw_pixels

__all__ = ["plot_pixel_values"]

_FILL = 0.88  # how much of its cell's width the longest number may take
_SMALLEST = 6  # pixels: digits of less height are hard to read
_LARGEST_CELL = 50  # pixels
_BRIGHT = 0.18  # black and white contrast equally with a colour of this luminance


def plot_pixel_values(image, ax=None, *, title=None, format=None):
    """Show a grey picture with the value of each pixel written in.

    Numbers are white on dark pixels and black on light ones, in the largest size that
    fits the cells of `ax` as it is now, and keep that size in points. Without `ax` the
    figure is made large enough to read them: as wide as the text column, or wider
    where there are more than about 40 columns.

    Parameters
    ----------
    image : array_like or torch.Tensor, shape (H, W) or (H, W, 1)
        Integers from 0 (black) to 255 (white), or floats from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the picture.
    format : str, optional
        How numbers are written, in Python's format language, such as ``".1f"``. By
        default integers as they are, floats with at most two decimals.

    Returns
    -------
    matplotlib.axes.Axes
        Each distinct number is one `Line2D` in it, labelled with the number.

    Raises
    ------
    TypeError, ValueError
        If `image` is not a grey picture, or `format` does not format numbers.

    Examples
    --------
    >>> ax = plot_pixel_values([[0, 255], [255, 255]])
    >>> {line.get_label(): len(line.get_xdata()) for line in ax.lines}
    {'0': 1, '255': 3}
    """
    pixels, white = as_pixels(image)
    if pixels.ndim == 3:
        raise invalid("image", "a grey picture (H, W)", describe(image))
    write = as_writer(format, pixels.flat[0].item())
    if ax is None:
        widest = max(_width(write(v)) for v in np.unique(pixels).tolist())
        ax = _roomy_axes(pixels.shape, widest, title)
    ax = new_axes(ax)
    write_values(draw_pixels(ax, pixels, white), pixels, write)
    return frame(ax, title)


def as_writer(format, example):
    """Return the function that writes numbers like `example` as `format` says."""
    if format is None:
        return shortest
    if not isinstance(format, str):
        raise invalid("format", "a format such as '.2f'", describe(format), TypeError)
    try:
        f"{example:{format}}"
    except ValueError:
        expected = f"a format for numbers such as {example}"
        raise invalid("format", expected, repr(format)) from None
    return lambda value: f"{value:{format}}"


def shortest(value):
    """Write an integer as it is, a float with two decimals or fewer if none is lost."""
    if isinstance(value, int):
        return str(value)
    text = f"{value + 0.0:.2f}"
    if math.isclose(value, float(text), rel_tol=1e-6):
        text = text.rstrip("0").rstrip(".")
    return text


def write_values(image, values, write=shortest):
    """Write `values`, one a cell, over the `AxesImage` that shows them."""
    ax = image.axes
    left, right, bottom, top = image.get_extent()
    rows, columns = values.shape
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns

    rgb = image.to_rgba(image.get_array())[..., :3]
    bright = rgb**2.2 @ [0.2126, 0.7152, 0.0722] > _BRIGHT
    distinct, which = np.unique(values, return_inverse=True)
    texts, text_of = np.unique(
        [write(v) for v in distinct.tolist()], return_inverse=True
    )
    group = text_of[which].reshape(values.shape) * 2 + bright

    dpi = ax.get_figure(root=True).dpi
    size = _font_size(
        ax, values.shape, max((_width(t) for t in texts if t), default=1), dpi
    )
    for number in np.unique(group):
        text, is_bright = str(texts[number // 2]), number % 2
        if not text:
            continue
        row, column = np.nonzero(group == number)
        marker, reach = _marker(text, size, dpi)
        line = Line2D(
            x[column],
            y[row],
            linestyle="none",
            marker=marker,
            markersize=2 * reach,
            markeredgewidth=0,
            markerfacecolor="black" if is_bright else "white",
            label=text,
        )
        ax.add_artist(line)


def _roomy_axes(shape, widest, title):
    """Return axes of a new figure whose cells are whole pixels and hold the numbers."""
    rows, columns = shape
    dpi = plt.rcParams["figure.dpi"]
    needed = math.ceil(widest * _SMALLEST / _digit_height() / _FILL)
    available = int((WIDTH * dpi - 2) / columns)
    cell = max(needed, min(available, _LARGEST_CELL))
    margin, top = 1, 1
    if title is not None:
        top += math.ceil(2.2 * TITLE * dpi / 72)
    width, height = columns * cell + 2 * margin, rows * cell + margin + top
    sides = {
        "left": margin / width,
        "right": 1 - margin / width,
        "bottom": margin / height,
        "top": 1 - top / height,
    }
    size = width / dpi, height / dpi
    # A layout engine would draw everything twice.
    return plt.subplots(figsize=size, layout="none", gridspec_kw=sides)[1]


def _font_size(ax, shape, widest, dpi):
    """Return the largest font size that fits the cells, digits whole pixels high."""
    box = ax.get_window_extent()
    cell = min(box.width / shape[1], box.height / shape[0])
    digits = min(
        _FILL * cell / widest * _digit_height(),
        0.7 * cell,
        LABEL * dpi / 72 * _digit_height(),
    )
    return max(1, math.floor(digits)) / _digit_height() * 72 / dpi


def _marker(text, size, dpi):
    """Return a centred outline of `text`, in points, and how far it reaches.

    Its base line stands on a boundary between pixels, as hinted text does.
    """
    outline = _outline(text, findfont(FontProperties()))
    half_height = round(_digit_height() * size * dpi / 72) // 2 * 72 / dpi
    vertices = outline.vertices * size - [_width(text) * size / 2, half_height]
    return Path(vertices, outline.codes), np.abs(vertices).max()


def _width(text):
    """Return how wide `text` is, in units of its font size."""
    return _outline(text, findfont(FontProperties())).vertices[:, 0].max()


def _digit_height():
    """Return how high digits are, in units of their font size."""
    return _outline("1", findfont(FontProperties())).vertices[:, 1].max()


@lru_cache(maxsize=4096)
def _outline(text, font):
    """Return the outline of `text` at size 1."""
    return TextPath(
        (0, 0), text.replace("-", "−"), size=1, prop=FontProperties(fname=font)
    )

"""Pictures with the number of every pixel written in.

A `matplotlib` text for each cell is slow: 16,384 texts take many seconds. Here each
distinct number becomes one outline, drawn as the marker of all the cells that hold it.
"""

import math
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg, get_hinting_flag
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform

from cnnviz._validation import describe, invalid
from cnnviz.plotting._style import LABEL, TITLE, WIDTH, as_pixels, frame, new_axes
from cnnviz.plotting.images import draw_pixels

__all__ = ["plot_pixel_values"]

_FILL = 0.88  # how much of its cell's width the longest number may take
_SMALLEST = 5  # pixels: digits of less height cannot be read
_LARGEST_CELL = 50  # pixels
_FINE = 100  # pixels: hinting makes no difference at this font size
_BRIGHT = 0.18  # black and white contrast equally with a colour of this luminance
_WHITE_BLACK = (1, 1, 1, 1), (0, 0, 0, 1)


def plot_pixel_values(image, ax=None, *, title=None, format=None):
    """Show a grey picture with the value of each pixel written in.

    Numbers are white on dark pixels and black on light ones, as large as the cells
    allow, but not larger than other text. Without `ax` the figure is made large enough
    to read them: at most as wide as the text column where 8-bit pixels stand in 47
    columns or fewer.

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
        The axes that hold the picture.

    Raises
    ------
    TypeError, ValueError
        If `image` is not a grey picture, or `format` does not format numbers.

    Examples
    --------
    >>> ax = plot_pixel_values([[0, 255], [255, 255]], title="four pixels")
    >>> ax.images[0].get_clim()
    (0.0, 255.0)
    """
    pixels, white = as_pixels(image)
    if pixels.ndim == 3:
        raise invalid("image", "a grey picture (H, W)", describe(image))
    write = as_writer(format, pixels.flat[0].item())
    if ax is None:
        texts = [write(value) for value in np.unique(pixels).tolist()]
        ax = _roomy_axes(pixels.shape, texts, title)
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
    image.axes.add_artist(_Numbers(image, values, write))


class _Numbers(Artist):
    """Numbers over the cells of an `AxesImage`, as large as they fit when drawn."""

    def __init__(self, image, values, write):
        super().__init__()
        self.set_zorder(3)
        self.set_in_layout(False)
        rows, columns = values.shape
        left, right, bottom, top = image.get_extent()
        self._cell = (right - left) / columns, (bottom - top) / rows
        x = left + (np.arange(columns) + 0.5) * self._cell[0]
        y = top + (np.arange(rows) + 0.5) * self._cell[1]

        rgb = image.to_rgba(image.get_array())[..., :3]
        bright = rgb**2.2 @ [0.2126, 0.7152, 0.0722] > _BRIGHT
        distinct, which = np.unique(values, return_inverse=True)
        texts = [write(value) for value in distinct.tolist()]
        texts, text_of = np.unique(texts, return_inverse=True)
        group = text_of[which].reshape(values.shape) * 2 + bright

        self.groups = []
        """Text, colour and centres of the cells that hold it."""
        for number in np.unique(group):
            row, column = np.nonzero(group == number)
            text, color = str(texts[number // 2]), _WHITE_BLACK[number % 2]
            if text:
                centres = np.column_stack([x[column], y[row]])
                self.groups.append((text, color, centres))

    def draw(self, renderer):
        """Draw each distinct number once, as the marker of all of its cells."""
        if not self.get_visible():
            return
        to_pixels = self.axes.transData
        cell = np.abs(to_pixels.transform(self._cell) - to_pixels.transform((0, 0)))
        height = min(
            _FILL * cell[0] / _proportion([text for text, _, _ in self.groups]),
            _FILL * cell[1],
            renderer.points_to_pixels(LABEL) * _digit_height(),
        )
        height = max(1, int(height))
        size = height / _digit_height()
        detail, place = _FINE, Affine2D().scale(1 / _FINE)
        if isinstance(renderer, RendererAgg):
            # Outlines hinted for this very size are as sharp as texts. Agg moves
            # markers by half a pixel.
            detail, place = 1, Affine2D().translate(-0.5, 0.5)

        gc = renderer.new_gc()
        gc.set_clip_rectangle(self.axes.bbox)
        gc.set_linewidth(0)
        gc.set_snap(False)
        for text, color, centres in self.groups:
            outline = _outline(text, size * detail)
            left, right = _ends(outline)
            middle = (left + right) / 2 / detail, height / 2
            places = Path(to_pixels.transform(centres) - middle)
            renderer.draw_markers(
                gc, outline, place, places, IdentityTransform(), color
            )
        gc.restore()
        self.stale = False


def _roomy_axes(shape, texts, title):
    """Return axes of a new figure whose cells are whole pixels and hold the texts."""
    rows, columns = shape
    dpi = plt.rcParams["figure.dpi"]
    needed = math.ceil(_SMALLEST * _proportion(texts) / _FILL)
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


def _proportion(texts):
    """Return how wide the longest text is by the height of its digits."""
    widths = [np.ptp(_ends(_outline(text, _FINE))) / _FINE for text in texts]
    return max(widths, default=1) / _digit_height()


def _ends(outline):
    """Return where an outline begins and ends, from left to right."""
    x = outline.vertices[:, 0]
    return x.min(), x.max()


def _digit_height():
    """Return how high digits are, in units of their font size."""
    return _outline("1", _FINE).vertices[:, 1].max() / _FINE


def _outline(text, size):
    """Return the outline of `text`, from (0, 0) on, hinted for a size in pixels."""
    return _outline_in(findfont(FontProperties()), text.replace("-", "−"), size)


@lru_cache(maxsize=4096)
def _outline_in(file, text, size):
    """Return the outline of `text` in the font of this file."""
    font = get_font(file)
    font.set_size(size, 72)
    vertices, codes, start = [], [], 0
    for character in text:
        glyph = font.load_char(ord(character), flags=get_hinting_flag())
        points, kinds = font.get_path()
        vertices.append(np.add(points, (start, 0)))
        codes.append(kinds)
        start += glyph.horiAdvance / 64
    return Path(np.concatenate(vertices), np.concatenate(codes))

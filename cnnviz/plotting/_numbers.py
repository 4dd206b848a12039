"""Numbers written into the cells of a picture.

A `matplotlib` text for each cell is slow: 16,384 texts take many seconds. Here each
distinct number is one outline, drawn as the marker of all the cells that hold it.
"""

import math
from functools import lru_cache

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg, get_hinting_flag
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform

from cnnviz.plotting._style import LABEL

_FILL = 0.88  # how much of its cell the longest number may take
_SMALLEST = 5  # pixels: new figures give digits at least this height
_LEGIBLE = 3  # points: digits of less height cannot be read
_FEWEST = 4  # pixels: so, too
_FINE = 100  # pixels: hinting makes no difference at this font size
_BRIGHT = 0.18  # black and white contrast equally with a colour of this luminance
_WHITE_BLACK = (1, 1, 1, 1), (0, 0, 0, 1)


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
    """Numbers over the cells of an `AxesImage`, as large as they fit when drawn.

    None are drawn where they would be too small to read.
    """

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
        if height < max(renderer.points_to_pixels(_LEGIBLE), _FEWEST):
            return
        height = int(height)
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
            middle = np.array([(left + right) / 2 / detail, height / 2])
            # The hundredth keeps halves from being rounded now up, now down.
            places = Path(to_pixels.transform(centres) - middle - 0.01)
            renderer.draw_markers(
                gc, outline, place, places, IdentityTransform(), color
            )
        gc.restore()
        self.stale = False


def smallest_cell(texts):
    """Return how many pixels wide a cell must be for each of `texts` to be legible."""
    return math.ceil(_SMALLEST * _proportion(texts) / _FILL)


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
    file = findfont(FontProperties())
    vertices, codes, start = [], [], 0
    for character in text.replace("-", "−"):
        points, kinds, advance = _glyph(file, character, size)
        vertices.append(points + np.array([start, 0]))
        codes.append(kinds)
        start += advance
    return Path(np.concatenate(vertices), np.concatenate(codes))


@lru_cache(maxsize=1024)
def _glyph(file, character, size):
    """Return a character's outline in the font of this file, and where it ends."""
    font = get_font(file)
    font.set_size(size, 72)
    glyph = font.load_char(ord(character), flags=get_hinting_flag())
    return *font.get_path(), glyph.horiAdvance / 64

"""Pictures side by side: Axes for each of a few, one Axes for many.

Axes take milliseconds each, and their layout takes the square of their number. So
pictures beyond a number share one Axes, whose units then are inches.
"""

import math
import textwrap

from matplotlib.collections import PolyCollection

from cnnviz._validation import as_integer, as_text
from cnnviz.plotting._style import (
    BAR_WIDTH,
    FRAME,
    HAIRLINE,
    NARROWEST,
    PAD,
    TICK,
    TITLE,
    VERBATIM,
    WIDTH,
    color_bar,
    drawn_shape,
    frame,
    subplots,
    text_width,
    title_height,
    title_size,
)

_MOST_AXES = 48  # in one figure, colour bars among them
_LARGEST_PANEL, _TALLEST_PANEL, _LOWEST = 3.6, 9, 0.5


def grid(shapes, titles, columns=None, *, suptitle=None, bar=False, bars=False):
    """Return a figure and a `Place` for each of the pictures of these `shapes`.

    `titles`, one or None for each, are broken into lines that fit over their pictures.
    `bar` leaves room for one colour bar, `bars` for one beside each picture that has
    Axes of its own.
    """
    count = len(shapes)
    suptitle = as_text(suptitle, "suptitle")
    shared = count * (1 + bars) > _MOST_AXES
    bar, bars = bar or bars, bars and not shared
    available = WIDTH - BAR_WIDTH * (bar and not bars)
    if columns is None and shared:
        columns = _many_columns(titles, available)
    elif columns is None:
        columns = _few_columns(shapes, bars)
    columns = min(as_integer(columns, "columns", 1), count)

    size = TICK if shared else title_size(columns)
    panel = min(_LARGEST_PANEL, available / columns)
    pad = min(PAD, panel / 12)
    picture = max(panel - 2 * pad - BAR_WIDTH * bars, panel / 4)
    titles = [title and _in_lines(title, panel - pad, size) for title in titles]
    above = 2 * pad + max(title_height(size, title or None) for title in titles)
    ratios = [height / width for height, width in map(drawn_shape, shapes)]
    heights = [
        above + min(picture * max(ratios[first : first + columns]), _TALLEST_PANEL)
        for first in range(0, count, columns)
    ]
    width = max(NARROWEST, panel * columns + WIDTH - available)
    height = max(sum(heights) + title_height(TITLE, suptitle), _LOWEST)
    if shared:
        figure, axes = subplots(1, 1, (width, height))
        axes[0, 0].set(xlim=(0, panel * columns), ylim=(sum(heights), 0))
        extents = _extents(ratios, columns, heights, panel, picture, above)
        places = _parts(axes[0, 0], titles, extents)
    else:
        # Compressed, a wide picture beside a tall one would make both small.
        layout = "compressed" if max(ratios) < 4 * min(ratios) else "constrained"
        size = width, height
        figure, axes = subplots(len(heights), columns, size, heights, layout)
        for ax in axes.flat[count:]:
            ax.remove()
        places = list(map(Place, axes.flat, titles))
    if suptitle is not None:
        figure.suptitle(suptitle, fontsize=TITLE, **VERBATIM)
    return figure, places


def bar_beside(mappable, places):
    """Draw one colour bar for all pictures."""
    return color_bar(mappable, list(dict.fromkeys(place.ax for place in places)))


class Place:
    """Where a picture is drawn: Axes of its own, or the part of them in `extent`."""

    def __init__(self, ax, title, extent=None):
        self.ax, self.title, self.extent = ax, title, extent

    def imshow(self, values, **options):
        """Draw a picture as `Axes.imshow` does; return the `AxesImage`."""
        return self.ax.imshow(values, extent=self.extent, **options)

    def finish(self, **style):
        """Give the picture its frame and its title, in this style."""
        if self.extent is None:
            frame(self.ax, self.title).title.set(**style)
        elif self.title is not None:
            left, right, _, top = self.extent
            at = (left + right) / 2, top - 1.5 * PAD
            text = self.ax.text(*at, self.title, fontsize=TICK, **VERBATIM, **style)
            text.set(ha="center", va="bottom", in_layout=False)


def _few_columns(shapes, bars):
    """Return in how many columns pictures stand that have Axes of their own."""
    detailed = max(map(max, shapes)) > 100
    count = len(shapes)
    widest = 3 if detailed and count <= 6 else 4 if count <= 16 or bars else 8
    return math.ceil(count / math.ceil(count / widest))


def _many_columns(titles, available):
    """Return in how many columns pictures stand that share one Axes: a square."""
    longest = max((text_width(title, TICK) for title in titles if title), default=0)
    most = max(1, int(available / (longest + 2 * PAD)))
    return min(math.ceil(math.sqrt(len(titles))), most)


def _extents(ratios, columns, heights, panel, picture, above):
    """Yield where the pictures are, in inches from the upper left corner."""
    top = 0
    for row, height in enumerate(heights):
        room = height - above
        for column, ratio in enumerate(ratios[row * columns : (row + 1) * columns]):
            tall = min(picture * ratio, room)
            left = column * panel + (panel - tall / ratio) / 2
            high = top + above + (room - tall) / 2
            yield left, left + tall / ratio, high + tall, high
        top += height


def _parts(ax, titles, extents):
    """Return places that are parts of `ax`, with frames around them."""
    places = [Place(ax, *each) for each in zip(titles, extents, strict=True)]
    ax.set_axis_off()
    corners = [
        [(left, low), (right, low), (right, high), (left, high)]
        for left, right, low, high in (place.extent for place in places)
    ]
    line = {"edgecolor": FRAME, "linewidth": HAIRLINE}
    ax.add_collection(PolyCollection(corners, facecolor="none", **line), autolim=False)
    return places


def _in_lines(title, width, size):
    """Return a title in lines of at most so many inches."""
    lines = []
    for line in title.split("\n"):
        long = text_width(line, size)
        if long <= width:
            lines.append(line)
        else:
            lines += textwrap.wrap(line, max(1, int(len(line) * width / long)))
    return "\n".join(lines)

"""How figures look, down to sizes and colours: what `looks.txt` says of each.

It holds calls and, below each, the size of the figure and all artists on it. When
figures are meant to look otherwise, run this file as a script: it writes `looks.txt`
anew, and the difference shows what else has changed.
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from torch import nn

from cnnviz import plotting as plot  # noqa: F401, calls name it

LOOKS = Path(__file__).with_name("looks.txt")
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
SIGNED = np.linspace(-1.5, 1, 6).reshape(2, 3)
NET = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10))


def short(value):
    """Write numbers with few digits, colours in hexadecimal, the rest as it is."""
    if isinstance(value, str):
        return value.replace("\n", " ")
    if np.ndim(value):
        return " ".join(short(each) for each in np.ravel(value).tolist())
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def color(value):
    return to_hex(value, keep_alpha=True)


def describe(artist):
    """Return in one line what one artist is."""
    match artist:
        case Axes():
            position = artist.get_position().bounds
            frame = {
                (color(spine.get_edgecolor()), spine.get_linewidth())
                for spine in artist.spines.values()
                if spine.get_visible()
            }
            sides = [
                side for side, spine in artist.spines.items() if spine.get_visible()
            ]
            said = [position, artist.get_xlim(), artist.get_ylim(), *sides, *frame]
            said += [artist.get_xlabel(), artist.get_ylabel(), artist.axison]
            for axis in (artist.xaxis, artist.yaxis):
                labels = [label.get_text() for label in axis.get_ticklabels()]
                sizes = {label.get_fontsize() for label in axis.get_ticklabels()}
                lines = axis.get_gridlines()
                grid = {
                    (color(g.get_color()), g.get_alpha())
                    for g in lines
                    if g.get_visible()
                }
                said += ["|", axis.get_ticklocs(), labels, *sizes, *grid]
                said += [axis.get_ticklocs(minor=True), axis.label.get_fontsize()]
        case Annotation() | Text():
            said = [artist.get_text(), artist.get_position(), artist.get_fontsize()]
            said += [artist.get_fontweight(), color(artist.get_color())]
            said += [artist.get_ha(), artist.get_va(), artist.get_clip_on()]
            if isinstance(artist, Annotation):
                said += ["at", artist.xy, artist.xycoords, artist.anncoords]
                said += [artist.get_annotation_clip()]
            if box := artist.get_bbox_patch():
                said += ["box", color(box.get_facecolor()), box.get_linewidth()]
        case Line2D():
            said = [artist.get_xydata(), color(artist.get_color()), artist.get_label()]
            said += [
                artist.get_linewidth(),
                artist.get_linestyle(),
                artist.get_zorder(),
            ]
        case Rectangle():
            said = [artist.get_bbox().bounds, color(artist.get_facecolor())]
            said += [color(artist.get_edgecolor()), artist.get_linewidth()]
            said += [artist.get_label(), artist.get_fill()]
        case AxesImage():
            said = [artist.get_array().shape, artist.get_clim(), artist.get_cmap().name]
            said += [artist.get_extent(), artist.get_interpolation()]
        case PolyCollection():
            said = [len(artist.get_paths()), artist.get_linewidth()]
            said += [color(each) for each in artist.get_facecolor()[:1]]
            said += [color(each) for each in artist.get_edgecolor()[:1]]
            said += [path.get_extents().bounds for path in artist.get_paths()]
        case LineCollection():
            said = [artist.get_linewidth(), color(artist.get_color()[0])]
            said += artist.get_segments()
        case _:
            said = [artist.get_zorder(), artist.get_in_layout()]
            said += [(text, color(c)) for text, c, _ in getattr(artist, "groups", ())]
    words = [
        short(each)
        if not isinstance(each, tuple | list)
        else " ".join(map(short, each))
        for each in said
    ]
    return f"{type(artist).__name__} " + ", ".join(words)


def look(call):
    """Return how the figure that a call makes looks, in lines."""
    result = eval(call)
    figure = result.figure if isinstance(result, Axes) else result
    figure.canvas.draw()
    lines = [f"Figure {short(figure.get_size_inches())}"]
    for ax in figure.axes:
        lines.append(describe(ax))
        shown = [ax.title, *ax.images, *ax.lines, *ax.patches, *ax.texts]
        shown += [*ax.collections, *ax.artists]
        if legend := ax.get_legend():
            shown += legend.get_texts()
            lines.append(f"Legend {legend.get_frame_on()}")
        kinds = (Text, AxesImage, Line2D, Rectangle)
        kinds += (LineCollection, PolyCollection)
        lines += [
            describe(artist)
            for artist in shown
            if artist.get_visible()
            and not (isinstance(artist, Text) and not artist.get_text())
            and (isinstance(artist, kinds) or hasattr(artist, "groups"))
        ]
    if figure.get_suptitle():
        lines.append(describe(figure._suptitle))
    plt.close(figure)
    return [line.rstrip() for line in lines]


def same(line, expected):
    """Tell whether lines say the same, up to what fonts of other versions change."""
    words, others = (re.split("[ ,]+", text) for text in (line, expected))
    return len(words) == len(others) and all(map(same_word, words, others))


def same_word(word, other):
    try:
        return float(word) == pytest.approx(float(other), rel=0.02, abs=0.02)
    except ValueError:
        return word == other


BLOCKS = re.findall(r"^(\S.*)\n((?: .*\n)*)", LOOKS.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_figures_look_as_they_should(number):
    call, lines = BLOCKS[number]
    for line, expected in zip(look(call), lines.splitlines(), strict=True):
        assert same(line, expected.strip()), f"{line}\nwas {expected.strip()}"


if __name__ == "__main__":
    plt.switch_backend("agg")
    text = [line for call, _ in BLOCKS for line in (call, *look(call))]
    calls = {call for call, _ in BLOCKS}
    text = [line if line in calls else f"    {line}" for line in text]
    LOOKS.write_text("\n".join(text) + "\n", "utf-8")

"""Save each figure of an example for the light and the dark theme, and for phones.

A scraper for sphinx-gallery. The example runs once and knows nothing of this. Its
figures are drawn as they are, then their near-grey artists are inverted and they are
drawn again; both once more in a narrow arrangement, if they are wide. A figure's
suptitle becomes the caption under it.
"""

from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import to_rgba_array
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text
from PIL import Image
from sphinx.errors import ExtensionError

from _narrow import narrow

CSS_PIXELS_PER_INCH = 100
SHARPNESS = 2
"""Pixels of a picture for each pixel of the page."""
LARGEST_LOSSLESS = 120_000
MOST_PANELS = 12

FIGURE = """
.. pictures:: /{path}
   :alt: {alt}
"""


def scraper(block, block_vars, gallery_conf):
    """Save all open figures and return the reST that shows them."""
    source = Path(gallery_conf["src_dir"])
    script = block_vars["src_file"]
    parts = []
    for number in plt.get_fignums():
        figure = plt.figure(number)
        light = Path(next(block_vars["image_path_iterator"])).with_suffix(".webp")
        caption = take_caption(figure)
        alt = describe(figure) or caption
        if not alt:
            raise ExtensionError(
                f"{script}:{block[2]}: figure {number} has neither a suptitle nor "
                "titles, so nothing says in words what it shows"
            )
        settle(figure)
        save_themes(figure, light)
        if narrow(figure):
            settle(figure)
            save_themes(figure, light.with_stem(light.stem + "_narrow"), "tight")
        plt.close(figure)
        path = light.relative_to(source).as_posix()
        rst = FIGURE.format(path=path, alt=" ".join(alt.split()))
        if caption:
            rst += f"\n   {escape(caption)}\n"
        parts.append(rst)
    return "\n".join(parts)


def escape(text):
    """Return `text` so that reST shows it as it is."""
    for character in "\\*`|_":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def take_caption(figure):
    """Return the suptitle's text and empty it: the page shows it under the figure."""
    caption = figure.get_suptitle()
    if caption:
        figure.suptitle("")
    return caption


def describe(figure):
    """Say what a figure shows: what its panels are, their titles and labels."""
    panels = {ax: " ".join(words(ax).split()) for ax in figure.axes}
    panels = {ax: text for ax, text in panels.items() if text}
    if not panels:
        return ""
    texts = list(panels.values())
    if len(texts) > MOST_PANELS:
        texts = [*texts[:MOST_PANELS], "…"]
    return f"{name_kind(panels)}: {'; '.join(texts)}"


def name_kind(panels):
    """Say how many panels there are, and whether they hold pixels."""
    kind = "picture" if any(ax.images for ax in panels) else "plot"
    return f"{len(panels)} {kind}s" if len(panels) > 1 else f"A {kind}"


def words(ax):
    """Return the title of a panel and the labels of its axes."""
    title = ax.get_title() or ax.get_title("left")
    across, up = ax.get_xlabel(), ax.get_ylabel()
    labels = f"{up} against {across}" if across and up else across
    return f"{title}: {labels}" if title and labels else title or labels


def settle(figure):
    """Lay a figure out once, for both themes and the same in every build.

    The solver's last digits vary from run to run, and may move a line by a pixel.
    """
    figure.set_dpi(SHARPNESS * CSS_PIXELS_PER_INCH)
    figure.draw_without_rendering()
    if figure.get_layout_engine() is None:
        return
    figure.set_layout_engine("none")
    for ax in figure.axes:
        (left, bottom), (right, top) = ax.get_position(True).get_points().round(6)
        ax.set_position((left, bottom, right - left, top - bottom), "original")
        ax.set_in_layout(True)


def save_themes(figure, light, box=None):
    """Save a figure in both themes, and both in one way, since they differ little."""
    if box == "tight":
        box = figure.get_tightbbox().padded(0.02)
    lossless = save(figure, light, box)
    colors = darken(figure)
    save(figure, light.with_stem(light.stem + "_dark"), box, lossless)
    for set_color, color in reversed(colors):
        set_color(color)


def save(figure, path, box, lossless=True):
    """Save as WebP: without loss, but for photographs, where that takes too much.

    Returns whether it is without loss.
    """
    png = BytesIO()
    uncompressed = {"compress_level": 0}
    figure.savefig(
        png, dpi=figure.dpi, transparent=True, bbox_inches=box, pil_kwargs=uncompressed
    )
    image = Image.open(png)
    if lossless:
        image.save(path, lossless=True, quality=40)
        lossless = path.stat().st_size <= LARGEST_LOSSLESS
    if not lossless:
        image.save(path, quality=75)
    return lossless


def darken(figure):
    """Invert what is near grey, except what is drawn over the pixels of an image.

    Returns what sets the colours back: functions and their arguments.
    """
    kept = {
        artist
        for ax in figure.axes
        if ax.images
        for child in (*ax.texts, *ax.lines, *ax.collections, *ax.patches)
        for artist in child.findobj()
    }
    before = []
    for artist in figure.findobj():
        if artist in kept:
            continue
        if isinstance(artist, Text):
            before += invert(artist, "color")
            if isinstance(artist, Annotation) and artist.arrow_patch:
                before += invert(artist.arrow_patch, "facecolor", "edgecolor")
        elif isinstance(artist, Line2D):
            before += invert(artist, "color", "markeredgecolor", "markerfacecolor")
        elif isinstance(artist, Patch) or (
            isinstance(artist, Collection) and not is_mapped(artist)
        ):
            before += invert(artist, "facecolor", "edgecolor")
    return before


def invert(artist, *names):
    """Invert these colours of an artist; return their setters with what they were."""
    before = [
        (getattr(artist, f"set_{name}"), getattr(artist, f"get_{name}")())
        for name in names
    ]
    for set_color, color in before:
        set_color(inverted(color))
    return before


def is_mapped(artist):
    """Whether an artist takes its colours from data."""
    return isinstance(artist, ScalarMappable) and artist.get_array() is not None


def inverted(colors):
    """Return colours with the near-grey ones turned: black to light, white to dark."""
    if isinstance(colors, str) and colors == "none":
        return "none"
    rgba = to_rgba_array(colors).copy()
    grey = np.ptp(rgba[:, :3], axis=1) <= 0.02
    rgba[grey, :3] = 0.08 + 0.78 * (1 - rgba[grey, :3])
    return rgba[0] if len(rgba) == 1 else rgba

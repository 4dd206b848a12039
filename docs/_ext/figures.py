"""Save each figure of an example twice: for the light and for the dark theme.

A scraper for sphinx-gallery. The example runs once and knows nothing of this. Its
figures are drawn as they are, then their near-grey artists are inverted and they are
drawn again. A figure's suptitle becomes the caption under it.
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

CSS_PIXELS_PER_INCH = 100
SHARPNESS = 2
LARGEST_LOSSLESS = 120_000
MOST_PANELS = 12

FIGURE = """
.. figure:: /{path}
   :alt: {alt}
   :width: {width}
   :height: {height}
   :loading: lazy
   :figclass: only-{theme}
"""


def scraper(block, block_vars, gallery_conf):
    """Save all open figures and return the reST that shows them."""
    source = Path(gallery_conf["src_dir"])
    script = block_vars["src_file"]
    parts = []
    for number in plt.get_fignums():
        figure = plt.figure(number)
        light = Path(next(block_vars["image_path_iterator"])).with_suffix(".webp")
        dark = light.with_stem(light.stem + "_dark")
        caption = take_caption(figure)
        alt = describe(figure) or caption
        if not alt:
            raise ExtensionError(
                f"{script}:{block[2]}: figure {number} has neither a suptitle nor "
                "titles, so nothing says in words what it shows"
            )
        settle(figure)
        save(figure, light)
        darken(figure)
        save(figure, dark)
        plt.close(figure)
        width, height = (figure.get_size_inches() * CSS_PIXELS_PER_INCH).round()
        for path, theme in ((light, "light"), (dark, "dark")):
            rst = FIGURE.format(
                path=path.relative_to(source).as_posix(),
                alt=" ".join(alt.split()),
                width=int(width),
                height=int(height),
                theme=theme,
            )
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
    panels = {axes: " ".join(words(axes).split()) for axes in figure.axes}
    panels = {axes: text for axes, text in panels.items() if text}
    if not panels:
        return ""
    texts = list(panels.values())
    if len(texts) > MOST_PANELS:
        texts = [*texts[:MOST_PANELS], "…"]
    return f"{name_kind(panels)}: {'; '.join(texts)}"


def name_kind(panels):
    """Say how many panels there are, and whether they hold pixels."""
    kind = "picture" if any(axes.images for axes in panels) else "plot"
    return f"{len(panels)} {kind}s" if len(panels) > 1 else f"A {kind}"


def words(axes):
    """Return the title of a panel and the labels of its axes."""
    title = axes.get_title() or axes.get_title("left")
    across, up = axes.get_xlabel(), axes.get_ylabel()
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
    for axes in figure.axes:
        (left, bottom), (right, top) = axes.get_position(True).get_points().round(6)
        axes.set_position((left, bottom, right - left, top - bottom), "original")


def save(figure, path):
    """Save as WebP: without loss, but for photographs, where that takes too much."""
    png = BytesIO()
    figure.savefig(png, transparent=True)
    image = Image.open(png)
    image.save(path, lossless=True, quality=40)
    if path.stat().st_size > LARGEST_LOSSLESS:
        image.save(path, quality=75)


def darken(figure):
    """Invert what is near grey, except what is drawn over the pixels of an image."""
    kept = {
        artist
        for axes in figure.axes
        if axes.images
        for child in (*axes.texts, *axes.lines, *axes.collections, *axes.patches)
        for artist in child.findobj()
    }
    for artist in figure.findobj():
        if artist in kept:
            continue
        if isinstance(artist, Text):
            artist.set_color(inverted(artist.get_color()))
            if isinstance(artist, Annotation) and artist.arrow_patch:
                darken_patch(artist.arrow_patch)
        elif isinstance(artist, Line2D):
            artist.set_color(inverted(artist.get_color()))
            artist.set_markeredgecolor(inverted(artist.get_markeredgecolor()))
            artist.set_markerfacecolor(inverted(artist.get_markerfacecolor()))
        elif isinstance(artist, Patch):
            darken_patch(artist)
        elif isinstance(artist, Collection) and not is_mapped(artist):
            artist.set_facecolor(inverted(artist.get_facecolor()))
            artist.set_edgecolor(inverted(artist.get_edgecolor()))


def is_mapped(artist):
    """Whether an artist takes its colours from data."""
    return isinstance(artist, ScalarMappable) and artist.get_array() is not None


def darken_patch(patch):
    patch.set_facecolor(inverted(patch.get_facecolor()))
    patch.set_edgecolor(inverted(patch.get_edgecolor()))


def inverted(colors):
    """Return colours with the near-grey ones turned: black to light, white to dark."""
    if isinstance(colors, str) and colors == "none":
        return "none"
    rgba = to_rgba_array(colors).copy()
    grey = np.ptp(rgba[:, :3], axis=1) <= 0.02
    rgba[grey, :3] = 0.08 + 0.78 * (1 - rgba[grey, :3])
    return rgba[0] if len(rgba) == 1 else rgba

"""Show each page in lists of pages as a card: picture, title, what it is about.

sphinx-gallery's own thumbnails have no text alternative, no dark variant, and hide what
a page is about in a tooltip. `page_pictures` in conf.py names the figure that tells a
page apart, where that is not its first.
"""

from html import unescape
from pathlib import Path

import sphinx_gallery.backreferences
from PIL import Image

import folders

WIDTH, HEIGHT = 200, 150
SHARPNESS = 2

CARD = """
.. container:: page-card

   .. image:: /{picture}_light.webp
      :alt: A figure of the page “{title}”
      :class: only-light
      :width: {width}
      :height: {height}
      :loading: lazy

   .. image:: /{picture}_dark.webp
      :alt: A figure of the page “{title}”
      :class: only-dark
      :width: {width}
      :height: {height}
      :loading: lazy

   :doc:`{title} <{page}>`

   {about}

"""


class Cards:
    """What sphinx-gallery takes for the template of a thumbnail."""

    def format(self, *, doc_name, title, intro, thumbnail, tags):
        """Return the reST of one card."""
        return CARD.format(
            page=doc_name,
            title=title,
            about=unescape(intro),
            picture=Path(thumbnail).with_name(Path(doc_name).name).as_posix(),
            width=WIDTH,
            height=HEIGHT,
        )


def setup(app):
    """Replace the template, and make the pictures when the examples have run."""
    app.add_config_value("page_pictures", {}, "env", dict)
    sphinx_gallery.backreferences.THUMBNAIL_TEMPLATE = Cards()
    sphinx_gallery.backreferences.BACKREF_THUMBNAIL_TEMPLATE = Cards()
    app.connect("builder-inited", make_pictures, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make_pictures(app):
    """Scale the chosen figure of each page, in both themes."""
    for script in folders.made(app).glob("*/*.py"):
        number = app.config.page_pictures.get(script.stem, 1)
        images = script.parent / "images"
        for theme, suffix in (("light", ""), ("dark", "_dark")):
            figure = images / f"sphx_glr_{script.stem}_{number:03}{suffix}.webp"
            card = images / "thumb" / f"{script.stem}_{theme}.webp"
            if figure.exists():
                fit(figure, card)


def fit(figure, card):
    """Scale a figure into the middle of a card's picture."""
    size = (SHARPNESS * WIDTH, SHARPNESS * HEIGHT)
    with Image.open(figure) as image:
        image.thumbnail(size, Image.Resampling.LANCZOS)
        picture = Image.new("RGBA", size)
        left, top = ((a - b) // 2 for a, b in zip(size, image.size, strict=True))
        picture.paste(image, (left, top))
    picture.save(card, quality=80)

"""Directives that show pages and chapters in lists, as cards with a picture.

sphinx-gallery's own thumbnails have no text alternative, no dark variant, and hide what
a page is about in a tooltip. Which figure a card shows is said by sphinx-gallery's
comment in its script: ``# sphinx_gallery_thumbnail_number = 2``.
"""

from html import unescape
from typing import ClassVar

import sphinx_gallery.backreferences
from docutils import nodes
from docutils.parsers.rst.directives import unchanged_required
from PIL import Image, ImageOps
from sphinx.util.docutils import SphinxDirective
from sphinx_gallery.py_source_parser import extract_file_config

import _folders
from figures import SHARPNESS
from pictures import variants

WIDTH, HEIGHT = 320, 180
TALLEST = 2
"""How high, by the height of its card, the part of a figure is that a card shows."""

CARD = """
.. page-card:: {title}
   :page: {page}

   {about}

"""


class Template:
    """What sphinx-gallery takes for the template of a thumbnail."""

    def format(self, *, doc_name, title, intro, **others):
        """Return the reST of one card."""
        return CARD.format(title=title, page=doc_name, about=unescape(intro))


class PageCard(SphinxDirective):
    """A page: its picture, its title and what it is about."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"page": unchanged_required}

    def run(self):
        """Return the card."""
        title, page = self.arguments[0], self.options["page"]
        card = nodes.container(classes=["page-card"])
        card += variants(self.env, picture(page), f"A figure of the page “{title}”")
        card += self.parse_text_to_nodes(f":doc:`{title} <{page}>`")
        card += self.parse_content_to_nodes()
        return [card]


class Chapter(SphinxDirective):
    """A chapter: the picture of one page, what it is about, and all its pages."""

    has_content = True
    required_arguments = 1
    option_spec: ClassVar = {"page": unchanged_required}

    def run(self):
        """Return the chapter's card."""
        index = f"gallery/{self.arguments[0]}/index"
        pages = sorted(self.env.found_docs)
        pages = [p for p in pages if p.startswith(index[:-5]) and p != index]
        text = nodes.container(classes=["about"])
        text += self.parse_text_to_nodes(f":doc:`/{index}`")
        text += self.parse_content_to_nodes()
        links = "\n".join(f"#. :doc:`/{page}`" for page in pages)
        text += self.parse_text_to_nodes(links)
        alt = f"A figure of the chapter “{self.arguments[0].title()}”"
        chapter = nodes.container(classes=["chapter"])
        chapter += variants(self.env, picture(self.options["page"]), alt)
        chapter += text
        return [chapter]


def picture(page):
    """Return where the picture of a page's card lies."""
    folder, _, name = page.strip("/").rpartition("/")
    return f"/{folder}/images/thumb/{name}.webp"


def setup(app):
    """Replace the template, and make the pictures when the examples have run."""
    app.add_directive("page-card", PageCard)
    app.add_directive("chapter", Chapter)
    sphinx_gallery.backreferences.THUMBNAIL_TEMPLATE = Template()
    sphinx_gallery.backreferences.BACKREF_THUMBNAIL_TEMPLATE = Template()
    app.connect("builder-inited", make_pictures, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make_pictures(app):
    """Scale the chosen figure of each page that has run, in both themes."""
    for script in _folders.generated(app).glob("*/*.py"):
        chosen = extract_file_config(script.read_text("utf-8"))
        number = chosen.get("thumbnail_number", 1)
        images = script.parent / "images"
        for theme in ("", "_dark"):
            figure = images / f"sphx_glr_{script.stem}_{number:03}{theme}.webp"
            card = images / "thumb" / f"{script.stem}{theme}.webp"
            if figure.exists() and not card.exists():
                shrink(figure, card)


def shrink(figure, card):
    """Show a figure whole on a card; of a tall one, its upper part."""
    size = SHARPNESS * WIDTH, SHARPNESS * HEIGHT
    with Image.open(figure) as image:
        height = min(image.height, round(image.width * HEIGHT / WIDTH * TALLEST))
        part = image.convert("RGBA").crop((0, 0, image.width, height))
    clear = (0, 0, 0, 0)
    ImageOps.pad(part, size, Image.Resampling.LANCZOS, clear).save(card, quality=60)

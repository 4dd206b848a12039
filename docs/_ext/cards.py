"""Directives that show pages and chapters in lists, as cards with a picture.

sphinx-gallery's own thumbnails have no text alternative, no dark variant, and hide what
a page is about in a tooltip. `page_pictures` in conf.py names the figure of each page
that tells it apart, and the part of it to show.
"""

from html import unescape
from typing import ClassVar

import sphinx_gallery.backreferences
from docutils import nodes
from docutils.parsers.rst.directives import unchanged_required
from PIL import Image, ImageOps
from sphinx.util.docutils import SphinxDirective

import folders
from figures import SHARPNESS
from pictures import variants

WIDTH, HEIGHT = 320, 180

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
    app.add_config_value("page_pictures", {}, "env", dict)
    app.add_directive("page-card", PageCard)
    app.add_directive("chapter", Chapter)
    sphinx_gallery.backreferences.THUMBNAIL_TEMPLATE = Template()
    sphinx_gallery.backreferences.BACKREF_THUMBNAIL_TEMPLATE = Template()
    app.connect("builder-inited", make_pictures, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make_pictures(app):
    """Scale the chosen figure of each page, in both themes."""
    for script in folders.made(app).glob("*/*.py"):
        number, *part = app.config.page_pictures.get(script.stem, [1])
        images = script.parent / "images"
        for theme in ("", "_dark"):
            figure = images / f"sphx_glr_{script.stem}_{number:03}{theme}.webp"
            card = images / "thumb" / f"{script.stem}{theme}.webp"
            if figure.exists():
                fit(figure, card, *part)


def fit(figure, card, left=0, top=0, right=1, bottom=1):
    """Fill a card's picture with a part of a figure, given as parts of its sides."""
    size = (SHARPNESS * WIDTH, SHARPNESS * HEIGHT)
    with Image.open(figure) as image:
        width, height = image.size
        part = (left * width, top * height, right * width, bottom * height)
        part = image.convert("RGBA").crop(tuple(map(round, part)))
    ImageOps.fit(part, size, Image.Resampling.LANCZOS).save(card, quality=60)

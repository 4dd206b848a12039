"""Describe each page by its opening, for search engines and social cards.

sphinxext-opengraph would go on into code and headings until its length is reached.
"""

from html import escape
from textwrap import shorten

import sphinxext.opengraph
from docutils import nodes


def setup(app):
    """Replace what opengraph takes from a page; templates learn what has none."""
    sphinxext.opengraph.get_description = describe
    app.connect("html-page-context", note_missing, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def describe(doctree, length, titles=()):
    """Return the paragraphs before the first heading, picture or code."""
    opening = []
    for node in doctree.next_node(nodes.section) or ():
        if isinstance(node, nodes.paragraph):
            opening.append(node.astext())
        elif opening and not isinstance(node, nodes.Invisible):
            break
    return escape(shorten(" ".join(opening), length, placeholder=" …"))


def note_missing(app, pagename, templatename, context, doctree):
    context["has_description"] = 'name="description"' in context.get("metatags", "")

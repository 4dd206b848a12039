"""Where the examples are, and where sphinx-gallery puts what it makes of them."""

from pathlib import Path


def scripts(app):
    """Return the folder of the examples, with a folder for each chapter."""
    return Path(app.confdir).parent / "gallery"


def generated(app):
    """Return the folder, among the sources of the site, of what is made of them."""
    return Path(app.confdir, "gallery")

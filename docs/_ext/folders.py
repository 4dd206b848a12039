"""Where the examples are, and where sphinx-gallery puts what it makes of them."""

from pathlib import Path


def scripts(app):
    """Return the folder of the examples, with a folder for each chapter."""
    return Path(app.confdir).parent / "gallery"


def made(app):
    """Return the folder, among the sources of the site, of all that is generated."""
    return Path(app.confdir, "gallery")

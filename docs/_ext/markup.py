"""Change the markup of furo and Sphinx in templates, or fail.

``| swap(old, new)`` in a template replaces text as `replace` does. A later furo may
write its markup in another way: what has found nothing on any page fails the build.
"""

from collections import Counter

from sphinx.errors import ExtensionError


def setup(app):
    """Add the filter when there are templates, and look at what it found at the end."""
    app.connect("builder-inited", add_filter)
    app.connect("build-finished", check, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": False}


def add_filter(app):
    app.swaps = Counter()

    def swap(html, old, new):
        """Replace text in a page."""
        app.swaps[old] += html.count(old)
        return html.replace(old, new)

    templates = getattr(app.builder, "templates", None)
    if templates is not None:
        templates.environment.filters["swap"] = swap


def check(app, exception):
    """Name what no page had."""
    missing = [old for old, found in app.swaps.items() if not found]
    if missing and not exception:
        raise ExtensionError(f"no page has this markup, to be replaced: {missing}")

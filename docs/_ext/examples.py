"""Put the pages that use a function under its documentation."""


def setup(app):
    """Connect to autodoc."""
    app.connect("autodoc-process-docstring", append_examples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def append_examples(app, what, name, obj, options, lines):
    """Append a mini gallery to the docstring of each function and class."""
    if what in ("function", "class"):
        lines += ["", f".. minigallery:: {name}", "   :add-heading: Pages that use it"]
        lines += ["   :heading-level: ^", ""]

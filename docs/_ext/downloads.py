"""Make the downloads the same in every build: no times, no version of Python."""

import json
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import folders

LONG_AGO = (1980, 1, 1, 0, 0, 0)


def setup(app):
    """Rewrite the notebooks and zips when sphinx-gallery has made them."""
    app.connect("builder-inited", rewrite, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def rewrite(app):
    for path in sorted(folders.made(app).glob("*/*.ipynb")):
        notebook = json.loads(path.read_text("utf-8"))
        if notebook["metadata"]["language_info"].pop("version", None):
            path.write_text(json.dumps(notebook, indent=1), "utf-8", newline="\n")
            rewrite_zip(path.with_suffix(".zip"), path)


def rewrite_zip(path, notebook):
    """Put the notebook as it is now into a zip, and take the times out."""
    with ZipFile(path) as made:
        content = {entry.filename: made.read(entry) for entry in made.infolist()}
    with ZipFile(path, "w", ZIP_DEFLATED) as rewritten:
        for name in content:
            data = notebook.read_bytes() if name == notebook.name else content[name]
            rewritten.writestr(ZipInfo(name, LONG_AGO), data, ZIP_DEFLATED)

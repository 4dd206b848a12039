"""Make the downloads run anywhere, and the same in every build.

The library is hosted beside the pages, as a wheel. Scripts name it in a block of inline
metadata, which `uv run` and `pipx run` read (PEP 723); the first cell of a notebook
installs it where it is missing. Where the site has no address yet, that of
`nox -s serve` stands for it.
"""

import contextlib
import json
import tomllib
from pathlib import Path
from urllib.parse import urljoin
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hatchling import build
from sphinx_gallery.notebook import add_code_cell

from publish import LIBRARY

SERVED_HERE = "http://localhost:8000/"
LONG_AGO = (1980, 1, 1, 0, 0, 0)

BLOCK = """\
# /// script
# requires-python = "{python}"
# dependencies = ["{library}"]
# ///
"""

FIRST_CELL = """
# What this notebook needs, where it is missing.
from importlib.util import find_spec

if find_spec("cnnviz") is None:
    %pip install -q "{library}"
"""


def setup(app):
    """Rewrite the downloads when Sphinx has put them into the site."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def finish(app, exception):
    site = Path(app.outdir)
    if exception or app.builder.format != "html":
        return
    wheel = build_wheel(site / "dist").relative_to(site).as_posix()
    address = urljoin(app.config.html_baseurl or SERVED_HERE, wheel)
    project = tomllib.loads((LIBRARY.parent / "pyproject.toml").read_text("utf-8"))
    needed = {
        "library": f"cnnviz @ {address}",
        "python": project["project"]["requires-python"],
    }
    rewritten = {}
    for suffix, rewrite in ((".py", script), (".ipynb", notebook)):
        for path in sorted(site.glob(f"_downloads/*/*{suffix}")):
            text = rewrite(path.read_text("utf-8"), needed)
            path.write_text(text, "utf-8", newline="\n")
            rewritten[path.name] = text
    for path in sorted(site.glob("_downloads/*/*.zip")):
        with ZipFile(path) as made:
            names = made.namelist()
        write_zip(path, {name: rewritten[name] for name in names})


def build_wheel(folder):
    """Build the wheel of the library that the pages ran with."""
    folder.mkdir()
    with contextlib.chdir(LIBRARY.parent):
        return folder / build.build_wheel(str(folder))


def script(text, needed):
    """Put what a script needs above it."""
    return BLOCK.format(**needed) + text


def notebook(text, needed):
    """Install what a notebook needs in its first cell; drop the version of Python."""
    content = json.loads(text)
    content["metadata"]["language_info"].pop("version", None)
    add_code_cell(content, FIRST_CELL.format(**needed))
    content["cells"].insert(0, content["cells"].pop())
    return json.dumps(content, indent=1)


def write_zip(path, texts):
    """Write a zip without times."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(ZipInfo(name, LONG_AGO), text, ZIP_DEFLATED)

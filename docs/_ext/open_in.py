"""Links that open a page's notebook in Colab and Binder.

Both read notebooks from a repository on GitHub; the site's own are on the branch that
it is published from. So the links appear when `repository` is set, and not otherwise.
"""

import re
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.errors import ConfigError

BRANCH = "gh-pages"
COLAB = "https://colab.research.google.com/github/{repository}/blob/{branch}/{path}"
BINDER = "https://mybinder.org/v2/gh/{repository}/{branch}?labpath={quoted}"


def setup(app):
    """Add the links to pages that have a notebook."""
    app.add_config_value("repository", "", "html", (str,))
    app.connect("config-inited", check)
    app.connect("doctree-resolved", add_links)
    app.connect("build-finished", describe_to_binder, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def check(app, config):
    if config.repository and not name_of(config.repository):
        raise ConfigError(
            "repository (CNNVIZ_REPOSITORY) must be https://github.com/OWNER/NAME, "
            f"not {config.repository!r}"
        )


def name_of(address):
    """Return the owner and name of a repository on GitHub."""
    pattern = r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?"
    found = re.fullmatch(pattern, address)
    return found and found[1]


def add_links(app, doctree, docname):
    if not app.config.repository:
        return
    for download in list(doctree.findall(download_reference)):
        if download.get("filename", "").endswith(".ipynb"):
            path = f"_downloads/{download['filename']}"
            footer = download.parent.parent
            links = nodes.paragraph("", "", *opening(app.config.repository, path))
            classes = ["sphx-glr-download", "open-in"]
            box = nodes.container("", links, classes=classes)
            footer.parent.insert(footer.parent.index(footer) + 1, box)


def opening(repository, path):
    """Yield the links to what opens a notebook of the published site."""
    place = {"repository": name_of(repository), "branch": BRANCH, "path": path}
    for name, address in (("Colab", COLAB), ("Binder", BINDER)):
        url = address.format(**place, quoted=quote(path, safe=""))
        yield nodes.reference("", f"Open in {name}", refuri=url)
        yield nodes.Text(" ")


def describe_to_binder(app, exception):
    """Say what Binder installs when it opens the branch that holds the site."""
    if exception or not app.config.repository:
        return
    site = Path(app.outdir)
    (wheel,) = site.glob("dist/*.whl")
    folder = site / "binder"
    folder.mkdir()
    needed = wheel.relative_to(site).as_posix()
    (folder / "requirements.txt").write_text(f"{needed}\n", "utf-8")
    (folder / "runtime.txt").write_text("python-3.12\n", "utf-8")

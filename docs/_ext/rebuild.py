"""Run an example again when anything it was made from has changed.

sphinx-gallery looks at the script alone. Here an example's inputs are its script, the
modules of the library that it imports (and those that they import), the data, the
code that saves figures, and the versions of the packages. When they differ from those
of its last complete run, or part of what that run made is missing, the example's md5 is
removed, and sphinx-gallery runs it. After a build that was killed or failed, all pages
are read and written again, so that nothing half done is kept.
"""

import ast
import hashlib
import json
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

from sphinx.util import logging

import cnnviz

logger = logging.getLogger(__name__)

LIBRARY = Path(cnnviz.__file__).parent
OWN_PAGES = ("404", "genindex", "search")
PACKAGES = ("matplotlib", "numpy", "opencv-python-headless", "pillow")
PACKAGES += ("sphinx-gallery", "torch", "torchvision")


def setup(app):
    """Enclose sphinx-gallery's run at the start of a build, and the build itself."""
    start_build(app)
    app.connect("builder-inited", forget_stale, priority=100)
    app.connect("builder-inited", record_complete, priority=900)
    app.connect("build-finished", finish_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def unfinished(app):
    return Path(app.doctreedir, "unfinished")


def start_build(app):
    """Mark the build as begun; if the one before never ended, read all pages anew."""
    marker = unfinished(app)
    if marker.exists():
        logger.info("the last build did not succeed: reading all pages again")
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def finish_build(app, exception):
    """After a success, remove pages that are no more; without a warning, unmark it."""
    if exception is None:
        remove_strays(app)
        if app._warncount == 0:
            unfinished(app).unlink(missing_ok=True)


def remove_strays(app):
    """Remove pages that an earlier build made of documents that are gone."""
    site = Path(app.outdir)
    made = {f"{name}.html" for name in (*app.env.found_docs, *OWN_PAGES)}
    for page in site.rglob("*.html"):
        if page.relative_to(site).as_posix() not in made:
            page.unlink()


def forget_stale(app):
    """Make sphinx-gallery run every example whose inputs or outputs changed."""
    recorded = read_record(app)
    app.gallery_inputs = {}
    stale = []
    for script, target in find_scripts(app):
        inputs = fingerprint(script)
        app.gallery_inputs[target] = inputs
        if recorded.get(key(target)) != inputs or damaged(target):
            md5(target).unlink(missing_ok=True)
            stale.append(script.stem)
    logger.info(
        "examples to run: %s",
        ", ".join(stale) or "none, nothing they are made from has changed",
    )


def record_complete(app):
    """Remember what each example that ran to its end was made from."""
    complete = {
        key(target): inputs
        for target, inputs in app.gallery_inputs.items()
        if md5(target).exists()
    }
    record(app).write_text(json.dumps(complete, indent=1))


def record(app):
    return Path(app.doctreedir, "gallery-inputs.json")


def read_record(app):
    try:
        return json.loads(record(app).read_text())
    except (OSError, ValueError):
        return {}


def find_scripts(app):
    """Yield each example and the place of its copy in the source folder."""
    conf = app.config.sphinx_gallery_conf
    examples = Path(app.srcdir, conf["examples_dirs"]).resolve()
    for script in sorted(examples.glob("*/*.py")):
        yield (
            script,
            Path(app.srcdir, conf["gallery_dirs"], script.relative_to(examples)),
        )


def md5(target):
    return target.with_name(target.name + ".md5")


def key(target):
    return f"{target.parent.name}/{target.name}"


def damaged(target):
    """Whether a file that the last run should have made is missing or empty."""
    page = target.with_suffix(".rst")
    made = [page, target, target.with_suffix(".ipynb"), target.with_suffix(".zip")]
    thumbnails = target.parent / "images" / "thumb"
    made += [next(thumbnails.glob(f"sphx_glr_{target.stem}_thumb.*"), thumbnails / "-")]
    if page.exists():
        shown = re.findall(r"^\.\. figure:: /(.+)$", page.read_text("utf-8"), re.M)
        made += [target.parents[2] / path for path in shown]
    return any(not path.exists() or path.stat().st_size == 0 for path in made)


def fingerprint(script):
    """Return a hash of all that an example is made from."""
    digest = hashlib.sha256(common_inputs())
    for path in (script, *sorted(library_modules(script))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def common_inputs():
    """Return a hash of what every example is made from."""
    digest = hashlib.sha256(Path(__file__).with_name("figures.py").read_bytes())
    for path in sorted((LIBRARY / "data").rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    for package in PACKAGES:
        digest.update(version(package).encode())
    return digest.digest()


def library_modules(script):
    """Return the files of the library that a script imports, directly or not."""
    found = set()
    waiting = [script]
    while waiting:
        for module in imported_modules(waiting.pop()):
            if module not in found:
                found.add(module)
                waiting.append(module)
    return found


def imported_modules(path):
    """Yield the files of the library that one file names in its imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "cnnviz":
                base = LIBRARY.joinpath(*parts[1:])
                for file in (base.with_suffix(".py"), base / "__init__.py"):
                    if file.is_file():
                        yield file

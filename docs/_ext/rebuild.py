"""Run an example again when anything it was made from has changed.

sphinx-gallery looks at the script alone. Here an example's inputs are its script, the
modules of the library that it imports (and those that they import), the data, the
code that saves figures, and the versions of the packages. When they differ from those of
the last build, or when part of what that build made is missing, the example's md5 is
removed, and sphinx-gallery runs it.
"""

import ast
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from sphinx.util import logging

import cnnviz

logger = logging.getLogger(__name__)

LIBRARY = Path(cnnviz.__file__).parent
PACKAGES = ("matplotlib", "numpy", "opencv-python-headless", "pillow")
PACKAGES += ("sphinx-gallery", "torch", "torchvision")


def setup(app):
    """Compare before sphinx-gallery starts, record after a build that succeeded."""
    app.connect("builder-inited", forget_stale, priority=100)
    app.connect("build-finished", record)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def forget_stale(app):
    """Make sphinx-gallery run every example whose inputs or outputs changed."""
    recorded = read_record(app)
    scripts = list(find_scripts(app))
    stale = []
    for script, target in scripts:
        if recorded.get(key(script)) != fingerprint(app, script) or damaged(target):
            target.with_name(target.name + ".md5").unlink(missing_ok=True)
            stale.append(script.stem)
    if stale:
        logger.info("examples to run: %d of %d", len(stale), len(scripts))
    else:
        logger.info("examples to run: none, nothing they are made from has changed")


def record(app, exception):
    """Remember what the examples were made from; after a failure, nothing."""
    if exception is None:
        made = {key(script): fingerprint(app, script) for script, _ in find_scripts(app)}
        record_path(app).write_text(json.dumps(made, indent=1))


def record_path(app):
    return Path(app.doctreedir) / "gallery-inputs.json"


def read_record(app):
    try:
        return json.loads(record_path(app).read_text())
    except (OSError, ValueError):
        return {}


def find_scripts(app):
    """Yield each example and the place of its copy in the source folder."""
    conf = app.config.sphinx_gallery_conf
    examples = Path(app.srcdir, conf["examples_dirs"]).resolve()
    for script in sorted(examples.glob("*/*.py")):
        yield script, Path(app.srcdir, conf["gallery_dirs"], script.relative_to(examples))


def key(script):
    return f"{script.parent.name}/{script.name}"


def damaged(target):
    """Whether a file that the last run should have made is missing or empty."""
    images = target.parent / "images"
    thumbnail = f"thumb/sphx_glr_{target.stem}_thumb.png"
    made = [target.with_suffix(suffix) for suffix in (".rst", ".ipynb", ".zip")]
    made += [target, images / thumbnail]
    return any(not path.exists() or path.stat().st_size == 0 for path in made)


def fingerprint(app, script):
    """Return a hash of all that an example is made from."""
    digest = hashlib.sha256(script.read_bytes())
    for module in sorted(library_modules(script)):
        digest.update(module.read_bytes())
    data = [path for path in (LIBRARY / "data").rglob("*") if path.is_file()]
    for path in [*sorted(data), Path(__file__).with_name("figures.py")]:
        digest.update(path.read_bytes())
    for package in PACKAGES:
        digest.update(version(package).encode())
    return digest.hexdigest()


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

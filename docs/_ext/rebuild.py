"""Run an example again when anything it was made from has changed.

sphinx-gallery looks at the script alone. Here an example's inputs are its script, the
modules of the library that it imports (and those that they import) with the files
beside them, the data, the code that saves figures, the settings, and the versions of
the packages. When they differ from those of its last complete run, or what that run
made is not there as it was, all of that is removed, and sphinx-gallery runs it again.
"""

import ast
import hashlib
import os
import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from sphinx.util import logging

import folders
from publish import LIBRARY, files, hashes, read_json, sha256, write_json

logger = logging.getLogger(__name__)

EXTENSIONS = [
    Path(__file__).with_name(f"{name}.py") for name in ("figures", "live", "narrow")
]
PACKAGES = ("contourpy", "matplotlib", "numpy", "opencv-python-headless", "pillow")
PACKAGES += ("sphinx-gallery", "torch", "torchvision")
VARIABLES = ("OMP_NUM_THREADS", "TQDM_DISABLE")


def setup(app):
    """Enclose sphinx-gallery's run at the start of a build."""
    app.connect("config-inited", hash_settings, priority=1)
    app.connect("builder-inited", forget_stale, priority=100)
    app.connect("builder-inited", record_complete, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def hash_settings(app, config):
    """Hash what all examples are made from, before sphinx-gallery adds defaults."""
    settings = dict(config.sphinx_gallery_conf)
    settings.pop("parallel", None)
    variables = [os.environ.get(name) for name in VARIABLES]
    versions = [python_version(), *map(version, PACKAGES)]
    data = hashes(LIBRARY / "data")
    described = (sorted(settings.items()), variables, versions, data)
    described += tuple(map(sha256, EXTENSIONS))
    app.common_inputs = repr(described).encode()


def forget_stale(app):
    """Make sphinx-gallery run every example whose inputs or outputs changed."""
    found = dict(find_scripts(app))
    remove_orphans(app, found)
    recorded = read_json(record(app))
    app.gallery_inputs = {
        target: fingerprint(app, script) for target, script in found.items()
    }
    stale = []
    for target, inputs in app.gallery_inputs.items():
        complete = {"inputs": inputs, "made": made_by(target)}
        if recorded.get(key(target)) != complete or not md5(target).exists():
            recorded.pop(key(target), None)
            remove_made(target)
            stale.append(target.stem)
    # From here on, what a killed build leaves of these counts for nothing.
    write_json(record(app), recorded)
    if len(stale) < 2:
        app.config.sphinx_gallery_conf["parallel"] = False
    logger.info(
        "examples to run: %s",
        ", ".join(stale) or "none, nothing they are made from has changed",
    )


def record_complete(app):
    """Remember what each example that ran to its end was made from, and what it made.

    An example that fails has no md5.
    """
    complete = {
        key(target): {"inputs": inputs, "made": made_by(target)}
        for target, inputs in app.gallery_inputs.items()
        if md5(target).exists()
    }
    write_json(record(app), complete)


def record(app):
    return Path(app.doctreedir, "gallery.json")


def find_scripts(app):
    """Yield the place of each example among the sources of the site, and itself."""
    examples = folders.scripts(app)
    for script in sorted(examples.glob("*/*.py")):
        yield folders.made(app) / script.relative_to(examples), script


def remove_orphans(app, found):
    """Remove what was made from examples that are gone, and which page uses what."""
    for chapter in folders.made(app).glob("*/index.rst"):
        if not Path(folders.scripts(app), chapter.parent.name).is_dir():
            shutil.rmtree(chapter.parent)
    for target in folders.made(app).glob("*/*.py"):
        if target not in found:
            remove_made(target)
    for path in folders.made(app).glob("backreferences/*"):
        path.unlink()


def md5(target):
    return target.with_name(target.name + ".md5")


def key(target):
    return f"{target.parent.name}/{target.name}"


def made_from(target):
    """Return the files that an example's run made."""
    folder, name = target.parent, target.stem
    patterns = (f"{name}.*", f"images/sphx_glr_{name}_*", f"images/thumb/*{name}_*")
    patterns += (f"live/{name}_*",)
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(paths - {md5(target)})


def remove_made(target):
    """Remove all that an example's run made, so that nothing old is taken for new."""
    for path in [md5(target), *made_from(target)]:
        path.unlink(missing_ok=True)


def made_by(target):
    """Return the hashes of what an example's run made."""
    return [sha256(path) for path in made_from(target)]


def fingerprint(app, script):
    """Return a hash of all that an example is made from."""
    digest = hashlib.sha256(app.common_inputs)
    for path in (script, *sorted(library_files(script))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def library_files(script):
    """Return the files of the library that a script uses, directly or not."""
    found = set()
    waiting = [script]
    while waiting:
        for path in uses(waiting.pop()):
            if path not in found:
                found.add(path)
                if path.suffix == ".py":
                    waiting.append(path)
    return found


@cache
def uses(path):
    """Return the files of the library that one file names in its imports.

    A subpackage's other files belong to its modules. Where the library is imported
    under its own name, any module may be meant, since they load when they are used.
    """
    found = set()
    for name in imported(path):
        if name == "cnnviz.*":
            return set(files(LIBRARY)).difference(files(LIBRARY / "data"))
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            base = LIBRARY.joinpath(*parts[1:end])
            found |= {base.with_suffix(".py"), base / "__init__.py"}
    found = {path for path in found if path.is_file()}
    for folder in {path.parent for path in found} - {LIBRARY}:
        found |= {path for path in files(folder) if path.suffix != ".py"}
    return found


def imported(path):
    """Yield the dotted names that a file imports from the library."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # running it tells where
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "cnnviz":
                    whole = alias.asname is None or alias.name == "cnnviz"
                    yield "cnnviz.*" if whole else alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                inside = path.parents[node.level - 1].relative_to(LIBRARY.parent)
                module = ".".join([*inside.parts, *filter(None, [module])])
            if module.split(".")[0] == "cnnviz":
                yield from (f"{module}.{alias.name}" for alias in node.names)

"""Run an example again when anything it was made from has changed.

sphinx-gallery looks at the script alone. Here an example's inputs are its script, the
modules of the library whose names it uses (and those that they use) with the files
beside them, the data, the code that saves figures, the settings, and the versions of
the packages. When they differ from those of its last complete run, or its outputs are
not there as they were, all of these are removed, and sphinx-gallery runs it again.
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

import _folders
from _records import files, hashes, read_json, sha256, write_json
from publish import LIBRARY

logger = logging.getLogger(__name__)

EXTENSIONS = [
    Path(__file__).with_name(f"{name}.py")
    for name in ("_narrow", "cards", "figures", "live")
]
PACKAGES = ("contourpy", "matplotlib", "numpy", "opencv-python-headless", "pillow")
PACKAGES += ("sphinx-gallery", "torch", "torchvision")
VARIABLES = ("OMP_NUM_THREADS", "TQDM_DISABLE")
EVERYTHING, NOTHING = None, frozenset()


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
        complete = {"inputs": inputs, "outputs": output_hashes(target)}
        if recorded.get(key(target)) != complete or not md5(target).exists():
            recorded.pop(key(target), None)
            remove_outputs(target)
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
    """Remember the inputs and outputs of each example that ran to its end.

    An example that fails has no md5.
    """
    complete = {
        key(target): {"inputs": inputs, "outputs": output_hashes(target)}
        for target, inputs in app.gallery_inputs.items()
        if md5(target).exists()
    }
    write_json(record(app), complete)


def record(app):
    return Path(app.doctreedir, "gallery.json")


def find_scripts(app):
    """Yield the place of each example among the sources of the site, and itself."""
    examples = _folders.scripts(app)
    for script in sorted(examples.glob("*/*.py")):
        yield _folders.generated(app) / script.relative_to(examples), script


def remove_orphans(app, found):
    """Remove what was made from examples that are gone, and which page uses what."""
    for chapter in _folders.generated(app).glob("*/index.rst"):
        if not Path(_folders.scripts(app), chapter.parent.name).is_dir():
            shutil.rmtree(chapter.parent)
    for target in _folders.generated(app).glob("*/*.py"):
        if target not in found:
            remove_outputs(target)
    for path in _folders.generated(app).glob("backreferences/*"):
        path.unlink()


def md5(target):
    return target.with_name(target.name + ".md5")


def key(target):
    return f"{target.parent.name}/{target.name}"


def outputs_of(target):
    """Return the files that an example's run made."""
    folder, name = target.parent, target.stem
    patterns = (f"{name}.*", f"images/sphx_glr_{name}_*", f"images/thumb/*{name}*")
    patterns += (f"live/{name}_*",)
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(paths - {md5(target)})


def remove_outputs(target):
    """Remove all that an example's run made, so that nothing old is taken for new."""
    for path in [md5(target), *outputs_of(target)]:
        path.unlink(missing_ok=True)


def output_hashes(target):
    """Return the hashes of what an example's run made."""
    return [sha256(path) for path in outputs_of(target)]


def fingerprint(app, script):
    """Return a hash of all that an example is made from."""
    digest = hashlib.sha256(app.common_inputs)
    for path in (script, *sorted(library_files(script))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def library_files(script):
    """Return the files of the library that a script uses, directly or not.

    The other files of a subpackage belong to its modules.
    """
    uses, waiting = set(), [(script, EVERYTHING)]
    while waiting:
        for use in uses_of(*waiting.pop()) - uses:
            uses.add(use)
            waiting.append(use)
    found = {path for path, _ in uses}
    for folder in {path.parent for path in found} - {LIBRARY}:
        found |= {path for path in files(folder) if path.suffix != ".py"}
    return found


@cache
def uses_of(path, names):
    """Return what these names in a file stand for: files, each with names in it.

    Of a package that hands names on, only what is asked for counts. Where the library
    is imported under its own name, any module may be meant, since they load when they
    are used.
    """
    imports = [] if path.suffix != ".py" else list(imports_of(path))
    if names != EVERYTHING and names <= {bound for *_, bound in imports}:
        imports = [each for each in imports if each[-1] in names]
    uses = set()
    for module, name, bound in imports:
        if module == "cnnviz" and name is None:
            library = set(files(LIBRARY)).difference(files(LIBRARY / "data"))
            return {(file, EVERYTHING) for file in library}
        uses |= files_of(module, name, attributes_of(path, bound))
    return uses


def files_of(module, name, attributes):
    """Return the files behind ``from module import name``, with names used there."""
    *above, last = [*module.split("."), *([name] if name else [])][1:]
    folder = LIBRARY.joinpath(*above)
    uses = {(parent / "__init__.py", NOTHING) for parent in (folder, *folder.parents)}
    for file in (folder / last / "__init__.py", folder / f"{last}.py"):
        if file.is_file():
            whole = file.name != "__init__.py"
            uses.add((file, EVERYTHING if whole else attributes))
            break
    else:
        uses |= {(folder / "__init__.py", frozenset([last]))}
        uses |= {(folder.with_suffix(".py"), EVERYTHING)}
    return {(file, names) for file, names in uses if is_of_library(file)}


def is_of_library(file):
    return file.is_file() and file.is_relative_to(LIBRARY)


def imports_of(path):
    """Yield what a file imports from the library: module, name in it, name here."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "cnnviz":
                    whole = alias.asname is None
                    yield "cnnviz" if whole else alias.name, None, alias.asname
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                inside = path.parents[node.level - 1].relative_to(LIBRARY.parent)
                module = ".".join([*inside.parts, *filter(None, [module])])
            if module.split(".")[0] == "cnnviz":
                for alias in node.names:
                    yield module, alias.name, alias.asname or alias.name


def attributes_of(path, bound):
    """Return the attributes of a module that a file names, or `EVERYTHING`."""
    tree = parse(path)
    owners = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if any(node.id == bound for node in set(used).difference(owners)):
        return EVERYTHING
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == bound
    )


@cache
def parse(path):
    """Return the syntax of a file, of nothing where it has errors: running it tells."""
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError:
        return ast.parse("")

"""Build only if something has changed, and publish only what is whole.

Everything that a site is made from is hashed. If neither that nor what was made has
changed since the last build, Sphinx stops at once. If anything has, all pages are read
and written anew, into a folder aside, and moved to the site when all went well. So a
site never depends on what was built before, and neither an error, nor a killed build,
nor a full disk leaves part of a page in it. What takes long, running the examples,
stays incremental: see `rebuild`.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from sphinx.util import logging

import _folders
import cnnviz
from _records import files, hashes, read_json, sha256, write_json

logger = logging.getLogger(__name__)

LIBRARY = Path(cnnviz.__file__).parent
FORCED = {"-a", "--write-all", "-E", "--fresh-env"}
VARIABLES = ("CNNVIZ_SITE_URL", "CNNVIZ_REPOSITORY", "OMP_NUM_THREADS")
VARIABLES += ("SOURCE_DATE_EPOCH",)
PACKAGE = ("pyproject.toml", "README.md", "LICENSE")


def setup(app):
    """Stop if nothing has changed, else let Sphinx build everything, aside."""
    inputs = inputs_of(app)
    now = {"inputs": inputs, "outputs": outputs_of(app)}
    if FORCED.isdisjoint(sys.argv) and read_json(record(app)) == now:
        logger.info("nothing has changed since the last build")
        raise SystemExit(0)
    Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)
    site = app.outdir
    app.outdir = type(site)(app.doctreedir / "site")
    shutil.rmtree(app.outdir, ignore_errors=True)

    def publish(app, exception):
        failed = exception or (app._warncount and app._fail_on_warnings)
        aside, app.outdir = Path(app.outdir), site
        if failed:
            return
        replace_site(app, aside)
        # After a warning, the next build does it all again, to warn again.
        if not app._warncount:
            now = {"inputs": inputs, "outputs": outputs_of(app)}
            write_json(record(app), now)

    app.connect("build-finished", publish, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def replace_site(app, aside):
    """Move the new files to the site, and remove those that earlier builds put there.

    Only those: the folder may hold files that are not ours.
    """
    site = Path(app.outdir)
    Path(aside, ".buildinfo").unlink(missing_ok=True)
    new = {path.relative_to(aside).as_posix() for path in files(aside)}
    old = set(read_json(listing(app), []))
    write_json(listing(app), sorted(old | new))
    for name in sorted(new):
        Path(site, name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside / name, site / name)
    for name in old - new:
        Path(site, name).unlink(missing_ok=True)
    write_json(listing(app), sorted(new))
    shutil.rmtree(aside)


def listing(app):
    return Path(app.doctreedir, "site.json")


def record(app):
    return Path(app.doctreedir, "built.json")


def outputs_of(app):
    """Return the hashes of the generated gallery and of the published site."""
    site = {
        name: sha256(Path(app.outdir, name)) for name in read_json(listing(app), [])
    }
    return [hashes(_folders.generated(app)), site]


def inputs_of(app):
    """Return a hash of all that the site is made from."""
    outputs = (_folders.generated(app), app.outdir, app.doctreedir)
    sources = [
        hashes(folder, without=outputs)
        for folder in (Path(app.confdir), _folders.scripts(app), LIBRARY)
    ]
    packages = {path.name for entry in sys.path for path in Path(entry).glob("*-info")}
    variables = {name: os.environ.get(name) for name in VARIABLES}
    package = [sha256(LIBRARY.parent / name) for name in PACKAGE]
    described = (sys.argv[1:], sys.version, variables, sorted(packages))
    described += (sources, package)
    return hashlib.sha256(repr(described).encode()).hexdigest()

"""Downloads: what the site offers runs in an empty folder, in each way it may be run.

The site is served on loopback, under an address of its own, and everything is fetched
from it. No package index is asked: wheels with nothing in them stand for the packages
that `cnnviz` depends on, and the environments made here find the installed ones.
"""

import json
import os
import re
import sys
import sysconfig
import venv
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PathDistribution, version
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen
from zipfile import Path as ZipPath
from zipfile import ZipFile

import nbformat
import pytest
from packaging.requirements import Requirement

import cnnviz
from hosting import run

SCRIPTS = sorted((Path(__file__).parents[2] / "gallery").glob("*/*.py"))
INSTALLED = sysconfig.get_path("purelib")


@pytest.fixture(scope="session")
def downloads(hosted_site):
    """Return the downloads by name, as the pages link to them."""
    address, _ = hosted_site
    found = {}
    for script in SCRIPTS:
        page = f"{address}gallery/{script.parent.name}/{script.stem}.html"
        with urlopen(page) as answer:
            links = re.findall(
                r'href="((?:\.\./)+_downloads/[^"]*)"', answer.read().decode()
            )
        for link in links:
            with urlopen(urljoin(page, link)) as answer:
                found[link.split("/")[-1]] = answer.read()
    assert len(found) == 3 * len(SCRIPTS)
    return found


def block(script):
    """Return what a script says of itself, read as the standard does (PEP 723)."""
    pattern = r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
    (found,) = re.finditer(pattern, script)
    lines = found["content"].splitlines()
    return "\n".join(line.removeprefix("#").strip() for line in lines)


@pytest.fixture(scope="session")
def wheel(downloads, tmp_path_factory):
    """Fetch the wheel that all scripts name."""
    blocks = {block(downloads[script.name].decode()) for script in SCRIPTS}
    (said,) = blocks
    (needed,) = re.findall(r'dependencies = \["(.*)"\]', said)
    address = Requirement(needed).url
    path = tmp_path_factory.mktemp("wheel") / address.split("/")[-1]
    with urlopen(address) as answer:
        path.write_bytes(answer.read())
    return path


@pytest.fixture(scope="session")
def environment(wheel, cache, tmp_path_factory):
    """Return variables under which installers ask nobody but the site."""
    folder = tmp_path_factory.mktemp("packages")
    ours = {name for name in os.environ if name.startswith(("PIP_", "PYTHON", "UV_"))}
    (metadata,) = (
        path for path in ZipPath(wheel).iterdir() if path.name.endswith(".dist-info")
    )
    for requirement in map(Requirement, PathDistribution(metadata).requires):
        write_empty_wheel(folder, requirement.name)
    settings = folder / "uv.toml"
    settings.write_text(f"no-index = true\nfind-links = [{json.dumps(str(folder))}]\n")
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        **{"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        **{"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)},
        **{"UV_CONFIG_FILE": str(settings)},
        **{"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"},
        **{"UV_CACHE_DIR": str(folder / "uv"), "PIPX_HOME": str(folder / "pipx")},
        **{
            "PIPX_DEFAULT_PYTHON": sys.executable,
            "IPYTHONDIR": str(folder / "ipython"),
        },
    }


def write_empty_wheel(folder, name):
    """Write a wheel that adds the installed packages to where it is installed."""
    base = f"{name.replace('-', '_')}-{version(name)}"
    files = {
        "installed.pth": INSTALLED,
        f"{base}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\n"
        f"Version: {version(name)}\n",
        f"{base}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{base}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in files)
    with ZipFile(folder / f"{base}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture(scope="session")
def installed(wheel, environment, tmp_path_factory):
    """Make an environment with the wheel installed; return its Python."""
    return make_environment(tmp_path_factory.mktemp("installed"), environment, wheel)


def make_environment(folder, environment, *packages):
    """Make an environment that sees what is installed, pip too, but not cnnviz."""
    venv.create(folder)
    paths = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    Path(paths["purelib"], "installed.pth").write_text(INSTALLED)
    python = Path(paths["scripts"], "python")
    if packages:
        pip = (python, "-m", "pip", "install", "-q", "--no-deps", "--no-index")
        run(*pip, *packages, env=environment)
    return str(python)


def in_an_empty_folder(names, downloads, folder, act):
    """Run downloads alone, two at a time; nothing may be left beside them."""

    def alone(name):
        place = folder / name
        place.mkdir()
        (place / name).write_bytes(downloads[name])
        act(name, place)
        assert [path.name for path in place.iterdir()] == [name]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(alone, names))


def test_scripts_run_by_their_own_block_alone(downloads, environment, tmp_path):
    """One of each chapter, whose blocks are the same: `test_claims.py` runs all."""

    def uv_run(name, place):
        uv = (sys.executable, "-m", "uv", "run", "--quiet", name)
        run(*uv, cwd=place, env=environment)

    names = list({script.parent: script.name for script in SCRIPTS}.values())
    in_an_empty_folder(names, downloads, tmp_path, uv_run)


@pytest.mark.parametrize("way", ["installed", "pipx run"])
def test_other_ways_to_run_a_script(way, request, downloads, environment, tmp_path):
    """Where the wheel is installed, and by pipx; `uv run` did so for all scripts."""
    if way == "installed":
        command = (request.getfixturevalue("installed"),)
    else:
        command = (sys.executable, "-m", "pipx", "run")

    def run_it(name, place):
        run(*command, name, cwd=place, env=environment)

    in_an_empty_folder([SCRIPTS[0].name], downloads, tmp_path, run_it)


def test_notebooks_run_and_install_what_they_need(downloads, environment, tmp_path):
    """The first one finds nothing installed, the others what the first one left."""
    python = make_environment(tmp_path / "environment", environment)
    missing = "import importlib.util as i; assert not i.find_spec('cnnviz')"
    run(python, "-c", missing, env=environment, cwd=tmp_path)
    jupyter = environment | {"JUPYTER_PATH": str(tmp_path / "jupyter")}
    del jupyter["MPLBACKEND"]  # kernels show figures in the notebook
    kernel = tmp_path / "jupyter" / "kernels" / "own" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    start = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": start, "display_name": "own"}))
    nbclient = (sys.executable, "-c", "import nbclient.cli as cli; cli.main()")

    def execute(name, place):
        run(*nbclient, "--kernel_name=own", "--inplace", name, cwd=place, env=jupyter)
        cells = nbformat.read(place / name, 4).cells
        assert "%pip install" in cells[0].source
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert any("image/png" in output.get("data", {}) for output in outputs)

    names = [f"{script.stem}.ipynb" for script in SCRIPTS]
    (tmp_path / "first").mkdir()
    in_an_empty_folder(names[:1], downloads, tmp_path / "first", execute)
    installed = f"import cnnviz; assert {str(tmp_path)!r} in cnnviz.__file__"
    run(python, "-c", installed, env=environment, cwd=tmp_path)
    in_an_empty_folder(names[1:], downloads, tmp_path, execute)


def test_a_zip_holds_the_script_and_the_notebook(downloads, tmp_path):
    for script in SCRIPTS:
        path = tmp_path / f"{script.stem}.zip"
        path.write_bytes(downloads[path.name])
        with ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        assert content == {
            name: downloads[name] for name in (script.name, f"{script.stem}.ipynb")
        }


def test_a_script_is_the_one_in_the_repository_under_its_block(downloads):
    for script in SCRIPTS:
        said, text = downloads[script.name].decode().split("# ///\n", 1)
        assert said.startswith("# /// script\n")
        assert text == script.read_text("utf-8")


def test_notebooks_are_valid_and_name_no_version_of_python(downloads):
    for script in SCRIPTS:
        content = json.loads(downloads[f"{script.stem}.ipynb"])
        assert "version" not in content["metadata"]["language_info"]
        nbformat.validate(content)


def test_the_wheel_holds_the_library_with_its_data_and_licences_alone(wheel):
    library = Path(cnnviz.__file__).parent
    with ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    ours = {
        path.relative_to(library.parent).as_posix(): path.read_bytes()
        for path in library.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name: held.pop(name) for name in ours} == ours
    described = f"cnnviz-{cnnviz.__version__}.dist-info"
    licences = ("LICENSE", "cnnviz/data/LICENSES.md")
    licences += ("cnnviz/data/LICENSE-APACHE-2.0.txt",)
    assert held.keys() == {
        *(f"{described}/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
        *(f"{described}/licenses/{name}" for name in licences),
    }

"""The site's rebuilding: what changed runs again, and nothing else does."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONF = """
import sys
sys.path.insert(0, {ext!r})
extensions = ["publish", "sphinx_gallery.gen_gallery"]
extensions += ["downloads", "pictures", "rebuild"]
project = "book"
exclude_patterns = ["_build"]
sphinx_gallery_conf = {{
    "examples_dirs": "../gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\\.py$",
    "image_scrapers": ("figures.scraper",),
    "write_computation_times": False,
    "download_all_examples": False,
    "min_reported_time": 10**9,
}}
"""

PACKAGE = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "cnnviz"
version = "1"
requires-python = ">=3.11"
"""

SCRIPT = '''"""
{title}
=====

A page.
"""

import matplotlib.pyplot as plt
from cnnviz.{module} import VALUE

figure, axes = plt.subplots()
axes.bar([0], [VALUE])
axes.set_title("one bar")
figure.suptitle("The bar is as high as the value.")
'''


@pytest.fixture(scope="session")
def built_book(tmp_path_factory):
    """Build two pages over a library of two modules, of which one imports the other."""
    tmp_path = tmp_path_factory.mktemp("book")
    library = tmp_path / "cnnviz"
    (library / "data").mkdir(parents=True)
    (library / "data" / "numbers").write_text("1")
    (library / "__init__.py").write_text("")
    (library / "first.py").write_text("VALUE = 1\n")
    (library / "second.py").write_text("from cnnviz.base import VALUE\n")
    (library / "base.py").write_text("VALUE = 2\n")
    (tmp_path / "pyproject.toml").write_text(PACKAGE)
    docs = tmp_path / "docs"
    docs.mkdir()
    ext = str(ROOT / "docs" / "_ext")
    (docs / "conf.py").write_text(CONF.format(ext=ext))
    (docs / "index.rst").write_text("Book\n====\n\n.. toctree::\n\n   gallery/index\n")
    chapter = tmp_path / "gallery" / "chapter"
    chapter.mkdir(parents=True)
    for folder in (chapter, chapter.parent):
        (folder / "GALLERY_HEADER.rst").write_text("Pages\n=====\n")
    for name in ("first", "second"):
        (chapter / f"{name}.py").write_text(SCRIPT.format(title="Title", module=name))
    done, ran = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert ran == {"first", "second"}
    return tmp_path


@pytest.fixture
def book(built_book, tmp_path):
    """A book of one's own, already built."""
    return shutil.copytree(built_book, tmp_path / "book")


def run_sphinx(book, *options, **environment):
    """Start a build of the book."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-T",
        *options,
        "docs",
        "docs/_build/html",
    ]
    environment = os.environ | {"PYTHONPATH": str(book)} | environment
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=book, env=environment, text=True, stdout=pipe, stderr=pipe
    )


def build(book, *options, **environment):
    """Build the book; return its exit code, what it said, and which pages ran."""
    started = run_sphinx(book, *options, **environment)
    stdout, stderr = started.communicate(timeout=1800)
    done = subprocess.CompletedProcess(started.args, started.returncode, stdout, stderr)
    said = re.findall("examples to run: (?!none)(.*)", stdout)
    return done, set(", ".join(said).split(", ")) - {""}


def site_of(book):
    """Return the bytes of each file of the site, by its path."""
    site = book / "docs" / "_build" / "html"
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file() and ".doctrees" not in path.parts
    }


def clean_site_of(book, tmp_path_factory):
    """Return what a first build of a copy of the book, elsewhere, gives."""
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    made = shutil.ignore_patterns("_build", "__pycache__")
    shutil.copytree(book, copy, ignore=made)
    shutil.rmtree(copy / "docs" / "gallery", ignore_errors=True)
    done, _ = build(copy, PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stderr
    return site_of(copy)


def picture(book, name):
    """Return the bytes of a page's figure as the site shows it."""
    return site_of(book)[f"_images/sphx_glr_{name}_001.webp"]


def script(book, name):
    return book / "gallery" / "chapter" / f"{name}.py"


def edit(path, old, new):
    """Replace text in a file, and make sure that it was there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_changed_runs_again_and_nothing_else(book):
    before = {name: picture(book, name) for name in ("first", "second")}

    done, ran = build(book)
    assert ran == set()
    assert "nothing has changed" in done.stdout
    assert "reading sources" not in done.stdout

    done, ran = build(book, "-E")
    assert ran == set()
    assert "reading sources" in done.stdout

    edit(script(book, "first"), "[0]", "[0, 1]")
    _, ran = build(book)
    assert ran == {"first"}
    assert picture(book, "first") != before["first"]

    edit(book / "cnnviz" / "base.py", "VALUE = 2", "VALUE = 5")
    before = {name: picture(book, name) for name in ("first", "second")}
    _, ran = build(book)
    assert ran == {"second"}
    assert picture(book, "second") != before["second"]
    assert picture(book, "first") == before["first"]


def test_what_all_pages_are_made_from(book):
    both = {"first", "second"}
    edit(book / "cnnviz" / "data" / "numbers", "1", "2")
    assert build(book)[1] == both

    edit(book / "docs" / "conf.py", '"book"', '"books"')
    assert build(book)[1] == set()
    assert b"books" in site_of(book)["index.html"]

    edit(
        book / "docs" / "conf.py", '_times": False', '_times": False, "show_memory": 0'
    )
    assert build(book)[1] == both

    (book / "numpy-99.dist-info").mkdir()
    (book / "numpy-99.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 99\n")
    assert build(book)[1] == both

    (book / "unused-1.dist-info").mkdir()
    done, ran = build(book)
    assert ran == set()
    assert "reading sources" in done.stdout


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("import cnnviz", "cnnviz.live.VALUE"),
        ("import cnnviz.first", "cnnviz.live.VALUE"),
        ("from cnnviz import live", "live.VALUE"),
        ("import cnnviz.live as shown", "shown.VALUE"),
        ("from cnnviz.live.page import VALUE", "VALUE"),
    ],
)
def test_however_a_page_imports_a_module(rebuild, book, statement, value):
    """The page's inputs are all files of the subpackage, and what it imports."""
    script(book, "first").write_text(f"{statement}\nprint({value})\n")
    used = rebuild.library_files(script(book, "first"))
    live = book / "cnnviz" / "live"
    assert {live / "__init__.py", live / "page.py", live / "js" / "page.js"} <= used
    assert {book / "cnnviz" / "__init__.py", book / "cnnviz" / "base.py"} <= used


def test_what_a_page_does_not_import_is_no_input_of_it(rebuild, book):
    used = rebuild.library_files(script(book, "second"))
    assert {path.name for path in used} == {"__init__.py", "second.py", "base.py"}


@pytest.mark.parametrize(
    ("statement", "used"),
    [
        ("from cnnviz.live import draw\ndraw()", {"page.py", "base.py"}),
        ("from cnnviz import live\nlive.draw()", {"page.py", "base.py"}),
        ("from cnnviz import live\nlive.sing()", {"song.py"}),
        ("import cnnviz.live as shown\nshown.own()", {"page.py", "song.py", "base.py"}),
        ("from cnnviz import live\nprint(live)", {"page.py", "song.py", "base.py"}),
        ("import cnnviz", {"page.py", "song.py", "base.py", "first.py", "second.py"}),
    ],
)
def test_of_a_package_only_the_names_that_are_used_count(
    rebuild, book, statement, used
):
    live = book / "cnnviz" / "live"
    (live / "__init__.py").write_text(
        "from .page import VALUE as draw\nfrom .song import sing\nown = sing\n"
    )
    (live / "song.py").write_text("sing = print\n")
    script(book, "first").write_text(f"{statement}\n")
    rebuild.uses_of.cache_clear()
    rebuild.parse.cache_clear()
    found = {path.name for path in rebuild.library_files(script(book, "first"))}
    assert found - {"__init__.py", "page.js"} == used


@pytest.fixture
def rebuild(book, monkeypatch):
    """The extension, for the book's library, to which a subpackage is added."""
    live = book / "cnnviz" / "live"
    (live / "js").mkdir(parents=True)
    (live / "__init__.py").write_text("from .page import VALUE\n")
    (live / "page.py").write_text("from ..base import VALUE\n")
    (live / "js" / "page.js").write_text("1\n")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    module = importlib.import_module("rebuild")
    monkeypatch.setattr(module, "LIBRARY", book / "cnnviz")
    module.uses_of.cache_clear()
    module.parse.cache_clear()
    return module


def test_what_was_lost_or_damaged_is_made_again(book):
    whole = site_of(book)
    made = book / "docs" / "gallery" / "chapter"
    (made / "second.rst").unlink()
    assert build(book)[1] == {"second"}
    (figure,) = made.glob("images/*first_001.webp")
    figure.write_bytes(figure.read_bytes()[:100])
    assert build(book)[1] == {"first"}
    shutil.rmtree(made / "images")
    assert build(book)[1] == {"first", "second"}
    assert site_of(book) == whole

    page = book / "docs" / "_build" / "html" / "gallery" / "chapter" / "first.html"
    page.write_text("half a pa")
    next(book.glob("docs/_build/html/_images/*first_001.webp")).unlink()
    assert build(book)[1] == set()
    assert site_of(book) == whole

    for record in book.glob("docs/_build/html/.doctrees/*.json"):
        record.write_bytes(record.read_bytes()[:50])
    assert build(book)[0].returncode == 0
    assert site_of(book) == whole


def test_the_site_does_not_depend_on_earlier_builds(book, tmp_path_factory):
    """Pages that are renamed or gone, fewer figures, another text, other functions."""
    note = book / "docs" / "_build" / "html" / "not-ours.txt"
    note.write_text("kept")
    chapter = book / "gallery" / "chapter"
    script(book, "second").rename(chapter / "third.py")
    edit(script(book, "first"), "figure.suptitle", "plt.close()  #")
    edit(script(book, "first"), "A page.", "About something else.")
    edit(book / "docs" / "index.rst", "Book\n====", "Pages\n=====\n\nHello.")
    done, ran = build(book)
    assert done.returncode == 0, done.stderr
    assert ran == {"first", "third"}
    assert note.exists()
    note.unlink()
    assert site_of(book) == clean_site_of(book, tmp_path_factory)


@pytest.mark.parametrize(
    "moment", ["generating gallery", "computation time", "writing output"]
)
def test_a_killed_build_is_repaired(book, tmp_path_factory, moment):
    """Also if what was changed is changed back."""
    whole = site_of(book)
    library = book / "cnnviz" / "base.py"
    edit(library, "2", "5")
    edit(script(book, "first"), "[VALUE]", "[2]")
    started = run_sphinx(book)
    for line in started.stdout:
        if moment in line:
            break
    started.kill()
    started.communicate()
    assert site_of(book) == whole
    edit(library, "5", "2")
    edit(script(book, "first"), "[2]", "[VALUE]")
    done, _ = build(book)
    assert done.returncode == 0, done.stderr
    assert site_of(book) == whole


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
@pytest.mark.parametrize("limit", [500, 8_000])
def test_a_full_disk_is_survived(book, limit):
    """A limit on the size of files stands for it: writing fails at several places."""
    whole = site_of(book)
    edit(book / "cnnviz" / "base.py", "2", "5")
    limited = "import resource, signal, runpy; "
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    limited += "runpy.run_module('sphinx', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", limited, "-W", "docs", "docs/_build/html"],
        **{"cwd": book, "env": os.environ | {"PYTHONPATH": str(book)}},
        **{"text": True, "capture_output": True, "timeout": 300},
    )
    assert done.returncode != 0
    assert site_of(book) == whole
    edit(book / "cnnviz" / "base.py", "5", "2")
    done, _ = build(book)
    assert done.returncode == 0, done.stderr
    assert site_of(book) == whole


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_small_disk_is_survived(built_book, mount, share):
    """A real one, on which this share of the new site has room."""
    disk = mount("size=64M")
    book = shutil.copytree(built_book, disk / "book")
    whole = site_of(book)
    edit(book / "cnnviz" / "base.py", "2", "5")
    room = int(share * sum(map(len, whole.values())))
    mount(f"remount,size={shutil.disk_usage(disk).used + room}")
    done, _ = build(book)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert site_of(book) == whole
    mount("remount,size=64M")
    edit(book / "cnnviz" / "base.py", "5", "2")
    done, _ = build(book)
    assert done.returncode == 0, done.stderr
    assert site_of(book) == whole


def test_a_failing_page_fails_the_build_and_runs_again(book):
    whole = site_of(book)
    text = script(book, "first").read_text()
    script(book, "first").write_text(text + "\nraise RuntimeError('broken page')\n")
    for _ in range(2):
        done, ran = build(book)
        assert ran == {"first"}
        assert done.returncode != 0
        assert re.search(rf'first.py", line {text.count(chr(10)) + 2}\b', done.stderr)
        assert "broken page" in done.stderr
        assert site_of(book) == whole
    script(book, "first").write_text(text)
    done, ran = build(book)
    assert done.returncode == 0, done.stderr
    assert ran == {"first"}
    assert site_of(book) == whole


def test_a_warning_is_repeated(book):
    """And, as an error, it keeps the site as it was."""
    whole = site_of(book)
    edit(book / "docs" / "index.rst", "Book\n====\n", "Book\n====\n\n:ref:`nowhere`\n")
    for _ in range(2):
        done, _ = build(book, "-W")
        assert done.returncode != 0
        assert "nowhere" in done.stderr
        assert site_of(book) == whole
    for _ in range(2):
        done, _ = build(book)
        assert "nowhere" in done.stderr
        assert b"nowhere" in site_of(book)["index.html"]


def test_a_figure_without_words_fails_the_build(book):
    lines = script(book, "first").read_text().splitlines()
    script(book, "first").write_text(
        "\n".join(line for line in lines if "title" not in line) + "\n"
    )
    done, _ = build(book)
    assert done.returncode != 0
    assert "neither a suptitle nor titles" in done.stderr

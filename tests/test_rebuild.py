"""The site's rebuilding: what changed runs again, and nothing else does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CONF = """
import sys
sys.path.insert(0, {ext!r})
extensions = ["publish", "sphinx_gallery.gen_gallery", "downloads", "rebuild"]
project = "book"
exclude_patterns = ["_build"]
sphinx_gallery_conf = {{
    "examples_dirs": "../gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\\.py$",
    "image_scrapers": ("figures.scraper",),
    "write_computation_times": False,
}}
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


@pytest.fixture
def book(tmp_path):
    """Two pages over a library of two modules, of which one imports the other."""
    library = tmp_path / "cnnviz"
    (library / "data").mkdir(parents=True)
    (library / "data" / "numbers").write_text("1")
    (library / "__init__.py").write_text("")
    (library / "first.py").write_text("VALUE = 1\n")
    (library / "second.py").write_text("from cnnviz.base import VALUE\n")
    (library / "base.py").write_text("VALUE = 2\n")
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
    return tmp_path


def build(book):
    """Build the book; return what was said and which pages ran."""
    environment = os.environ | {"PYTHONPATH": str(book)}
    command = [sys.executable, "-m", "sphinx", "-T", "docs", "docs/_build/html"]
    done = subprocess.run(
        command, cwd=book, env=environment, text=True, capture_output=True, timeout=300
    )
    (line,) = re.findall("examples to run: (.*)", done.stdout)
    return done, set() if line.startswith("none") else set(line.split(", "))


def picture(book, name):
    """The bytes of a page's figure as the site shows it."""
    (path,) = book.glob(f"docs/_build/html/_images/sphx_glr_{name}_001.webp")
    return path.read_bytes()


def test_what_changed_runs_again_and_nothing_else(book):
    done, ran = build(book)
    assert done.returncode == 0, done.stderr
    assert ran == {"first", "second"}
    before = {name: picture(book, name) for name in ("first", "second")}

    done, ran = build(book)
    assert ran == set()
    assert "examples to run: none" in done.stdout

    script = book / "gallery" / "chapter" / "first.py"
    script.write_text(script.read_text().replace("[0]", "[0, 1]"))
    _, ran = build(book)
    assert ran == {"first"}
    assert picture(book, "first") != before["first"]

    (book / "cnnviz" / "base.py").write_text("VALUE = 5\n")
    before = {name: picture(book, name) for name in ("first", "second")}
    _, ran = build(book)
    assert ran == {"second"}
    assert picture(book, "second") != before["second"]
    assert picture(book, "first") == before["first"]

    (book / "cnnviz" / "data" / "numbers").write_text("2")
    _, ran = build(book)
    assert ran == {"first", "second"}


def test_what_was_lost_is_made_again(book):
    build(book)
    (book / "docs" / "gallery" / "chapter" / "second.rst").unlink()
    _, ran = build(book)
    assert ran == {"second"}
    shutil.rmtree(book / "docs" / "gallery" / "chapter" / "images")
    _, ran = build(book)
    assert ran == {"first", "second"}
    assert picture(book, "first")


def test_a_page_that_is_gone_leaves_the_site(book):
    build(book)
    (book / "gallery" / "chapter" / "second.py").unlink()
    shutil.rmtree(book / "docs" / "gallery")
    done, _ = build(book)
    assert done.returncode == 0, done.stderr
    pages = {path.name for path in book.glob("docs/_build/html/gallery/chapter/*.html")}
    assert pages == {"first.html", "index.html"}


def test_a_killed_build_is_repaired(book):
    build(book)
    page = book / "docs" / "_build" / "html" / "gallery" / "chapter" / "first.html"
    whole = page.read_bytes()
    page.write_bytes(whole[: len(whole) // 2])
    next(book.glob("docs/_build/html/_images/*first_001.webp")).unlink()
    (book / "docs" / "_build" / "html" / ".doctrees" / "unfinished").touch()
    done, ran = build(book)
    assert "did not succeed" in done.stdout
    assert ran == set()
    assert page.read_bytes() == whole
    assert picture(book, "first")


def test_a_failing_page_fails_the_build_and_runs_again(book):
    build(book)
    script = book / "gallery" / "chapter" / "first.py"
    whole = script.read_text()
    script.write_text(whole + "\nraise RuntimeError('broken page')\n")
    done, _ = build(book)
    assert done.returncode != 0
    assert "first.py" in done.stderr
    assert "broken page" in done.stderr
    script.write_text(whole)
    done, ran = build(book)
    assert done.returncode == 0, done.stderr
    assert ran == {"first"}


def test_a_figure_without_words_fails_the_build(book):
    script = book / "gallery" / "chapter" / "first.py"
    lines = script.read_text().splitlines()
    script.write_text("\n".join(line for line in lines if "title" not in line) + "\n")
    done, _ = build(book)
    assert done.returncode != 0
    assert "neither a suptitle nor titles" in done.stderr

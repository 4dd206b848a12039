"""Building the site, against running its scripts, and rebuilding it unchanged.

A first build may take as long as the scripts one after another, each in a process of
its own, and is to take 0.7 of that on two cores. Both run on one thread a process, as
the build always does, and find the trained networks in the cache. A rebuild with
nothing changed may take 1.5 times as long as that of an empty furo project.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALONE = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}


@pytest.fixture(scope="module")
def cache():
    """Leave the trained networks where they are: in the user's cache."""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """Copy the sources of the site."""
    folder = tmp_path_factory.mktemp("book")
    generated = shutil.ignore_patterns("_build", "__pycache__")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=generated)
    shutil.copytree(ROOT / "gallery", folder / "gallery", ignore=generated)
    shutil.rmtree(folder / "docs" / "gallery", ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Make a project of one page, built with furo."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "docs").mkdir()
    (folder / "docs" / "conf.py").write_text('project = "empty"\nhtml_theme = "furo"\n')
    (folder / "docs" / "index.rst").write_text("Empty\n=====\n")
    return folder


def run(*arguments, cwd, **environment):
    """Run Python and return the seconds it took."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *map(str, arguments)],
        **{"cwd": cwd, "env": os.environ | environment},
        **{"check": True, "stdout": subprocess.DEVNULL},
    )
    return time.perf_counter() - started


def build(folder):
    options = ("-q", "-d", "trees", "docs", "site")
    return run("-m", "sphinx", *options, cwd=folder, PYTHONPATH=str(ROOT))


def bench_first_build(benchmark, book, tmp_path):
    """Run the scripts; then build, which runs them two at a time."""
    benchmark.group = "first build: at most as long as the scripts, aim 0.7"
    build(book)  # fills the cache where needed
    for made in ("trees", "site", "docs/gallery"):
        shutil.rmtree(book / made)
    scripts = sorted(ROOT.glob("gallery/*/*.py"))
    alone = sum(
        run(path, cwd=tmp_path, PYTHONPATH=str(ROOT), **ALONE) for path in scripts
    )
    benchmark.pedantic(build, (book,))
    whole = benchmark.stats.stats.mean
    print(
        f"\nfirst build {whole:.0f} s, {len(scripts)} scripts one after another "
        f"{alone:.0f} s: {whole / alone:.2f}; load {os.getloadavg()[0]:.1f}"
    )


def bench_rebuild_unchanged(benchmark, book, empty):
    """Rebuild both in turn, since other programs take time, too."""
    benchmark.group = "rebuild with nothing changed: at most 1.5 of an empty project's"
    build(book)
    build(empty)
    peer = []
    benchmark.pedantic(
        build, (book,), setup=lambda: peer.append(build(empty)), rounds=9
    )
    ours, theirs = benchmark.stats.stats.median, statistics.median(peer)
    print(
        f"\nunchanged {ours:.2f} s, empty furo project {theirs:.2f} s: "
        f"{ours / theirs:.2f}; load {os.getloadavg()[0]:.1f}"
    )

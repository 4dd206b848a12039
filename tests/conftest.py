"""What tests share: no windows, no figures left open, cache, disks, site, browser."""

import gc
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import hypothesis
import matplotlib
import matplotlib.pyplot as plt
import pytest
from filelock import FileLock

import engines
import playing
from hosting import run, served

matplotlib.use("agg")

ROOT = Path(__file__).parents[1]

CHROMIUM = (
    os.environ.get("CHROME")
    or shutil.which("chromium")
    or shutil.which("google-chrome")
)


# No test fails because the machine does much else.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

# `nox -s mutants` runs the tests thousands of times: the same examples each time, and
# the first that fails is enough.
hypothesis.settings.register_profile(
    "mutants",
    hypothesis.settings.get_profile("patient"),
    database=None,
    derandomize=True,
    max_examples=25,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that use a browser, for ``-m "not browser"``."""
    for item in items:
        if {"chromium", "engine"}.intersection(item.fixturenames):
            item.add_marker("browser")
    times = Path("mutmut-stats.json")
    if times.exists():  # mutmut runs the tests, and has measured them: quick ones first
        times = json.loads(times.read_text())["duration_by_test"]
        files = Counter()
        for item in items:
            files[item.path] += times.get(item.nodeid, 0)
        items.sort(key=lambda i: (files[i.path], i.path, times.get(i.nodeid, 0)))
        gc.freeze()  # each mutant is run in a fork, which shares what nothing touches


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep what tests train out of the user's cache; processes share it."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parents[1] / "cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNVIZ_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def mount(tmp_path):
    """Return a function that mounts a small disk, or changes how it is mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options):
        try:
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"disks can't be mounted here ({error})")
        return disk

    yield mount
    while os.path.ismount(disk):
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="session")
def site(cache):
    """Build the site as `nox -s docs` does, in one of the processes that test it."""
    target = ROOT / "docs" / "_build" / "html"
    target.parent.mkdir(exist_ok=True)
    doctrees = target.with_name("doctrees")
    options = ("-n", "-T", "-W", "--keep-going", "-d", str(doctrees))
    with FileLock(target.with_name("tests.lock")):
        run(sys.executable, "-m", "sphinx", *options, "docs", str(target), cwd=ROOT)
    return target


@pytest.fixture(scope="session")
def address(site):
    """Serve the site on loopback; return where."""
    with served(site) as address:
        yield address


@pytest.fixture(scope="session")
def hosted_site(site, tmp_path_factory):
    """Build the site for an address, and a repository, and serve it there.

    No example runs for it. Returns the address and the folder.
    """
    root = tmp_path_factory.mktemp("host")
    doctrees = shutil.copytree(site.with_name("doctrees"), root / "doctrees")
    options = ("-T", "-W", "-d", str(doctrees), "docs", str(root / "cnnviz"))
    with served(root) as host:
        environment = os.environ | {
            "CNNVIZ_SITE_URL": f"{host}cnnviz/",
            "CNNVIZ_REPOSITORY": "https://github.com/someone/cnnviz",
        }
        run(sys.executable, "-m", "sphinx", *options, cwd=ROOT, env=environment)
        yield f"{host}cnnviz/", root / "cnnviz"


@pytest.fixture(scope="session")
def chromium():
    """Chromium, driven by Playwright."""
    if not CHROMIUM:
        pytest.skip("no Chromium: install Debian's package `chromium`, or set CHROME")
    playwright = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=["chromium", "firefox", "webkit"])
def engine(request, tmp_path_factory):
    """Each of three engines in turn; see `engines`."""
    match request.param:
        case "chromium":
            yield engines.Chromium(request.getfixturevalue("chromium"))
        case "firefox":
            with engines.firefox(tmp_path_factory.mktemp("firefox")) as engine:
                yield engine
        case "webkit":
            with engines.webkit(tmp_path_factory.mktemp("webkit")) as engine:
                yield engine


@pytest.fixture
def open_page(chromium):
    """Open addresses in Chromium; whatever the console says fails the test."""
    contexts, said = [], []

    def open_page(address, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        return page

    open_page.said = said
    yield open_page
    for context in contexts:
        context.close()
    assert not said


@pytest.fixture
def open_figure(open_page, tmp_path):
    """Save a live figure, open the file, and wait until it can be used."""

    def open_figure(figure, fragment="", **options):
        path = tmp_path / f"{figure.name}.html"
        figure.save(path)
        page = open_page(path.as_uri() + fragment, **options)
        playing.drawn(page)
        return page

    return open_figure

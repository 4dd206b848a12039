"""What tests share: no windows, no figures left open, one cache, disks, one browser."""

import os
import shutil
import subprocess

import matplotlib
import matplotlib.pyplot as plt
import pytest

matplotlib.use("agg")

CHROMIUM = (
    os.environ.get("CHROME")
    or shutil.which("chromium")
    or shutil.which("google-chrome")
)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep the tests' unpacked digits and trained networks out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
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


@pytest.fixture
def open_page(chromium):
    """Open addresses in Chromium; whatever the console says fails the test."""
    contexts, said = [], []

    def open_page(address, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(10_000)
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
        page.evaluate(
            "tag => document.querySelector(tag).ready.then(() => true)", figure.tag
        )
        return page

    return open_figure

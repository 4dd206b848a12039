"""The site: built whole with warnings as errors, then read as its readers do."""

import ast
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "gallery").glob("*/*.py"))
VOID = {"img", "source", "script", "link", "iframe", "video", "audio"}


def run(*command, timeout=1800, **options):
    """Run a command; when it fails, show what it said."""
    done = subprocess.run(
        command, text=True, capture_output=True, timeout=timeout, **options
    )
    assert done.returncode == 0, (
        f"{command}\n{done.stdout[-3000:]}{done.stderr[-5000:]}"
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def site(cache):
    """Build the site as `nox -s docs` does."""
    target = ROOT / "docs" / "_build" / "html"
    doctrees = target.with_name("doctrees")
    options = ("-n", "-T", "-W", "--keep-going", "-d", str(doctrees))
    run(sys.executable, "-m", "sphinx", *options, "docs", str(target), cwd=ROOT)
    return target


def contents(folder):
    """Return the bytes of each file by its path in the folder."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_first_build_elsewhere_gives_the_same_bytes(site, cache, tmp_path):
    """The site, however it came about, is that of a first build of a fresh copy."""
    generated = shutil.ignore_patterns("_build", "__pycache__")
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=generated)
    shutil.copytree(ROOT / "gallery", tmp_path / "gallery", ignore=generated)
    shutil.rmtree(tmp_path / "docs" / "gallery")
    command = (sys.executable, "-m", "sphinx", "-q", "-n", "-W", "-d", "trees")
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    run(*command, "docs", "site", cwd=tmp_path, env=environment)
    ours, fresh = contents(site), contents(tmp_path / "site")
    assert ours.keys() == fresh.keys()
    assert [path for path in ours if ours[path] != fresh[path]] == []


class Page(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.resources, self.ids, self.images = [], [], set(), []
        self.captions = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        for name in ("src", "href"):
            if tag in VOID and attributes.get(name):
                self.resources.append(attributes[name])
        if tag == "img":
            self.images.append(attributes)
        self.captions += tag == "figcaption"


@pytest.fixture(scope="session")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_script_became_a_page_with_its_downloads(site):
    assert len(SCRIPTS) >= 20
    for script in SCRIPTS:
        page = site / "gallery" / script.parent.name / f"{script.stem}.html"
        text = page.read_text(encoding="utf-8")
        for suffix in (".py", ".ipynb"):
            assert f"{script.stem}{suffix}" in text
            assert list(site.glob(f"_downloads/*/{script.stem}{suffix}"))


def test_links_lead_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links + page.resources:
            if link.startswith(("https://", "mailto:", "data:")):
                continue
            address, fragment = urldefrag(link)
            base = site if address.startswith("/") else path.parent
            target = (base / unquote(address.split("?")[0]).lstrip("/")).resolve()
            target = path if not address else target
            anchors = pages[target].ids if fragment and target in pages else {fragment}
            if not target.is_file() or fragment not in anchors:
                broken.append((path.name, link))
    assert not broken


def test_nothing_is_fetched_from_elsewhere(pages):
    foreign = {
        (path.name, resource)
        for path, page in pages.items()
        for resource in page.resources
        if "//" in resource
    }
    assert not foreign


def test_every_picture_has_words_and_its_size(pages):
    for path, page in pages.items():
        for image in page.images:
            assert len(image.get("alt", "")) > 3, (path, image)
            if image["src"].endswith(".webp"):
                with Image.open(path.parent / image["src"]) as pixels:
                    sharp = tuple(side / 2 for side in pixels.size)
                size = int(image["width"]), int(image["height"])
                assert np.allclose(size, sharp, atol=1), (path, image)
                assert size[0] <= 740, (path, image)


def test_figures_fill_the_column(site, pages):
    """Wide ones that of a laptop, narrow ones that of a phone."""
    for script in SCRIPTS:
        images = pages[site / "gallery" / script.parent.name / f"{script.stem}.html"]
        for kind, column in (("wide", 400), ("narrow", 320)):
            widths = [
                int(image["width"])
                for image in images.images
                if kind in image.get("class", "").split()
            ]
            assert not widths or max(widths) >= column, (script.stem, kind)


def test_every_figure_has_a_caption_and_two_themes(site, pages):
    for script in SCRIPTS:
        path = site / "gallery" / script.parent.name / f"{script.stem}.html"
        figures = [image for image in pages[path].images if "_images" in image["src"]]
        dark = [image for image in figures if "_dark" in image["src"]]
        assert pages[path].captions > 0
        assert len(figures) == 2 * len(dark) >= 2 * pages[path].captions, script


def test_no_page_tells_how_long_it_took(pages):
    for path in pages:
        assert not re.search(r"\d(it|step)/s|step/s", path.read_text("utf-8")), path


def test_a_policy_forbids_other_hosts(pages):
    for path in pages:
        text = path.read_text(encoding="utf-8")
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
        assert policy.startswith("default-src 'none'; "), path
        assert not re.search(r"unsafe|https?:|\*", policy), path
        assert not re.search(r'<[^>]* style="', text), path


def test_pages_are_described_by_their_opening(pages):
    for path in pages:
        text = path.read_text(encoding="utf-8")
        (description,) = re.findall(r'<meta name="description" content="([^"]*)"', text)
        assert 40 < len(description) <= 220, path
        assert "import " not in description, path


def test_a_site_with_an_address_says_so(site, tmp_path):
    """Canonical addresses, sitemap, social cards; no example runs for it."""
    address = "https://example.org/cnnviz/"
    doctrees = shutil.copytree(site.with_name("doctrees"), tmp_path / "doctrees")
    options = ("-T", "-W", "-d", str(doctrees), "docs", str(tmp_path / "html"))
    environment = os.environ | {"CNNVIZ_SITE_URL": address}
    run(sys.executable, "-m", "sphinx", *options, cwd=ROOT, env=environment)

    sitemap = (tmp_path / "html" / "sitemap.xml").read_text(encoding="utf-8")
    listed = re.findall(r"<loc>(.*?)</loc>", sitemap)
    assert all(url.startswith(address) for url in listed)
    assert len(listed) == len(set(listed)) > len(SCRIPTS)
    for url in listed:
        text = (tmp_path / "html" / url.removeprefix(address)).read_text("utf-8")
        assert f'<link rel="canonical" href="{url}">' in text
        (card,) = re.findall(r'"og:image" content="([^"]*)"', text)
        with Image.open(tmp_path / "html" / card.removeprefix(address)) as picture:
            assert picture.size == (1146, 600)
    lost = (tmp_path / "html" / "404.html").read_text(encoding="utf-8")
    assert 'href="/cnnviz/_static/cnnviz.css' in lost


class Host(SimpleHTTPRequestHandler):
    """Serves the site as hosts of static sites do: what is not there gets 404.html."""

    def send_error(self, code, message=None, explain=None):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(Path(self.directory, f"{code}.html").read_bytes())

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Serve the site on loopback; return where."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("receptive field", "gallery/inside/210_receptive_fields.html"),
        ("why negative values vanish", "gallery/filters/050_negative_values.html"),
        ("pooling", "gallery/layers/120_pooling.html"),
        ("count parameters", "gallery/networks/150_parameters.html"),
        ("saliency", "gallery/inside/220_what_it_looked_at.html"),
    ],
)
def test_search_finds_what_readers_ask_for(open_page, address, query, found):
    page = open_page(f"{address}search.html?q={query}")
    summary = page.locator(".search-summary").filter(has_text="finished")
    summary.wait_for(timeout=30_000)
    results = page.locator("#search-results li > a").all()
    addresses = [result.get_attribute("href").split("#")[0] for result in results]
    assert found in addresses[:3]
    page.wait_for_load_state("networkidle")


def test_a_page_that_is_not_there_leads_on_from_any_depth(open_page, address):
    page = open_page(f"{address}gallery/gone/and/forgotten.html")
    open_page.said.clear()  # Chromium tells the console that the answer was a 404
    assert "not found" in page.locator("h1").inner_text().lower()
    assert page.evaluate("document.styleSheets.length") >= 3
    page.locator("a[href$='gallery/layers/index.html']").first.click()
    assert page.locator("h1").inner_text().startswith("Layers")


@pytest.fixture(scope="session")
def wheel_folder(tmp_path_factory):
    """Build the wheel and install it, alone, into a folder."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "-q")
    run(*pip, "wheel", *options, "-w", str(folder), str(ROOT))
    (wheel,) = folder.glob("cnnviz-*.whl")
    run(*pip, "install", *options, "--target", str(folder / "site"), str(wheel))
    return folder / "site"


def test_downloaded_scripts_run_elsewhere(site, cache, wheel_folder, tmp_path):
    """Each script alone in an empty folder, with the library from the wheel."""
    environment = os.environ | {
        "PYTHONPATH": str(wheel_folder),
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }

    def run_download(script):
        (download,) = site.glob(f"_downloads/*/{script.name}")
        folder = tmp_path / script.stem
        folder.mkdir()
        (folder / script.name).write_bytes(download.read_bytes())
        checked = (
            f"import cnnviz, runpy; assert {str(wheel_folder)!r} in cnnviz.__file__; "
            f"runpy.run_path({script.name!r}, run_name='__main__')"
        )
        run(sys.executable, "-c", checked, cwd=folder, env=environment)
        return [path.name for path in folder.iterdir()] == [script.name]

    with ThreadPoolExecutor(2) as pool:
        left_nothing = list(pool.map(run_download, SCRIPTS))
    assert all(left_nothing)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_needs_only_what_the_library_declares(script):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {name.split(">")[0] for name in project["dependencies"]}
    modules = {"cv2": "opencv-python-headless", "PIL": "pillow"}
    for node in ast.walk(ast.parse(script.read_bytes())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in (name.split(".")[0] for name in names):
            known = name in sys.stdlib_module_names or name == "cnnviz"
            assert known or modules.get(name, name) in declared


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_a_page_of_this_book(script):
    text = script.read_text(encoding="utf-8")
    assert "\n# To take away\n" in text
    assert "\n# Try it\n" in text
    for forbidden in ("plt.show", ":doc:", "sphinx", "rcParams"):
        assert forbidden not in text


def test_pages_have_numbers_of_their_own():
    numbers = [script.name.split("_")[0] for script in SCRIPTS]
    assert len(set(numbers)) == len(numbers)
    assert all(len(number) == 3 and number.isdigit() for number in numbers)

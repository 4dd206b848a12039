"""The site: built whole with warnings as errors, then read as its readers do."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from PIL import Image

from hosting import run

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "gallery").glob("*/*.py"))
VOID = {"img", "source", "script", "link", "iframe", "video", "audio"}


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
        self.captions, self.relations = 0, set()
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
        if tag == "link":
            self.relations.add(attributes["rel"])


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


def test_no_page_lets_browsers_fetch_another_ahead(pages):
    """Firefox does so for `rel="next"`, and the policy would forbid it."""
    for path, page in pages.items():
        assert page.relations == {"stylesheet", "shortcut icon"}, path


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


def test_a_site_with_an_address_says_so(hosted_site):
    """Canonical addresses, sitemap, social cards."""
    address, folder = hosted_site
    sitemap = (folder / "sitemap.xml").read_text(encoding="utf-8")
    listed = re.findall(r"<loc>(.*?)</loc>", sitemap)
    assert all(url.startswith(address) for url in listed)
    assert len(listed) == len(set(listed)) > len(SCRIPTS)
    for url in listed:
        text = (folder / url.removeprefix(address)).read_text("utf-8")
        assert f'<link rel="canonical" href="{url}">' in text
        (card,) = re.findall(r'"og:image" content="([^"]*)"', text)
        with Image.open(folder / card.removeprefix(address)) as picture:
            assert picture.size == (1146, 600)
    lost = (folder / "404.html").read_text(encoding="utf-8")
    assert 'href="/cnnviz/_static/cnnviz.css' in lost


def test_a_site_with_a_repository_opens_its_notebooks(site, hosted_site):
    """In Colab and Binder, from the branch that the site is published from."""
    _, folder = hosted_site
    branch = "someone/cnnviz/blob/gh-pages/"
    for script in SCRIPTS:
        page = Path("gallery", script.parent.name, f"{script.stem}.html")
        links = Page(folder / page).links
        (colab,) = [link for link in links if "colab.research" in link]
        (binder,) = [link for link in links if "mybinder.org" in link]
        notebook = colab.split(branch)[1]
        assert (folder / notebook).name == f"{script.stem}.ipynb"
        assert (folder / notebook).is_file()
        assert unquote(binder).endswith(f"/gh-pages?labpath={notebook}")
        assert not any("colab" in link for link in Page(site / page).links)
    needed = (folder / "binder" / "requirements.txt").read_text()
    assert (folder / needed.strip()).suffix == ".whl"
    assert (folder / needed.strip()).is_file()


def test_a_repository_that_is_not_one_stops_the_build(tmp_path):
    command = (sys.executable, "-m", "sphinx", "-q", "docs", str(tmp_path / "html"))
    environment = os.environ | {"CNNVIZ_REPOSITORY": "http://example.org/x"}
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees")],
        **{"cwd": ROOT, "env": environment, "text": True, "capture_output": True},
    )
    assert done.returncode != 0
    assert "must be https://github.com/OWNER/NAME" in done.stderr


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
    summary.wait_for()
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
    for forbidden in ("plt.show", ":doc:", "sphinx-gallery", "rcParams"):
        assert forbidden not in text


def test_pages_have_numbers_of_their_own():
    numbers = [script.name.split("_")[0] for script in SCRIPTS]
    assert len(set(numbers)) == len(numbers)
    assert all(len(number) == 3 and number.isdigit() for number in numbers)

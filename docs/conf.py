"""Settings of the site; the code behind them is in `_ext`."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import cnnviz

SITE_URL = os.environ.get("CNNVIZ_SITE_URL", "")
repository = os.environ.get("CNNVIZ_REPOSITORY", "")

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

# The same pages in every build: no progress bars in what cells print, and sums that are
# added in the same order on any number of cores.
os.environ["TQDM_DISABLE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

project = "cnnviz"
author = "The cnnviz developers"
copyright = "The cnnviz developers, MIT licence"
version = release = cnnviz.__version__
language = "en"

extensions = [
    "publish",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "notfound.extension",
    "sphinxext.opengraph",
    "cards",
    "descriptions",
    "downloads",
    "examples",
    "inventories",
    "live",
    "markup",
    "mathml",
    "open_in",
    "pictures",
    "policy",
    "rebuild",
]
if SITE_URL:
    extensions.append("sphinx_sitemap")
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py"]
nitpicky = True
nitpick_ignore_regex = [
    # No inventories are fetched, so types of other projects are plain words.
    (r"py:.*", r"(?!cnnviz\b).*"),
]

autosummary_generate = False
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "cnnviz"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
templates_path = ["_templates"]
html_css_files = ["cnnviz.css"]
html_baseurl = SITE_URL
html_copy_source = False
html_domain_indices = False
html_show_sphinx = False
html_scaled_image_link = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b62c4",
        "color-brand-content": "#0b62c4",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6cb2ff",
        "color-brand-content": "#6cb2ff",
    },
}

notfound_urls_prefix = urlsplit(SITE_URL).path or "/"
sitemap_url_scheme = "{link}"
sitemap_excludes = ["search.html", "genindex.html", "py-modindex.html", "404.html"]

ogp_site_url = SITE_URL
ogp_site_name = "cnnviz"
ogp_enable_meta_description = True
ogp_social_cards = {
    "enable": bool(SITE_URL),
    "image_mini": "_static/favicon.png",
    "line_color": "#0b62c4",
}

copybutton_selector = "div.highlight-Python pre, div.highlight-sh pre"

CHAPTERS = ["pixels", "filters", "layers", "networks", "inside"]

sphinx_gallery_conf = {
    "examples_dirs": "../gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "subsection_order": [f"../gallery/{name}" for name in CHAPTERS],
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("live.scraper",),
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("cnnviz",),
    "capture_repr": (),
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 10**9,
    "write_computation_times": False,
    "parallel": 2,
}

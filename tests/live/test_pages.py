"""Live figures in pages of all kinds: orders of tags, several, frames, zoom."""

import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnviz import live
from cnnviz.datasets import dog
from documents import blocks

SMALLEST = live.pixel_inspector(np.zeros((2, 2), np.uint8))


PARTS = ("tags", "element", "script")
MANUAL = Path(__file__).parents[2] / "docs" / "live.rst"


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("order", [*itertools.permutations(PARTS)])
def test_the_manual_s_page_works_in_any_order(open_page, tmp_path, order, deferred):
    image = dog()[245:341, 335:431]
    logged = ", ".join(map(str, image[10, 20]))
    figure = live.pixel_inspector(image)
    for script in figure.scripts:
        shutil.copy(script, tmp_path)
    figure.save_data(tmp_path / "pixels.js")
    page, script = (code for kind, code in blocks(MANUAL) if kind == "html")
    tags, element = page.split("\n\n", 1)
    assert "pictures.js" in tags
    if deferred:
        tags = tags.replace("></script>", " defer></script>")
    element = re.sub("<img.*>", "static", element)
    parts = {"tags": tags, "element": element, "script": script}
    path = tmp_path / "page.html"
    path.write_text("<!doctype html>" + "\n".join(parts[part] for part in order))
    page = open_page("about:blank")
    with page.expect_console_message(lambda message: logged in message.text):
        page.goto(path.as_uri())
    open_page.said.clear()  # what the manual's script logs


def test_what_is_set_before_the_element_is_known_holds(open_page, tmp_path):
    figure = live.pixel_inspector(np.arange(16, dtype=np.uint8).reshape(4, 4))
    early = f"""<cnn-pixel-inspector></cnn-pixel-inspector><script>
      const early = document.querySelector("cnn-pixel-inspector");
      early.state = {{ at: "1,2" }};
      early.data = {figure.json()};
    </script>"""
    path = tmp_path / "early.html"
    path.write_text("<!doctype html>" + early + figure._code(), "utf-8")
    page = open_page(path.as_uri())
    assert page.evaluate("early.ready.then(({state}) => state.at)") == "1,2"
    page.wait_for_function("early.pixel?.[0] === 6")


def test_the_core_may_stand_above_an_element_with_its_data_inside(open_page, tmp_path):
    path = tmp_path / "above.html"
    path.write_text("<!doctype html>" + SMALLEST._code() + SMALLEST._element(), "utf-8")
    page = open_page(path.as_uri())
    ready = "document.querySelector('cnn-pixel-inspector').ready.then(() => true)"
    assert page.evaluate(ready)


SET = """async settings => {
  const figures = [...document.querySelectorAll("cnn-pixel-inspector")];
  await Promise.all(figures.map(figure => figure.ready));
  settings.forEach((at, i) => figures[i].put("at", at));
  return figures.map(({id}) => id);
}"""
STATES = """Promise.all([...document.querySelectorAll("cnn-pixel-inspector")]
  .map(figure => figure.ready.then(({state}) => state.at)))"""


@pytest.mark.parametrize("ids", [["", ""], ["a", "a"], ["a", ""], ["", "a;b?c"]])
def test_each_figure_keeps_its_own_settings_in_the_address(open_page, tmp_path, ids):
    figure = live.pixel_inspector(np.zeros((9, 9), np.uint8))
    elements = "".join(figure._element(f' id="{id}"') for id in ids)
    path = tmp_path / "two.html"
    path.write_text(f"<!doctype html>{elements}{figure._code()}", "utf-8")
    page = open_page(path.as_uri())
    assert len(set(page.evaluate(SET, ["1,2", "3,4"]))) == 2
    page.wait_for_function("location.hash.split(';').length === 2")
    again = open_page(page.url)
    assert again.evaluate(STATES) == ["1,2", "3,4"]
    added = again.evaluate(
        """html => {
          document.body.insertAdjacentHTML("beforeend", html);
          return document.body.lastElementChild.ready.then(({id, link}) => [id, link]);
        }""",
        figure._element(),
    )
    assert added[0] not in ids
    assert added[1].count("?") == 3  # those of the others, too


def test_a_figure_that_was_moved_keeps_its_id_and_state(open_figure):
    page = open_figure(live.pixel_inspector(np.zeros((9, 9), np.uint8)))
    moved = page.evaluate(
        """() => {
          const figure = document.querySelector("cnn-pixel-inspector");
          figure.put("at", "3,3");
          figure.remove();
          document.body.append(figure);
          return [figure.id, figure.state.at];
        }"""
    )
    assert moved == ["pixel-inspector", "3,3"]


FRAMES = {
    "srcdoc": "frame.srcdoc = html",
    "sandboxed": "frame.sandbox = 'allow-scripts'; frame.srcdoc = html",
    "blob": "frame.src = URL.createObjectURL(new Blob([html], {type: 'text/html'}))",
    "data": "frame.src = 'data:text/html;charset=utf-8,' + encodeURIComponent(html)",
}


@pytest.mark.parametrize("how", FRAMES)
def test_a_page_without_an_address_is_quiet_and_says_so(open_page, tmp_path, how):
    SMALLEST.save(tmp_path / "figure.html")
    (tmp_path / "outer.html").write_text("<!doctype html><iframe></iframe>")
    page = open_page((tmp_path / "outer.html").as_uri())
    page.evaluate(
        f"""html => {{
          const frame = document.querySelector("iframe");
          frame.width = frame.height = 600;
          {FRAMES[how]};
        }}""",
        (tmp_path / "figure.html").read_text("utf-8"),
    )
    frame = page.frame_locator("iframe")
    frame.get_by_role("application").press("ArrowRight")
    page.wait_for_timeout(400)  # settings would be kept
    frame.get_by_role("button", name="copy link").click()
    frame.get_by_text("This page has no address of its own").wait_for()


@pytest.mark.parametrize(
    "style",
    ["zoom: 1.5", "zoom: .7", "transform: scale(.5)", "transform: rotate(20deg)"],
)
def test_a_pointer_finds_its_pixel_however_the_page_is_zoomed(open_figure, style):
    page = open_figure(live.pixel_inspector(np.zeros((9, 9), np.uint8)))
    page.locator("body").evaluate(
        "(body, style) => (body.style.cssText = style)", style
    )
    page.get_by_role("application").click()
    page.wait_for_function(
        "document.querySelector('cnn-pixel-inspector').state.at === '4,4'"
    )

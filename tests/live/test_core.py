"""The core of the live figures, in a browser, against torch, OpenCV and numpy."""

import base64
import errno
import gzip
import json
import re
from io import BytesIO

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torch.nn import functional as F

from cnnviz import live
from cnnviz.datasets import dog
from cnnviz.live import LiveFigure
from cnnviz.live._packing import pack, pack_picture, pack_weights

RNG = np.random.default_rng(0)
SMALLEST = live.pixel_inspector(np.zeros((2, 2), np.uint8))


@pytest.fixture
def core(open_figure):
    """Return a function that evaluates JavaScript where the core is loaded."""
    return open_figure(SMALLEST).evaluate


def as_map(array):
    height, width = array.shape
    return {"data": array.ravel().tolist(), "width": width, "height": height}


TYPED = "const typed = map => ({...map, data: Float32Array.from(map.data)}); "


def as_array(plane):
    return np.reshape(plane["data"], (plane["height"], plane["width"]))


CASES = [
    {
        "image": RNG.uniform(0, 255, (int(h), int(w))).astype(np.float32),
        "kernel": RNG.uniform(-2, 2, (int(kh), int(kw))).astype(np.float32),
        "windows": {"stride": int(s), "padding": int(p), "dilation": int(d)},
    }
    for h, w, kh, kw, s, p, d in zip(
        RNG.integers(20, 40, 60),
        RNG.integers(20, 40, 60),
        RNG.integers(1, 8, 60),
        RNG.integers(1, 8, 60),
        RNG.integers(1, 5, 60),
        RNG.integers(0, 5, 60),
        RNG.integers(1, 4, 60),
        strict=True,
    )
]


def test_convolve_computes_what_torch_does(core):
    maps = core(
        "cases => { "
        + TYPED
        + """ return cases.map(({image, kernel, windows}) =>
          cnnviz.convolve(typed(image), typed(kernel), windows)); }""",
        [
            {
                "image": as_map(case["image"]),
                "kernel": as_map(case["kernel"]),
                "windows": case["windows"],
            }
            for case in CASES
        ],
    )
    for case, plane in zip(CASES, maps, strict=True):
        image = torch.tensor(case["image"], dtype=torch.float64)[None, None]
        kernel = torch.tensor(case["kernel"], dtype=torch.float64)[None, None]
        expected = F.conv2d(image, kernel, **case["windows"])[0, 0].numpy()
        # Outputs reach some thousands, of which float32 keeps seven digits.
        np.testing.assert_allclose(as_array(plane), expected, rtol=1e-6, atol=1e-4)


def test_a_window_starts_in_the_padding_and_spans_the_dilation(core):
    answer = core(
        "kernel => cnnviz.windowOf(1, 2, kernel, {stride: 2, padding: 3, dilation: 2})",
        {"height": 3, "width": 2},
    )
    assert answer == {"top": -1, "left": 1, "bottom": 4, "right": 4}


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pool_computes_what_torch_does(core, kind, size):
    image = RNG.normal(size=(11, 14)).astype(np.float32)
    plane = core("([m, s, k]) => cnnviz.pool(m, s, k)", [as_map(image), size, kind])
    torch_pool = F.max_pool2d if kind == "max" else F.avg_pool2d
    expected = torch_pool(torch.tensor(image)[None], size)[0]
    np.testing.assert_allclose(as_array(plane), expected, atol=1e-6)


def test_relu_and_softmax_compute_what_torch_does(core):
    values = RNG.normal(0, 50, (3, 4))
    relu = as_array(core("m => cnnviz.relu(m)", as_map(values)))
    np.testing.assert_allclose(relu, values.clip(0), rtol=1e-6)
    softmax = core("v => cnnviz.softmax(v)", values.ravel().tolist())
    expected = torch.tensor(values).ravel().softmax(0)
    np.testing.assert_allclose(softmax, expected, atol=1e-12)


def test_a_picture_arrives_pixel_by_pixel_and_greys_as_opencv_s(core):
    photo = dog()[200:300, 100:240]
    red, green, blue, grey = core(
        """async packed => {
          const planes = await cnnviz.unpackPicture(packed);
          return [...planes, cnnviz.grey(planes)];
        }""",
        pack_picture(photo),
    )
    for channel, plane in enumerate((red, green, blue)):
        np.testing.assert_array_equal(as_array(plane), photo[..., channel])
    expected = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(as_array(grey), expected)


def test_packed_numbers_arrive_as_they_were(core):
    for array in (
        RNG.normal(size=(2, 3, 4)).astype(np.float32),
        RNG.integers(0, 256, (5, 2), np.uint8),
        RNG.integers(-128, 128, (5, 2), np.int8),
    ):
        answer = core("p => Array.from(cnnviz.unpack(p).data)", pack(array))
        np.testing.assert_array_equal(np.reshape(answer, array.shape), array)


@given(arrays(np.float32, (3, 7), elements=st.floats(-1e3, 1e3, width=32)))
def test_packed_weights_are_off_by_half_a_step_at_most(weights):
    packed = pack_weights(weights)
    assert packed["dtype"] == "int8"
    levels = np.frombuffer(_bytes(packed), np.int8).reshape(3, 7)
    scale = np.frombuffer(_bytes(packed["scale"]), np.float32)[:, None]
    step = np.abs(weights).max(axis=1, keepdims=True) / 127
    assert (np.abs(levels * scale - weights) <= 0.5001 * step + 1e-30).all()


def _bytes(packed):
    return base64.b64decode(packed["base64"])


def test_colours_are_those_of_python_s_figures(core):
    places = [i / 10 for i in range(11)]
    colours = core("ps => ps.map(p => cnnviz.colorAt('signed', p))", places)
    expected = matplotlib.colormaps["RdBu_r"](np.array(places))[:, :3] * 255
    np.testing.assert_allclose(colours, expected, atol=4)


@pytest.mark.parametrize("value", [0, 7, -212, 0.5, -0.125, 12345, 1234567, 3e-7])
def test_numbers_are_written_without_loss_of_sign_or_size(core, value):
    text = core("v => cnnviz.format(v)", value)
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=5e-3)
    assert "-" not in text


def test_all_scripts_together_stay_small():
    scripts = list(LiveFigure.folder.glob("*.js"))
    assert len(scripts) > 3
    packed = [gzip.compress(script.read_bytes()) for script in scripts]
    assert sum(map(len, packed)) < 45_000


def test_scripts_keep_to_what_a_strict_policy_and_files_allow():
    for script in LiveFigure.folder.glob("*.js"):
        text = script.read_text("utf-8")
        assert '"use strict"' in text
        for forbidden in ("eval(", "new Function", "import(", "fetch(", "http:"):
            assert forbidden not in text, script.name
        assert " style=" not in text, script.name
        # Markup comes from constants of the scripts, never from what is read.
        for source in re.findall(r"innerHTML\s*=\s*([\w`]+)", text):
            assert source == "`" or source.isupper(), script.name


def test_markup_in_names_and_settings_is_text(open_figure):
    name = "</script><img src=x onerror=alert(1)>\"'&"
    figure = live.pixel_inspector({name: np.zeros((3, 3), np.uint8), "b": [[1]]})
    figure.settings["picture"] = name
    page = open_figure(figure)
    tag = "cnn-pixel-inspector"
    assert page.evaluate(f"document.querySelector('{tag}').state.picture") == name
    assert page.locator("img").count() == 0


def test_json_can_stand_in_a_script():
    figure = LiveFigure("pixel_inspector", {"a": "</script><!--"})
    assert "<" not in figure.json()
    assert json.loads(figure.json()) == figure.data


def test_a_file_that_can_t_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "figure.html"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.write_bytes", _full_disk)
    with pytest.raises(OSError, match=f"full: '{path}'"):
        SMALLEST.save(path)
    assert path.read_text() == "old"


def _full_disk(*_):
    raise OSError(errno.ENOSPC, "the disk is full")


def test_a_notebook_shows_the_figure_and_keeps_its_own_address(open_page, tmp_path):
    """Jupyter inserts the HTML and then makes its scripts anew, so that they run."""
    shell = tmp_path / "notebook.html"
    shell.write_text("<!doctype html><title>notebook</title><main></main>")
    page = open_page(shell.as_uri())
    page.evaluate(
        """html => {
          const main = document.querySelector("main");
          main.innerHTML = html;
          for (const old of main.querySelectorAll("script:not([type])")) {
            const script = document.createElement("script");
            script.textContent = old.textContent;
            old.replaceWith(script);
          }
          return document.querySelector("cnn-pixel-inspector").ready.then(() => true);
        }""",
        live.pixel_inspector([[10, 20], [30, 40]])._repr_html_(),
    )
    page.get_by_role("application").press("ArrowRight")
    page.wait_for_timeout(400)  # settings would be kept
    assert page.evaluate("document.querySelector('cnn-pixel-inspector').pixel") == [20]
    assert page.url == shell.as_uri()


def test_data_that_is_missing_is_told_and_the_static_figure_shown(
    open_figure, open_page
):
    page = open_figure(SMALLEST)
    page.evaluate(
        """() => {
          const figure = document.createElement("cnn-pixel-inspector");
          figure.id = "second";
          figure.append("the static figure");
          figure.setAttribute("src", "data:text/javascript,cnnviz.nothing");
          document.body.append(figure);
        }"""
    )
    alert = page.locator("#second").get_by_role("alert")
    assert "could not be loaded" in alert.inner_text()
    assert page.get_by_text("the static figure").is_visible()
    open_page.said.clear()  # the policy's refusal


CORE = ["arithmetic", "drawing", "pictures", "figure"]
OWN = sorted({path.stem for path in LiveFigure.folder.glob("*.js")}.difference(CORE))
TAGS = ["cnn-" + name.replace("_", "-") for name in OWN]


@pytest.fixture
def waiting(open_page, tmp_path):
    """All elements on one page, far down it and with no data yet."""
    elements = "".join(f'<{tag} src="x.js">static</{tag}>' for tag in TAGS)
    scripts = "".join(
        f"<script>{(LiveFigure.folder / f'{name}.js').read_text('utf-8')}</script>"
        for name in [*CORE, *OWN]
    )
    page = tmp_path / "waiting.html"
    space = "<style>body { margin-top: 4000px; background: lime }</style>"
    page.write_text(f"<!doctype html>{space}{elements}{scripts}", "utf-8")
    return open_page(page.as_uri())


def test_a_figure_that_waits_for_data_draws_nothing_elsewhere(waiting):
    assert len(TAGS) == 7
    with Image.open(BytesIO(waiting.screenshot())) as top:
        assert top.convert("RGB").getcolors() == [(top.width * top.height, (0, 255, 0))]


def test_the_static_figure_is_printed(waiting):
    for tag in TAGS:
        element = waiting.locator(tag)
        assert element.locator("form").is_visible()
    waiting.emulate_media(media="print")
    for tag in TAGS:
        element = waiting.locator(tag)
        assert not element.locator("form").is_visible()
        shown = element.evaluate(
            "e => getComputedStyle(e.shadowRoot.querySelector('slot')).display"
        )
        assert shown == "contents"

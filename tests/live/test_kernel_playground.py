"""The kernel playground, in a browser, against torch, OpenCV and what it lets copy."""

import base64
import io
import itertools

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import playing
from cnnviz import live
from cnnviz.datasets import dog
from cnnviz.kernels import GAUSSIAN_BLUR, KERNELS, SOBEL_X, SOBEL_Y

TAG = "cnn-kernel-playground"
FIGURE = f"document.querySelector('{TAG}')"
RNG = np.random.default_rng(0)
COLOUR = dog()[200:228, 120:155]
GREY = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY)


def maps(page, what="maps"):
    """Return the figure's maps as it is set now, channels first."""
    planes = playing.ask(
        page,
        """(figure, what) => figure[what].map(({data, width, height}) =>
            ({data: Array.from(data), width, height}))""",
        what,
    )
    return np.array([np.reshape(p["data"], (p["height"], p["width"])) for p in planes])


def unit(page):
    """Return the numbers at the place pointed at."""
    return playing.ask(page, "({unit: {patch, ...unit}}) => unit")


def text(kernel):
    return ";".join(",".join(str(float(v)) for v in row) for row in kernel)


def settings_of(kernel, **windows):
    rows, columns = np.shape(kernel)
    return {"kernel": text(kernel), "rows": rows, "columns": columns, **windows}


def conv2d(image, kernel, **windows):
    """Return torch's convolution of a grey image, in float64."""
    arrays = (
        torch.tensor(np.array(a, np.float64))[None, None] for a in (image, kernel)
    )
    return F.conv2d(*arrays, **windows)[0, 0].numpy()


FRAMES = """async (many) => {
  for (let i = 0; i < many; i++) await new Promise(requestAnimationFrame);
}"""
WINDOWS = [
    {"stride": s, "padding": p, "dilation": d}
    for s, p, d in [(1, 0, 1), (2, 1, 1), (3, 0, 2), (1, 4, 3), (4, 9, 2), (9, 2, 1)]
]
KERNEL_SET = [
    *KERNELS.values(),
    *(
        RNG.uniform(-2, 2, (h, w)).round(4)
        for h, w in itertools.product((2, 3, 7), (2, 5, 7))
    ),
]


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_maps_are_torch_s(open_figure, windows):
    page = open_figure(live.kernel_playground(COLOUR))
    for kernel in KERNEL_SET:
        playing.put(page, **settings_of(kernel, **windows), channel="grey")
        expected = conv2d(GREY, kernel, **windows)
        np.testing.assert_allclose(maps(page)[0], expected, rtol=1e-7, atol=1e-4)
    playing.put(page, channel="red")
    for channel, answer in enumerate(maps(page)):
        expected = conv2d(COLOUR[..., channel], KERNEL_SET[-1], **windows)
        np.testing.assert_allclose(answer, expected, rtol=1e-7, atol=1e-4)


def test_the_core_is_torch_s_on_pixels_from_0_to_1(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    for kernel, windows in itertools.product(KERNEL_SET[::3], WINDOWS):
        answer = page.evaluate(
            """([image, kernel, windows]) => {
              const typed = (rows, Type) =>
                cnnviz.plane(rows[0].length, rows.length, Type.from(rows.flat()));
              const map = typed(image, Float32Array);
              return Array.from(
                cnnviz.convolve(map, typed(kernel, Float64Array), windows).data);
            }""",
            [(GREY / 255).tolist(), kernel.tolist(), windows],
        )
        expected = conv2d(GREY / 255, kernel, **windows)
        np.testing.assert_allclose(answer, expected.ravel(), atol=1e-4)


def pixels(page):
    """Return the colours of the output as it is drawn."""
    width, height, data = page.evaluate(
        f"""(() => {{
          const {{canvas}} = {FIGURE}.result;
          const copy = canvas.cloneNode().getContext("2d");
          copy.drawImage(canvas, 0, 0);
          const {{width, height}} = canvas;
          const {{data}} = copy.getImageData(0, 0, width, height);
          return [width, height, Array.from(data)];
        }})()"""
    )
    return np.reshape(data, (height, width, 4))[..., :3]


def test_the_clipped_view_is_opencv_s_8_bits(open_figure):
    page = open_figure(live.kernel_playground(GREY, view="clipped"))
    for kernel in KERNELS.values():
        playing.put(page, **settings_of(kernel))
        answer = pixels(page)[..., 0]
        border = kernel.shape[0] // 2
        expected = cv2.filter2D(GREY, -1, kernel)[border:-border, border:-border]
        # A sum within float32's error of a half may round either way.
        clear = np.abs(conv2d(GREY, kernel) % 1 - 0.5) > 1e-4
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(answer[clear], expected[clear])


def test_views_and_scales(open_figure):
    page = open_figure(live.kernel_playground(GREY, SOBEL_X))
    expected = conv2d(GREY, SOBEL_X)
    largest = np.abs(expected).max()
    bar = page.locator(".colour-bar")

    def grey_at(row, column):
        return pixels(page)[row, column].tolist()

    zero = np.argwhere(expected == 0)[0]
    peak = np.unravel_index(np.abs(expected).argmax(), expected.shape)
    assert f"{largest:.0f}" in bar.inner_text()
    assert grey_at(*zero) == [128] * 3
    assert grey_at(*peak) in ([0] * 3, [255] * 3)
    playing.put(page, view="absolute")
    np.testing.assert_array_equal(maps(page, "drawn")[0], np.abs(expected))
    assert grey_at(*zero) == [0] * 3
    assert grey_at(*peak) == [255] * 3
    playing.put(page, view="signed", scale="shared")
    assert bar.locator("span").all_inner_texts() == ["−255", "0", "255"]
    playing.put(page, view="coloured", scale="own")
    np.testing.assert_allclose(grey_at(*zero), 247, atol=1)
    red, _, blue = grey_at(*peak)
    assert (red > blue) == (expected[peak] > 0)


@pytest.mark.parametrize("pool", ["max", "average"])
def test_the_arithmetic_of_a_unit_is_torch_s(open_figure, pool):
    kernel = RNG.uniform(-2, 2, (3, 4)).round(3)
    windows = {"stride": 2, "padding": 3, "dilation": 2}
    page = open_figure(live.kernel_playground(GREY, kernel, **windows, row=4, column=5))
    playing.put(page, pool=pool)
    convolved = conv2d(GREY, kernel, **windows)
    positive = torch.tensor(convolved).relu()[None, None]
    pooled = (F.max_pool2d if pool == "max" else F.avg_pool2d)(positive, 2)[0, 0]
    for row, column in [(4, 5), (0, 0), (1, 7), (0, 3)]:
        playing.put(page, at=f"{row},{column}")
        numbers = unit(page)
        assert numbers["sum"] == pytest.approx(convolved[row, column], abs=1e-4)
        assert numbers["relu"] == pytest.approx(
            max(convolved[row, column], 0), abs=1e-4
        )
        expected = pooled[row // 2, column // 2].item()
        assert numbers["pooled"] == pytest.approx(expected, abs=1e-4)
        padded = np.pad(GREY, 3)
        window = padded[2 * row : 2 * row + 5 : 2, 2 * column : 2 * column + 7 : 2]
        shown = page.locator(".window .cell").all_inner_texts()
        assert [float(v) for v in shown] == window.ravel().tolist()
        products = page.locator(".products .cell").all_inner_texts()
        products = [float(v.replace("−", "-")) for v in products]
        np.testing.assert_allclose(products, (window * kernel).ravel(), rtol=5e-3)


def test_at_an_odd_edge_nothing_is_pooled(open_figure):
    page = open_figure(live.kernel_playground(GREY[:7, :9], row=4, column=6))
    assert unit(page)["pooled"] is None or np.isnan(unit(page)["pooled"])
    assert page.locator("td").nth(2).inner_text() == "none"


SNIPPET_CASES = [
    (kernel, windows, at)
    for (kernel, windows), at in zip(
        itertools.product([SOBEL_X, GAUSSIAN_BLUR, *KERNEL_SET[-5::2]], WINDOWS),
        itertools.cycle(["0,0", "1,0", "99,99", "2,3", "0,99"]),
        strict=False,
    )
]


@pytest.mark.parametrize("library", ["NumPy", "OpenCV", "PyTorch"])
def test_snippets_print_the_number_pointed_at(open_figure, library, capsys):
    page = open_figure(live.kernel_playground({"grey": GREY, "colour": COLOUR}))
    for number, (kernel, windows, at) in enumerate(SNIPPET_CASES):
        channel = ["grey", "red", "green", "blue"][number % 4]
        playing.put(page, **settings_of(kernel, **windows), at=at)
        playing.put(page, picture="colour", channel=channel)
        exec(page.evaluate(f"{FIGURE}.snippet('{library}')"), {})
        printed = float(capsys.readouterr().out)
        answer = unit(page)
        assert printed == pytest.approx(answer["sum"], rel=1e-9, abs=1e-9)
        image = GREY if channel == "grey" else COLOUR[..., "rgb".index(channel[0])]
        expected = conv2d(image, kernel, **windows)[answer["row"], answer["column"]]
        assert printed == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_snippet_goes_to_the_clipboard_and_is_shown(open_figure):
    page = open_figure(
        live.kernel_playground(GREY), permissions=["clipboard-read", "clipboard-write"]
    )
    page.get_by_role("button", name="PyTorch").click()
    code = page.locator("pre")
    assert "conv2d(window, kernel, stride=1, dilation=1)" in code.inner_text()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.evaluate(f"{FIGURE}.snippet('PyTorch')")
    page.get_by_text("Copied: it prints").wait_for()
    playing.put(page, stride=3)
    assert "stride=3" in code.inner_text()


def test_the_output_follows_what_is_typed(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    cell = page.get_by_label("weight, row 1, column 2")
    for typed, value in [("5", 5), ("-0.25", -0.25), ("−3", -3), ("1/8", 0.125)]:
        cell.fill(typed)
        kernel = SOBEL_X.copy()
        kernel[1, 2] = value
        np.testing.assert_allclose(maps(page)[0], conv2d(GREY, kernel), atol=1e-4)
        assert cell.input_value() == typed
    assert page.locator(".named").input_value() == ""


def test_a_bad_weight_is_told_and_the_last_picture_stays(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    cell = page.get_by_label("weight, row 0, column 0")
    for typed in ("abc", "NaN", "1e300", "", "1/0", "1000000", "--1"):
        cell.fill(typed)
        assert "must be a number below a million" in playing.message(page)
        assert cell.get_attribute("aria-invalid") == "true"
        np.testing.assert_array_equal(maps(page)[0], conv2d(GREY, SOBEL_X))
        cell.fill("-1")
        assert playing.message(page) == ""
        assert cell.get_attribute("aria-invalid") == "false"


def test_a_named_kernel_brings_its_size_and_sizes_can_change(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    page.locator(".named").select_option("Gaussian blur")
    np.testing.assert_allclose(maps(page)[0], conv2d(GREY, GAUSSIAN_BLUR), atol=1e-4)
    page.get_by_label("rows", exact=True).fill("2")
    page.get_by_label("columns", exact=True).fill("7")
    kernel = np.zeros((2, 7))
    kernel[:, :5] = GAUSSIAN_BLUR[:2]
    np.testing.assert_allclose(maps(page)[0], conv2d(GREY, kernel), atol=1e-4)
    assert page.locator(".kernel input").count() == 14


def test_a_kernel_that_does_not_fit_is_told_and_the_last_picture_stays(open_figure):
    page = open_figure(live.kernel_playground(GREY[:8, :8]))
    page.get_by_label("dilation").fill("9")
    assert "larger than the picture" in playing.message(page)
    np.testing.assert_array_equal(maps(page)[0], conv2d(GREY[:8, :8], SOBEL_X))
    page.get_by_label("dilation").fill("2")
    assert playing.message(page) == ""


def test_arrow_keys_move_the_unit(open_figure):
    page = open_figure(live.kernel_playground(GREY, row=3, column=3))
    page.locator(".output").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert (unit(page)["row"], unit(page)["column"]) == (13, 4)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert unit(page)["column"] == GREY.shape[1] - 3


def test_a_tap_on_either_picture_points(open_figure):
    figure = live.kernel_playground(GREY, stride=2, padding=1)
    page = open_figure(figure, has_touch=True, viewport={"width": 320, "height": 700})
    for part, size, place, expected in [
        (".output", 14, (5.5, 9.5), (5, 9)),
        (".input", 30, (2 * 7 + 1.5, 2 * 3 + 1.5), (7, 3)),
    ]:
        canvas = page.locator(f"{part} canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        height = box["height"] / size
        page.touchscreen.tap(box["x"] + place[1] * height, box["y"] + place[0] * height)
        assert (unit(page)["row"], unit(page)["column"]) == expected


def test_play_and_the_slider_walk_in_reading_order(open_figure):
    page = open_figure(live.kernel_playground(GREY, row=0, column=30))
    page.locator("[name=speed]").select_option("50")
    page.get_by_role("button", name="play").click()
    playing.wait_until(page, "({state, unit}) => unit.row > 0")
    page.get_by_role("button", name="pause").click()
    where = unit(page)
    page.evaluate(FRAMES, 9)
    assert unit(page) == where
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert (unit(page)["row"], unit(page)["column"]) == (0, 0)
    page.keyboard.press("End")
    assert (unit(page)["row"], unit(page)["column"]) == (25, 32)
    assert slider.get_attribute("aria-valuetext") == "row 25, column 32"


def test_the_address_brings_an_edited_kernel_back(open_figure):
    figure = live.kernel_playground(GREY)
    page = open_figure(figure)
    page.get_by_label("weight, row 2, column 0").fill("0.3")
    page.get_by_label("padding").fill("2")
    page.locator("[name=view]").select_option("absolute")
    fragment = playing.address(page)
    before, answers = playing.state(page), maps(page, "drawn")
    again = open_figure(figure, fragment)
    assert playing.state(again) == before
    np.testing.assert_array_equal(maps(again, "drawn"), answers)
    again.get_by_role("button", name="reset").click()
    np.testing.assert_array_equal(maps(again)[0], conv2d(GREY, SOBEL_X))


def test_a_damaged_address_is_told_and_the_figure_works(open_figure):
    fragment = "#kernel-playground?dilation=9&rows=7"
    page = open_figure(live.kernel_playground(GREY), fragment)
    for fragment, words in [
        (None, "larger than the picture"),
        ("kernel=1,x", "numbers below a million"),
        ("kernel=NaN", "numbers below a million"),
        ("kernel=1e300", "numbers below a million"),
        ("rows=9", "from 2 to 7"),
        ("stride=0", "from 1 to 9"),
        ("at=-1,0", "a row and a column"),
        ("picture=none", "picture"),
    ]:
        if fragment:
            playing.follow(page, fragment)
        assert words in playing.message(page)
        np.testing.assert_array_equal(maps(page)[0], conv2d(GREY, SOBEL_X))
    page.get_by_role("button", name="reset").click()
    page.locator(".named").select_option("Sobel y")
    np.testing.assert_array_equal(maps(page)[0], conv2d(GREY, SOBEL_Y))


def png(pixels, mode=None):
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "PNG")
    return file.getvalue()


def choose(page, content, name="picture.png", kind="image/png"):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="own picture").click()
    chooser.value.set_files({"name": name, "mimeType": kind, "buffer": content})


OWN = RNG.integers(0, 256, (20, 24, 3), np.uint8)


def own_arrived(page):
    playing.wait_until(page, "({state, unit}) => state.picture === 'own picture'")
    playing.put(page, channel="blue")
    expected = conv2d(OWN[..., 2], SOBEL_X)
    np.testing.assert_array_equal(maps(page)[2], expected)


def test_a_file_of_the_reader_s_is_filtered(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    choose(page, png(OWN))
    own_arrived(page)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(open_figure, way):
    page = open_figure(live.kernel_playground(GREY))
    page.evaluate(
        """([tag, way, base64]) => {
          const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
          const carrier = new DataTransfer();
          carrier.items.add(new File([bytes], "a.png", {type: "image/png"}));
          const options = {bubbles: true, cancelable: true, composed: true};
          const event = way === "drop"
            ? new DragEvent("drop", {...options, dataTransfer: carrier})
            : new ClipboardEvent("paste", {...options, clipboardData: carrier});
          document.querySelector(tag).shadowRoot.querySelector(".output")
            .dispatchEvent(event);
          if (!event.defaultPrevented) throw new Error("the browser would open it");
        }""",
        [TAG, way, base64.b64encode(png(OWN)).decode()],
    )
    own_arrived(page)


def test_a_huge_picture_is_scaled_down(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    choose(page, png(np.full((1500, 3000), 90, np.uint8)))
    playing.wait_until(page, "({state, unit}) => state.picture === 'own picture'")
    size = page.evaluate(f"(({{height, width}}) => [height, width])({FIGURE}.maps[0])")
    assert size == [510, 1022]
    assert "512 × 1024" in page.locator(".of-input .title").inner_text()


def test_a_bad_file_is_told_and_the_figure_works(open_figure):
    page = open_figure(live.kernel_playground(GREY))
    for content, kind, words in [
        (b"no picture", "image/png", "no picture"),
        (png(np.zeros((10_000, 10_000), bool)), "image/png", "100 megapixels"),
        (b"", "image/png", "no picture"),
        (b"%PDF-1.4", "application/pdf", "no picture"),
    ]:
        playing.put(page)
        choose(page, content, kind=kind)
        page.locator(".message", has_text=words).wait_for()
        assert playing.state(page)["picture"] == "picture"
        np.testing.assert_array_equal(maps(page)[0], conv2d(GREY, SOBEL_X))
    choose(page, png(OWN))
    own_arrived(page)


def test_small_shows_the_essential_and_nothing_is_cut_off(open_figure):
    for small, width in itertools.product((True, False), (320, 800)):
        figure = live.kernel_playground(GREY, small=small)
        page = open_figure(figure, viewport={"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".kernel input").first.is_visible()
        assert page.get_by_label("stride").is_visible() is not small
        assert page.get_by_role("button", name="play").is_visible() is not small
        if small:
            assert page.locator("form").bounding_box()["height"] < 640


@pytest.mark.parametrize("width", [320, 800])
def test_nothing_jumps_when_the_data_come(open_figure, width):
    figure = live.kernel_playground(dog()[230:430, 370:580, 0], small=True)
    page = open_figure(figure, viewport={"width": width, "height": 700})
    before, after = page.evaluate(
        """tag => {
          const figure = document.querySelector(tag);
          const without = document.createElement(tag);
          for (const {name, value} of figure.attributes) {
            without.setAttribute(name, value);
          }
          without.id = "without";
          figure.after(without);
          return [without.offsetHeight, figure.offsetHeight];
        }""",
        TAG,
    )
    assert before == pytest.approx(after, abs=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel": [[1, 2, 3]]}, "2×2 to 7×7"),
        ({"kernel": np.zeros((8, 3))}, "2×2 to 7×7"),
        ({"kernel": [[1e6, 0], [0, 0]]}, "below a million"),
        ({"kernel": [[np.nan, 0], [0, 0]]}, "finite"),
        ({"kernel": np.ones((7, 7)), "dilation": 9}, "no larger than"),
        ({"stride": 0}, "stride"),
        ({"padding": 10}, "padding"),
        ({"dilation": -1}, "dilation"),
        ({"view": "loud"}, "view"),
        ({"row": -1}, "row"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        live.kernel_playground(GREY, **arguments)

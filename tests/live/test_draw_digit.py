"""Drawing a digit, in a browser, against PyTorch, OpenCV and the digits themselves."""

import base64
import json
import re
from pathlib import Path
from urllib.parse import unquote_plus

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import playing
from cnnviz import live
from cnnviz.activations import record_activations
from cnnviz.datasets import mnist_tensors
from cnnviz.geometry import receptive_field
from cnnviz.live._packing import pack, pack_network
from cnnviz.models import CNN, MLP
from cnnviz.training import fit

TAG = "cnn-draw-digit"
TESTS = Path(__file__).parents[1]
DRAWINGS = json.loads((TESTS / "support" / "strokes.json").read_text())
DRAW = """([tag, drawings, state]) => {
    const figure = document.querySelector(tag);
    figure.state = {digit: "blank", ...state};
    return drawings.map(({ strokes }) => {
        figure.state = {strokes: ""};
        strokes.forEach(points => figure.stroke(points));
        figure.draw();
        return [Array.from(figure.picture.data), figure.probabilities];
    });
}"""


@pytest.fixture(scope="module")
def trained():
    """Networks that read nine digits of ten, or better, after little practice."""
    digits = [part[:12_000] for part in mnist_tensors(train=True)]
    torch.manual_seed(0)
    networks = {"CNN": CNN(), "MLP": MLP()}
    fit(networks["CNN"], *digits, epochs=1, learning_rate=0.03, progress=False)
    fit(networks["MLP"], *digits, epochs=1, learning_rate=0.01, progress=False)
    return networks


@pytest.fixture(scope="module")
def digits():
    images, labels = mnist_tensors(train=False)
    return images[:24], labels[:24]


@pytest.fixture(scope="module")
def figure(digits):
    """A light figure, of networks that know nothing."""
    torch.manual_seed(0)
    cnn = CNN()
    for norm in (cnn.norm1, cnn.norm2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    figure = live.draw_digit({"CNN": cnn, "linear": linear}, *digits)
    figure.networks = {"CNN": cnn, "linear": linear}
    return figure


def after(page, state=None):
    """Set a state; return the picture, the probabilities, and the whole state."""
    found = page.evaluate(
        """async ([tag, state]) => {
            const figure = document.querySelector(tag);
            if (state) figure.state = state;
            await figure.drawn;
            const { picture: { data }, probabilities } = figure;
            return [Array.from(data), probabilities, figure.state];
        }""",
        [TAG, state],
    )
    return np.reshape(found[0], (28, 28)), found[1], found[2]


def pad_point(page, x, y):
    """Where a place of the picture is on the page."""
    box = page.locator(".pad").bounding_box()
    return box["x"] + x * box["width"] / 28, box["y"] + y * box["height"] / 28


# What the browser computes is what PyTorch computes.


def test_scores_of_a_thousand_digits_are_pytorch_s(open_figure, trained, digits):
    page = open_figure(live.draw_digit(trained, *digits))
    images = mnist_tensors(train=False)[0][-1000:]
    scores = page.evaluate(
        """([tag, packed]) => {
            const maps = cnnviz.unpackMaps(packed);
            for (const { data } of maps) data.forEach((v, i) => (data[i] = v / 255));
            const { networks } = document.querySelector(tag);
            return Object.fromEntries(networks.map(([name, layers]) => [name, maps.map(
                map => Array.from([...cnnviz.run(layers, map).values()].at(-1)[0].data)
            )]));
        }""",
        [TAG, pack((images[:, 0] * 255).round().numpy().astype(np.uint8))],
    )
    for name, model in trained.items():
        with torch.no_grad():
            expected = live.quantise_weights(model)(images)
        found = torch.tensor(scores[name])
        assert (found - expected).abs().max() < 1e-3
        assert (found.argmax(1) == expected.argmax(1)).all()


def test_maps_of_all_layers_are_pytorch_s(open_figure, figure, digits):
    page = open_figure(figure)
    found = page.evaluate(
        """tag => Array.from(document.querySelector(tag).outputs.CNN,
            ([name, maps]) => [name, maps.map(({ data }) => Array.from(data))])""",
        TAG,
    )
    cnn = live.quantise_weights(figure.networks["CNN"])
    expected = record_activations(cnn, digits[0][:1])
    assert [name for name, _ in found] == [
        name for name in expected if name != "output"
    ]
    for name, maps in found:
        np.testing.assert_allclose(
            np.ravel(maps), expected[name].numpy().ravel(), rtol=1e-4, atol=1e-4
        )


@pytest.mark.unmutated
def test_weights_are_small_and_quantised(trained):
    def bytes_of(value):
        if isinstance(value, dict):
            own = len(base64.b64decode(value["base64"])) if "base64" in value else 0
            return own + sum(map(bytes_of, value.values()))
        return sum(map(bytes_of, value)) if isinstance(value, list) else 0

    assert 6_018 <= bytes_of(pack_network(trained["CNN"])) < 30_000
    assert 669_706 <= bytes_of(pack_network(trained["MLP"])) < 700_000
    for model in trained.values():
        before = {name: p.clone() for name, p in model.named_parameters()}
        for name, quantised in live.quantise_weights(model).named_parameters():
            torch.testing.assert_close(
                before[name], dict(model.named_parameters())[name]
            )
            rows = quantised.detach().flatten(1) if quantised.ndim > 1 else None
            if rows is None:
                assert torch.equal(quantised, before[name])
                continue
            error = (rows - before[name].flatten(1)).abs().amax(1)
            largest = before[name].flatten(1).abs().amax(1)
            assert (error <= largest * (1 / 254 + 1e-6)).all()
            assert max(len(row.unique()) for row in rows) <= 255


# What the networks see.


def test_a_digit_is_seen_as_it_is_and_centring_leaves_it_so(
    open_figure, figure, digits
):
    page = open_figure(figure)
    for i, image in enumerate(digits[0][:, 0].numpy()):
        for centred in (False, True):
            seen, *_ = after(page, {"digit": i, "centred": centred})
            np.testing.assert_array_equal(seen, image)


def test_shifts_are_those_of_pad_until_centred(open_figure, figure, digits):
    page = open_figure(figure)
    image = digits[0][0, 0]
    for right, down in ((3, 0), (-8, 8), (6, -7)):
        shift = {"right": right, "down": down}
        seen, *_ = after(page, {**shift, "centred": False})
        expected = F.pad(image, (right, -right, down, -down))
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(after(page, {"centred": True})[0], image)


def test_rotation_is_clockwise_about_the_middle(open_figure, figure, digits):
    page = open_figure(figure)
    image = digits[0][0, 0].numpy()
    for degrees in (-60, 25):
        seen, *_ = after(page, {"rotate": degrees})
        matrix = cv2.getRotationMatrix2D((13.5, 13.5), -degrees, 1)
        expected = cv2.warpAffine(image, matrix, (28, 28))
        assert np.abs(seen - expected).mean() < 0.02
        opposite = cv2.warpAffine(image, cv2.invertAffineTransform(matrix), (28, 28))
        assert np.abs(seen - opposite).mean() > 0.05


def test_thickening_grows_from_pixel_to_pixel(open_figure, figure):
    page = open_figure(figure)
    dot = {"digit": "blank", "strokes": "P14 14 "}
    for state in ({"digit": 3, "strokes": ""}, dot):
        drawn = [
            after(page, {**state, "thicken": t})[0] for t in (-1, -0.5, 0, 0.5, 1, 2)
        ]
        sums = [seen.sum() for seen in drawn]
        assert sums == sorted(sums)
        assert min(np.diff(sums)) > 0.5
    for thicken, seen in zip((-1, -0.5, 0, 0.5, 1, 2), drawn, strict=True):
        area = np.pi * (1.25 + thicken) ** 2
        assert seen.sum() == pytest.approx(area, rel=0.05, abs=0.05)


def test_drawings_are_centred_as_mnist_s_digits(open_figure, figure):
    page = open_figure(figure)
    turned = {"centred": True, "rotate": 35, "right": 8}
    for state in ({"centred": True}, turned):
        for pixels, _ in page.evaluate(DRAW, [TAG, DRAWINGS, state]):
            seen = np.reshape(pixels, (28, 28))
            rows, columns = np.nonzero(seen > 0.25)
            sides = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert max(sides) in (19, 20, 21)
            middle = (np.indices((28, 28)) * seen).sum((1, 2)) / seen.sum()
            assert np.abs(middle - 14).max() < 0.6


def test_drawn_digits_are_read(open_figure, trained, digits):
    page = open_figure(live.draw_digit(trained, *digits, centred=True))
    answers = page.evaluate(DRAW, [TAG, DRAWINGS, {}])
    right = {
        name: np.mean(
            [
                np.argmax(shares[name]) == drawing["digit"]
                for (_, shares), drawing in zip(answers, DRAWINGS, strict=True)
            ]
        )
        for name in trained
    }
    print(f"drawn digits read: {right}")
    assert right["CNN"] >= 0.95
    assert right["MLP"] >= 0.85


def test_drawings_are_of_all_digits():
    counts = np.bincount([drawing["digit"] for drawing in DRAWINGS])
    assert len(counts) == 10
    assert counts.min() >= 4


# Drawing.


def test_the_mouse_draws_erases_undoes_and_clears(open_figure, figure):
    page = open_figure(figure)
    page.get_by_role("button", name="clear").click()
    seen, probabilities, _ = after(page)
    assert not seen.any()
    assert probabilities is None
    assert "no ink" in page.get_by_role("alert").inner_text()
    assert not page.locator("table").is_visible()

    def drag(*points):
        page.mouse.move(*pad_point(page, *points[0]))
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*pad_point(page, *point))
        page.mouse.up()

    drag((6, 14), (14, 14), (22, 14))
    line, probabilities, _ = after(page)
    assert line[13:15, 6:22].min() > 0.9
    assert not line[:12].any()
    assert not line[17:].any()
    assert sum(probabilities["CNN"]) == pytest.approx(1)
    assert page.locator("table").is_visible()
    page.get_by_label("eraser").check()
    drag((14, 8), (14, 20))
    cut, *_ = after(page)
    assert not cut[:, 12:16].any()
    np.testing.assert_array_equal(cut[:, :11], line[:, :11])
    undo = page.get_by_role("button", name="undo")
    undo.click()
    np.testing.assert_array_equal(after(page)[0], line)
    undo.click()
    assert not after(page)[0].any()
    undo.click()
    assert after(page)[1] is None


def test_the_keyboard_draws(open_figure, figure):
    page = open_figure(figure)
    after(page, {"digit": "blank"})
    page.locator(".pad").focus()
    for key in ("ArrowUp", " ", "Shift+ArrowDown", " ", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    seen, _, state = after(page)
    assert state["strokes"] == "P14.5 13.5 14.5 23.5 "
    assert seen[13:24, 14].min() == 1
    assert not seen[:, 17:].any()


def test_a_finger_draws_and_an_interrupted_stroke_is_taken_back(open_figure, figure):
    page = open_figure(figure, has_touch=True, viewport={"width": 360, "height": 640})
    assert (
        page.locator(".pad").evaluate("e => getComputedStyle(e).touchAction") == "none"
    )
    devtools = page.context.new_cdp_session(page)

    def touch(kind, *points):
        places = [pad_point(page, *point) for point in points]
        devtools.send(
            "Input.dispatchTouchEvent",
            {
                "type": kind,
                "touchPoints": [
                    {"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)
                ],
            },
        )

    after(page, {"digit": "blank"})
    touch("touchStart", (14, 5))
    touch("touchMove", (14, 22))
    touch("touchStart", (14, 22), (3, 3))  # a second finger doesn't draw
    touch("touchEnd")
    first, _, state = after(page)
    assert first[6:22, 13:15].min() > 0.9
    assert len(re.findall("[PE]", state["strokes"])) == 1
    touch("touchStart", (5, 14))
    touch("touchMove", (22, 14))
    assert after(page)[0].sum() > first.sum()
    touch("touchCancel")
    np.testing.assert_array_equal(after(page)[0], first)
    assert page.evaluate("scrollY") == 0


def test_choosing_a_digit_takes_strokes_away(open_figure, figure, digits):
    page = open_figure(figure)
    after(page, {"strokes": "P3 3 9 20 "})
    page.get_by_label("start from").select_option("5")
    seen, _, state = after(page)
    assert state["strokes"] == ""
    np.testing.assert_array_equal(seen, digits[0][5, 0])


def test_probabilities_are_shown_in_numbers_and_bars(open_figure, figure):
    page = open_figure(figure)
    _, probabilities, _ = after(page, {"digit": 2})
    heads = page.locator("tr").first.locator("th").all_inner_texts()
    assert heads == ["", "CNN", "linear"]
    for digit, row in enumerate(page.locator("tr").all()[1:]):
        assert row.locator("th").inner_text() == str(digit)
        for name, cell in zip(heads[1:], row.locator("td").all(), strict=True):
            share = 100 * probabilities[name][digit]
            assert float(cell.inner_text()) == pytest.approx(share, abs=0.051)
            width = cell.evaluate("e => parseFloat(getComputedStyle(e).backgroundSize)")
            assert width == pytest.approx(share, abs=0.06)
    best = int(np.argmax(probabilities["CNN"]))
    playing.said(page, f"CNN: {best}")


# Pointing.


def test_a_unit_shows_what_it_saw(open_figure, figure):
    page = open_figure(figure)
    model = figure.networks["CNN"]
    fields = receptive_field(model, (1, 28, 28))
    outputs = record_activations(
        live.quantise_weights(model), torch.zeros(1, 1, 28, 28)
    )
    for stage, maps in enumerate(page.locator(".maps").all()):
        name = list(fields)[stage]
        maps.focus()
        for key in ("Shift+ArrowRight", "ArrowDown", "ArrowLeft"):
            page.keyboard.press(key)
        shown, column = divmod(9, outputs[name].shape[-1])
        (size, _), *_ = fields[name]
        top, left = np.array(fields[name].start) + np.multiply(
            fields[name].stride, (1, column)
        )
        playing.said(page, f"{name}, map {shown}, row 1, column {column}: ")
        seen = f"rows {top}–{top + size - 1}, columns {left}–{left + size - 1}."
        playing.said(page, "It saw " + seen)
        style = page.locator(".seen .saw").evaluate(
            "({ style }) => [style.top, style.left, style.height].map(parseFloat)"
        )
        np.testing.assert_allclose(style, np.array([top, left, size]) / 0.28, rtol=1e-4)


# Addresses, damage, layout.


def test_the_address_keeps_all_and_reset_forgets_it(open_figure, figure):
    page = open_figure(figure)
    after(page, {"digit": "blank", "unit": "2,3,4", "rotate": 15, "thicken": 0.5})
    page.get_by_label("centred").check()
    page.get_by_label("right").press("ArrowRight")
    page.mouse.move(*pad_point(page, 9, 4))
    page.mouse.down()
    page.mouse.move(*pad_point(page, 19, 24), steps=5)
    page.mouse.up()
    seen, _, state = after(page)
    fragment = playing.address(page)
    assert "strokes=P9" in unquote_plus(fragment)
    again = open_figure(figure, fragment)
    seen_again, _, state_again = after(again)
    assert state_again == state
    np.testing.assert_array_equal(seen_again, seen)
    again.get_by_role("button", name="reset").click()
    _, _, state = after(again)
    assert (state["digit"], state["strokes"], state["unit"]) == ("0", "", "")


def test_a_link_to_a_blank_picture_is_blank(open_figure, figure):
    page = open_figure(figure, "#draw-digit?digit=blank")
    assert after(page)[1] is None
    assert "no ink" in page.get_by_role("alert").inner_text()


DAMAGED = [
    *("digit=99", "digit=<b>", "strokes=5 5", "strokes=Pa", "strokes=P1e9"),
    *("unit=1", "unit=-1,0,0", "right=99", "rotate=x", "thicken=NaN", "nothing=1"),
]


def test_a_damaged_address_is_told_and_the_figure_works(open_figure, figure, digits):
    page = open_figure(figure, f"#draw-digit?{DAMAGED[0]}")
    for settings in [*DAMAGED[1:], DAMAGED[0]]:
        assert "Not all of the link" in page.get_by_role("alert").inner_text()
        np.testing.assert_array_equal(after(page)[0], digits[0][0, 0])
        playing.follow(page, settings)


ODD = [
    *({"unit": "99,0,0"}, {"unit": "0,999,999"}, {"strokes": "P"}, {"strokes": "P1"}),
    *({"strokes": "P1.2.3--4 . "}, {"strokes": "P9999999999 9999999999 "}),
]


def test_odd_states_draw_nothing_and_break_nothing(open_figure, figure, digits):
    page = open_figure(figure)
    for state in ODD:
        seen, probabilities, _ = after(page, {"unit": "", "strokes": "", **state})
        assert np.abs(seen - digits[0][0, 0].numpy()).sum() < 40
        assert probabilities


def test_the_layout_is_complete_before_data_come(open_figure, figure):
    page = open_figure(figure)
    for width in (320, 800):
        page.set_viewport_size({"width": width, "height": 700})
        heights = page.evaluate(
            """tag => {
                const full = document.querySelector(tag);
                const empty = document.createElement(tag);
                full.after(empty);
                const parts = ["table", ".pad", ".stages", "footer"];
                const heights = [full, empty].map(({ form }) => [
                    form, ...parts.map(part => form.querySelector(part)),
                ].map(part => part.offsetHeight));
                empty.remove();
                return heights;
            }""",
            TAG,
        )
        np.testing.assert_allclose(*heights, atol=3)
        assert page.evaluate("document.documentElement.scrollWidth") == width


# In Python.


def test_readers_choose_by_label_and_mistake(digits):
    images, labels = digits
    always_three = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.zeros_(always_three[1].weight)
    with torch.no_grad():
        always_three[1].bias.copy_(F.one_hot(torch.tensor(3), 10))
    figure = live.draw_digit({"CNN": CNN(), "3": always_three}, images, labels)
    for label, words in zip(labels.tolist(), figure.data["words"], strict=True):
        assert words.startswith(str(label))
        assert ("3 reads 3" in words) == (label != 3)


LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
TAIL = (nn.Flatten(), nn.Linear(8 * 28 * 28, 10))


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ({}, "networks"),
        (CNN(), "networks"),
        ({"a": nn.Linear(1, 1)}, "nn.Sequential"),
        ({"a": "CNN"}, "model"),
        ({"a": LINEAR}, "convolutions"),
        ({"a": CNN(), "b": nn.Sequential(nn.Flatten(), nn.Linear(784, 11))}, "ten"),
        ({"a": nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.GELU(), *TAIL)}, "GELU"),
        (
            {"a": nn.Sequential(nn.Conv2d(1, 8, 3, stride=(1, 2)), nn.Flatten())},
            "stride",
        ),
        ({"a": nn.Sequential(nn.Conv2d(1, 8, 3, padding="same"), *TAIL)}, "padding"),
        ({"a": nn.Sequential(nn.MaxPool2d(2, padding=1))}, "MaxPool2d"),
        ({"a": nn.Sequential(nn.MaxPool2d(2, ceil_mode=True))}, "MaxPool2d"),
        (
            {"a": nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False))},
            "BatchNorm2d",
        ),
    ],
)
def test_networks_that_cannot_run_are_named(digits, networks, message):
    with pytest.raises((TypeError, ValueError), match=message):
        live.draw_digit(networks, *digits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x * 2, y), "digits"),
        (lambda x, y: (x - 1, y), "digits"),
        (lambda x, y: (x, y[:-1]), "labels"),
        (lambda x, y: (x * float("nan"), y), "digits"),
        (lambda x, y: (x.numpy(), y), "digits"),
        (lambda x, y: (x[:0], y[:0]), "digits"),
        (lambda x, y: (x[:, :, :20], y), "digits"),
        (lambda x, y: (x.repeat(9, 1, 1, 1), y.repeat(9)), "146"),
    ],
)
def test_bad_digits_are_named(digits, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        live.draw_digit({"CNN": CNN()}, *change(*digits))


@pytest.mark.parametrize("digit", [-1, 24, 1.5])
def test_a_digit_that_is_not_there_is_named(digits, digit):
    with pytest.raises((TypeError, ValueError), match="digit"):
        live.draw_digit({"CNN": CNN()}, *digits, digit=digit)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(1, 6, 5, 2, 2), nn.ReLU(), nn.Flatten()),
        nn.Sequential(nn.Conv2d(1, 6, (3, 5), dilation=2), nn.MaxPool2d(3, 2)),
        nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, affine=False)),
            nn.Identity(),
            nn.Dropout(0.5),
            nn.Conv2d(3, 4, 3, padding=1, bias=False),
            nn.Flatten(),
            nn.Linear(4 * 26 * 26, 3, bias=False),
        ),
    ],
)
def test_other_sequences_run_as_in_pytorch(open_figure, figure, digits, model):
    page = open_figure(figure)
    found = page.evaluate(
        """([tag, packed]) => {
            const input = document.querySelector(tag).picture;
            return [...cnnviz.run(cnnviz.readNetwork(packed), input).values()]
                .at(-1).map(({ data }) => Array.from(data));
        }""",
        [TAG, pack_network(model)],
    )
    with torch.no_grad():
        expected = live.quantise_weights(model)(digits[0][:1])
    np.testing.assert_allclose(np.ravel(found), expected.ravel(), atol=1e-4)


# What was added to the core.


def test_tiles_fields_and_boxes(open_figure, figure):
    page = open_figure(figure)
    rng = np.random.default_rng(0)
    maps = rng.random((7, 3, 5)).astype(np.float32)
    tiled = page.evaluate(
        "p => Array.from(cnnviz.tile(cnnviz.unpackMaps(p), 4).data)", pack(maps)
    )
    eight = np.concatenate([maps, np.zeros((1, 3, 5))])
    expected = eight.reshape(2, 4, 3, 5).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(tiled, expected.ravel())

    field = page.evaluate(
        """() => cnnviz.fieldOf([
            {kernels: [[cnnviz.plane(5, 3)]], stride: 2, padding: 1, dilation: 2},
            {kind: "relu"}, {size: 2, stride: 2},
        ], 3, 4)"""
    )
    assert field == {"top": 11, "bottom": 18, "left": 15, "right": 26}

    image = (rng.random((20, 20)) > 0.97) * rng.random((20, 20))
    box = page.evaluate(
        "p => cnnviz.measure(cnnviz.unpackMaps(p)[0])", pack(image.astype(np.float32))
    )
    left, top, width, height = cv2.boundingRect((image > 0).astype(np.uint8))
    moments = cv2.moments(image)
    x, y = (moments[name] / moments["m00"] + 0.5 for name in ("m10", "m01"))
    assert box == pytest.approx(
        {
            "left": left,
            "top": top,
            "right": left + width,
            "bottom": top + height,
            "x": x,
            "y": y,
        }
    )
    assert page.evaluate("() => cnnviz.measure(cnnviz.plane(4, 4))") is None

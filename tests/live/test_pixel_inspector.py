"""The pixel inspector, in a browser, against the arrays that went in."""

import numpy as np
import pytest

import playing
from cnnviz import live
from cnnviz.datasets import dog

TAG = "cnn-pixel-inspector"
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 9), np.uint8)
COLOUR = dog()[100:140, 200:260]


def pixel(page):
    return playing.ask(page, "(figure) => figure.pixel")


def test_every_pixel_is_the_array_s(open_figure):
    page = open_figure(live.pixel_inspector({"grey": GREY, "colour": COLOUR}))
    for name, image in (("grey", GREY[..., None]), ("colour", COLOUR)):
        planes = page.evaluate(
            "([tag, name]) => document.querySelector(tag).pictures.get(name)"
            ".map(p => Array.from(p.data))",
            [TAG, name],
        )
        expected = image.transpose(2, 0, 1).reshape(image.shape[2], -1)
        np.testing.assert_array_equal(planes, expected)


def test_arrow_keys_move_by_one_and_with_shift_by_ten(open_figure):
    page = open_figure(live.pixel_inspector(COLOUR, row=5, column=5))
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert pixel(page) == COLOUR[15, 6].tolist()
    for _ in range(5):
        page.keyboard.press("Shift+ArrowUp")
    assert pixel(page) == COLOUR[0, 6].tolist()


def test_a_tap_points_at_the_pixel_under_it(open_figure):
    page = open_figure(live.pixel_inspector(GREY), has_touch=True)
    box = page.locator("canvas").bounding_box()
    cell = box["width"] / GREY.shape[1]
    page.touchscreen.tap(box["x"] + 4.5 * cell, box["y"] + 7.5 * cell)
    assert pixel(page) == [int(GREY[7, 4])]
    value = f"{GREY[7, 4] / 255:.3f}"
    assert page.locator("tbody td").all_inner_texts() == [str(GREY[7, 4]), value]


def test_the_address_keeps_the_place_and_reset_forgets_it(open_figure):
    figure = live.pixel_inspector(GREY, row=1, column=2)
    page = open_figure(figure, "#pixel-inspector?at=3,4")
    assert pixel(page) == [int(GREY[3, 4])]
    page.get_by_role("button", name="reset").click()
    assert pixel(page) == [int(GREY[1, 2])]


@pytest.mark.parametrize("at", ["x", "1", "-1,2", "1,2,3", "<b>", "1e9,0", ""])
def test_a_damaged_address_is_told_and_the_figure_works(open_figure, at):
    page = open_figure(live.pixel_inspector(GREY), f"#pixel-inspector?at={at}")
    assert "must be a row and a column" in page.get_by_role("alert").inner_text()
    assert pixel(page) == [int(GREY[0, 0])]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2, 4)), "images"),
        (np.full((2, 2), 300), "images"),
        (np.zeros((1, 5000)), "4096"),
        ({}, "at least one picture"),
    ],
)
def test_bad_images_are_named(image, message):
    with pytest.raises(ValueError, match=message):
        live.pixel_inspector(image)

"""The sum over channels, in a browser, against torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import playing
from cnnviz import live
from cnnviz.datasets import dog

torch.manual_seed(0)
PHOTO = torch.tensor(dog()[100:148, 200:264].transpose(2, 0, 1) / 255)
RED = torch.ones(3, 3, 3, dtype=torch.float64) * torch.tensor(
    [[[1.0]], [[-1.2]], [[0.2]]]
)
MAPS, SLICES = torch.randn(8, 14, 17), torch.randn(8, 5, 4)
NAMES = ["red", "green", "blue"]


def red_figure(bias=0.0):
    return live.channel_sum(PHOTO, RED, bias, NAMES)


def the_sum(page):
    plane = playing.ask(page, "({sum}) => ({...sum, data: Array.from(sum.data)})")
    return np.reshape(plane["data"], (plane["height"], plane["width"]))


def lines(page):
    playing.drawn(page)
    texts = page.locator("tbody tr").all_inner_texts()
    return [line.replace("−", "-").split("\t") for line in texts]


@pytest.mark.parametrize(
    ("maps", "kernels", "bias"),
    [(PHOTO, RED, -0.05), (MAPS, SLICES, 1.25), (MAPS[:1], SLICES[:1], 0)],
)
def test_the_sum_is_torch_s_at_each_step(open_figure, maps, kernels, bias):
    page = open_figure(live.channel_sum(maps, kernels, bias))
    maps, kernels = maps[None].double(), kernels[None].double()
    for added in range(maps.shape[1] + 1):
        playing.put(page, added=added)
        expected = F.conv2d(maps[:, :added], kernels[:, :added]) if added else 0
        np.testing.assert_allclose(the_sum(page), np.squeeze(expected), atol=1e-4)
    whole = F.conv2d(maps, kernels, torch.tensor([float(bias)]).double())[0, 0]
    for further, expected in ((1, whole), (2, whole.relu())):
        playing.put(page, added=added + further)
        np.testing.assert_allclose(the_sum(page), expected, atol=1e-4)


def test_a_channel_can_be_left_out(open_figure):
    page = open_figure(red_figure())
    page.get_by_role("checkbox", name="green").uncheck()
    expected = F.conv2d(PHOTO[None, ::2], RED[None, ::2])[0, 0]
    np.testing.assert_allclose(the_sum(page), expected, atol=1e-4)
    page.get_by_role("checkbox", name="red").uncheck()
    page.get_by_role("checkbox", name="blue").uncheck()
    assert not the_sum(page).any()
    page.get_by_role("button", name="reset").click()
    expected = F.conv2d(PHOTO[None], RED[None])[0, 0]
    np.testing.assert_allclose(the_sum(page), expected, atol=1e-4)


def test_the_numbers_at_a_unit_are_written_out(open_figure):
    page = open_figure(red_figure(0.5), "#channel-sum?at=7,30&added=5")
    parts = F.conv2d(PHOTO[None], RED[:, None], groups=3)[0, :, 7, 30].tolist()
    assert [line[0] for line in lines(page)] == [*NAMES, "bias", "ReLU"]
    numbers = [[float(n) for n in line[1:]] for line in lines(page)]
    terms = [*parts, 0.5]
    sums = np.cumsum(terms)
    np.testing.assert_allclose(numbers[:4], np.transpose([terms, sums]), rtol=5e-3)
    assert numbers[4][1] == pytest.approx(max(sums[-1], 0), rel=5e-3)
    playing.put(page, added=2)
    assert lines(page)[2][1:] == ["", ""]
    assert page.locator("tr.now").inner_text().startswith("green")


def test_the_windows_are_those_of_the_unit(open_figure):
    page = open_figure(live.channel_sum(MAPS, SLICES), "#channel-sum?at=3,6")
    cells = page.locator(".channel").nth(5).locator(".values").first.locator(".cell")
    window = [float(t.replace("−", "-")) for t in cells.all_inner_texts()]
    np.testing.assert_allclose(window, MAPS[5, 3:8, 6:10].ravel(), atol=0.051)


def test_arrow_keys_and_taps_choose_the_unit(open_figure):
    page = open_figure(red_figure(), has_touch=True)
    figure = page.get_by_role("application", name="The sum so far")
    figure.press("ArrowLeft")
    figure.press("Shift+ArrowUp")
    assert playing.state(page)["at"] == "12,29"
    first = page.get_by_role("application", name="Partial map, red").bounding_box()
    cell = first["width"] / 62
    page.touchscreen.tap(first["x"] + 8.5 * cell, first["y"] + 20.5 * cell)
    assert playing.state(page)["at"] == "20,8"
    page.get_by_role("application", name="Input, blue").press("ArrowDown")
    assert playing.state(page)["at"] == "21,8"


def test_play_adds_one_after_another(open_figure):
    page = open_figure(red_figure(), "#channel-sum?added=4")
    page.get_by_role("button", name="play").click()
    playing.wait_until(page, "({state}) => state.added === 5")
    assert page.get_by_role("button", name="play").is_visible()
    assert page.locator("tr.now").inner_text().startswith("ReLU")
    page.get_by_role("button", name="play").click()
    playing.wait_until(page, "({state}) => state.added === 0")
    assert not the_sum(page).any()
    page.get_by_role("button", name="pause").click()


def test_the_address_keeps_what_was_changed(open_figure):
    page = open_figure(
        red_figure(), "#channel-sum?use-1=false&bias=0.25&added=4&at=1,2"
    )
    state = playing.state(page)
    assert state["use-1"] is False
    assert (state["bias"], state["added"], state["at"]) == (0.25, 4, "1,2")
    page.get_by_role("checkbox", name="red").uncheck()
    address = playing.address(page)
    assert "use-0=false" in address
    assert "bias=0.25" in address


def test_a_damaged_address_is_told_and_the_figure_works(open_figure):
    page = open_figure(red_figure())
    for fragment, message in (
        ("at=x", "must be a row and a column"),
        ("added=99", "added can't be 99"),
        ("bias=1e300", "from -1000 to 1000"),
        ("bias=NaN", "bias can't be NaN"),
        ("nothing=1", "no setting"),
    ):
        playing.follow(page, fragment)
        assert message in playing.message(page)
    expected = F.conv2d(PHOTO[None], RED[None])[0, 0]
    np.testing.assert_allclose(the_sum(page), expected, atol=1e-4)


def test_a_bias_that_is_no_number_is_told(open_figure):
    page = open_figure(red_figure())
    page.get_by_label("bias").fill("")
    assert "must be a number" in page.get_by_role("alert").inner_text()
    page.get_by_label("bias").fill("-100")
    playing.put(page, added=5)
    assert not the_sum(page).any()


def test_pixels_are_packed_as_bytes():
    assert len(red_figure().json()) < 1.4 * PHOTO.numel() + 1500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MAPS[0], SLICES), r"maps must be maps \(N, H, W\)"),
        ((MAPS, SLICES[:3]), "kernels must be 8 slices"),
        ((MAPS, torch.ones(8, 6, 6)), "5×5"),
        ((MAPS[:, :4], SLICES), "no larger than the maps"),
        ((torch.zeros(17, 9, 9), torch.zeros(17, 3, 3)), "at most 16 maps"),
        ((torch.zeros(3, 300, 300), RED), "150,000 numbers"),
        ((MAPS, SLICES, 1e300), "bias must be from −1000 to 1000"),
        ((MAPS, SLICES, 0, ["a"]), "names must be 8 names"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        live.channel_sum(*arguments)

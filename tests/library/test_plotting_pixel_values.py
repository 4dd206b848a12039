"""Numbers in cells: which, where, how legible, how sharp."""

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.colors import to_rgb

from cnnviz.plotting import plot_pixel_values

small = array_shapes(min_dims=2, max_dims=2, max_side=6)


def groups(ax):
    """Text, colour and cell centres of the numbers over a picture."""
    (numbers,) = ax.artists
    return numbers.groups


def written(ax):
    """What each cell says, by column and row."""
    cells = {}
    for text, _, centres in groups(ax):
        for centre in centres:
            assert tuple(centre) not in cells
            cells[tuple(centre)] = text
    return cells


def pixels_of(figure, dpi=100):
    """Draw a figure and return its brightness, 0 to 255."""
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].mean(axis=2)


@given(arrays(np.uint8, small))
@settings(max_examples=30)
def test_every_cell_says_its_value(pixels):
    ax = plot_pixel_values(pixels)
    expected = {(x, y): str(value) for (y, x), value in np.ndenumerate(pixels)}
    assert written(ax) == expected
    assert ax.images[0].get_clim() == (0, 255)
    plt.close()


@given(arrays(np.uint8, small))
@settings(max_examples=20)
def test_each_distinct_number_is_drawn_once(pixels):
    ax = plot_pixel_values(pixels)
    counts = {text: len(centres) for text, _, centres in groups(ax)}
    assert len(groups(ax)) == len(counts)
    assert counts == Counter(map(str, pixels.ravel().tolist()))
    plt.close()


@given(st.integers(0, 255))
@settings(max_examples=40)
def test_numbers_contrast_with_their_pixel(value):
    ((_, color, _),) = groups(plot_pixel_values(np.uint8([[value]])))
    grey = value / 255
    linear = grey / 12.92 if grey <= 0.04045 else ((grey + 0.055) / 1.055) ** 2.4
    black, white = (linear + 0.05) / 0.05, 1.05 / (linear + 0.05)
    chosen = {(0, 0, 0): black, (1, 1, 1): white}[to_rgb(color)]
    assert chosen >= 4.5
    plt.close()


@pytest.mark.parametrize(
    ("value", "format", "text"),
    [
        (1.0, None, "1"),
        (0.25, None, "0.25"),
        (np.float32(0.1), None, "0.1"),
        (1 / 3, None, "0.33"),
        (0.001, None, "0.00"),
        (0.999, None, "1.00"),
        (0.0, None, "0"),
        (-0.0, None, "0"),
        (0.25, ".1f", "0.2"),
        (0.5, ".0%", "50%"),
        (7, None, "7"),
        (7, "03d", "007"),
    ],
)
def test_numbers_are_short_and_honest(value, format, text):
    ((written_text, _, _),) = groups(plot_pixel_values([[value]], format=format))
    assert written_text == text


def test_digits_are_as_high_and_as_wide_as_a_text_of_that_size():
    def ink(figure):
        rows, columns = np.nonzero(pixels_of(figure)[10:-10, 10:-10] > 100)
        return np.ptp(rows), np.ptp(columns)

    ax = plt.subplots(figsize=(1, 1))[1]
    plot_pixel_values([[25]], ax)
    ours = ink(ax.figure)
    ax = plt.subplots(figsize=(1, 1))[1]
    ax.imshow([[25]], cmap="gray", vmin=0, vmax=255)
    ax.axis("off")
    ax.text(0, 0, "25", color="white", fontsize=10, ha="center", va="center")
    text = ink(ax.figure)
    np.testing.assert_allclose(ours, text, atol=1)


def test_digits_are_sharp():
    figure = plot_pixel_values(np.zeros((8, 8), np.uint8)).figure
    drawn = pixels_of(figure)[2:-2, 2:-2]
    rows = np.flatnonzero(drawn.max(axis=1) > 0)
    # The upper and lower strokes of a hinted 0 fill whole rows of pixels.
    first_rows = rows[np.r_[True, np.diff(rows) > 1]]
    assert (drawn[first_rows].max(axis=1) > 200).all()


@pytest.mark.parametrize("dpi", [50, 100, 200])
@pytest.mark.parametrize("value", [0, 255])
def test_numbers_stay_inside_their_cells(dpi, value):
    side = 12
    figure = plot_pixel_values(np.full((side, side), value, np.uint8)).figure
    drawn = np.abs(pixels_of(figure, dpi) - value)
    height, width = drawn.shape
    cells = drawn[: height // side * side, : width // side * side]
    cells = cells.reshape(side, height // side, side, width // side)
    inner = cells[1:-1, :, 1:-1].max(axis=(0, 2))
    assert inner[len(inner) // 2].max() > 100
    assert inner[0].max() == inner[-1].max() == 0
    assert inner[:, 0].max() == inner[:, -1].max() == 0


def test_numbers_are_fitted_when_drawn():
    def ink(figure):
        return (pixels_of(figure) > 100).sum()

    ax = plot_pixel_values(np.full((20, 20), 100, np.uint8))
    large = ink(ax.figure)
    ax.figure.set_size_inches(2, 2)
    assert 0 < ink(ax.figure) < large / 3


def test_numbers_can_be_hidden():
    ax = plot_pixel_values(np.zeros((4, 4), np.uint8))
    ax.artists[0].set_visible(False)
    assert pixels_of(ax.figure)[4:-4, 4:-4].max() == 0


def test_vector_graphics_hold_each_number_once(tmp_path):
    ax = plot_pixel_values([[0, 0, 0], [255, 255, 0]])
    ax.figure.savefig(tmp_path / "numbers.svg")
    assert (tmp_path / "numbers.svg").read_text().count("<use ") == 6


@pytest.mark.parametrize(
    ("shape", "fits"), [((28, 28), True), ((10, 47), True), ((10, 60), False)]
)
def test_new_figures_are_large_enough_to_read(shape, fits):
    pixels = np.full(shape, 255, np.uint8)
    figure = plot_pixel_values(pixels, title="t").figure
    assert (figure.get_figwidth() <= 7.2) == fits
    box = figure.axes[0].get_window_extent()
    cells = np.array([box.width / shape[1], box.height / shape[0]])
    np.testing.assert_allclose(cells, np.round(cells), atol=1e-6)
    np.testing.assert_allclose(cells[0], cells[1], atol=1e-6)
    assert cells[0] >= 15


@pytest.mark.parametrize(
    ("image", "format", "error", "message"),
    [
        (np.zeros((2, 2, 3)), None, ValueError, r"grey picture \(H, W\), got ndarray"),
        ([[0.5, 2.0]], None, ValueError, "image must be float pixels from 0 to 1"),
        ([[0.5]], "d", ValueError, "numbers such as 0.5, got 'd'"),
        ([[0.5]], 2, TypeError, "format must be a format such as '.2f', got int 2"),
    ],
)
def test_bad_input_is_named(image, format, error, message):
    with pytest.raises(error, match=message):
        plot_pixel_values(image, format=format)
    assert not plt.get_fignums()


def test_more_pixels_than_can_be_read_are_refused():
    with pytest.raises(ValueError, match=r"image must be at most 512 .*\(1, 513\)"):
        plot_pixel_values(np.zeros((1, 513)))
    assert not plt.get_fignums()

"""Grids of many pictures: which stand where, in which colours, under which titles."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torchvision.utils import make_grid

from cnnviz.plotting import plot_digits, plot_feature_maps, plot_images, plot_kernels

VALUES = np.linspace(0, 1, 300)
GREYS = mpl.colormaps["gray"]
SIGNED = mpl.colormaps["RdBu_r"]


def flat(count, sign=1):
    """Return pictures of one value each, which differ."""
    return sign * np.tile(VALUES[:count, None, None], (1, 2, 2))


GRIDS = {
    "images": (lambda n: plot_images(flat(n), columns=17), GREYS, (0, 1)),
    "digits": (lambda n: plot_digits(flat(n), columns=17), GREYS, (0, 1)),
    "maps": (lambda n: plot_feature_maps(flat(n), limit=1, columns=17), GREYS, (0, 1)),
    "signed": (
        lambda n: plot_feature_maps(flat(n, -1), limit=1, columns=17),
        SIGNED,
        (-1, 1),
    ),
    "kernels": (
        lambda n: plot_kernels(flat(n, -1), limit=1, columns=17),
        SIGNED,
        (-1, 1),
    ),
}


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("count", [49, 256, 300])
def test_each_of_many_pictures_has_its_place_and_its_colours(kind, count):
    """In rows, as torchvision's `make_grid` puts them; as drawn, too."""
    plot, colours, limits = GRIDS[kind]
    figure = plot(count)
    ax = figure.axes[0]
    assert len(figure.axes) == (1 if kind in ("images", "digits") else 2)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[::-1] / 255
    order = make_grid(torch.arange(1, count + 1).view(-1, 1, 1, 1), 17, 0)[0]
    seen = np.zeros_like(order)
    left, row_of = sorted({im.get_extent()[0] for im in ax.images}), {}
    for number, image in enumerate(ax.images):
        assert image.get_clim() == limits
        x0, x1, y0, y1 = image.get_extent()
        row = row_of.setdefault(y0, len(row_of))
        seen[row, left.index(x0)] = number + 1
        # Beside the middle, where kernels have a line, and numbers are written.
        x, y = x0 + (x1 - x0) * 0.04, y0 + (y1 - y0) * 0.04
        column, line = ax.transData.transform((x, y)).round().astype(int)
        expected = colours(mpl.colors.Normalize(*limits)(image.get_array()[0, 0]))
        np.testing.assert_allclose(drawn[line, column], expected, atol=0.02)
    np.testing.assert_array_equal(seen, order)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("count", [24, 25, 64, 256])
def test_maps_of_their_own_scales_have_bars_or_one_bar_of_shares(count, signed):
    maps = flat(count) + 1 - 3 * signed
    figure = plot_feature_maps(maps, shared_scale=False)
    pictures = [image for ax in figure.axes for image in ax.images]
    limits = [image.get_clim() for image in pictures]
    largest = np.abs(maps).max(axis=(1, 2))
    expected = np.column_stack([-largest if signed else 0 * largest, largest])
    np.testing.assert_allclose(limits, expected)
    bars = figure.axes[1 if count > 24 else count :]
    assert len(bars) == (1 if count > 24 else count)
    if count > 24:
        assert bars[0].get_ylim() == (-1 if signed else 0, 1)
        assert bars[0].get_ylabel() == "share of each map's largest magnitude"


@pytest.mark.parametrize("titles", [range(300), [f"conv2d_{i}" for i in range(300)]])
def test_titles_of_many_pictures_stand_over_them_and_apart(titles):
    figure = plot_images(flat(300), titles)
    figure.canvas.draw()
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == [str(title) for title in titles]
    boxes = [text.get_window_extent() for text in ax.texts]
    for box, image in zip(boxes, ax.images, strict=True):
        picture = image.get_window_extent()
        assert box.y0 >= picture.y1 - 1
        middle = (picture.x0 + picture.x1) / 2
        assert (box.x0 + box.x1) / 2 == pytest.approx(middle, abs=2)
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("count", [8, 60])
def test_long_titles_are_broken_into_lines_that_do_not_overlap(count):
    names = [f"number {i} of the feature maps" for i in range(count)]
    figure = plot_images(flat(count), names, columns=8)
    figure.canvas.draw()
    texts = [ax.title for ax in figure.axes] if count == 8 else figure.axes[0].texts
    assert [" ".join(text.get_text().split()) for text in texts] == names
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_pictures_of_many_sizes_keep_their_proportions_and_do_not_overlap():
    shapes = [(1 + i % 7, 1 + i % 5) for i in range(100)]
    figure = plot_images([np.zeros(shape) for shape in shapes])
    figure.canvas.draw()
    boxes = [image.get_window_extent() for image in figure.axes[0].images]
    for box, (height, width) in zip(boxes, shapes, strict=True):
        assert box.height / box.width == pytest.approx(height / width)
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
    whole = figure.bbox
    assert min(box.x0 for box in boxes) >= whole.x0
    assert max(box.x1 for box in boxes) <= whole.x1


def test_wrong_answers_stand_out_among_many():
    answers = np.arange(100)
    answers[70] = 5
    ax = plot_digits(flat(100), range(100), predictions=answers).axes[0]
    marked = [t.get_text() for t in ax.texts if t.get_fontweight() == "bold"]
    assert marked == ["70 → 5"]


def test_the_number_of_axes_does_not_grow_with_the_pictures():
    """Which is what takes time: see `bench_grids.py`."""
    for count in (49, 300):
        figure = plot_feature_maps(flat(count))
        assert len(figure.axes) == 2
        plt.close(figure)

"""Signed maps and feature maps, read back through their artists."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cnnviz.plotting import plot_feature_maps, plot_signed

stacks = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, max_side=4),
    elements=st.floats(-100, 100, width=32),
)


def split(figure):
    """Return the axes that hold maps, and the others: colour bars."""
    maps = [ax for ax in figure.axes if ax.images]
    return maps, [ax for ax in figure.axes if not ax.images]


@given(arrays(np.float64, (2, 3), elements=st.floats(-1e6, 1e6)))
@settings(max_examples=20)
def test_signed_limits_are_symmetric(values):
    image = plot_signed(values, colorbar=False).images[0]
    low, high = image.get_clim()
    assert low == -high
    assert high == (np.abs(values).max() or 1)
    np.testing.assert_array_equal(image.get_array(), values)
    plt.close()


def test_signed_maps_have_a_colour_bar_unless_told():
    ax = plot_signed([[-1, 2]], title="t", limit=3)
    assert ax.get_title() == "t"
    assert ax.images[0].get_clim() == (-3, 3)
    assert len(ax.figure.axes) == 2
    assert len(plot_signed([[-1, 2]], colorbar=False).figure.axes) == 1


def test_bytes_do_not_overflow():
    image = plot_signed(np.array([[-128, 5]], dtype=np.int8)).images[0]
    assert image.get_clim() == (-128, 128)


@given(stacks)
@settings(max_examples=12)
def test_maps_share_one_scale(stack):
    maps, bars = split(plot_feature_maps(stack))
    limit = float(np.abs(stack).max()) or 1
    low = -limit if stack.min() < 0 else 0
    assert {ax.images[0].get_clim() for ax in maps} == {(low, limit)}
    assert len(bars) == 1
    for ax, values in zip(maps, stack, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), values)
    plt.close()


def test_maps_may_have_scales_of_their_own_and_say_so():
    stack = np.array([[[-1, 2]], [[0, 8]], [[0, 0]]])
    maps, bars = split(plot_feature_maps(stack, shared_scale=False))
    limits = [ax.images[0].get_clim() for ax in maps]
    assert limits == [(-2, 2), (-8, 8), (-1, 1)]
    assert [bar.get_ylim() for bar in bars] == limits


def test_sign_is_read_from_the_data_or_told():
    (ax,), _ = split(plot_feature_maps(np.ones((1, 2, 2))))
    assert ax.images[0].get_clim() == (0, 1)
    assert ax.images[0].get_cmap().name == "gray"
    (ax,), _ = split(plot_feature_maps(np.ones((1, 2, 2)), signed=True, limit=4))
    assert ax.images[0].get_clim() == (-4, 4)
    assert ax.images[0].get_cmap().name == "RdBu_r"


def test_batches_of_one_titles_and_columns():
    maps, _ = split(
        plot_feature_maps(
            torch.rand(1, 5, 3, 3), titles=["a", "b", "c", "d", "e"], columns=5
        )
    )
    assert [ax.get_title() for ax in maps] == ["a", "b", "c", "d", "e"]
    assert maps[0].get_subplotspec().get_gridspec().get_geometry() == (1, 5)


def test_numbers_are_written_where_asked():
    (ax,), _ = split(plot_feature_maps([[[-1.0, 0.5]]], numbers=True))
    assert {text for text, _, _ in ax.artists[0].groups} == {"-1", "0.5"}
    (ax,), _ = split(plot_feature_maps([[[-1.0, 0.5]]]))
    assert not ax.artists


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"maps": np.zeros((2, 3))},
            ValueError,
            r"maps must be feature maps \(C, H",
        ),
        ({"maps": np.zeros((2, 1, 3, 3))}, ValueError, r"\(1, C, H, W\), got ndarray"),
        ({"maps": [[[np.inf]]]}, ValueError, "1 NaN or infinite"),
        ({"maps": [[[-1.0]]], "signed": False}, ValueError, "signed is False, got -1"),
        (
            {"maps": [[[1.0]]], "limit": 2, "shared_scale": False},
            ValueError,
            "limit must be None where shared_scale is False, got 2",
        ),
        ({"maps": [[[1.0]]], "limit": "2"}, TypeError, "limit must be a number"),
        ({"maps": [[[1.0]]], "titles": []}, ValueError, "titles .* 1 strings, got 0"),
    ],
)
def test_bad_maps_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_feature_maps(**arguments)


def test_a_bad_signed_map_is_named():
    with pytest.raises(ValueError, match="values must be an array of values"):
        plot_signed(np.zeros((2, 2, 2)))

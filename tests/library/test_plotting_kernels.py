"""Kernels, read back through their artists."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cnnviz.kernels import KERNELS, SOBEL_X
from cnnviz.plotting import plot_kernel, plot_kernels

kernels = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=4),
    elements=st.integers(-9, 9),
)


def written(ax):
    (numbers,) = ax.artists
    return {
        (int(x), int(y)): text
        for text, _, centres in numbers.groups
        for x, y in centres
    }


@given(kernels)
@settings(max_examples=20)
def test_weights_are_written_and_colours_centred_on_zero(kernel):
    ax = plot_kernel(kernel)
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), kernel)
    limit = np.abs(kernel).max() or 1
    assert image.get_clim() == (-limit, limit)
    expected = {(x, y): f"{value:g}" for (y, x), value in np.ndenumerate(kernel + 0.0)}
    assert written(ax) == expected
    plt.close()


def test_negative_is_blue_positive_red_zero_neutral():
    image = plot_kernel([[-2, 0, 2]]).images[0]
    negative, zero, positive = image.to_rgba(image.get_array())[0, :, :3]
    assert negative.argmax() == 2
    assert positive.argmax() == 0
    assert np.ptp(zero) < 0.02
    assert zero.min() > 0.9


def test_a_limit_can_be_given():
    assert plot_kernel(SOBEL_X, limit=10).images[0].get_clim() == (-10, 10)


def test_kernels_share_their_limits_and_one_colour_bar():
    stack = np.stack([SOBEL_X, 3 * SOBEL_X.T, 0 * SOBEL_X])
    figure = plot_kernels(stack, titles=["x", "y", "none"])
    *axes, bar = figure.axes
    assert [ax.get_title() for ax in axes] == ["x", "y", "none"]
    assert {ax.images[0].get_clim() for ax in axes} == {(-6, 6)}
    assert bar.get_ylim() == (-6, 6)
    assert [written(ax)[0, 0] for ax in axes] == ["-1", "-3", "0"]


def test_named_kernels_of_all_sizes():
    figure = plot_kernels(KERNELS, limit=2, columns=3)
    axes = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in axes] == list(KERNELS)
    for ax, kernel in zip(axes, KERNELS.values(), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), kernel)
        assert ax.images[0].get_clim() == (-2, 2)
    assert axes[0].get_subplotspec().get_gridspec().ncols == 3


def test_titles_win_over_names():
    figure = plot_kernels({"a": SOBEL_X}, titles=["b"])
    assert figure.axes[0].get_title() == "b"


def test_weights_of_a_layer_are_taken():
    weight = torch.nn.Conv2d(1, 2, 3).weight
    figure = plot_kernels(weight)
    for ax, kernel in zip(figure.axes, weight.detach().numpy(), strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), kernel[0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernels": []}, ValueError, r"kernels \(K, kh, kw\), .* got none"),
        ({"kernels": "sobel"}, TypeError, "kernels must be kernels .* got str 'sobel'"),
        ({"kernels": {}}, ValueError, "got none"),
        (
            {"kernels": [np.zeros((2, 3, 3))]},
            ValueError,
            r"kernels\[0\] must be a",
        ),
        ({"kernels": [SOBEL_X, [1, 2]]}, ValueError, r"kernels\[1\] must be a kernel"),
        ({"kernels": [SOBEL_X], "titles": ["a", "b"]}, ValueError, "titles .* got 2"),
        ({"kernels": [SOBEL_X], "limit": -1}, ValueError, "limit .* positive number"),
    ],
)
def test_bad_kernels_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_kernels(**arguments)


def test_a_bad_kernel_is_named():
    with pytest.raises(ValueError, match=r"kernel must be a kernel \(kh, kw\), .* got"):
        plot_kernel([1, 2, 3])


@given(st.lists(kernels, min_size=1, max_size=5))
@settings(max_examples=15)
def test_kernels_share_one_scale_and_one_bar(stack):
    figure = plot_kernels(stack, titles=range(len(stack)))
    *axes, bar = figure.axes
    limit = max(np.abs(kernel).max() for kernel in stack) or 1
    for i, (ax, kernel) in enumerate(zip(axes, stack, strict=True)):
        assert ax.get_title() == str(i)
        np.testing.assert_array_equal(ax.images[0].get_array(), kernel)
        assert ax.images[0].get_clim() == (-limit, limit)
    assert bar.get_ylim() == (-limit, limit)
    plt.close()


@pytest.mark.parametrize("limit", [None, 0.5, 1e300, 1e-200])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_kernels_over_colours_are_shown_in_colour(kind, limit):
    """A weight of 0 is mid-grey; one scale for all; channels come first, always."""
    weights = np.random.default_rng(0).normal(size=(3, 3, 4, 3)).astype(np.float32)
    figure = plot_kernels(kind(weights), titles=list("abc"), limit=limit)
    *axes, bar = figure.axes
    scale = limit or float(np.abs(weights).max())
    for ax, kernel in zip(axes, weights.astype(float), strict=True):
        expected = (0.5 + kernel.transpose(1, 2, 0) / (2.0 * scale)).clip(0, 1)
        np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1e-6)
        assert not ax.artists
    assert bar.get_ylim() == pytest.approx((-scale, scale))
    (one,) = plot_kernel(kind(weights)[1], limit=scale).images
    np.testing.assert_array_equal(one.get_array(), axes[1].images[0].get_array())


def test_colours_of_kernels_are_those_of_torchvision():
    from torchvision.utils import make_grid

    weights = torch.randn(4, 3, 5, 5)
    limit = weights.abs().max().item()
    expected = make_grid(
        weights, nrow=4, padding=0, normalize=True, value_range=(-limit, limit)
    )
    axes = plot_kernels(weights).axes[:4]
    shown = np.hstack([ax.images[0].get_array() for ax in axes])
    np.testing.assert_allclose(shown, expected.permute(1, 2, 0), atol=1e-5)


def test_one_channel_is_a_map():
    for weights in (np.ones((2, 1, 3, 3)), list(np.ones((2, 1, 3, 3)))):
        for ax in plot_kernels(weights).axes[:2]:
            assert ax.images[0].get_array().shape == (3, 3)


@pytest.mark.parametrize(
    "shape", [(2, 2, 3, 3), (64, 64, 3, 3), (3, 3), (3,), (1, 2, 3, 3, 3)]
)
@pytest.mark.parametrize("kind", [np.zeros, torch.zeros])
def test_kernels_of_other_channels_are_refused(kind, shape):
    with pytest.raises(ValueError, match=r"\(K, 3, kh, kw\), got .* of shape"):
        plot_kernels(kind(shape))


@pytest.mark.parametrize(
    ("count", "size", "legible"), [(9, 3, True), (64, 3, True), (64, 7, False)]
)
def test_numbers_that_could_not_be_read_are_left_out(count, size, legible):

    figure = plot_kernels(np.full((count, size, size), 0.125))
    figure.canvas.draw()
    before = np.array(figure.canvas.buffer_rgba())
    for ax in figure.axes:
        for artist in ax.artists:
            artist.set_visible(False)
    figure.canvas.draw()
    assert (before != np.asarray(figure.canvas.buffer_rgba())).any() == legible

"""Pictures, grids, digits, boxes and overlays, read back through their artists."""

import re

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from torchvision.transforms.functional import normalize, to_tensor

from cnnviz.plotting import (
    plot_boxes,
    plot_channels,
    plot_digits,
    plot_image,
    plot_images,
    plot_overlay,
    plot_pixel_values,
)
from cnnviz.plotting._style import ACCENT, COLORS

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.stack([GREY, GREY + 100, GREY + 200], axis=-1)


def in_pillow(pixels):
    return Image.fromarray(np.asarray(pixels))


def shown(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=5)))
@settings(max_examples=15)
def test_contrast_of_bytes_is_never_stretched(pixels):
    ax = plot_image(pixels)
    np.testing.assert_array_equal(shown(ax), pixels)
    assert ax.images[0].get_clim() == (0, 255)
    plt.close()


@given(arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)))
@settings(max_examples=15)
def test_contrast_of_floats_is_never_stretched(pixels):
    ax = plot_image(pixels)
    np.testing.assert_array_equal(shown(ax), pixels)
    assert ax.images[0].get_clim() == (0, 1)
    plt.close()


def test_grey_is_black_at_zero_and_white_at_the_top():
    ax = plot_image([[0, 255]])
    rgba = ax.images[0].to_rgba(shown(ax))
    np.testing.assert_array_equal(rgba[0], [[0, 0, 0, 1], [1, 1, 1, 1]])


@pytest.mark.parametrize("image", [GREY[..., None], torch.from_numpy(GREY), GREY / 1e3])
def test_kinds_of_pictures(image):
    assert shown(plot_image(image)).shape == (3, 4)


def test_colours_come_through():
    np.testing.assert_array_equal(shown(plot_image(COLOUR)), COLOUR)
    wide = COLOUR.astype(np.int64)
    np.testing.assert_array_equal(shown(plot_image(wide)), COLOUR)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, in_pillow])
def test_masks_are_black_and_white(kind):
    ax = plot_image(kind([[False, True]]))
    np.testing.assert_array_equal(ax.images[0].norm(shown(ax)), [[0, 1]])


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_pillow_s_images_are_taken_where_they_hold_grey_or_rgb(mode):
    for image in (GREY, COLOUR):
        np.testing.assert_array_equal(shown(plot_image(in_pillow(image))), image)
    with pytest.raises(ValueError, match=f"of mode 1, L or RGB .* got {mode}"):
        plot_image(Image.new(mode, (4, 3)))


PHOTO = np.random.default_rng(0).random((3, 4, 3)).astype(np.float32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SINGULAR = {
    "image": plot_image,
    "overlay": lambda image, **how: plot_overlay(image, [[1]], **how),
    "boxes": lambda image, **how: plot_boxes(image, [0, 0, 1, 1], **how),
    "channels": lambda image, **how: plot_channels(image, **how).axes[0],
    "values": plot_pixel_values,
}
PLURAL = {"images": plot_images, "digits": plot_digits}
TENSORS = {
    "one": lambda x: x,
    "batch": lambda x: x[None],
    "strided": lambda x: x.movedim(0, 2).contiguous().movedim(2, 0),
    "needs gradient": lambda x: x.clone().requires_grad_(),
    "double": torch.Tensor.double,
    "half": torch.Tensor.half,
    "bfloat16": torch.Tensor.bfloat16,
}


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("form", TENSORS)
@pytest.mark.parametrize("name", SINGULAR | PLURAL)
def test_tensors_have_torch_s_order_and_normalisation_is_undone(name, form, normalised):
    photo = PHOTO[..., :1] if name == "values" else PHOTO
    channels = photo.shape[2]
    tensor = to_tensor(photo)
    how = {"mean": MEAN[:channels], "std": STD[:channels]} if normalised else {}
    if normalised:
        tensor = normalize(tensor, **how)
    tensor = TENSORS[form](tensor)
    if name in PLURAL:
        stack = torch.stack([tensor, tensor]) if tensor.ndim == 3 else tensor
        axes = PLURAL[name](stack, **how).axes
        assert len(axes) == len(stack)
        (picture,) = axes[-1].images
    else:
        picture = SINGULAR[name](tensor, **how).images[0]
    close = 1e-6 if tensor.dtype.itemsize > 2 else 0.01
    np.testing.assert_allclose(picture.get_array(), np.squeeze(photo), atol=close)


@given(st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2, 3, 4]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_what_is_a_channel_the_type_says_and_never_the_sizes(first, last, batch):
    array = np.random.default_rng(0).random((first, 2, last))
    tensor = torch.from_numpy(array)[None] if batch else torch.from_numpy(array)
    for image, count, expected in (
        (array, last, array),
        (tensor, first, array.transpose(1, 2, 0)),
    ):
        if count in (1, 3):
            expected = expected[..., 0] if count == 1 else expected
            np.testing.assert_array_equal(shown(plot_image(image)), expected)
        else:
            with pytest.raises(ValueError, match=re.escape(str(tuple(image.shape)))):
                plot_image(image)
    plt.close("all")


@pytest.mark.parametrize("how", [{"mean": 0.1307, "std": [0.3081]}, {"mean": 0.5}, {}])
@pytest.mark.parametrize("kind", [list, torch.clone, torch.Tensor.numpy])
def test_digits_have_one_mean_or_none(kind, how):
    digits = torch.rand(2, 1, 4, 4)
    images = (digits - how.get("mean", 0)) / how.get("std", [1])[0]
    figure = plot_digits(kind(images), **how)
    np.testing.assert_allclose(shown(figure.axes[1]), digits[1, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("image", "how", "message"),
    [
        (PHOTO, {"mean": [1, 2]}, "mean .* one for each of 3 channels, got 2 numbers"),
        (PHOTO[..., 0], {"std": STD}, "std .* each of 1 channels, got 3 numbers"),
        (PHOTO, {"std": 0}, "std must be positive, got 0"),
        (PHOTO, {"mean": [[0.5]]}, r"mean .* got ndarray of shape \(1, 1\)"),
        (COLOUR, {"mean": 0.5}, "image must be floats where mean or std are given"),
        (
            PHOTO,
            {"mean": 123.7, "std": 58.4},
            "from 0 to 1 once mean and std are undone",
        ),
        (PHOTO * 4 - 2, {}, "from 0 to 1, or normalised ones with their mean and std"),
        (
            torch.zeros(2, 3, 4, 4),
            {},
            r"tensor of pixels \(H, W\), \(1, H, W\) or \(3,",
        ),
        (torch.zeros(4, 4, 3), {}, r"got Tensor of shape \(4, 4, 3\)"),
        (
            np.zeros((3, 4, 4)),
            {},
            r"array of pixels .* got ndarray of shape \(3, 4, 4\)",
        ),
        (np.zeros((1, 4, 4, 3)), {}, r"got ndarray of shape \(1, 4, 4, 3\)"),
    ],
)
def test_what_is_unfit_of_orders_and_normalisation_is_named(image, how, message):
    with pytest.raises(ValueError, match=message):
        plot_image(image, **how)
    with pytest.raises(
        ValueError, match=message.replace("image must", r"images\[0\] must")
    ):
        plot_images([image], **how)


def test_rounding_errors_are_forgiven():
    ax = plot_image([[-1e-9, 1 + 1e-9]])
    np.testing.assert_array_equal(shown(ax), [[0, 1]])


def test_pixels_are_not_blurred_and_have_a_frame_without_ticks():
    ax = plot_image(GREY)
    assert ax.images[0].get_interpolation() == "nearest"
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert all(spine.get_visible() for spine in ax.spines.values())


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (
            np.array([[0.0, 255.0]]),
            ValueError,
            "image must be float pixels from 0 to 1",
        ),
        (np.array([[-0.5, 1.0]]), ValueError, "got values from -0.5 to 1"),
        (np.array([[-1, 256]]), ValueError, "integer pixels from 0 to 255"),
        (
            np.zeros((3, 4, 2)),
            ValueError,
            r"\(H, W, 3\), got ndarray of shape",
        ),
        (np.zeros(3), ValueError, "image must be an array of pixels"),
        (np.zeros((0, 3)), ValueError, "not empty"),
        ([[np.nan]], ValueError, "1 NaN or infinite"),
        ("dog.jpg", TypeError, "of real numbers"),
    ],
)
def test_bad_pictures_are_named(image, error, message):
    with pytest.raises(error, match=message):
        plot_image(image)
    assert not plt.get_fignums()


def test_images_of_all_kinds_stand_in_rows():
    images = [COLOUR, GREY, GREY / 11, GREY[..., None], COLOUR]
    figure = plot_images(images, titles=list("abcde"), columns=2, suptitle="all")
    assert [ax.get_title() for ax in figure.axes] == list("abcde")
    assert figure.get_suptitle() == "all"
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 2)
    for ax, image in zip(figure.axes, images, strict=True):
        np.testing.assert_array_equal(shown(ax), np.squeeze(image))
    assert [ax.images[0].get_clim() for ax in figure.axes[1:4]] == [
        (0, 255),
        (0, 1),
        (0, 255),
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 9, 17, 33])
def test_rows_are_full_but_for_the_last(count):
    figure = plot_images(np.zeros((count, 2, 2)))
    rows, columns = figure.axes[0].get_subplotspec().get_gridspec().get_geometry()
    assert len(figure.axes) == count
    assert (rows - 1) * columns < count <= rows * columns


def test_stacks_of_tensors_are_grids():
    figure = plot_images(torch.rand(3, 1, 4, 4))
    assert len(figure.axes) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": []}, ValueError, "images must be a sequence of pictures, got none"),
        ({"images": 3}, TypeError, "images must be a sequence of pictures, got int 3"),
        ({"images": [GREY, [[2.0]]]}, ValueError, r"images\[1\] must be float pixels"),
        ({"images": [GREY], "titles": []}, ValueError, "titles .* 1 strings, got 0"),
        ({"images": [GREY], "titles": "a"}, TypeError, "titles .* 1 strings, got str"),
        ({"images": [GREY], "columns": 0}, ValueError, "columns .* at least 1, got 0"),
    ],
)
def test_bad_grids_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_images(**arguments)


def test_channels_are_the_planes_of_the_picture():
    figure = plot_channels(COLOUR)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["colour", "red channel", "green channel", "blue channel"]
    for ax, channel in zip(figure.axes[1:], range(3), strict=True):
        np.testing.assert_array_equal(shown(ax), COLOUR[..., channel])
        assert ax.images[0].get_clim() == (0, 255)


def test_channels_need_colour():
    with pytest.raises(ValueError, match="a picture of 3 channels, got ndarray"):
        plot_channels(GREY)


def test_digits_have_their_labels():
    digits = torch.rand(12, 1, 5, 5)
    figure = plot_digits(digits, torch.arange(12))
    assert [ax.get_title() for ax in figure.axes] == [str(i) for i in range(12)]
    assert figure.axes[0].get_subplotspec().get_gridspec().ncols == 10
    for ax, digit in zip(figure.axes, digits, strict=True):
        np.testing.assert_array_equal(shown(ax), digit[0])
        assert ax.images[0].get_clim() == (0, 1)


def test_wrong_predictions_stand_out():
    figure = plot_digits(np.zeros((3, 2, 2)), [4, 5, 6], predictions=[4, 9, 6])
    assert [ax.get_title() for ax in figure.axes] == ["4", "5 → 9", "6"]
    marked = [ax.title.get_color() == ACCENT for ax in figure.axes]
    assert marked == [False, True, False]


def test_labels_may_be_tensors_in_a_list():
    figure = plot_digits(np.zeros((1, 2, 2)), [torch.tensor(7)])
    assert figure.axes[0].get_title() == "7"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((2, 3, 4, 4))}, r"images\[0\] must be an array of pixels"),
        ({"images": np.zeros((2, 4, 4)), "labels": [1]}, "labels .* 2 strings, got 1"),
        (
            {"images": np.zeros((2, 4, 4)), "labels": [1, 2], "predictions": [1]},
            "predictions must be a sequence of 2",
        ),
        (
            {"images": np.zeros((2, 4, 4)), "predictions": [1, 2]},
            "labels must be given where predictions are",
        ),
    ],
)
def test_bad_digits_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_digits(**arguments)


@st.composite
def boxes(draw):
    top, left = draw(st.integers(-3, 9)), draw(st.integers(-3, 9))
    return top, left, top + draw(st.integers(1, 9)), left + draw(st.integers(1, 9))


@given(boxes())
@settings(max_examples=25)
def test_boxes_cover_their_pixels_and_are_in_view(box):
    top, left, bottom, right = box
    ax = plot_boxes(np.zeros((8, 6)), box)
    rectangle = ax.patches[0]
    for y, x in ((top, left), (bottom - 1, right - 1)):
        assert rectangle.get_bbox().contains(x, y)
    for y, x in ((top - 1, left), (bottom, left), (top, left - 1), (top, right)):
        assert not rectangle.get_bbox().contains(x, y)
    (x0, x1), (y1, y0) = ax.get_xlim(), ax.get_ylim()
    assert (x0, x1) == (min(0, left) - 0.5, max(6, right) - 0.5)
    assert (y0, y1) == (min(0, top) - 0.5, max(8, bottom) - 0.5)
    plt.close()


def test_boxes_have_labels_in_their_colours():
    ax = plot_boxes(GREY, [[0, 0, 1, 1], [1, 1, 3, 4]], labels=["a", "b"], title="t")
    assert [text.get_text() for text in ax.texts] == ["a", "b"]
    edges = [plt.matplotlib.colors.to_hex(p.get_edgecolor()) for p in ax.patches]
    assert edges == list(COLORS)
    assert ax.get_title() == "t"


@pytest.mark.parametrize(
    ("given_boxes", "message"),
    [
        ([[0, 0, 3]], r"boxes \(B, 4\): top, left, bottom, right, got shape \(1, 3\)"),
        ([[0, 0, 2, 2], [3, 1, 3, 2]], r"top < bottom.* got \[3, 1, 3, 2\]"),
        ([[0, 2, 2, 1]], r"left < right, got \[0, 2, 2, 1\]"),
        (np.zeros((0, 4)), "not empty"),
    ],
)
def test_bad_boxes_are_named(given_boxes, message):
    with pytest.raises(ValueError, match=message):
        plot_boxes(GREY, given_boxes)


def test_heat_lies_over_the_picture_as_it_is():
    heat = np.array([[0.0, 2.0]])
    ax = plot_overlay(COLOUR, heat, colorbar=True)
    picture, overlay = ax.images
    np.testing.assert_array_equal(picture.get_array(), COLOUR)
    assert picture.get_extent() == overlay.get_extent()
    assert overlay.get_clim() == (0, 2)
    alpha = overlay.to_rgba(heat)[0, :, 3]
    assert alpha[0] == 0
    assert alpha[1] > 0.8
    assert len(ax.figure.axes) == 2


def test_overlays_share_a_limit_when_told():
    ax = plot_overlay(GREY, np.ones((3, 4)), limit=5)
    assert ax.images[1].get_clim() == (0, 5)
    assert plot_overlay(GREY, [[1]], limit=0.5).images[1].get_clim() == (0, 0.5)
    assert ax.figure.axes == [ax]


def test_signed_heat_is_blue_below_zero_and_red_above():
    heat = torch.tensor([[[[-2.0, -1, 0, 1]]]])
    overlay = plot_overlay(COLOUR, heat).images[1]
    assert overlay.get_clim() == (-2, 2)
    (strong, weak, zero, red) = overlay.to_rgba(heat[0, 0].numpy())[0]
    assert strong[3] == pytest.approx(0.85, abs=0.01)
    assert weak[3] == pytest.approx(0.425, abs=0.01) == red[3]
    assert zero[3] == pytest.approx(0, abs=0.01)
    assert strong[2] > strong[0] + 0.3
    assert red[0] > red[2] + 0.3
    assert plot_overlay(COLOUR, [[1]], signed=True).images[1].get_clim() == (-1, 1)


def drawn(ax):
    """Return what `ax` shows, one pixel for each of `ax.images[0]`."""
    height, width = ax.images[0].get_array().shape[:2]
    figure = ax.figure
    figure.set_dpi(100)
    figure.set_size_inches(width / 100, height / 100)
    figure.set_layout_engine("none")
    ax.set_position((0, 0, 1, 1))
    ax.spines[:].set_visible(False)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255.0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [1, 2, 7, 14])
def test_coarse_heat_is_drawn_as_smooth_as_opencv_enlarges_it(size, sign):
    photo = np.random.default_rng(0).random((112, 224, 3)).round(2)
    heat = np.random.default_rng(size).random((size, size)) * sign
    ax = plot_overlay(photo, heat)
    wide = cv2.resize(heat, (224, 112), interpolation=cv2.INTER_LINEAR)
    rgba = ax.images[1].to_rgba(wide)
    expected = rgba[..., :3] * rgba[..., 3:] + photo * (1 - rgba[..., 3:])
    np.testing.assert_allclose(drawn(ax), expected, atol=0.03)


def test_heat_of_the_picture_s_size_marks_pixels():
    photo, heat = np.zeros((9, 9, 3)), np.eye(9)
    overlay = plot_overlay(photo, heat).images[1]
    np.testing.assert_allclose(
        drawn(overlay.axes),
        overlay.to_rgba(heat)[..., :3] * heat[..., None] * 0.85,
        atol=0.02,
    )


def test_heat_may_be_zero_everywhere():
    assert plot_overlay(GREY, np.zeros((3, 4))).images[1].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("heat", "how", "message"),
    [
        ([[-1.0]], {"signed": False}, "heat must be at least 0 .*, got -1"),
        ([1.0], {}, r"heat must be an array of values \(H, W\) or \(H, W, 1\)"),
        (COLOUR, {}, "heat must be an array of values .* got ndarray"),
        (torch.zeros(1, 3, 7, 7), {}, "heat must be a tensor of values .* got Tensor"),
        ([[1.0]], {"limit": 0}, "limit must be a positive number, got 0"),
    ],
)
def test_bad_heat_is_named(heat, how, message):
    with pytest.raises(ValueError, match=message):
        plot_overlay(GREY, heat, **how)


@given(
    st.lists(array_shapes(min_dims=2, max_dims=2, max_side=3), min_size=1, max_size=7),
    st.integers(1, 9),
)
@settings(max_examples=15)
def test_each_image_of_a_grid_is_shown_in_its_place(shapes, columns):
    images = [np.full(shape, 20 * i, np.uint8) for i, shape in enumerate(shapes)]
    figure = plot_images(images, columns=columns)
    assert len(figure.axes) == len(images)
    for i, (ax, image) in enumerate(zip(figure.axes, images, strict=True)):
        np.testing.assert_array_equal(shown(ax), image)
        place = ax.get_subplotspec()
        columns = min(columns, len(images))
        assert place.get_gridspec().ncols == columns
        assert (place.rowspan.start, place.colspan.start) == divmod(i, columns)
    plt.close()


@given(arrays(np.float32, (2, 3, 3), elements=st.floats(0, 1, width=32)))
@settings(max_examples=15)
def test_channels_add_up_to_the_picture(pixels):
    colour, *channels = plot_channels(pixels).axes
    np.testing.assert_array_equal(shown(colour), pixels)
    planes = [shown(ax) for ax in channels]
    np.testing.assert_array_equal(np.stack(planes, axis=-1), pixels)
    assert [ax.images[0].get_clim() for ax in channels] == [(0, 1)] * 3
    plt.close()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5)
)
@settings(max_examples=15)
def test_titles_of_digits_tell_label_and_wrong_answer(pairs):
    labels, answers = zip(*pairs, strict=True)
    digits = np.arange(len(pairs) * 4, dtype=np.uint8).reshape(-1, 2, 2)
    figure = plot_digits(digits, labels, predictions=np.array(answers))
    for ax, digit, label, answer in zip(
        figure.axes, digits, labels, answers, strict=True
    ):
        np.testing.assert_array_equal(shown(ax), digit)
        right = label == answer
        assert ax.get_title() == (f"{label}" if right else f"{label} → {answer}")
        assert (ax.title.get_color() == ACCENT) == (not right)
        assert (ax.title.get_fontweight() == "bold") == (not right)
    plt.close()


@given(arrays(np.float64, (2, 3), elements=st.floats(0, 1e3)), st.booleans())
@settings(max_examples=15)
def test_the_more_heat_the_less_of_the_picture_is_seen(heat, bar):
    ax = plot_overlay(np.zeros((4, 6)), heat, colorbar=bar)
    picture, overlay = ax.images
    assert picture.get_extent() == overlay.get_extent() == [-0.5, 5.5, 3.5, -0.5]
    np.testing.assert_array_equal(overlay.get_array(), heat)
    alpha = overlay.to_rgba(heat)[..., 3].ravel()
    assert (np.diff(alpha[heat.ravel().argsort(kind="stable")]) >= 0).all()
    assert alpha.max() == pytest.approx(0.85 if heat.any() else 0, abs=0.01)
    assert len(ax.figure.axes) == 1 + bar
    plt.close()

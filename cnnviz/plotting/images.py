"""Pictures as they are: one, a grid, their colour channels, digits, boxes, overlays.

Integers are pixels from 0 to 255, floats from 0 to 1, and are shown as such: contrast
is never stretched.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from cnnviz._validation import (
    as_array,
    as_limit,
    as_picture,
    as_pixels,
    as_signed,
    as_titles,
    count_of,
    describe,
    invalid,
)
from cnnviz.plotting._grid import grid
from cnnviz.plotting._style import (
    ACCENT,
    COLORS,
    DIVERGING,
    FRAME,
    HAIRLINE,
    TICK,
    VERBATIM,
    color_bar,
    frame,
    picture_axes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from cnnviz._types import Arrays, Integer, Labels, Number

__all__ = [
    "plot_boxes",
    "plot_channels",
    "plot_digits",
    "plot_image",
    "plot_images",
    "plot_overlay",
]

_NEGATIVE, _POSITIVE = mpl.colormaps[DIVERGING]([0.1, 0.9])[:, :3]
_HEAT = LinearSegmentedColormap.from_list("heat", [(ACCENT, 0.0), (ACCENT, 0.85)])
_SIGNED_HEAT = LinearSegmentedColormap.from_list(
    "signed heat",
    [
        (0, (*_NEGATIVE, 0.85)),
        (0.5, (*_NEGATIVE, 0.0)),
        (0.5, (*_POSITIVE, 0.0)),
        (1, (*_POSITIVE, 0.85)),
    ],
)


def draw_pixels(place, pixels, white):
    """Draw checked pixels with fixed limits; return the `AxesImage`.

    `place` is Axes, or a place of a grid.
    """
    return place.imshow(
        pixels, cmap="gray", vmin=0, vmax=white, interpolation="nearest"
    )


def plot_image(
    image: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Axes:
    """Show one picture.

    Parameters
    ----------
    image : array_like (H, W), (H, W, 1) or (H, W, 3), or torch.Tensor (H, W), \
(1, H, W), (3, H, W) or one of these with a 1 before it
        Integers from 0 (black) to 255 (white), or floats from 0 to 1. Tensors have
        torch's order, all else has NumPy's, whatever the sizes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the picture.
    mean, std : float or sequence of float, optional
        What the picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that hold the picture. Of pictures more than 50 times as long as wide,
        pixels are not drawn square, so that there is something to see.

    Raises
    ------
    TypeError, ValueError
        If `image` has another shape or values outside the range of its type.

    Examples
    --------
    >>> ax = plot_image([[0.0, 0.5], [0.5, 1.0]], title="four pixels")
    >>> ax.images[0].get_clim()
    (0.0, 1.0)
    """
    pixels, white = as_pixels(image, normalised_by=(mean, std))
    ax = picture_axes(ax, pixels.shape, title)
    draw_pixels(ax, pixels, white)
    return frame(ax, title)


def plot_images(
    images: Arrays,
    titles: Sequence[str] | None = None,
    *,
    columns: Integer | None = None,
    suptitle: str | None = None,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Figure:
    """Show pictures side by side.

    Parameters
    ----------
    images : sequence or stack of pictures
        Each as `plot_image` takes it; they may differ in kind and size. The first
        dimension of a stack counts the pictures: a tensor is (N, H, W) or
        (N, C, H, W), an array (N, H, W) or (N, H, W, C).
    titles : sequence of str, optional
        One title for each picture.
    columns : int, optional
        Pictures in a row; by default chosen from their number.
    suptitle : str, optional
        A title over all of them.
    mean, std : float or sequence of float, optional
        What every picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.figure.Figure
        Each picture has Axes of its own. More than 48 share one Axes, whose `images`
        they are, in order.

    Raises
    ------
    TypeError, ValueError
        If a picture is unfit, there are none, or titles do not match in number.
    """
    images = _as_pictures(images, mean, std)
    titles = as_titles(titles, len(images))
    return _draw_grid(images, titles, columns, suptitle)


def _draw_grid(images, titles, columns, suptitle=None, styles=None):
    """Return a figure of checked pictures, their titles in these styles."""
    shapes = [pixels.shape[:2] for pixels, _ in images]
    figure, places = grid(shapes, titles, columns, suptitle=suptitle)
    styles = styles or [{}] * len(images)
    for place, (pixels, white), style in zip(places, images, styles, strict=True):
        draw_pixels(place, pixels, white)
        place.finish(**style)
    return figure


def plot_channels(
    image: ArrayLike,
    *,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Figure:
    """Show a colour picture and its red, green and blue channels as grey pictures.

    Parameters
    ----------
    image : array_like (H, W, 3), or torch.Tensor (3, H, W) or (1, 3, H, W)
        Red, green and blue, as `plot_image` takes them.
    mean, std : float or sequence of float, optional
        What the picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If `image` is not a colour picture.
    """
    pixels, _ = as_pixels(image, normalised_by=(mean, std))
    if pixels.ndim != 3:
        raise invalid("image", "a picture of 3 channels", describe(image))
    red, green, blue = np.moveaxis(pixels, 2, 0)
    titles = ["colour", "red channel", "green channel", "blue channel"]
    return plot_images([pixels, red, green, blue], titles, columns=2)


def plot_digits(
    images: ArrayLike,
    labels: Labels | None = None,
    *,
    predictions: Labels | None = None,
    columns: Integer = 10,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Figure:
    """Show small pictures with their labels, and what a network took them for.

    Parameters
    ----------
    images : sequence or stack of pictures
        As `plot_images` takes them, such as digits of MNIST. Arrays may be
        (N, 1, H, W), too.
    labels : sequence of length N, optional
        What each picture shows; written over it.
    predictions : sequence of length N, optional
        What a network answered. Where it differs from the label, both are written
        in the accent colour: "4 → 9".
    columns : int, default 10
        Pictures in a row.
    mean, std : float or sequence of float, optional
        What every picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.figure.Figure
        With Axes as `plot_images` gives them.

    Raises
    ------
    TypeError, ValueError
        If shapes or numbers do not match, or predictions come without labels.
    """
    shape = getattr(images, "shape", ())
    if len(shape) == 4 and shape[1] == 1:
        images = images[:, 0]
    images = _as_pictures(images, mean, std)
    if predictions is not None and labels is None:
        raise invalid("labels", "given where predictions are", "None")
    titles = labels = as_titles(labels, len(images), "labels")
    if predictions is not None:
        predictions = as_titles(predictions, len(images), "predictions")
        titles = [
            label if answer == label else f"{label} → {answer}"
            for label, answer in zip(labels, predictions, strict=True)
        ]
    marked = {"color": ACCENT, "fontweight": "bold"}
    styles = [
        {} if title == label else marked
        for label, title in zip(labels, titles, strict=True)
    ]
    return _draw_grid(images, titles, columns, styles=styles)


def plot_boxes(
    image: ArrayLike,
    boxes: ArrayLike,
    ax: Axes | None = None,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Axes:
    """Mark rectangles of a picture, such as a sliding kernel or a receptive field.

    Parameters
    ----------
    image : array_like or torch.Tensor
        The picture, as `plot_image` takes it.
    boxes : array_like, shape (B, 4) or (4,)
        Top, left, bottom and right of each box in pixels. As in a slice, row `top` and
        column `left` belong to the box, row `bottom` and column `right` do not. Boxes
        may reach beyond the picture, as padding does.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    labels : sequence of str, optional
        A name for each box.
    title : str, optional
        The title over the picture.
    mean, std : float or sequence of float, optional
        What the picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the picture is unfit, a box is empty, or labels do not match in number.

    Examples
    --------
    >>> ax = plot_boxes([[0, 255, 0]], [(0, 1, 1, 3)], labels=["window"])
    >>> ax.patches[0].get_xy(), ax.patches[0].get_width()
    ((0.5, -0.5), 2.0)
    """
    pixels, white = as_pixels(image, normalised_by=(mean, std))
    words = "boxes (B, 4): top, left, bottom, right"
    boxes = np.atleast_2d(as_array(boxes, "boxes", (1, 2), words))
    boxes = boxes.astype(np.result_type(boxes, np.int64))
    if boxes.shape[1] != 4:
        raise invalid("boxes", words, f"shape {boxes.shape}")
    top, left, bottom, right = boxes.T
    if (bottom <= top).any() or (right <= left).any():
        empty = boxes[(bottom <= top) | (right <= left)][0]
        raise invalid("boxes", "boxes with top < bottom, left < right", empty.tolist())
    labels = as_titles(labels, len(boxes), "labels")

    rows = min(0, top.min()), max(pixels.shape[0], bottom.max())
    columns = min(0, left.min()), max(pixels.shape[1], right.max())
    shape = rows[1] - rows[0], columns[1] - columns[0]
    ax = picture_axes(ax, shape, title)
    draw_pixels(ax, pixels, white)
    for box, label, color in zip(boxes, labels, itertools.cycle(COLORS)):
        _draw_box(ax, box, label, color, above=box[0] - rows[0] > shape[0] / 8)
    if shape != pixels.shape[:2]:
        border = {"fill": False, "edgecolor": FRAME, "linewidth": HAIRLINE}
        ax.add_patch(Rectangle((-0.5, -0.5), *pixels.shape[1::-1], **border))
    ax.set(
        xlim=(columns[0] - 0.5, columns[1] - 0.5), ylim=(rows[1] - 0.5, rows[0] - 0.5)
    )
    return frame(ax, title)


def plot_overlay(
    image: ArrayLike,
    heat: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    limit: Number | None = None,
    signed: bool | None = None,
    colorbar: bool = False,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Axes:
    """Show where something is large on the picture that it belongs to.

    The picture is shown as it is, `heat` over it: nothing where it is 0, the full
    accent colour where it reaches the limit. Of signed heat, such as attributions, blue
    is negative and red positive.

    Parameters
    ----------
    image : array_like or torch.Tensor
        The picture, as `plot_image` takes it.
    heat : array_like (h, w) or (h, w, 1), or torch.Tensor (h, w), (1, h, w) or \
(1, 1, h, w)
        Any values, such as a saliency map. A map of the picture's size marks its
        pixels; any other is stretched over it smoothly, interpolated between the
        centres of its cells.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the picture.
    limit : float, optional
        The magnitude of full colour; by default the largest in `heat`. Give it to
        pictures that are compared.
    signed : bool, optional
        Whether to show the heat as signed; by default if any value is negative.
    colorbar : bool, default False
        Whether to draw a colour bar beside the picture.
    mean, std : float or sequence of float, optional
        What the picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the picture is unfit, `heat` is not one map, or unsigned heat is negative.
    """
    pixels, white = as_pixels(image, normalised_by=(mean, std))
    heat = as_picture(heat, "heat", "values", (1,))
    signed = as_signed(signed, heat, "heat")
    limit = as_limit(limit, [heat])
    ax = picture_axes(ax, pixels.shape, title, bar=colorbar)
    picture = draw_pixels(ax, pixels, white)
    overlay = ax.imshow(
        heat,
        cmap=_SIGNED_HEAT if signed else _HEAT,
        vmin=-limit if signed else 0,
        vmax=limit,
        interpolation="nearest" if heat.shape == pixels.shape[:2] else "bilinear",
        extent=picture.get_extent(),
    )
    if colorbar:
        color_bar(overlay, ax)
    return frame(ax, title)


def _as_pictures(images, mean, std):
    """Return a non-empty list of checked pixels, each with its white."""
    words = "a sequence of pictures"
    if isinstance(images, dict):
        raise invalid("images", words, describe(images), TypeError)
    if count_of(images, "images", words) == 0:
        raise invalid("images", words, "none")
    return [
        as_pixels(image, f"images[{i}]", (mean, std)) for i, image in enumerate(images)
    ]


def _draw_box(ax, box, label, color, above):
    """Draw one box, its label above it or below."""
    top, left, bottom, right = (box - 0.5).tolist()
    ax.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=color,
            linewidth=2,
        )
    )
    if label is not None:
        ax.annotate(
            label,
            (left, top if above else bottom),
            xytext=(-1, 3 if above else -3),
            textcoords="offset points",
            ha="left",
            va="bottom" if above else "top",
            fontsize=TICK,
            fontweight="bold",
            color="white",
            **VERBATIM,
            bbox={"boxstyle": "square,pad=0.15", "facecolor": color, "linewidth": 0},
        )

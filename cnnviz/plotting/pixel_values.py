"""Pictures with the number of every pixel written in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from cnnviz._validation import as_pixels, as_text, describe, invalid
from cnnviz.plotting._numbers import shortest, smallest_cell, write_values
from cnnviz.plotting._style import TITLE, WIDTH, frame, new_axes
from cnnviz.plotting.images import draw_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["plot_pixel_values"]

_MOST_CELLS = 512
_LARGEST_CELL = 50  # pixels


def plot_pixel_values(
    image: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    format: str | None = None,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Axes:
    """Show a grey picture with the value of each pixel written in.

    Numbers are white on dark pixels and black on light ones, as large as the cells
    allow, but not larger than other text. Without `ax` the figure is made large enough
    to read them: at most as wide as the text column where 8-bit pixels stand in 47
    columns or fewer.

    Parameters
    ----------
    image : array_like or torch.Tensor
        A grey picture, as `plot_image` takes it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the picture.
    format : str, optional
        How numbers are written, in Python's format language, such as ``".1f"``. By
        default integers as they are, floats with at most two decimals.
    mean, std : float or sequence of float, optional
        What the picture was normalised by with `torchvision.transforms.Normalize`,
        a number or one for each channel: ``image * std + mean`` is shown.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that hold the picture.

    Raises
    ------
    TypeError, ValueError
        If `image` is not a grey picture, or `format` does not format numbers.

    Examples
    --------
    >>> ax = plot_pixel_values([[0, 255], [255, 255]], title="four pixels")
    >>> ax.images[0].get_clim()
    (0.0, 255.0)
    """
    title = as_text(title, "title")
    pixels, white = as_pixels(image, normalised_by=(mean, std))
    if pixels.ndim == 3:
        raise invalid("image", "a grey picture (H, W)", describe(image))
    if max(pixels.shape) > _MOST_CELLS:
        expected = f"at most {_MOST_CELLS} pixels high and wide, to be read"
        raise invalid("image", expected, describe(image))
    write = _as_writer(format, pixels.flat[0].item())
    if ax is None:
        texts = [write(value) for value in np.unique(pixels).tolist()]
        ax = _roomy_axes(pixels.shape, texts, title)
    ax = new_axes(ax)
    write_values(draw_pixels(ax, pixels, white), pixels, write)
    return frame(ax, title)


def _as_writer(format, example):
    """Return the function that writes numbers like `example` as `format` says."""
    if format is None:
        return shortest
    if not isinstance(format, str):
        raise invalid("format", "a format such as '.2f'", describe(format), TypeError)
    try:
        f"{example:{format}}"
    except ValueError:
        expected = f"a format for numbers such as {example}"
        raise invalid("format", expected, repr(format)) from None
    return lambda value: f"{value:{format}}"


def _roomy_axes(shape, texts, title):
    """Return axes of a new figure whose cells are whole pixels and hold the texts."""
    rows, columns = shape
    dpi = plt.rcParams["figure.dpi"]
    available = int((WIDTH * dpi - 2) / columns)
    cell = max(smallest_cell(texts), min(available, _LARGEST_CELL))
    margin, top = 1, 1
    if title is not None:
        top += math.ceil(2.2 * TITLE * dpi / 72)
    width, height = columns * cell + 2 * margin, rows * cell + margin + top
    sides = {
        "left": margin / width,
        "right": 1 - margin / width,
        "bottom": margin / height,
        "top": 1 - top / height,
    }
    size = width / dpi, height / dpi
    # A layout engine would draw everything twice.
    return plt.subplots(figsize=size, layout="none", gridspec_kw=sides)[1]

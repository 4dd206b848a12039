"""Kernels: small signed maps with their weights written in, or in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cnnviz._validation import (
    as_array,
    as_limit,
    as_titles,
    count_of,
    describe,
    invalid,
)
from cnnviz.plotting._grid import bar_beside, grid
from cnnviz.plotting._numbers import write_values
from cnnviz.plotting._style import FRAME, HAIRLINE, frame, picture_axes
from cnnviz.plotting.feature_maps import draw_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from cnnviz._types import Arrays, ArraysByName, Integer, Number

__all__ = ["plot_kernel", "plot_kernels"]


def plot_kernel(
    kernel: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    limit: Number | None = None,
) -> Axes:
    """Show a kernel: blue weights are negative, red positive, white ones zero.

    A kernel over red, green and blue is shown in colour instead, without numbers: each
    channel runs from 0 at minus the limit over mid-grey at zero to 1 at the limit.

    Parameters
    ----------
    kernel : array_like or torch.Tensor, shape (kh, kw), (1, kh, kw) or (3, kh, kw)
        The weights; they are written into the cells where they can be read.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the kernel.
    limit : float, optional
        The magnitude shown in full colour; by default the largest in `kernel`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `kernel` has another shape or is not finite, or `limit` is not positive.

    Examples
    --------
    >>> ax = plot_kernel([[-1, 0, 1]], title="difference along x")
    >>> ax.images[0].get_clim()
    (-1.0, 1.0)
    """
    kernel = _as_kernel(kernel, "kernel")
    limit = as_limit(limit, [kernel])
    ax = picture_axes(ax, kernel.shape[:2], title, largest_cell=0.7)
    _draw_kernel(ax, kernel, limit)
    return frame(ax, title)


def plot_kernels(
    kernels: Arrays | ArraysByName,
    *,
    titles: Sequence[str] | None = None,
    columns: Integer | None = None,
    limit: Number | None = None,
) -> Figure:
    """Show kernels with one scale of colours for all.

    Parameters
    ----------
    kernels : array_like or torch.Tensor, shape (K, kh, kw) or (K, C, kh, kw)
        The weights, as layers hold them; of 1 channel or, as `plot_kernel` shows them,
        3. A sequence of kernels of differing sizes also serves, or a dictionary of
        them, whose names then are the titles.
    titles : sequence of str, optional
        One title for each kernel.
    columns : int, optional
        Kernels in a row; by default chosen from their number.
    limit : float, optional
        The magnitude shown in full colour; by default the largest of all.

    Returns
    -------
    matplotlib.figure.Figure
        With Axes as `plot_images` gives them, and a colour bar.

    Raises
    ------
    TypeError, ValueError
        If a kernel has another shape or is not finite, there are none, or titles do
        not match in number.
    """
    if isinstance(kernels, dict):
        titles = list(kernels) if titles is None else titles
        kernels = list(kernels.values())
    kernels = _as_kernels(kernels)
    titles = as_titles(titles, len(kernels))
    limit = as_limit(limit, kernels)
    shapes = [kernel.shape[:2] for kernel in kernels]
    figure, places = grid(shapes, titles, columns, bar=True)
    for place, kernel in zip(places, kernels, strict=True):
        scale = _draw_kernel(place, kernel, limit)
        place.finish()
    bar_beside(scale, places)
    return figure


def _draw_kernel(place, kernel, limit):
    """Draw a kernel; return the scale of its colours."""
    return (_draw_colours if kernel.ndim == 3 else _draw_cells)(place, kernel, limit)


def _draw_colours(place, kernel, limit):
    """Draw a kernel (kh, kw, 3) in colour; return the scale of each channel."""
    scale = ScalarMappable(Normalize(-limit, limit, clip=True), "gray")
    place.imshow(scale.norm(kernel).data, interpolation="nearest")
    return scale


def _draw_cells(place, kernel, limit):
    """Draw the cells of a kernel with hairlines between; return the `AxesImage`."""
    image = draw_signed(place, kernel, limit)
    write_values(image, kernel)
    left, right, low, high = image.get_extent()
    rows, columns = kernel.shape
    line = {"color": FRAME, "linewidth": HAIRLINE}
    image.axes.vlines(np.linspace(left, right, columns + 1)[1:-1], low, high, **line)
    image.axes.hlines(np.linspace(low, high, rows + 1)[1:-1], left, right, **line)
    return image


def _as_kernels(kernels):
    """Return a non-empty list of checked kernels."""
    words = "kernels (K, kh, kw), (K, 1, kh, kw) or (K, 3, kh, kw)"
    count = count_of(kernels, "kernels", words)
    shape = getattr(kernels, "shape", None)
    if shape is not None and (
        len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] not in (1, 3))
    ):
        raise invalid("kernels", words, describe(kernels))
    if count == 0:
        raise invalid("kernels", words, "none")
    return [_as_kernel(each, f"kernels[{i}]") for i, each in enumerate(kernels)]


def _as_kernel(kernel, name):
    """Return one kernel as an array (kh, kw) or, in colour, (kh, kw, 3)."""
    words = "a kernel (kh, kw), (1, kh, kw) or (3, kh, kw)"
    array = as_array(kernel, name, (2, 3), words)
    if array.ndim == 3 and len(array) not in (1, 3):
        raise invalid(name, words, describe(kernel))
    if array.ndim == 3:
        array = np.moveaxis(array, 0, 2).astype(np.float64)
        array = array[..., 0] if array.shape[2] == 1 else array
    return array

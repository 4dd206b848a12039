"""Kernels: small signed maps with their weights written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnviz._validation import as_array, as_limit, as_titles, describe, invalid
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

    Parameters
    ----------
    kernel : array_like or torch.Tensor, shape (kh, kw)
        The weights; they are written into the cells.
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
        If `kernel` is not a finite 2-D array, or `limit` is not positive.

    Examples
    --------
    >>> ax = plot_kernel([[-1, 0, 1]], title="difference along x")
    >>> ax.images[0].get_clim()
    (-1.0, 1.0)
    """
    kernel = as_array(kernel, "kernel", 2, "a kernel (kh, kw)")
    limit = as_limit(limit, [kernel])
    ax = picture_axes(ax, kernel.shape, title, largest_cell=0.7)
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
    kernels : array_like or torch.Tensor, shape (K, kh, kw) or (K, 1, kh, kw)
        The weights. A sequence of kernels of differing sizes also serves, or a
        dictionary of them, whose names then are the titles.
    titles : sequence of str, optional
        One title for each kernel.
    columns : int, optional
        Kernels in a row; by default chosen from their number.
    limit : float, optional
        The magnitude shown in full colour; by default the largest of all.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If a kernel is not a finite 2-D array, there are none, or titles do not match
        in number.
    """
    if isinstance(kernels, dict):
        titles = list(kernels) if titles is None else titles
        kernels = list(kernels.values())
    kernels = _as_kernels(kernels)
    titles = as_titles(titles, len(kernels))
    limit = as_limit(limit, kernels)
    shapes = [kernel.shape for kernel in kernels]
    figure, places = grid(shapes, titles, columns, bar=True)
    for place, kernel in zip(places, kernels, strict=True):
        image = _draw_kernel(place, kernel, limit)
        place.finish()
    bar_beside(image, places)
    return figure


def _draw_kernel(place, kernel, limit):
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
    """Return a non-empty list of 2-D arrays."""
    words = "kernels (K, kh, kw) or a sequence of kernels (kh, kw)"
    if not hasattr(kernels, "__len__") or isinstance(kernels, str):
        raise invalid("kernels", words, describe(kernels), TypeError)
    if len(kernels) == 0:
        raise invalid("kernels", words, "none")
    if len(getattr(kernels, "shape", ())) == 4 and kernels.shape[1] == 1:
        kernels = kernels[:, 0]
    return [
        as_array(kernel, f"kernels[{i}]", 2, "a kernel (kh, kw)")
        for i, kernel in enumerate(kernels)
    ]

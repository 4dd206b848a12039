"""Signed maps and feature maps: what filters answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cnnviz._validation import (
    as_array,
    as_flag,
    as_limit,
    as_picture,
    as_signed,
    as_titles,
    describe,
    invalid,
)
from cnnviz.plotting._grid import bar_beside, grid
from cnnviz.plotting._numbers import write_values
from cnnviz.plotting._style import DIVERGING, LABEL, color_bar, frame, picture_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from cnnviz._types import Integer, Number

__all__ = ["plot_feature_maps", "plot_signed"]


def draw_signed(place, values, limit):
    """Draw signed values with limits symmetric about 0; return the `AxesImage`.

    `place` is Axes, or a place of a grid.
    """
    return place.imshow(
        values, cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest"
    )


def plot_signed(
    values: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    limit: Number | None = None,
    colorbar: bool = True,
) -> Axes:
    """Show a map of signed values: blue is negative, white zero, red positive.

    Parameters
    ----------
    values : array_like (H, W) or (H, W, 1), or torch.Tensor (H, W), (1, H, W) or \
(1, 1, H, W)
        The map, such as the answer of an edge filter.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the map.
    limit : float, optional
        The magnitude shown in full colour; by default the largest in `values`. Give it
        to maps that are compared.
    colorbar : bool, default True
        Whether to draw a colour bar beside the map.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `values` is not a finite 2-D array, or `limit` is not positive.

    Examples
    --------
    >>> ax = plot_signed([[-3.0, 0.0, 1.0]])
    >>> ax.images[0].get_clim()
    (-3.0, 3.0)
    """
    values = as_picture(values, "values", "values", (1,))
    limit = as_limit(limit, [values])
    ax = picture_axes(ax, values.shape, title, bar=colorbar)
    image = draw_signed(ax, values, limit)
    if colorbar:
        color_bar(image, ax)
    return frame(ax, title)


def plot_feature_maps(
    maps: ArrayLike,
    *,
    titles: Sequence[str] | None = None,
    shared_scale: bool = True,
    signed: bool | None = None,
    columns: Integer | None = None,
    limit: Number | None = None,
    numbers: bool = False,
) -> Figure:
    """Show the feature maps of a layer.

    Signed maps are blue where negative, white at zero, red where positive. Maps without
    negative values, such as those behind a ReLU, run from black (zero) to white.

    Parameters
    ----------
    maps : array_like or torch.Tensor, shape (C, H, W) or (1, C, H, W)
        Any number of maps.
    titles : sequence of str, optional
        One title for each map.
    shared_scale : bool, default True
        Whether one scale, with one colour bar, serves all maps, so that they can be
        compared. Otherwise each has its own, and a colour bar that says so.
    signed : bool, optional
        Whether to show the maps as signed; by default if any value is negative.
    columns : int, optional
        Maps in a row; by default chosen from their number.
    limit : float, optional
        The magnitude shown in full colour or white; by default the largest. It needs
        the shared scale.
    numbers : bool, default False
        Whether to write the values into the cells; for small maps.

    Returns
    -------
    matplotlib.figure.Figure
        Each map has Axes of its own. More than 48 maps (or 24 with colour bars) share
        one Axes, whose `images` they are, in order; where each has its own scale, one
        colour bar then shows the share of each map's largest magnitude.

    Raises
    ------
    TypeError, ValueError
        If `maps` has another shape or is not finite, unsigned maps are negative, or
        titles do not match in number.

    Examples
    --------
    >>> figure = plot_feature_maps([[[-1.0, 2.0]], [[0.0, 4.0]]])
    >>> [ax.images[0].get_clim() for ax in figure.axes if ax.images]
    [(-4.0, 4.0), (-4.0, 4.0)]
    """
    words = "feature maps (C, H, W) or (1, C, H, W)"
    array = as_array(maps, "maps", (3, 4), words)
    if array.ndim == 4:
        if len(array) != 1:
            raise invalid("maps", words, describe(array))
        array = array[0]
    shared_scale = as_flag(shared_scale, "shared_scale")
    numbers = as_flag(numbers, "numbers")
    signed = as_signed(signed, array, "maps")
    if limit is not None and not shared_scale:
        raise invalid("limit", "None where shared_scale is False", limit)
    titles = as_titles(titles, len(array))
    shared_limit = as_limit(limit, array)
    shapes = [values.shape for values in array]
    options = {"bar": shared_scale, "bars": not shared_scale}
    figure, places = grid(shapes, titles, columns, **options)
    one_bar = shared_scale or places[0].extent is not None
    draw = draw_signed if signed else _draw_unsigned
    for place, values in zip(places, array, strict=True):
        limit = shared_limit if shared_scale else as_limit(None, [values])
        image = draw(place, values, limit)
        if numbers:
            write_values(image, values)
        place.finish()
        if not one_bar:
            color_bar(image, place.ax)
    if shared_scale:
        bar_beside(image, places)
    elif one_bar:
        share = ScalarMappable(Normalize(-1 if signed else 0, 1), image.get_cmap())
        words = "share of each map's largest magnitude"
        bar_beside(share, places).set_label(words, fontsize=LABEL)
    return figure


def _draw_unsigned(place, values, limit):
    """Draw values from 0 to `limit` in grey; return the `AxesImage`."""
    return place.imshow(
        values, cmap="gray", vmin=0, vmax=limit, interpolation="nearest"
    )

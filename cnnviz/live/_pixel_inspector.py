from __future__ import annotations

from typing import TYPE_CHECKING

from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import pack_pictures, pack_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from cnnviz._types import Integer


def pixel_inspector(
    images: ArrayLike | Mapping[str, ArrayLike],
    row: Integer = 0,
    column: Integer = 0,
) -> LiveFigure:
    """Point at a pixel and read its value, and those around it.

    Parameters
    ----------
    images : (H, W) or (H, W, 3) array_like, or mapping of str to such
        Pixels, uint8 0–255 or float 0–1; at most 4096 a side. Of several, the reader
        chooses one by its name.
    row, column : int
        Where the figure points at first: a pixel of the first image.

    Returns
    -------
    LiveFigure
        The element ``<cnn-pixel-inspector>``.

    Raises
    ------
    TypeError, ValueError
        If an image has another shape, dtype or range of values, or the pixel is not in
        the first of them.
    """
    pictures = pack_pictures(images)
    first = next(iter(pictures.values()))
    place = pack_place(row, column, first["shape"][1:])
    return LiveFigure("pixel_inspector", {"pictures": pictures}, {"at": place})

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnviz._validation import as_array, as_number, describe, invalid
from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import as_text, pack, pack_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cnnviz._types import Number

_MOST_MAPS, _MOST_NUMBERS, _LARGEST_KERNEL, _LARGEST_BIAS = 16, 150_000, 5, 1000


def channel_sum(
    maps: ArrayLike,
    kernels: ArrayLike,
    bias: Number = 0.0,
    names: Sequence[str] | None = None,
) -> LiveFigure:
    """See how a filter makes one map of many: one slice a map, then a sum.

    At first all partial maps are added. The reader adds them one by one, then the bias,
    then ReLU, points at a unit, changes the bias and leaves channels out.

    Parameters
    ----------
    maps : (N, H, W) array_like
        The channels of a picture, or the maps of a layer; at most 16 of them, and
        150,000 numbers in all.
    kernels : (N, kh, kw) array_like
        The slices of one filter, at most 5 × 5: ``layer.weight[i]`` of an
        `torch.nn.Conv2d`. Stride 1, no padding.
    bias : float
        What is added to the sum at first, from −1000 to 1000.
    names : sequence of str, optional
        What the maps are called; by default ``"map 0"``, ``"map 1"`` …

    Returns
    -------
    LiveFigure
        The element ``<cnn-channel-sum>``.

    Raises
    ------
    TypeError, ValueError
        If an argument has another shape or kind, or is too large.

    Examples
    --------
    >>> channel_sum([[[0, 9]], [[9, 9]]], [[[1]], [[-1]]], names=["red", "green"])
    <live figure channel_sum, at='0,0', added='2', bias='0'>
    """
    maps = as_array(maps, "maps", 3, "maps (N, H, W)")
    kernels = as_array(kernels, "kernels", 3, "one slice a map (N, kh, kw)")
    count, *size = maps.shape
    if count > _MOST_MAPS or maps.size > _MOST_NUMBERS:
        expected = f"at most {_MOST_MAPS} maps, {_MOST_NUMBERS:,} numbers in all"
        raise invalid("maps", expected, describe(maps))
    sides = kernels.shape[1:]
    fits = all(k <= min(s, _LARGEST_KERNEL) for s, k in zip(size, sides, strict=True))
    if len(kernels) != count or not fits:
        most = f"{_LARGEST_KERNEL}×{_LARGEST_KERNEL}"
        expected = f"{count} slices no larger than the maps and {most}"
        raise invalid("kernels", expected, describe(kernels))
    bias = as_number(bias, "bias")
    if abs(bias) > _LARGEST_BIAS:
        raise invalid("bias", f"from −{_LARGEST_BIAS} to {_LARGEST_BIAS}", bias)
    if names is None:
        names = [f"map {i}" for i in range(count)]
    names = [str(name) for name in names]
    if len(names) != count:
        raise invalid("names", f"{count} names, one a map", f"{len(names)}")
    data = {"names": names, "maps": pack_maps(maps), "kernels": pack(kernels)}
    middle = ",".join(str((s - k) // 2) for s, k in zip(size, sides, strict=True))
    settings = {"at": middle, "added": count, "bias": as_text(bias)}
    return LiveFigure("channel_sum", data, settings)

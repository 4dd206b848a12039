"""The windows of a tensor's units along one axis of the image, and how they change.

Every element of a tensor depends on a rectangle of pixels, that is, on a stretch of the
image along y and one along x. `Axis` holds all stretches along one of the two. Where
all elements along a dimension have the same, it holds them once.
"""

from functools import lru_cache, reduce
from math import inf
from typing import NamedTuple

import torch


class Taps(NamedTuple):
    """The positions that each output of a sliding operation reads along a dimension."""

    index: torch.Tensor
    """Positions, shape (outputs, most positions of one output)."""
    valid: torch.Tensor
    """Where `index` is a position of the input, and not in the padding."""
    beyond: torch.Tensor | None
    """The positions as they were without borders, where this has a sense."""
    stride: int = 1
    """How many positions `beyond` moves from one output to the next."""


@lru_cache
def sliding(length, count, kernel=1, stride=1, padding=0, dilation=1):
    """Return the taps of a convolution or pooling."""
    index = torch.arange(count)[:, None] * stride - padding
    index = index + torch.arange(kernel) * dilation
    return Taps(index, (index >= 0) & (index < length), index, stride)


@lru_cache
def transposed(length, count, kernel, stride, padding, dilation):
    """Return the taps of a transposed convolution.

    Input i adds to the outputs ``i * stride - padding + k * dilation``, for each k.
    """
    place = torch.arange(count)[:, None] + padding - torch.arange(kernel) * dilation
    index = place.div(stride, rounding_mode="floor")
    valid = (place % stride == 0) & (index >= 0) & (index < length)
    return Taps(index, valid, index if stride == 1 else None)


@lru_cache
def adaptive(length, count):
    """Return the taps of a pooling into equal parts, rounded outwards."""
    outputs = torch.arange(count)[:, None]
    first, stop = outputs * length // count, -(-(outputs + 1) * length // count)
    index = first + torch.arange(int((stop - first).max()))
    return Taps(index, index < stop, None)


class Axis(NamedTuple):
    """The windows along one axis of the image, in pixels.

    `windows` has four numbers an element: its first pixel and its last, as ``first``
    and ``-stop``, so that the smaller ones are those of a union; then the same for a
    window that padding does not cut, as if the image went on beyond its borders. What
    depends on no pixel has the first infinite.
    """

    windows: torch.Tensor
    """Shape (4, …), of which the rest is broadcast to the shape of the tensor."""
    home: int | None
    """The dimension along which units move, from the right; None where it is lost.

    Where a dimension has one unit, its windows don't tell whether it is this one.
    """
    stride: int
    """The distance between neighbouring units, for when there is one of them."""

    @classmethod
    def of_pixels(cls, image, home):
        """Return the windows of an image's own pixels, (N, C, H, W)."""
        first = torch.arange(image.shape[home], dtype=torch.float32, device="cpu")
        windows = torch.stack([first, -first - 1] * 2)
        shape = (4, 1, 1, 1, -1) if home == -1 else (4, 1, 1, -1, 1)
        return cls(windows.reshape(shape), home, 1)

    def nothing(self, ndim):
        """Return the windows of what doesn't depend on the image."""
        home = None if self.home is None or self.home < -ndim else self.home
        return self.moved(torch.full((4,) + (1,) * ndim, inf, device="cpu"), home)

    def of_elements(self, windows, shape, home=None):
        """Return the windows of all elements, (4, elements), in a shape."""
        axis = self.moved(windows.reshape(4, *shape), home)
        return axis.alike(range(-len(shape), 0))

    def moved(self, windows, home=None):
        """Return other windows, whose axis is another dimension."""
        return Axis(windows, home, 0 if home is None else self.stride)

    def inserted(self, dimension):
        """Put in a dimension that will be this one, from the right."""
        home = self.home
        if home is not None and home <= dimension:
            home -= 1
        return self._replace(windows=self.windows.unsqueeze(dimension), home=home)

    def aligned(self, ndim):
        """Put dimensions in front, as broadcasting does."""
        missing = ndim + 1 - self.windows.ndim
        if missing <= 0:
            return self
        shape = self.windows.shape
        return self._replace(
            windows=self.windows.reshape(4, *[1] * missing, *shape[1:])
        )

    def over(self, dimensions, keepdim=True):
        """Unite the windows along some dimensions, counted from the right."""
        if not dimensions:
            return self
        windows, home = self.windows.amin(tuple(dimensions), keepdim), self.home
        stride = 0 if home in dimensions else self.stride
        if home is not None and not keepdim:
            gone = sum(dimension > home for dimension in dimensions)
            home = None if home in dimensions else home + gone
        return Axis(windows, home, stride)

    def alike(self, dimensions):
        """Hold windows once along those of some dimensions where they are the same."""
        windows = self.windows
        for dimension in dimensions:
            first = windows.narrow(dimension, 0, 1)
            if windows.shape[dimension] > 1 and (windows == first).all():
                windows = first
        return self._replace(windows=windows)

    def read(self, dimension, length, taps):
        """Return the windows of outputs that read several positions each.

        The dimension, counted from the right, has `length` units.
        """
        windows, at_home = self.windows, dimension == self.home
        if windows.shape[dimension] < length:
            stride = 0 if at_home else self.stride
            if taps.valid.any(1).all():
                return self._replace(stride=stride)
            shape = list(windows.shape)
            shape[dimension] = length
            windows = windows.expand(shape)
        valid = _along(taps.valid, dimension)
        index = taps.index.clamp(0, length - 1)
        read = windows.index_select(dimension, index.flatten())
        read = read.unflatten(dimension, index.shape)
        read = read.masked_fill(~valid, inf).amin(dimension)
        slope = self._slope(windows, dimension)
        if slope is None or taps.beyond is None:
            stride = 0 if at_home else self.stride
            return Axis(read, self.home, stride)
        beyond = windows[2:].narrow(dimension, 0, 1).unsqueeze(dimension)
        beyond = beyond + slope * _along(taps.beyond, dimension)
        windows = torch.cat([read[:2], beyond.amin(dimension)])
        stride = self.stride
        if at_home or slope.any():
            stride = int(common(slope[0].flatten().tolist(), 0)) * taps.stride
        return Axis(windows, self.home, stride)

    def _slope(self, windows, dimension):
        """Return how far units' windows are apart; None if it varies."""
        if windows.shape[dimension] > 1:
            slopes = windows[2:].diff(dim=dimension)
            slope = slopes.narrow(dimension, 0, 1)
            if (slopes != slope).any() or not slope.isfinite().all():
                return None
            return slope.unsqueeze(dimension)
        stride = self.stride if dimension == self.home else 0
        return torch.tensor([1.0, -1.0]).mul(stride).reshape(2, *[1] * windows.ndim)


def _along(values, dimension):
    """Give a table (outputs, taps) the dimensions to its right."""
    return values.reshape(*values.shape, *[1] * (-dimension - 1))


def united(axes):
    """Return the windows that hold those of each, element by element."""
    return joined(axes, reduce(torch.minimum, [axis.windows for axis in axes]))


def joined(axes, windows):
    """Return windows made of several, with the dimension and stride that all have."""
    home = common([axis.home for axis in axes if axis.home is not None], None)
    stride = common([axis.stride for axis in axes], 0)
    return axes[0].moved(windows, home)._replace(stride=0 if home is None else stride)


def common(values, otherwise):
    """Return what all values are."""
    return values[0] if len(set(values)) == 1 else otherwise

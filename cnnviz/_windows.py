"""Follows windows of input pixels through the operations of a run.

Along each of the two axes of an image, y and x, the units of a feature map look at
windows of one size that lie at one distance: a `Grid`. `WindowTracker` sees every
operation that PyTorch dispatches, and works out the grids of what comes out from those
of what goes in, by the rules of `cnnviz._window_rules`.
"""

from math import prod
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnviz._window_rules import Call, rule_for, unsupported


class Grid(NamedTuple):
    """The windows of the units along one axis of the image, in pixels.

    Unit ``i`` sees `size` pixels from ``start + i * stride`` on. In the tensor,
    `count` units lie `step` elements apart in row-major order, which reshaping leaves
    as it is. Where all units see one window, `stride` and `step` are 0.

    What lies before `first` or from `stop` on, no unit sees: it is padding, or windows
    before left it out.
    """

    size: int
    stride: int
    start: int
    count: int
    step: int
    first: int
    stop: int

    def placed(self, shape, dimension):
        """Return the windows in a dimension of another shape, None if it is longer."""
        if shape[dimension] != self.count:
            return None
        return self._replace(step=_step(shape, dimension))

    def slid(self, shape, dimension, kernel, stride=1, padding=0, dilation=1):
        """Return the windows of a kernel that slides over the units."""
        size = self.size + dilation * (kernel - 1) * self.stride
        start = self.start - padding * self.stride
        stride = self.stride * stride
        count, step = shape[dimension], _step(shape, dimension)
        end = start + (count - 1) * stride + size
        first = min(max(start, self.first), self.stop)
        stop = max(min(end, self.stop), first)
        return Grid(size, stride, start, count, step, first, stop)

    def merged(self):
        """Return the window of all units together."""
        first, stop = self.first, self.stop
        return Grid(stop - first, 0, first, 1, 0, first, stop)


class WindowTracker(TorchDispatchMode):
    """While active, knows which windows of `image` the units of each tensor see."""

    supports_higher_order_operators = True

    def __init__(self, image):
        super().__init__()
        height, width = image.shape[-2:]
        self._grids = WeakTensorKeyDictionary()
        self._grids[image] = (
            Grid(1, 1, 0, height, width, 0, height),
            Grid(1, 1, 0, width, 1, 0, width),
        )

    def grids(self, tensor):
        """Return the grids along y and x; None for what doesn't depend on the image.

        An axis that isn't a dimension of the tensor has one window for all units.
        """
        if tensor not in self._grids:
            return None
        grids = self._grids[tensor]
        return tuple(
            grid.merged() if place is None else grid
            for grid, place in zip(grids, _places(grids, tensor.shape), strict=True)
        )

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        arguments = _named(operation, args, kwargs)
        sources = [
            (role, tensor.shape, self._grids[tensor])
            for role, value in arguments.items()
            for tensor in _tensors(value)
            if tensor in self._grids
        ]
        result = operation(*args, **kwargs)
        outputs = _tensors(result)
        if sources and outputs and (rule := rule_for(operation)):
            name = operation._schema.name
            for output in outputs:
                calls = [
                    (Call(name, arguments, role, shape, output.shape), grids)
                    for role, shape, grids in sources
                ]
                self._keep(output, self._follow(rule, calls))
        return result

    def _follow(self, rule, calls):
        """Unite, along each axis, what the rule makes of the grids of each input."""
        along_axes = [], []
        for call, grids in calls:
            for axis, place in enumerate(_places(grids, call.before)):
                grid = grids[axis]
                along_axes[axis].append(rule(call, grid, place) or grid.merged())
        return tuple(map(_united, along_axes))

    def _keep(self, tensor, grids):
        """Keep a tensor's grids; refuse a write that would change those of its base."""
        if tensor._is_view() and self._grids.get(tensor) != grids:
            raise unsupported("writing into part of a tensor")
        self._grids[tensor] = grids


def _united(grids):
    """Return the windows that hold those of each grid, unit by unit.

    Where the units don't correspond, it is one window for all of them.
    """
    if len({(grid.stride, grid.count, grid.step) for grid in grids}) > 1:
        grids = [grid.merged() for grid in grids]
    start = min(grid.start for grid in grids)
    size = max(grid.start + grid.size for grid in grids) - start
    first = min(grid.first for grid in grids)
    stop = max(grid.stop for grid in grids)
    return grids[0]._replace(start=start, size=size, first=first, stop=stop)


def _places(grids, shape):
    """Return the dimensions, from the right, that the axes y and x are in a tensor.

    None stands for an axis that is not a dimension of its own.
    """
    y, x = grids
    place_x = _place(x, shape)
    return _place(y, shape, taken=place_x), place_x


def _place(grid, shape, taken=None):
    """Find the dimension of a tensor that has a grid's units."""
    for dimension in range(-1, -len(shape) - 1, -1):
        units = shape[dimension], _step(shape, dimension)
        if dimension != taken and units == (grid.count, grid.step):
            return dimension
    return None


def _step(shape, dimension):
    """Count the elements from one index of a dimension (from the right) to the next."""
    return prod(shape[dimension:][1:])


def _named(operation, args, kwargs):
    """Return the arguments of an operation by name, with its defaults."""
    if not hasattr(operation, "_schema"):
        raise unsupported(operation)
    named = {}
    for position, argument in enumerate(operation._schema.arguments):
        given = args[position] if position < len(args) else argument.default_value
        named[argument.name] = kwargs.get(argument.name, given)
    return named


def _tensors(value):
    """Return the tensors in an argument or a result."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [tensor for tensor in values if isinstance(tensor, torch.Tensor)]

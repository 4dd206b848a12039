"""Follows the windows of input pixels on which units depend through a run.

`WindowTracker` sees every operation that PyTorch dispatches, and works out the windows
of what comes out from those of what goes in, by the rules of `cnnviz._window_rules`.
"""

from contextlib import ExitStack, contextmanager
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from cnnviz._unit_windows import Axis
from cnnviz._window_rules import Call, UnsupportedError, named, rule_for, tensors


class Unknown(NamedTuple):
    """Stands for windows that can't be followed."""

    operation: str
    layer: str


class Seen(NamedTuple):
    """What each unit of a map sees, along y and along x.

    The arrays have the first pixels and those behind the last, shape (2, rows, columns)
    with 1 where all rows, or all columns, have the same.
    """

    windows: tuple[np.ndarray, np.ndarray]
    units: tuple[int | None, int | None]
    """How many rows and columns there are; None where these have no meaning."""
    image_size: tuple[int, int]


class _Exits(TorchFunctionMode):
    """Tells of what PyTorch doesn't dispatch: tensors that are read, or exchanged."""

    NAMES = "numpy", "__array__", "tolist", "__dlpack__", "storage", "untyped_storage"

    def __init__(self, leave):
        super().__init__()
        self._leave = leave

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function.__name__ in self.NAMES:
            self._leave(function.__name__, args)
        if function == torch.Tensor.data.__set__:
            self._leave("data", args)
        return function(*args, **kwargs or {})


class WindowTracker(TorchDispatchMode):
    """While active, knows which pixels of `image` the units of each tensor see."""

    supports_higher_order_operators = True

    def __init__(self, image):
        super().__init__()
        self._layers = []
        self._value_read = None
        self._time = 0
        self._known = WeakTensorKeyDictionary()
        self._written = WeakTensorKeyDictionary()
        self._known[image] = 0, tuple(Axis.of_pixels(image, home) for home in (-2, -1))

    @contextmanager
    def following(self, layers):
        """Follow a run, and know which of `layers` is running, to name it."""

        def enter(name):
            return lambda *_: self._layers.append(name)

        def leave(*_):
            self._layers.pop()

        with ExitStack() as hooks:
            for name, module in layers:
                before = nn.Module.register_forward_pre_hook(module, enter(name))
                hooks.enter_context(before)
                after = nn.Module.register_forward_hook(module, leave)
                hooks.enter_context(after)
            hooks.enter_context(_Exits(self._leave))
            hooks.enter_context(self)
            yield

    def axes(self, tensor):
        """Return the windows along y and x.

        It is None for what doesn't depend on the image, `Unknown` for what was not
        followed: all, once a value of the image has been read.
        """
        if self._value_read:
            return self._value_read
        base = tensor._base if tensor._is_view() else tensor
        time, axes = self._known.get(tensor, (0, None))
        if self._written.get(base, 0) <= time or base is tensor:
            return axes
        _, axes = self._known[base]
        if isinstance(axes, Unknown):
            return axes
        return _cut(base, axes, tensor)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        sources = {
            id(tensor): axes
            for tensor in _leaves(operation, (*args, *kwargs.values()))
            if (axes := self.axes(tensor))
        }
        result = operation(*args, **kwargs)
        if sources:
            self._follow(operation, args, kwargs, sources, result)
        return result

    def _follow(self, operation, args, kwargs, sources, result):
        """Keep the windows of what an operation returned, and of what it wrote."""
        written = _written(operation, args, kwargs)
        outputs = _leaves(operation, (result,))
        others = [tensor for tensor in written if not _among(tensor, outputs)]
        if isinstance(result, (bool, int, float)) and not self._value_read:
            self._value_read = self._unknown(
                f"{operation._schema.name}, which reads a value,"
            )
        if torch.is_inference_mode_enabled():  # It doesn't tell what is a view.
            self._value_read = self._unknown("torch.inference_mode()")
        lost = self._value_read or next(
            (axes for axes in sources.values() if isinstance(axes, Unknown)), None
        )
        if not lost and outputs:
            try:
                rule = rule_for(operation)
                along_axes = [
                    rule(
                        Call(
                            operation,
                            args,
                            kwargs,
                            outputs,
                            {tensor: axes[i] for tensor, axes in sources.items()},
                        )
                    )
                    for i in (0, 1)
                ]
            except UnsupportedError as error:
                lost = self._unknown(str(error))
        for number, tensor in enumerate(outputs):
            axes = lost
            if not lost:
                axes = _consistent(*(axis[number] for axis in along_axes), tensor.shape)
            if _among(tensor, written):
                self._write(tensor, axes)
            else:
                self._known[tensor] = self._time, axes
        for tensor in others:
            self._write(tensor, lost or self._unknown(operation._schema.name))

    def _leave(self, function, values):
        """Stop following where values of the image go round what is dispatched."""
        if any(map(self.axes, tensors(values))) and not self._value_read:
            self._value_read = self._unknown(f"Tensor.{function}")

    def _unknown(self, operation):
        return Unknown(operation, self._layers[-1] if self._layers else "output")

    def _write(self, tensor, axes):
        """Keep what a tensor sees from now on, and a tensor that it is a part of."""
        _, before = self._known.get(tensor, (0, None))
        if before and all(old is new for old, new in zip(before, axes, strict=True)):
            return
        base = tensor._base if tensor._is_view() else tensor
        self._time += 1
        if base is not tensor:
            whole = self.axes(base)
            if isinstance(axes, Unknown) or isinstance(whole, Unknown):
                whole = axes if isinstance(axes, Unknown) else whole
            else:
                whole = _pasted(base, whole, tensor, axes)
            self._known[base] = self._time, whole
        self._known[tensor] = self._time, axes
        self._written[base] = self._time


def _cut(base, whole, part):
    """Return the windows of a view of a tensor."""
    places = _places(base, part).flatten()
    cut = []
    for axis in whole:
        windows = _full(axis, base.shape).flatten(1)[:, places]
        cut.append(axis.of_elements(windows, part.shape))
    return tuple(cut)


def _pasted(base, whole, part, axes):
    """Return the windows of a tensor after those of a part of it have changed."""
    places = _places(base, part).flatten()
    whole = whole or [axis.moved(axis.windows).nothing(base.ndim) for axis in axes]
    pasted = []
    for old, axis in zip(whole, axes, strict=True):
        windows = _full(old, base.shape).flatten(1).clone()
        windows[:, places] = _full(axis, part.shape).flatten(1)
        pasted.append(old.of_elements(windows, base.shape, old.home))
    return tuple(pasted)


def _leaves(operation, values):
    """Return the tensors in what an operation takes or gives, if not empty."""
    if not hasattr(operation, "_schema"):
        values = tree_leaves(values)
    return [each for value in values for each in tensors(value) if each.numel()]


def _written(operation, args, kwargs):
    """Return the tensors that an operation writes into."""
    if not hasattr(operation, "_schema"):
        return []
    arguments = named(operation, args, kwargs)
    return [
        tensor
        for argument in operation._schema.arguments
        if argument.alias_info and argument.alias_info.is_write
        for tensor in tensors(arguments[argument.name])
        if tensor.numel()
    ]


def _among(tensor, others):
    return any(tensor is other for other in others)


def _places(base, view):
    """Return which elements of a tensor, counted row by row, a view of it has."""
    places = torch.arange(base.numel(), device="cpu").reshape(base.shape)
    layout = torch.empty_strided(base.shape, base.stride(), dtype=int, device="cpu")
    offset = view.storage_offset() - base.storage_offset()
    return layout.copy_(places).as_strided(view.shape, view.stride(), offset)


def _full(axis, shape):
    """Return the windows of every element."""
    return axis.windows.expand(4, *shape)


def _consistent(y, x, shape):
    """Let what sees nothing along one axis see nothing along the other."""
    y, x = (axis if _fits(axis, shape) else _merged(axis, shape) for axis in (y, x))
    blind = [axis.windows[:1].isinf() for axis in (y, x)]
    if not any(map(torch.any, blind)):
        return y, x
    blind = blind[0] | blind[1]
    axes = []
    for axis in (y, x):
        seen = axis.windows[:2].masked_fill(blind, inf)
        beyond = axis.windows[2:].expand_as(seen)
        axes.append(axis._replace(windows=torch.cat([seen, beyond])))
    return tuple(axes)


def _fits(axis, shape):
    """Tell whether windows can be broadcast to a shape."""
    sizes = axis.windows.shape[1:]
    return len(sizes) == len(shape) and all(
        size in (1, length) for size, length in zip(sizes, shape, strict=True)
    )


def _merged(axis, shape):
    """Return one window for all elements."""
    windows = axis.windows.flatten(1).amin(1)
    return axis.moved(windows.reshape(4, *[1] * len(shape)))


def grids_of(axes, shape, image_size):
    """Return the sizes, strides and starts of a tensor's windows, and what units see.

    It is None if no unit sees a pixel.
    """
    if all(axis.windows[0].isinf().all() for axis in axes):
        return None
    places = _rows_and_columns(axes, shape)
    grids, tables = [], []
    for number, axis in enumerate(axes):
        windows = _by_place(axis.windows, places)
        tables.append(_table(windows))
        single = places and len(shape) > 3 and shape[places[number]] == 1
        stride = axis.stride if single else 0
        grids.append(_grid(windows.movedim(number + 1, -1), stride) or _loose(windows))
    units = tuple(shape[place] for place in places) if places else (None, None)
    return *zip(*grids, strict=True), Seen(tuple(tables), units, image_size)


def _rows_and_columns(axes, shape):
    """Return the dimensions, from the right, that count a map's rows and columns.

    They are those to which permutations have taken the image's, where windows move with
    these alone; or else the last two. It is None where units are in a row, as patches
    of the image are, or a layer has no dimensions for them.
    """
    homes = [axis.home for axis in axes]
    moving = [_moving(axis.windows[2:]) for axis in axes]
    if homes == [None, None] and all(len(places) == 1 for places in moving):
        homes = [place for places in moving for place in places]
        apart = homes[0] == homes[1] - 1
    else:
        apart = len({*homes} - {None}) == 2 and all(
            {*places} <= {home} for places, home in zip(moving, homes, strict=True)
        )
    if len(shape) < 4 and not (apart and any(moving)):
        return None
    return tuple(sorted(homes)) if apart else (-2, -1)


def _moving(windows):
    """Return the dimensions with which windows change."""
    return [
        dimension
        for dimension in range(-windows.ndim + 1, 0)
        if windows.shape[dimension] > 1
        and _changes(_by_place(windows, [dimension]).flatten(1))
    ]


def _changes(windows):
    """Tell whether some of the windows are not the same."""
    return bool((windows.amax(1) > windows.amin(1)).any())


def _by_place(windows, places):
    """Unite windows along all dimensions but those of rows and columns."""
    kept = [place + windows.ndim for place in places or ()]
    united = [d for d in range(1, windows.ndim) if d not in kept]
    windows = windows.amin(united, keepdim=True) if united else windows
    sizes = [windows.shape[place] for place in kept] or [1, 1]
    return windows.reshape(-1, *sizes)


def _grid(windows, stride):
    """Return size, stride and start of windows that move by one stride, or None.

    Their last dimension is the one with which they should move; `stride` is for when
    there is one unit.
    """
    first, stop = windows[2], -windows[3]
    if not windows[2:].isfinite().all():
        return None
    if windows.shape[-1] > 1:
        steps = first.diff(dim=-1)
        stride = int(steps.flatten()[0])
        if (steps != stride).any() or (stop.diff(dim=-1) != stride).any():
            return None
    if not stride or _changes(windows[2:, :, 0]):
        return None
    start = int(first.flatten()[0])
    return int(stop.flatten()[0]) - start, stride, start


def _loose(windows):
    """Return the size of the largest window, 0, and the start of the first unit's."""
    first, stop = windows[0], -windows[1]
    seen = first.isfinite()
    return int((stop - first)[seen].max()), 0, int(first[seen][0])


def _table(windows):
    """Return the first pixels and those behind the last; 0 and 0 for none."""
    windows = windows[:2].masked_fill(windows[:2].isinf(), 0)
    return (windows * torch.tensor([1, -1])[:, None, None]).int().numpy()

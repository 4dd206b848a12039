"""What each operation of PyTorch does to the windows of input pixels that units see.

A rule takes a `Call`, the `Grid` of one axis of its input, and the dimension that this
axis is there, counted from the right (None: it is not a dimension of its own). It
returns the grid in the output, or None where every unit depends on all of the input.
"""

from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import torch

from cnnviz._probing import UnsupportedError
from cnnviz._validation import invalid


class Call(NamedTuple):
    """An operation with one of its inputs and one of its outputs."""

    name: str
    arguments: dict[str, Any]
    role: str
    """The name of the argument that the input is."""
    before: torch.Size
    after: torch.Size


def rule_for(operation):
    """Return the rule of an operation, None if its output depends on no input."""
    namespace, name = operation._schema.name.split("::")
    name = name.removesuffix("_")
    if namespace == "aten":
        if name.startswith("new_") or name.endswith("_like"):
            return None
        if name in _RULES:
            return _RULES[name]
        if "attention" in name:
            return _mixed
        if torch.Tag.pointwise in operation.tags:
            return _elementwise
    raise unsupported(operation._schema.name)


def unsupported(what):
    """Return the error for what can't be followed."""
    expected = "built of operations whose windows are known"
    return invalid("model", expected, what, UnsupportedError)


# Rules that need no dimension.


def _same(call, grid, place):
    """Keep the grid: only the shape changes, if anything."""
    return grid


def _elementwise(call, grid, place):
    """Keep each element to itself; shapes match from the right."""
    if call.before == call.after:
        return grid
    return None if place is None else grid.placed(call.after, place)


def _mixed(call, grid, place):
    """Let every output depend on all of the input."""
    return None


def _batch_norm(call, grid, place):
    """Normalise by fixed statistics, or by those of all units."""
    fixed = "no_training" in call.name or call.arguments.get("training") is False
    return grid if fixed and call.role == "input" else None


def _layer_norm(call, grid, place):
    """Normalise by the statistics of the last dimensions."""
    length = prod(call.arguments["normalized_shape"])
    return grid if call.role == "input" and grid.step % length == 0 else None


def _matrix_product(left, right):
    """Keep rows of the left matrix apart, and columns of the right one."""

    def rule(call, grid, place):
        inner, columns = call.before[-1], call.after[-1]
        if call.role == left and grid.step % inner == 0:
            return grid._replace(step=grid.step // inner * columns)
        if call.role == right and grid.step and columns % (grid.step * grid.count) == 0:
            return grid
        return None

    return rule


# Rules for an axis that is a dimension of the main input.


def _of_dimension(rule):
    """Make it a rule for all cases: elsewhere, everything is mixed."""

    def whole_rule(call, grid, place):
        main = call.role in ("self", "input", "tensors")
        return rule(call, grid, place) if main and place is not None else None

    return whole_rule


@_of_dimension
def _convolution(call, grid, place):
    """Slide a kernel over the last dimensions and add up the one before."""
    if call.arguments["transposed"]:
        raise unsupported("a transposed convolution")
    kernel = call.arguments["weight"].shape[2:]
    return None if place == -len(kernel) - 1 else _slid(call, grid, place, kernel)


def _pooling(dimensions):
    """Slide a window over the last dimensions."""

    def rule(call, grid, place):
        return _slid(
            call, grid, place, _each(call.arguments["kernel_size"], dimensions)
        )

    return _of_dimension(rule)


def _slid(call, grid, place, kernel):
    """Slide a kernel over the last dimensions; the others stay."""
    if place < -len(kernel):
        return grid.placed(call.after, place)
    index = place + len(kernel)
    stride, padding, dilation = (
        _each(call.arguments.get(name) or default, len(kernel))[index]
        for name, default in (("stride", kernel), ("padding", [0]), ("dilation", [1]))
    )
    return grid.slid(call.after, place, kernel[index], stride, padding, dilation)


def _each(values, dimensions):
    """Return one value a dimension, where one may stand for all."""
    return list(values) * dimensions if len(values) == 1 else values


def _adaptive_pooling(dimensions):
    """Give each output an equal part of the input, rounded outwards."""

    def rule(call, grid, place):
        if place < -dimensions:
            return grid.placed(call.after, place)
        count, parts = call.before[place], call.after[place]
        edges = [
            (i * count // parts, -(-(i + 1) * count // parts)) for i in range(parts)
        ]
        sizes = {stop - start for start, stop in edges}
        strides = {b[0] - a[0] for a, b in pairwise(edges)}
        if len(sizes) == len(strides) == 1:
            return grid.slid(call.after, place, sizes.pop(), strides.pop())
        return None

    return _of_dimension(rule)


@_of_dimension
def _padding(call, grid, place):
    """Put constants before and after."""
    before = call.arguments["pad"][-2 * place - 2 :][:1] or [0]
    return grid.slid(call.after, place, 1, padding=before[0])


@_of_dimension
def _permutation(call, grid, place):
    """Put the dimensions in another order."""
    order = _dimensions(call)
    return grid.placed(call.after, order.index(place) - len(order))


@_of_dimension
def _transposition(call, grid, place):
    """Let two dimensions change places."""
    ndim = len(call.before)
    first = _from_right(call.arguments.get("dim0", 0), ndim)
    second = _from_right(call.arguments.get("dim1", 1), ndim)
    return grid.placed(call.after, {first: second, second: first}.get(place, place))


@_of_dimension
def _along_dimension(call, grid, place):
    """Join, cut, roll or mix along some dimensions; the others stay."""
    return None if place in _dimensions(call) else grid.placed(call.after, place)


@_of_dimension
def _slice(call, grid, place):
    """Crop or thin out one dimension."""
    if place not in _dimensions(call):
        return grid.placed(call.after, place)
    start, _, step = slice(
        call.arguments["start"], None, call.arguments["step"]
    ).indices(call.before[place])
    return grid.slid(call.after, place, 1, step, -start)


@_of_dimension
def _reduction(call, grid, place):
    """Reduce dimensions to one number, and keep them or not."""
    reduced = _dimensions(call)
    if place in reduced:
        return None
    if not call.arguments.get("keepdim"):
        place += sum(dimension > place for dimension in reduced)
    return grid.placed(call.after, place)


@_of_dimension
def _stacking(call, grid, place):
    """Put in a dimension."""
    new = _from_right(call.arguments["dim"], len(call.after))
    return grid.placed(call.after, place if place > new else place - 1)


def _dimensions(call):
    """Return the dimensions that an operation works along, counted from the right."""
    value = call.arguments.get("dim", call.arguments.get("dims"))
    if value is None or value == []:
        value = range(len(call.before))
    values = [value] if isinstance(value, int) else value
    return [_from_right(dimension, len(call.before)) for dimension in values]


def _from_right(dimension, ndim):
    return dimension - ndim if dimension >= 0 else dimension


def _rules(names, rule):
    return dict.fromkeys(names.split(), rule)


_RULES = (
    _rules("view _unsafe_view _reshape_alias unsqueeze squeeze", _same)
    | _rules("clone detach alias lift_fresh _to_copy", _same)
    | _rules("hardswish _prelu_kernel log_sigmoid_forward native_dropout", _elementwise)
    | _rules("copy masked_fill expand channel_shuffle", _elementwise)
    | _rules("native_batch_norm cudnn_batch_norm miopen_batch_norm", _batch_norm)
    | _rules(
        "_native_batch_norm_legit _native_batch_norm_legit_no_training", _batch_norm
    )
    | _rules("native_layer_norm", _layer_norm)
    | _rules("native_group_norm as_strided", _mixed)
    | _rules("linear", _matrix_product("input", None))
    | _rules("mm bmm", _matrix_product("self", "mat2"))
    | _rules("addmm", _matrix_product("mat1", "mat2"))
    | _rules("baddbmm", _matrix_product("batch1", "batch2"))
    | _rules("convolution", _convolution)
    | _rules("max_pool2d_with_indices avg_pool2d", _pooling(2))
    | _rules("max_pool3d_with_indices avg_pool3d", _pooling(3))
    | _rules("_adaptive_avg_pool2d adaptive_max_pool2d", _adaptive_pooling(2))
    | _rules("constant_pad_nd", _padding)
    | _rules("permute", _permutation)
    | _rules("transpose t", _transposition)
    | _rules("cat split split_with_sizes glu _softmax _log_softmax", _along_dimension)
    | _rules("_safe_softmax roll", _along_dimension)
    | _rules("slice", _slice)
    | _rules("mean sum prod amax amin max min var std", _reduction)
    | _rules("logsumexp linalg_vector_norm select unbind", _reduction)
    | _rules("stack", _stacking)
)

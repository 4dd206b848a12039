"""What each operation of PyTorch does to the windows of pixels that units see.

A rule takes a `Call` and returns an `Axis` for each output. Most follow one input into
one output, a `Part`; `_each` makes rules for calls of these: several inputs are united.
What only moves elements is run on the windows themselves.
"""

from math import inf, prod
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map

from cnnviz._unit_windows import (
    Axis,
    Taps,
    adaptive,
    joined,
    sliding,
    transposed,
    united,
)


class UnsupportedError(Exception):
    """Raised where an operation can't be followed, with its name."""


class Call(NamedTuple):
    """An operation that has run."""

    operation: Any
    args: tuple
    kwargs: dict[str, Any]
    outputs: list[torch.Tensor]
    axes: dict[int, Axis]
    """The windows of the inputs that depend on the image, by the tensors' ids."""

    @property
    def name(self):
        return self.operation._schema.name.split("::")[1].removesuffix("_")

    @property
    def arguments(self):
        """All arguments by name."""
        return named(self.operation, self.args, self.kwargs)

    def inputs(self):
        """Return role, shape and windows of each input that depends on the image."""
        return [
            (role, tensor.shape, self.axes[id(tensor)])
            for role, value in self.arguments.items()
            for tensor in tensors(value)
            if id(tensor) in self.axes
        ]


class Part(NamedTuple):
    """An operation with one of its inputs and one of its outputs."""

    operation: Any
    name: str
    arguments: dict[str, Any]
    role: str
    """The name of the argument that the input is."""
    before: torch.Size
    after: torch.Size


def named(operation, args, kwargs):
    """Return the arguments of an operation by name, with its defaults."""
    values = {}
    for position, argument in enumerate(operation._schema.arguments):
        given = args[position] if position < len(args) else argument.default_value
        values[argument.name] = kwargs.get(argument.name, given)
    return values


def tensors(value):
    """Return the tensors in an argument or a result."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [tensor for tensor in values if isinstance(tensor, torch.Tensor)]


def rule_for(operation):
    """Return the rule of an operation."""
    if not hasattr(operation, "_schema"):
        raise UnsupportedError(str(operation))
    namespace, name = operation._schema.name.split("::")
    name = name.removesuffix("_")
    if namespace == "aten":
        if name.startswith("new_") or name.endswith("_like"):
            return _constant
        if name in _RULES:
            return _RULES[name]
        if torch.Tag.pointwise in operation.tags:
            return _elementwise
    raise UnsupportedError(operation._schema.name)


def _each(rule):
    """Make a rule for calls of a rule for parts."""

    def whole_rule(call):
        arguments, inputs = call.arguments, call.inputs()
        return [
            united(
                [
                    rule(
                        Part(
                            call.operation,
                            call.name,
                            arguments,
                            role,
                            before,
                            output.shape,
                        ),
                        axis,
                    ).aligned(output.ndim)
                    for role, before, axis in inputs
                ]
            )
            for output in call.outputs
        ]

    return whole_rule


def _of_main_input(rule):
    """Make a rule that mixes all of the other inputs."""

    def whole_rule(part, axis):
        main = part.role in ("self", "input", "tensors")
        return rule(part, axis) if main else _all(part, axis)

    return _each(whole_rule)


# Operations on single elements, or on all.


def _constant(call):
    """See nothing."""
    axis = next(iter(call.axes.values()))
    return [axis.nothing(output.ndim) for output in call.outputs]


@_each
def _elementwise(part, axis):
    """Keep each element to itself; shapes match from the right."""
    return axis


def _overwriting(call):
    """Put other values in place of all."""
    source = call.arguments.get("src", call.arguments.get("value"))
    if id(source) not in call.axes:
        return _constant(call)
    axis = call.axes[id(source)]
    return [axis.aligned(output.ndim) for output in call.outputs]


def _all(part, axis):
    """Let every output depend on all of the input."""
    return axis.over(range(-len(part.before), 0))


# Operations along dimensions.


@_of_main_input
def _along_dimension(part, axis):
    """Mix along some dimensions."""
    return axis.over(_dimensions(part))


@_of_main_input
def _reduction(part, axis):
    """Reduce dimensions to one number, and keep them or not."""
    return axis.over(_dimensions(part), bool(part.arguments.get("keepdim")))


@_of_main_input
def _gate(part, axis):
    """Multiply one half of a dimension by the other."""
    (dimension,) = _dimensions(part)
    if axis.windows.shape[dimension] == 1:
        return axis
    return axis._replace(windows=torch.minimum(*axis.windows.chunk(2, dimension)))


@_of_main_input
def _accumulation(part, axis):
    """Let each element depend on those before it."""
    (dimension,) = _dimensions(part)
    return _until_each(axis, dimension)


def _until_each(axis, dimension):
    """Unite the windows of each element and of those before it."""
    return axis._replace(windows=axis.windows.cummin(dimension).values)


def _dimensions(part):
    """Return the dimensions that an operation works along, counted from the right."""
    ndim = len(part.before)
    value = part.arguments.get("dim", part.arguments.get("dims"))
    if value is None or value == []:
        value = range(ndim)
    values = [value] if isinstance(value, int) else value
    return [_from_right(dimension, ndim) for dimension in values]


def _from_right(dimension, ndim):
    return dimension - ndim if dimension >= 0 else dimension


@_of_main_input
def _batch_norm(part, axis):
    """Normalise by fixed statistics, or by those of each channel."""
    if "no_training" in part.name or part.arguments.get("training") is False:
        return axis
    ndim = len(part.before)
    return axis.over([d for d in range(-ndim, 0) if d != 1 - ndim])


@_of_main_input
def _layer_norm(part, axis):
    """Normalise by the statistics of the last dimensions."""
    return axis.over(range(-len(part.arguments["normalized_shape"]), 0))


@_of_main_input
def _group_norm(part, axis):
    """Normalise by the statistics of each group of channels."""
    ndim = len(part.before)
    axis = axis.over(range(2 - ndim, 0))
    return _in_groups(axis, 1 - ndim, part.arguments["group"], part.before[1])


def _in_groups(axis, dimension, groups, outputs):
    """Unite the windows of each group of channels, for so many outputs."""
    channels = axis.windows.shape[dimension]
    if groups == 1 or channels == 1:
        return axis.over([dimension])
    windows = axis.windows.unflatten(dimension, (groups, channels // groups))
    windows = windows.amin(dimension)
    return axis._replace(
        windows=windows.repeat_interleave(outputs // groups, dimension)
    )


def _product(left, right):
    """Unite along the rows of the left matrix, and the columns of the right one."""

    def rule(part, axis):
        if part.role == left:
            return axis.over([-1])
        if part.role == right and len(part.before) > 1:
            return axis.over([-2])
        return axis if part.role == "self" else _all(part, axis)

    return _each(rule)


def _vector_product(matrix, vector):
    """Unite along the rows of a matrix."""

    def rule(part, axis):
        if part.role in (matrix, vector):
            return axis.over([-1], keepdim=part.role == vector)
        return axis

    return _each(rule)


@_each
def _attention(part, axis):
    """Let each query see itself, all keys, and one number of each value."""
    dimensions = {"query": [-1], "key": [-2, -1], "value": [-2]}.get(part.role)
    if dimensions is None or len(part.after) != len(part.before):
        return _all(part, axis)
    if part.arguments.get("is_causal") and part.role != "query":
        axis = _until_each(axis, -2)
        dimensions = [-1] if part.role == "key" else []
    return axis.over(dimensions)


@_each
def _between_tokens(part, axis):
    """Let each of a sequence's tokens see all of them."""
    tokens = part.role in ("src", "query", "key", "value")
    return axis.over([-2, -1]) if tokens else _all(part, axis)


# Operations that slide a window over the last dimensions.


@_of_main_input
def _convolution(part, axis):
    """Slide a kernel over the last dimensions and add up the channels."""
    arguments = part.arguments
    kernel = arguments["weight"].shape[2:]
    channels, outputs = -len(kernel) - 1, part.after[-len(kernel) - 1]
    axis = _in_groups(axis, channels, arguments["groups"], outputs)
    taps = transposed if arguments["transposed"] else sliding
    return _slide(part, axis, kernel, taps)


def _pooling(dimensions):
    """Slide a window over the last dimensions."""

    def rule(part, axis):
        return _slide(part, axis, _each_way(part.arguments["kernel_size"], dimensions))

    return _of_main_input(rule)


def _slide(part, axis, kernel, taps=sliding):
    """Slide a kernel over the last dimensions."""
    ways = len(kernel)
    stride, padding, dilation = (
        _each_way(part.arguments.get(name) or default, ways)
        for name, default in (("stride", kernel), ("padding", [0]), ("dilation", [1]))
    )
    for way, windows in enumerate(zip(kernel, stride, padding, dilation, strict=True)):
        place = way - ways
        length, count = part.before[place], part.after[place]
        axis = axis.read(place, length, taps(length, count, *windows))
    return axis


def _each_way(values, ways):
    """Return one value a dimension, where one may stand for all."""
    return list(values) * ways if len(values) == 1 else values


@_of_main_input
def _constant_padding(part, axis):
    """Put constants before and after, or cut off."""
    return _pad(part, axis, part.arguments["pad"])


@_of_main_input
def _padding(part, axis):
    """Put copies of other elements before and after."""
    mode = "reflect" if "reflection" in part.name else "replicate"
    return _pad(part, axis, part.arguments["padding"], mode)


def _pad(part, axis, amounts, mode=None):
    """Pad dimensions from the last one on, each by an amount before and one after."""
    for number, before in enumerate(amounts[::2]):
        place = -number - 1
        length, count = part.before[place], part.after[place]
        taps = sliding(length, count, padding=before)
        if mode:
            places = torch.arange(length, dtype=torch.float32, device="cpu")[None]
            both = (before, amounts[2 * number + 1])
            index = torch.nn.functional.pad(places, both, mode).long()
            taps = Taps(index.T, torch.ones_like(index.T, dtype=bool), taps.index)
        axis = axis.read(place, length, taps)
    return axis


def _adaptive_pooling(dimensions):
    """Give each output an equal part of the input, rounded outwards."""

    def rule(part, axis):
        for place in range(-dimensions, 0):
            length, count = part.before[place], part.after[place]
            if count == 1:
                axis = axis.over([place])
            else:
                axis = axis.read(place, length, adaptive(length, count))
        return axis

    return _of_main_input(rule)


@_of_main_input
def _interpolation(part, axis):
    """Read what the operation itself makes of each position, dimension by dimension."""
    ways = len(part.arguments["output_size"])
    for place in range(-ways, 0):
        read = (_weights(part, place, ways) != 0).int()
        valid, index = read.topk(int(read.sum(1).max()))
        axis = axis.read(place, part.before[place], Taps(index, valid.bool(), None))
    return axis


def _weights(part, place, ways):
    """Return the weights of an interpolation along one dimension, (outputs, inputs)."""
    length, count = part.before[place], part.after[place]
    double = part.arguments["self"].dtype == torch.double
    places = torch.eye(length, dtype=torch.double if double else None, device="cpu")
    # Along the others, two of the same: of one, PyTorch 2.14 interpolates wrongly.
    alone = [length if d == place else 1 for d in range(-ways, 0)]
    doubled = [length if d == place else 2 for d in range(-ways, 0)]
    places = places.reshape(length, 1, *alone).expand(length, 1, *doubled)
    here = {
        "self": places.contiguous(),
        "output_size": [count if d == place else 2 for d in range(-ways, 0)],
    }
    scales = [name for name in part.arguments if name.startswith("scale")]
    for number, name in enumerate(scales):
        here[name] = part.arguments[name] if number == place + ways else None
    weights = part.operation(**{**part.arguments, **here})
    return weights.movedim(place, 1).flatten(2)[..., 0].T


# Operations that move elements.


def _view(call):
    """Look at the same elements in another way, which the operation itself shows."""
    ((_, shape, axis),) = call.inputs()
    windows = axis.windows
    first = windows[0].expand(shape)
    at_home = [int(dimension == axis.home) for dimension in range(-len(shape), 0)]
    marked = torch.empty_strided(shape, at_home, device="meta")
    views = []
    for part, mark in zip(
        tensors(_run(call, lambda _: first)),
        tensors(_run(call, lambda _: marked)),
        strict=True,
    ):
        homes = [place - mark.ndim for place, step in enumerate(mark.stride()) if step]
        once = [slice(0, 1) if step == 0 else slice(None) for step in part.stride()]
        part = part[tuple(once)]
        view = windows.as_strided(
            (4, *part.shape),
            (windows.stride(0), *part.stride()),
            part.storage_offset(),
        )
        views.append(axis.moved(view, homes[0] if len(homes) == 1 else None))
    return views


@_each
def _insertion(part, axis):
    """Put in a dimension."""
    return axis.inserted(_from_right(part.arguments["dim"], len(part.after)))


def _permutation(call):
    """Put the dimensions in another order."""
    ((_, before, axis),) = call.inputs()
    ndim = len(before)
    numbered = torch.empty(tuple(range(ndim)), device="meta")
    order = list(_run(call, lambda _: numbered).shape)
    home = axis.home
    if home is not None:
        home = order.index(home + ndim) - ndim
    windows = axis.windows.permute(0, *(1 + dimension for dimension in order))
    return [axis.moved(windows, home)]


@_of_main_input
def _layout(part, axis):
    """Lie otherwise in memory, which is followed where there is one dimension."""
    if part.before != part.after or part.after.numel() != max(part.after):
        raise UnsupportedError("aten::as_strided")
    return axis


@_of_main_input
def _reshaping(part, axis):
    """Count the same elements by other dimensions."""
    if part.before.numel() != part.after.numel():
        raise UnsupportedError("a view of the numbers' bits")
    windows = axis.windows
    old, new = [4], [4]
    for before, after in _blocks(part.before, part.after):
        here = windows.shape[len(old) : len(old) + len(before)]
        alike = prod(here) == 1
        old += here if alike else before
        new += [1] * len(after) if alike else after
    home = axis.home
    if home is not None:
        places, left = part.after[home:], part.after[:home]
        home = home if left and places == part.before[home:] else None
    return axis.moved(windows.expand(old).reshape(new), home)


def _blocks(before, after):
    """Part two shapes into the shortest runs of dimensions with the same elements."""
    before, after = list(before), list(after)
    while before or after:
        left, right = before[:1], after[:1]
        while prod(left) != prod(right):
            shorter, all_of_it = (
                (left, before) if prod(left) < prod(right) else (right, after)
            )
            shorter.append(all_of_it[len(shorter)])
        yield left, right
        before, after = before[len(left) :], after[len(right) :]


def _join(call):
    """Put tensors behind one another, along a dimension of theirs or a new one."""
    (output,) = call.outputs
    place = _from_right(call.arguments["dim"], output.ndim)
    known = next(iter(call.axes.values()))
    axes, lengths = [], []
    for tensor in call.arguments["tensors"]:
        if tensor.numel():
            axis = call.axes.get(id(tensor)) or known.nothing(tensor.ndim)
            stacked = call.name == "stack"
            axes.append(axis.inserted(place) if stacked else axis)
            lengths.append(1 if stacked else tensor.shape[place])
    shape = [max(sizes) for sizes in zip(*(a.windows.shape for a in axes), strict=True)]
    parts = []
    for axis, shape[place] in zip(axes, lengths, strict=True):
        parts.append(axis.windows.expand(shape))
    return [joined(axes, torch.cat(parts, place)).alike([place])]


def _turning(call):
    """Turn or roll dimensions, which are those of the windows."""
    ((_, shape, axis),) = call.inputs()
    whole = not call.arguments["dims"]
    parts = [part.expand(shape) if whole else part for part in axis.windows]
    parts = [_run(call, lambda _, part=part: part) for part in parts]
    return [axis._replace(windows=torch.stack(parts))]


DATA = ("self", "input", "src", "values", "tensors")
FAR = 2.0**22
"""More than any image has pixels; exact as a float, as are its sums with places."""


def _movement(call):
    """Put elements elsewhere, or zeros, as the operation itself shows."""
    inputs = call.inputs()
    for role, _, _ in inputs:
        if role not in DATA:
            raise UnsupportedError(f"{call.operation._schema.name} of computed places")
    if call.arguments.get("accumulate"):
        raise UnsupportedError(f"{call.operation._schema.name} that adds")

    def component(number):
        """Return one number of each element's, which is 0 where it sees nothing."""

        def moved(tensor):
            if id(tensor) in call.axes:
                part = call.axes[id(tensor)].windows[number]
                part = (part - FAR).masked_fill(part.isinf(), 0)
                return part.expand(tensor.shape).clone()
            if tensor.is_floating_point():
                return torch.zeros(tensor.shape, device="cpu")
            if tensor.is_meta:
                raise UnsupportedError(f"{call.operation._schema.name} on meta")
            return tensor.cpu()

        return moved

    results = [tensors(_run(call, component(number))) for number in range(4)]
    axes = []
    for parts in zip(*results, strict=True):
        windows = torch.stack(parts)
        windows = (windows + FAR).masked_fill(windows == 0, inf)
        axes.append(inputs[0][2].of_elements(windows, windows.shape[1:]))
    return axes


def _run(call, replaced):
    """Run an operation again, with other tensors in place of its own."""
    args, kwargs = tree_map(
        lambda value: replaced(value) if isinstance(value, torch.Tensor) else value,
        (call.args, call.kwargs),
    )
    return call.operation(*args, **kwargs)


def _rules(names, rule):
    return dict.fromkeys(names.split(), rule)


_RULES = (
    _rules("clone detach alias lift_fresh _to_copy contiguous", _elementwise)
    | _rules("hardswish _prelu_kernel log_sigmoid_forward native_dropout", _elementwise)
    | _rules("masked_fill", _elementwise)
    | _rules("copy fill zero", _overwriting)
    | _rules("native_batch_norm cudnn_batch_norm miopen_batch_norm", _batch_norm)
    | _rules(
        "_native_batch_norm_legit _native_batch_norm_legit_no_training", _batch_norm
    )
    | _rules("native_layer_norm", _layer_norm)
    | _rules("native_group_norm", _group_norm)
    | _rules("linear", _product("input", None))
    | _rules("mm bmm", _product("self", "mat2"))
    | _rules("addmm", _product("mat1", "mat2"))
    | _rules("baddbmm", _product("batch1", "batch2"))
    | _rules("mv", _vector_product("self", "vec"))
    | _rules("addmv", _vector_product("mat", "vec"))
    | _rules("dot", _each(_all))
    | _rules("_scaled_dot_product_flash_attention", _attention)
    | _rules("_scaled_dot_product_flash_attention_for_cpu", _attention)
    | _rules("_scaled_dot_product_efficient_attention", _attention)
    | _rules("_scaled_dot_product_cudnn_attention", _attention)
    | _rules("_scaled_dot_product_fused_attention_overrideable", _attention)
    | _rules("_native_multi_head_attention", _between_tokens)
    | _rules("_transformer_encoder_layer_fwd", _between_tokens)
    | _rules("convolution", _convolution)
    | _rules("max_pool2d_with_indices avg_pool2d", _pooling(2))
    | _rules("max_pool3d_with_indices avg_pool3d", _pooling(3))
    | _rules("_adaptive_avg_pool2d adaptive_max_pool2d", _adaptive_pooling(2))
    | _rules("_adaptive_avg_pool3d adaptive_max_pool3d", _adaptive_pooling(3))
    | _rules("constant_pad_nd", _constant_padding)
    | _rules("reflection_pad1d reflection_pad2d reflection_pad3d", _padding)
    | _rules("replication_pad1d replication_pad2d replication_pad3d", _padding)
    | _rules("upsample_nearest1d upsample_nearest2d upsample_nearest3d", _interpolation)
    | _rules("_upsample_nearest_exact1d _upsample_nearest_exact2d", _interpolation)
    | _rules("_upsample_nearest_exact3d upsample_linear1d", _interpolation)
    | _rules("upsample_bilinear2d upsample_bicubic2d", _interpolation)
    | _rules("upsample_trilinear3d _upsample_bilinear2d_aa", _interpolation)
    | _rules("_upsample_bicubic2d_aa", _interpolation)
    | _rules("view _unsafe_view _reshape_alias", _reshaping)
    | _rules("as_strided", _layout)
    | _rules("permute transpose t", _permutation)
    | _rules("unsqueeze", _insertion)
    | _rules("squeeze expand select slice", _view)
    | _rules("split split_with_sizes unbind unfold diagonal", _view)
    | _rules("cat stack", _join)
    | _rules("flip roll", _turning)
    | _rules("rot90 repeat pixel_shuffle pixel_unshuffle channel_shuffle", _movement)
    | _rules("native_channel_shuffle im2col tril triu gather take", _movement)
    | _rules("index index_select index_put scatter", _movement)
    | _rules("_softmax _log_softmax _safe_softmax softmax", _along_dimension)
    | _rules("sort topk argsort", _along_dimension)
    | _rules("glu", _gate)
    | _rules("cumsum cumprod cummax cummin logcumsumexp", _accumulation)
    | _rules("mean sum prod amax amin max min var std var_mean std_mean", _reduction)
    | _rules("logsumexp linalg_vector_norm norm argmax argmin any all", _reduction)
)

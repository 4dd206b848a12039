"""What each layer of any PyTorch model is: kind, output shape, parameters.

`summarize` runs the model once, so that the rows are what happens, not what was meant.
Blocks of layers can be folded into a row each, by how deep they are nested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _MaxPoolNd,
)

from cnnviz._functions import functions_watched
from cnnviz._probing import (
    as_input_shape,
    blank_input,
    check_initialized,
    is_parametrized,
    layers_of,
    modules_of,
    own_parameters,
    parameters_of,
    run,
    tensors_in,
    watched,
)
from cnnviz._validation import as_integer, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnviz._types import Integer, Sizes

__all__ = ["LayerSummary", "summarize"]

FUNCTION = "function"


class LayerSummary(NamedTuple):
    """One layer of a model, or one function, as `summarize` gives it."""

    name: str
    """The layer's name in `record_activations`; of a function, such as "relu()"."""
    kind: str
    """The name of its class, or of the function."""
    output_shape: tuple[int, ...]
    """The shape of its first output without the batch, empty if there is none."""
    parameters: int
    """How many numbers it holds that no earlier row counts."""
    description: str
    """Its hyper-parameters in short, such as "3x3, stride 2", or empty."""
    trainable: int
    """How many of its parameters require a gradient: the others are frozen."""


class _Summary(tuple[LayerSummary, ...]):
    """The rows of a summary; printed, they are a table."""

    def __str__(self):
        rows = [("layer", "kind", "output", "parameters", "")]
        for row in self:
            shape = " x ".join(map(str, row.output_shape)) or "-"
            count = f"{row.parameters:,}" if row.parameters else "-"
            rows.append((row.name, row.kind, shape, count, row.description))
        total = sum(row.parameters for row in self)
        frozen = total - sum(row.trainable for row in self)
        about = f"{frozen:,} of them frozen" if frozen else ""
        rows.append(("total", "", "", f"{total:,}", about))
        name, kind, shape, count, _ = (
            max(map(len, column)) for column in zip(*rows, strict=True)
        )
        return "\n".join(
            f"{a:{name}}  {b:{kind}}  {c:>{shape}}  {d:>{count}}  {e}".rstrip()
            for a, b, c, d, e in rows
        )


class _Layer(NamedTuple):
    """A module with its name, its place, and how deep it lies: 0 is the model."""

    name: str
    module: nn.Module
    path: str
    depth: int


class _Call(NamedTuple):
    """A call of a layer, or of a function by a layer."""

    name: str
    layer: _Layer
    output_shape: tuple[int, ...]
    function: str = ""


def summarize(
    model: nn.Module,
    input_shape: Sizes | Sequence[Sizes] | None = None,
    depth: Integer | None = None,
    *,
    input_data: torch.Tensor
    | tuple[Any, ...]
    | list[Any]
    | Mapping[str, Any]
    | None = None,
) -> tuple[LayerSummary, ...]:
    """Describe the layers of a model in the order in which they run.

    Parameters
    ----------
    model : torch.nn.Module
        Any model. It runs once in evaluation mode, where it is and in its dtype; then
        every module is back in the mode it was in.
    input_shape : tuple of int, or sequence of tuples of int
        The shape of the input without the batch, such as ``(3, 224, 224)``, or the
        shapes of several inputs. The model runs on zeros.
    depth : int, optional
        How many levels of modules inside modules to look into: with 1, each module
        that the model itself holds is one row, with all that is inside. Default: all.
    input_data : torch.Tensor, or tuple, list or dict with tensors
        Instead of `input_shape`, the input itself, with its batch, as
        `cnnviz.activations.record_activations` takes it: a tuple or a list holds the
        model's arguments, a dict those that it takes by name.

    Returns
    -------
    tuple of LayerSummary
        A row for each call of a module that holds no other modules, or lies at
        `depth`, and of a function in between. Together the rows count every parameter
        of the model once; see the notes. Printed, it is a table of plain ASCII.

    Raises
    ------
    TypeError
        If `model` is not a module, `input_shape` not a tuple of integers, `depth` not
        an integer, or no tensor in `input_data`.
    ValueError
        If neither or both of `input_shape` and `input_data` are given, or `depth` is
        less than 1, or the model has layers that are not initialised, scripted or
        traced, or compiled with PyTorch before 2.6, or fails on such an input; then
        the message carries the model's own.

    Notes
    -----
    Functions of PyTorch that a module calls itself, such as ``F.relu(x)``, ``x + y``
    or ``torch.flatten(x, 1)``, have a row with the description "function" and a name
    such as ``"relu()"`` or ``"block.add()"``. What only copies or converts has none,
    nor have the functions inside of the modules that are a row. Padding is not
    described: the output's shape shows it.

    A module of whose inner modules none runs is one row, with all their parameters:
    it uses these itself, as `torch.nn.MultiheadAttention` does.

    For the parameters to be whole, there are two more kinds of rows. Modules that hold
    parameters beside other modules, such as a class token, have one (the model as a
    whole is called ``"output"``). So have modules with parameters that do not run; they
    come at the end, with an empty shape and the description "not called". They may
    serve in training only, or their parameters are used by the module around them.

    Weights that `torch.ao.quantization` has quantised are no parameters: such layers
    are described as "quantised" and count none.

    Lists and dictionaries of modules, such as `torch.nn.ModuleList`, which cannot be
    called, are no level of their own.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
    >>> for layer in summarize(model, (3, 33, 33)):
    ...     print(*layer[:4])
    0 Conv2d (8, 16, 16) 224
    1 ReLU (8, 16, 16) 0
    """
    limit = math.inf if depth is None else as_integer(depth, "depth", 1)
    _, layers, calls = _run_layers(model, input_shape, input_data)
    return _rows(layers, calls, limit)


def summarize_within(model, input_shape, input_data, most, depth=None):
    """Describe a model as deep as `most` rows allow, and one level at least.

    Where they don't allow functions, the layers alone. Returned with it are the shapes
    of the inputs, by name.
    """
    inputs, layers, calls = _run_layers(model, input_shape, input_data)
    deepest = max(layer.depth for layer in layers)
    limits = [math.inf, *range(deepest - 1, 0, -1)]
    if depth is not None:
        limits = [as_integer(depth, "depth", 1)]
    for limit in limits:
        rows = _rows(layers, calls, limit)
        if len(rows) > most:
            rows = tuple(row for row in rows if row.description != FUNCTION)
        if len(rows) <= most:
            break
    return rows, inputs


def _run_layers(model, input_shape, input_data):
    """Run the model; return inputs, layers, and calls in the order they finished.

    The inputs are the shapes by name, without the batch.
    """
    check_initialized(model)
    inputs, argument = _inputs(model, input_shape, input_data)
    layers = _nested_layers(model)
    layer_of = {id(layer.module): layer for layer in layers}
    calls = []

    def note(name, module, output, function=""):
        """Keep the call and the shape of its first tensor, without the batch."""
        tensors = (tuple(tensor.shape[1:]) for _, tensor in tensors_in(name, output))
        layer = layer_of[id(module)]
        calls.append(_Call(name, layer, next(tensors, ()), function))

    with watched(layers, note), functions_watched(layers, inputs, note):
        run(model, inputs, argument)
    shapes = [(name, tuple(x.shape[1:])) for name, x in _named(inputs)]
    return shapes, layers, calls


def _inputs(model, input_shape, input_data):
    """Return what the model is called with, and the argument that it comes from."""
    if (input_shape is None) == (input_data is None):
        got = "neither" if input_data is None else "both"
        raise invalid("input_shape", "given, or input_data instead of it", got)
    if input_data is not None:
        return input_data, "input_data"
    expected = "a tuple of integers, such as (3, 224, 224), or several of them"
    shapes = [input_shape]
    if isinstance(input_shape, (tuple, list)) and any(
        isinstance(shape, (tuple, list)) for shape in input_shape
    ):
        shapes = input_shape
    shapes = [as_input_shape(shape, expected) for shape in shapes]
    return tuple(blank_input(model, shape) for shape in shapes), "input_shape"


def _named(inputs):
    """Return the tensors that a model takes, by name; a single one is "input"."""
    named = [*tensors_in("input", inputs)]
    return [("input", tensor) for _, tensor in named] if len(named) == 1 else named


def _nested_layers(model):
    """Return all layers with their depths; the model itself comes first.

    What works out a layer's parameters is a part of it, and no layer.
    """
    layers, depths, hidden = [], {}, ()
    for (name, module), (path, _) in zip(
        layers_of(model), modules_of(model), strict=True
    ):
        if f"{path}.".startswith(hidden):
            continue
        depths[path] = (
            depths[path.rpartition(".")[0]] + _is_level(module) if path else 0
        )
        layers.append(_Layer(name, module, path, depths[path]))
        if is_parametrized(module):
            hidden += (f"{path}.parametrizations.".lstrip("."),)
    return layers


def _is_level(module):
    """Tell whether a module can be called: lists of modules can't."""
    own = "forward" in vars(module)
    return own or type(module).forward is not nn.Module.forward


def _rows(layers, calls, limit=math.inf):
    """Return the rows of a summary; those at the limit count all that is inside."""
    open_paths, counted = _open_paths(layers, calls), set()

    def count_new(layer):
        """Count the parameters of a layer's row that no earlier row has."""
        whole = layer.depth == limit or layer.path not in open_paths
        held = (parameters_of if whole else own_parameters)(layer.module)
        new = [parameter for parameter in held if id(parameter) not in counted]
        counted.update(map(id, new))
        trainable = (each.numel() for each in new if each.requires_grad)
        return sum(parameter.numel() for parameter in new), sum(trainable)

    def is_row(layer):
        """Tell whether a layer is whole, at the limit, or holds parameters itself."""
        if layer.depth >= limit:
            return layer.depth == limit
        whole = layer.path not in open_paths and _is_level(layer.module)
        return whole or bool(own_parameters(layer.module))

    rows = []
    for name, layer, shape, function in calls:
        if function and layer.path in open_paths and layer.depth < limit:
            rows.append(LayerSummary(name, function, shape, 0, FUNCTION, 0))
        elif not function and is_row(layer):
            kind, about = type(layer.module).__name__, _description(layer.module, shape)
            parameters, trainable = count_new(layer)
            rows.append(LayerSummary(name, kind, shape, parameters, about, trainable))
    for layer in layers:
        if is_row(layer):
            kind, (parameters, trainable) = (
                type(layer.module).__name__,
                count_new(layer),
            )
            if parameters:
                row = (layer.name, kind, (), parameters, "not called", trainable)
                rows.append(LayerSummary(*row))
    return _Summary(rows)


def _open_paths(layers, calls):
    """Return the paths of the layers in which others run, or functions of the model's.

    All others are whole: what they hold, they use themselves.
    """
    paths = set()
    for call in calls:
        path = call.layer.path
        while path and not call.function:
            path = path.rpartition(".")[0]
            paths.add(path)
    is_own = type(layers[0].module).__module__.startswith(("torch.nn.", "torch.ao.nn."))
    if not is_own and any(call.function and not call.layer.path for call in calls):
        paths.add("")
    return paths


def _description(module, output_shape):
    """Say a layer's hyper-parameters in few words."""
    quantised = ".quantized." in type(module).__module__ and (
        hasattr(module, "_packed_params") or hasattr(module, "_all_weight_values")
    )
    words = []
    if isinstance(module, nn.Linear) or (quantised and hasattr(module, "in_features")):
        words.append(f"{module.in_features} -> {module.out_features}")
    elif isinstance(module, _DropoutNd):
        words.append(f"p = {module.p:g}")
    elif isinstance(module, (_AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)):
        words.append(f"to {_sides(output_shape[1:])}")
    elif isinstance(module, (_ConvNd, _AvgPoolNd, _MaxPoolNd)) or (
        quantised and hasattr(module, "kernel_size")
    ):
        words += _window(module, len(output_shape) - 1)
    return ", ".join([*words, "quantised"] if quantised else words)


def _window(module, dimensions):
    """Say the settings of a layer whose window slides over its input."""
    words = [_sides(_each(module.kernel_size, dimensions))]
    for name in ("stride", "dilation"):
        values = _each(getattr(module, name, 1), dimensions)
        if set(values) != {1}:
            same = len(set(values)) == 1
            words.append(f"{name} {values[0] if same else _sides(values)}")
    if getattr(module, "groups", 1) != 1:
        words.append(f"{module.groups} groups")
    return words


def _each(value, dimensions):
    """Return one value a dimension."""
    return tuple(value) if isinstance(value, tuple) else (value,) * dimensions


def _sides(values):
    """Write sizes in a row: 3x3."""
    return "x".join(map(str, values))

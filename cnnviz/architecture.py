"""What each layer of any PyTorch model is: kind, output shape, parameters.

`summarize` runs the model once on zeros, so that the rows are what happens, not what
was meant. Blocks of layers can be folded into a row each, by how deep they are nested.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _MaxPoolNd,
)

from cnnviz._probing import (
    as_input_shape,
    blank_input,
    check_initialized,
    layers_of,
    own_parameters,
    parameters_of,
    run,
    tensors_in,
    watched,
)
from cnnviz._validation import as_integer

if TYPE_CHECKING:
    from cnnviz._types import Integer, Sizes

__all__ = ["LayerSummary", "summarize"]


class LayerSummary(NamedTuple):
    """One layer of a model, as `summarize` gives it."""

    name: str
    """The layer's name in `record_activations`."""
    kind: str
    """The name of its class."""
    output_shape: tuple[int, ...]
    """The shape of its first output without the batch, empty if there is none."""
    parameters: int
    """How many numbers it holds that no earlier row counts."""
    description: str
    """Its hyper-parameters in short, such as "3×3, stride 2", or empty."""


class _Layer(NamedTuple):
    """A module with its name, and how deep it is nested: 0 is the model itself."""

    name: str
    module: nn.Module
    depth: int


def summarize(
    model: nn.Module, input_shape: Sizes, depth: Integer | None = None
) -> tuple[LayerSummary, ...]:
    """Describe the layers of a model in the order in which they run.

    Parameters
    ----------
    model : torch.nn.Module
        Any model of one input. It runs once, on zeros, in evaluation mode, where it
        is and in its dtype; then every module is back in the mode it was in.
    input_shape : tuple of int
        The shape of the input without the batch, such as ``(3, 224, 224)``.
    depth : int, optional
        How many levels of modules inside modules to look into: with 1, each module
        that the model itself holds is one row, with all that is inside. Default: all.

    Returns
    -------
    tuple of LayerSummary
        A row for each call of a module that holds no other modules, or lies at
        `depth`. Together the rows count every parameter of the model once; see the
        notes.

    Raises
    ------
    TypeError
        If `model` is not a module, `input_shape` not a tuple of integers, or `depth`
        not an integer.
    ValueError
        If `depth` is less than 1, or the model has layers that are not initialised,
        scripted or traced, or fails on such an input; then the message carries the
        model's own.

    Notes
    -----
    Only modules are seen, not functions called in between, such as ``F.relu(x)`` or
    ``torch.flatten(x, 1)``. Padding is not described: the output's shape shows it.

    For the parameters to be whole, there are two more kinds of rows. Modules that hold
    parameters beside other modules, such as a class token, have one (the model as a
    whole is called ``"output"``). So have modules with parameters that do not run; they
    come at the end, with an empty shape and the description "not called". They may
    serve in training only, or their parameters are used by the module around them.

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
    return _rows(*_run_layers(model, input_shape), limit)


def summarize_within(model, input_shape, most):
    """Describe a model as deep as `most` rows allow, and one level at least."""
    layers, calls = _run_layers(model, input_shape)
    rows = _rows(layers, calls)
    for depth in range(max(layer.depth for layer in layers), 0, -1):
        if len(rows) <= most:
            break
        rows = _rows(layers, calls, depth)
    return rows


def _run_layers(model, input_shape):
    """Return the layers, and each call: its name, the layer, the output's shape."""
    check_initialized(model)
    shape = as_input_shape(input_shape, "a tuple of integers, such as (3, 224, 224)")
    layers = _nested_layers(model)
    calls = []

    def note(name, module, output):
        """Keep the call and the shape of its first tensor, without the batch."""
        tensors = (tuple(tensor.shape[1:]) for _, tensor in tensors_in(name, output))
        calls.append((name, module, next(tensors, ())))

    with watched([layer[:2] for layer in layers], note):
        run(model, blank_input(model, shape))
    layer_of = {layer.module: layer for layer in layers}
    return layers, [(name, layer_of[module], shape) for name, module, shape in calls]


def _nested_layers(model):
    """Return all layers with their depths; the model itself comes first."""
    (name, model), *inner = layers_of(model)
    layers, depths = [_Layer(name, model, 0)], {"": 0}
    for name, module in inner:
        can_be_called = type(module).forward is not nn.Module.forward
        depths[name] = depths[name.rpartition(".")[0]] + can_be_called
        layers.append(_Layer(name, module, depths[name]))
    return layers


def _rows(layers, calls, limit=math.inf):
    """Return the rows of a summary; those at the limit count all that is inside."""
    counted = set()

    def count_new(layer):
        """Count the parameters of a layer's row that no earlier row has."""
        everything = layer.depth == limit
        parameters = (parameters_of if everything else own_parameters)(layer.module)
        new = [p for p in parameters if id(p) not in counted]
        counted.update(map(id, new))
        return sum(parameter.numel() for parameter in new)

    rows = [
        LayerSummary(
            name,
            type(layer.module).__name__,
            output_shape,
            count_new(layer),
            _description(layer.module, output_shape),
        )
        for name, layer, output_shape in calls
        if _is_row(layer, limit)
    ]
    for layer in layers:
        if _is_row(layer, limit) and (parameters := count_new(layer)):
            kind = type(layer.module).__name__
            rows.append(LayerSummary(layer.name, kind, (), parameters, "not called"))
    return tuple(rows)


def _is_row(layer, limit):
    """Tell whether a layer is a leaf, holds parameters itself, or is at the limit."""
    if layer.depth >= limit:
        return layer.depth == limit
    return not layer.module._modules or bool(own_parameters(layer.module))


def _description(module, output_shape):
    """Say a layer's hyper-parameters in few words."""
    if isinstance(module, nn.Linear):
        return f"{module.in_features} → {module.out_features}"
    if isinstance(module, _DropoutNd):
        return f"p = {module.p:g}"
    if isinstance(module, (_AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)):
        return f"to {_sides(output_shape[1:])}"
    if not isinstance(module, (_ConvNd, _AvgPoolNd, _MaxPoolNd)):
        return ""
    dimensions = len(output_shape) - 1
    words = [_sides(_each(module.kernel_size, dimensions))]
    for name in ("stride", "dilation"):
        values = _each(getattr(module, name, 1), dimensions)
        if set(values) != {1}:
            same = len(set(values)) == 1
            words.append(f"{name} {values[0] if same else _sides(values)}")
    if getattr(module, "groups", 1) != 1:
        words.append(f"{module.groups} groups")
    return ", ".join(words)


def _each(value, dimensions):
    """Return one value a dimension."""
    return tuple(value) if isinstance(value, tuple) else (value,) * dimensions


def _sides(values):
    """Write sizes as they are read: 3×3."""
    return "×".join(map(str, values))

"""What each layer of any PyTorch model is: kind, output shape, parameters.

`summarize` runs the model once on zeros, so that the rows are what happens, not what
was meant.
"""

from typing import NamedTuple

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
    check_model,
    layers_of,
    run,
    tensors_in,
    watched,
)

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


def summarize(model, input_shape):
    """Describe the layers of a model in the order in which they run.

    Parameters
    ----------
    model : torch.nn.Module
        Any model of one input. It runs once, on zeros, in evaluation mode, where it
        is and in its dtype; then every module is back in the mode it was in.
    input_shape : tuple of int
        The shape of the input without the batch, such as ``(3, 224, 224)``.

    Returns
    -------
    tuple of LayerSummary
        A row for each call of a module that holds no other modules. Together the rows
        count every parameter of the model once; see the notes.

    Raises
    ------
    TypeError
        If `model` is not a module or `input_shape` not a tuple of integers.
    ValueError
        If the model fails on such an input; the message carries the model's own.

    Notes
    -----
    Only modules are seen, not functions called in between, such as ``F.relu(x)`` or
    ``torch.flatten(x, 1)``. Padding is not described: the output's shape shows it.

    For the parameters to be whole, there are two more kinds of rows. Modules that hold
    parameters beside other modules, such as a class token, have one (the model as a
    whole is called ``"output"``). So have modules with parameters that do not run; they
    come at the end, with an empty shape and the description "not called". They may
    serve in training only, or their parameters are used by the module around them.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
    >>> for layer in summarize(model, (3, 33, 33)):
    ...     print(*layer[:4])
    0 Conv2d (8, 16, 16) 224
    1 ReLU (8, 16, 16) 0
    """
    check_model(model)
    shape = as_input_shape(input_shape, "a tuple of integers, such as (3, 224, 224)")
    calls = []

    def note(name, module, output):
        """Keep the call and the shape of its first tensor, without the batch."""
        tensors = (tuple(tensor.shape[1:]) for _, tensor in tensors_in(name, output))
        calls.append((name, module, next(tensors, ())))

    layers = [layer for layer in layers_of(model) if _is_row(layer[1])]
    with watched(layers, note):
        run(model, blank_input(model, shape))

    counted = set()
    rows = [
        LayerSummary(
            name,
            type(module).__name__,
            output_shape,
            _count_new(module, counted),
            _description(module, output_shape),
        )
        for name, module, output_shape in calls
    ]
    for name, module in layers:
        if parameters := _count_new(module, counted):
            kind = type(module).__name__
            rows.append(LayerSummary(name, kind, (), parameters, "not called"))
    return tuple(rows)


def _is_row(module):
    """Tell whether a module is a leaf or holds parameters itself."""
    return not list(module.children()) or bool(list(module.parameters(recurse=False)))


def _count_new(module, counted):
    """Count a module's own parameters that aren't in `counted`, and put them there."""
    new = [p for p in module.parameters(recurse=False) if id(p) not in counted]
    counted.update(map(id, new))
    return sum(parameter.numel() for parameter in new)


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

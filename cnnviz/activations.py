"""What each layer of any PyTorch model outputs, by layer name.

`record_activations` hooks the layers, runs the model once and unhooks them.
"""

from collections.abc import Iterable
from functools import cache

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cnnviz._probing import check_layer, check_model, layers_of, tensors_in, watched
from cnnviz._validation import describe, invalid

__all__ = ["record_activations"]


def record_activations(model, x, layers=None):
    """Run a model and return what each of its layers output.

    Parameters
    ----------
    model : torch.nn.Module
        Any model. It runs in the mode it is in: call ``model.eval()`` first unless
        dropout and batch statistics are what you want to see.
    x : torch.Tensor or tuple of torch.Tensor
        The input, on the model's device, with its batch dimension; a tuple for a
        model that takes several inputs.
    layers : iterable of str, optional
        The names of the layers to record. Default: all of them.

    Returns
    -------
    dict of str to torch.Tensor
        The outputs without gradients, in the order in which the layers finished (so
        a block comes after the layers inside it). Tensors may share memory with each
        other and with `x`: clone one before you change it.

    Raises
    ------
    TypeError
        If `model` is not a module, or `x` not a tensor or a tuple of tensors.
    ValueError
        If a name in `layers` is not a layer of the model.

    Whatever the model itself raises passes through. Hooks are removed in any case.

    Notes
    -----
    Names are those of ``model.named_modules()``, and

    - ``"output"`` is the model as a whole;
    - ``"relu:2"`` is the second call of ``relu`` in this run;
    - ``"lstm[0]"`` and ``"head[boxes]"`` are the tensors of a layer that returns a
      tuple or a dict, nested ones ``"lstm[1][0]"``. Anything else is left out.

    A layer that isn't called has no entry; operations that are not modules, such as
    ``F.relu(x)``, have none of their own.

    An entry holds what the layer returned, also where a later operation works in
    place (``ReLU(inplace=True)``, ``out += identity``). It is copied just before such
    a write; everything else is recorded without a copy.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
    >>> activations = record_activations(model, torch.rand(1, 1, 8, 8))
    >>> {name: tuple(output.shape) for name, output in activations.items()}
    {'0': (1, 4, 6, 6), '1': (1, 4, 6, 6), 'output': (1, 4, 6, 6)}
    """
    check_model(model)
    inputs = x if isinstance(x, tuple) else (x,)
    for part in inputs:
        if not isinstance(part, torch.Tensor):
            expected = "a tensor or a tuple of tensors"
            raise invalid("x", expected, describe(part), TypeError)
    recorder = _Recorder()
    with watched(_chosen(model, layers), recorder.record), torch.no_grad(), recorder:
        model(*inputs)
    return {name: output.detach() for name, output in recorder.outputs.items()}


def _chosen(model, names):
    """Return the layers called `names`, all of them for None, as (name, module)."""
    layers = layers_of(model)
    if names is None:
        return layers
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise invalid("layers", "an iterable of names", describe(names), TypeError)
    names = list(names)
    for name in names:
        check_layer(name, "layers", [known for known, _ in layers])
    return [(name, module) for name, module in layers if name in names]


class _Recorder(TorchDispatchMode):
    """Keeps outputs, and copies one just before an operation writes into its memory."""

    supports_higher_order_operators = True

    def __init__(self):
        super().__init__()
        self.outputs = {}
        self._names = {}  # by memory: the outputs that lie in it and are not copies

    def record(self, name, module, output):
        """Keep each tensor of a layer's output."""
        for part, tensor in tensors_in(name, output):
            self.outputs[part] = tensor
            self._names.setdefault(_memory(tensor), []).append(part)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for position, name in _written(operation):
            value = args[position] if position < len(args) else kwargs.get(name)
            for tensor in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(tensor, torch.Tensor):
                    self._copy_outputs_in(_memory(tensor))
        return operation(*args, **kwargs)

    def _copy_outputs_in(self, memory):
        for name in self._names.pop(memory, ()):
            self.outputs[name] = self.outputs[name].clone()


def _memory(tensor):
    """Identify the memory of a tensor, which its views share."""
    if tensor.layout is not torch.strided:
        return tensor.layout  # no memory of its own to ask for: one for all of them
    return tensor.untyped_storage()._cdata


@cache
def _written(operation):
    """Return position and name of each argument that an operation writes into."""
    schema = getattr(operation, "_schema", None)
    return [
        (position, argument.name)
        for position, argument in enumerate(schema.arguments if schema else ())
        if argument.alias_info is not None and argument.alias_info.is_write
    ]

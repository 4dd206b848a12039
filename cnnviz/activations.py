"""What each layer of any PyTorch model outputs, by layer name.

`record_activations` hooks the layers, runs the model once and unhooks them.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from cnnviz._probing import check_layer, check_model, layers_of, tensors_in, watched
from cnnviz._validation import describe, invalid

__all__ = ["record_activations"]


def record_activations(
    model: nn.Module,
    x: torch.Tensor | tuple[torch.Tensor, ...],
    layers: Iterable[str] | None = None,
) -> dict[str, torch.Tensor]:
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
        a block comes after the layers inside it). They are yours to change: writing
        into one changes no other, nor `x`.

    Raises
    ------
    TypeError
        If `model` is not a module, or `x` not a tensor or a tuple of tensors.
    ValueError
        If a name in `layers` is not a layer of the model, or layers are scripted or
        traced.

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
    place (``ReLU(inplace=True)``, ``out += identity``). Memory is shared until then:
    what nothing writes into is not copied.

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
    outputs = {}

    def record(name, module, output):
        """Keep each tensor as it is now: later operations may work in place."""
        for part, tensor in tensors_in(name, output):
            outputs[part] = _snapshot(tensor)

    with watched(_chosen(model, layers), record), torch.no_grad():
        model(*inputs)
    return outputs


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


def _snapshot(tensor):
    """Return a tensor's present values: a copy that is made when one is written to.

    PyTorch's copy-on-write is not documented, and only where this is checked for are
    all writes known to respect it; elsewhere it is an ordinary copy.
    """
    tensor = tensor.detach()
    if tensor.device.type in ("cpu", "cuda"):
        try:
            return tensor._lazy_clone()
        except (AttributeError, RuntimeError):  # memory that isn't PyTorch's, sparse, …
            pass
    return tensor.clone()

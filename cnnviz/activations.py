"""What each layer of any PyTorch model outputs, by layer name.

`record_activations` hooks the layers, runs the model once and unhooks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from cnnviz._probing import (
    as_arguments,
    buffers_of,
    check_layer,
    check_model,
    layers_of,
    outside_inference_mode,
    tensors_in,
    watched,
)
from cnnviz._validation import describe, invalid

__all__ = ["record_activations"]


def record_activations(
    model: nn.Module,
    x: torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any],
    layers: Iterable[str] | None = None,
) -> dict[str, torch.Tensor]:
    """Run a model and return what each of its layers output.

    Parameters
    ----------
    model : torch.nn.Module
        Any model. It runs in the mode it is in: call ``model.eval()`` first unless
        dropout and batch statistics are what you want to see.
    x : torch.Tensor, or tuple, list or dict with tensors
        The input, on the model's device, with its batch dimension. A tuple or a list
        holds the arguments of a model that takes several, a dict those that it takes
        by name. What is a list or a dict itself is put into a tuple of one: torchvision
        detects in ``([image],)``.
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
        If `model` is not a module, or there is no tensor in `x`.
    ValueError
        If a name in `layers` is not a layer of the model, or layers are scripted or
        traced, or compiled with PyTorch before 2.6.

    Whatever the model itself raises passes through. Hooks are removed in any case.

    Notes
    -----
    Names are those of ``model.named_modules()``, and

    - ``"output"`` is the model as a whole;
    - ``"relu:2"`` is the second call of ``relu`` in this run;
    - ``"lstm[0]"`` and ``"head[boxes]"`` are the tensors of a layer that returns a
      tuple or a dict, nested ones ``"lstm[1][0]"``. Anything else is left out;
    - ``"output (layer)"`` is a layer whose own name is ``output``. So are all marked
      whose own names read like one of these, such as ``relu:2``.

    Layers that were compiled run uncompiled here, under the names they had before.

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
    args, kwargs = as_arguments(x, "x")
    outputs = {}

    def record(name, module, output):
        """Keep each tensor as it is now: later operations may work in place."""
        for part, tensor in tensors_in(name, output):
            outputs[part] = _snapshot(tensor)

    watching = watched(_chosen(model, layers), record)
    with watching, outside_inference_mode(x, buffers_of(model)), torch.no_grad():
        model(*args, **kwargs)
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
    with torch.inference_mode(False):  # what is made in it can't be changed elsewhere
        if tensor.device.type in ("cpu", "cuda"):
            try:
                return tensor._lazy_clone()
            except (AttributeError, RuntimeError):  # not PyTorch's memory, sparse, …
                pass
        return tensor.clone()

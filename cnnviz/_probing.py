"""Running a model once to learn about it, and leaving it as it was."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches

import torch
from torch.nn.parameter import is_lazy

from cnnviz._validation import as_integer, describe, invalid

OUTPUT = "output"


class UnsupportedError(ValueError):
    """Raised by a watcher that cannot go on; `run` lets it pass as it is."""


def check_model(model):
    """Refuse anything but a PyTorch module."""
    if not isinstance(model, torch.nn.Module):
        raise invalid("model", "a torch.nn.Module", describe(model), TypeError)


def check_initialized(model):
    """Refuse anything but a PyTorch module whose parameters all have a shape."""
    check_model(model)
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            expected = "initialised (lazy layers are when the model has run once)"
            raise invalid("model", expected, f"{name!r}, which has no shape yet")


def layers_of(model):
    """Return every module by its name; the model itself comes first, as "output"."""
    layers = [(name or OUTPUT, module) for name, module in model.named_modules()]
    for name, module in layers:
        if isinstance(module, torch.jit.ScriptModule):
            expected = "a model of Python modules: TorchScript calls no hooks"
            raise invalid("model", expected, f"a scripted or traced {name!r}")
    return layers


def check_layer(name, argument, known):
    """Refuse a name that isn't one of `known`, and say which are."""
    if not isinstance(name, str):
        raise invalid(argument, "the name of a layer", describe(name), TypeError)
    if name not in known:
        close = get_close_matches(str(name), known, n=5)
        hint = f"close: {', '.join(close)}" if close else f"it has {_some_of(known)}"
        raise invalid(argument, "among the layers of the model", f"{name!r} ({hint})")


def _some_of(names, most=12):
    """List names, the first few of many."""
    names = list(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


@contextmanager
def watched(layers, watch):
    """Call ``watch(name, module, output)`` whenever one of `layers` has run.

    The name says which call it was, from the second on: "relu", "relu:2", "relu:3".
    """
    calls = Counter()

    def hook_for(name):
        def hook(module, inputs, output):
            calls[name] += 1
            call = calls[name]
            watch(name if call == 1 else f"{name}:{call}", module, output)

        return hook

    with ExitStack() as hooks:
        for name, module in layers:
            hooks.enter_context(module.register_forward_hook(hook_for(name)))
        yield


def tensors_in(name, value):
    """Yield each tensor in an output with its name, such as "lstm[0]"."""
    if isinstance(value, torch.Tensor):
        yield name, value
        return
    if isinstance(value, Mapping):
        parts = value.items()
    elif hasattr(value, "_asdict"):
        parts = value._asdict().items()
    elif isinstance(value, (tuple, list)):
        parts = enumerate(value)
    else:
        return
    for key, part in parts:
        yield from tensors_in(f"{name}[{key}]", part)


@contextmanager
def evaluating(model):
    """Put every module into evaluation mode, and back into the mode it was in.

    Only the flags change: the `train` of some models does more, or refuses.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


def as_input_shape(value, expected, ndim=None):
    """Return `input_shape` as a tuple of positive integers, `ndim` where given."""
    if not isinstance(value, (tuple, list, torch.Size)):
        raise invalid("input_shape", expected, describe(value), TypeError)
    shape = tuple(as_integer(size, "input_shape", 1) for size in value)
    if not shape or ndim not in (None, len(shape)):
        raise invalid("input_shape", expected, shape)
    return shape


def blank_input(model, input_shape):
    """Return a batch of one input of zeros, in the model's dtype, where it is."""
    floating = (p for p in model.parameters() if p.is_floating_point())
    like = next(floating, torch.empty(0))
    return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


def run(model, x):
    """Run `model` in evaluation mode, without gradients."""
    with evaluating(model), torch.no_grad():
        try:
            return model(x)
        except UnsupportedError:
            raise
        except Exception as error:
            expected = "a shape (without the batch) that the model takes"
            got = f"{tuple(x.shape[1:])}: {error}"
            raise invalid("input_shape", expected, got) from error

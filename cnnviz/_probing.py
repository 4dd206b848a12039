"""Running a model once to learn about it, and leaving it as it was.

Models are looked into here alone. A model may give any name to what it holds, also
``modules`` or ``parameters``, so none of a module's methods is called but ``forward``.
"""

import re
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from difflib import get_close_matches

import torch
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from cnnviz._validation import as_integer, describe, invalid

OUTPUT = "output"
_RESERVED = re.compile(rf"{OUTPUT}|.*(:\d+|\[.*\]|\(\)| \(layer\))", re.DOTALL)


class UnsupportedError(ValueError):
    """Raised by a watcher that cannot go on; `run` lets it pass as it is."""


def check_model(model):
    """Refuse anything but a PyTorch module."""
    if not isinstance(model, torch.nn.Module):
        raise invalid("model", "a torch.nn.Module", describe(model), TypeError)


def check_initialized(model):
    """Refuse anything but a PyTorch module whose parameters all have a shape."""
    check_model(model)
    for path, module in modules_of(model):
        for name, parameter in module._parameters.items():
            if is_lazy(parameter):
                expected = "initialised (lazy layers are when the model has run once)"
                name = f"{path}.{name}" if path else name
                raise invalid("model", expected, f"{name!r}, which has no shape yet")


def modules_of(model):
    """Return every module once, as (path, module); the model itself has the path "".

    The paths are those of ``model.named_modules()`` before anything was compiled.
    """
    found = {}

    def visit(path, module):
        if is_compiled(module):
            module = module._orig_mod
        if id(module) not in found:
            found[id(module)] = path, module
            for name, child in module._modules.items():
                if child is not None:
                    visit(f"{path}.{name}" if path else name, child)

    visit("", model)
    return list(found.values())


def is_compiled(module):
    """Tell whether a module is the wrapper that ``torch.compile`` returns."""
    dynamo = sys.modules.get("torch._dynamo")
    return dynamo is not None and isinstance(module, dynamo.OptimizedModule)


def own_parameters(module):
    """Return the parameters that a module holds outside of other modules.

    So are those that `torch.nn.utils.parametrize` works its parameters out from.
    """
    own = [each for each in module._parameters.values() if each is not None]
    reworked = is_parametrized(module)
    return own + (parameters_of(module.parametrizations) if reworked else [])


def parameters_of(model):
    """Return every parameter once."""
    parameters = (module._parameters.values() for _, module in modules_of(model))
    every = {id(each): each for some in parameters for each in some if each is not None}
    return list(every.values())


def is_parametrized(module):
    """Tell whether a module holds `torch.nn.utils.parametrize`'s own modules."""
    held = module._modules.get("parametrizations")
    return isinstance(held, torch.nn.ModuleDict) and all(
        isinstance(each, ParametrizationList) for each in held._modules.values()
    )


def buffers_of(model):
    """Return every buffer."""
    buffers = (module._buffers.values() for _, module in modules_of(model))
    return [buffer for each in buffers for buffer in each if buffer is not None]


def layers_of(model):
    """Return every module by its name; the model itself comes first, as "output"."""
    layers = [(_layer_name(path), module) for path, module in modules_of(model)]
    for name, module in layers:
        if isinstance(module, torch.jit.ScriptModule):
            expected = "a model of Python modules: TorchScript calls no hooks"
            raise invalid("model", expected, f"a scripted or traced {name!r}")
        parts = [model, *module._modules.values()]
        if not hasattr(torch.compiler, "set_stance") and any(map(_compiled, parts)):
            expected = "one that is not compiled, with PyTorch before 2.6"
            raise invalid("model", expected, f"a compiled part in {name!r}")
    return layers


def _compiled(module):
    """Tell whether a module is compiled, as a wrapper or in place."""
    return is_compiled(module) or getattr(module, "_compiled_call_impl", None)


def _layer_name(path):
    """Return a layer's path, marked where it reads like a name that `watched` gives."""
    if not path:
        return OUTPUT
    return f"{path} (layer)" if _RESERVED.fullmatch(path) else path


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
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@contextmanager
def watched(layers, watch):
    """Call ``watch(name, module, output)`` whenever one of `layers` has run.

    The name says which call it was, from the second on: "relu", "relu:2", "relu:3".
    What is compiled runs uncompiled, since compiled code calls no hooks.
    """
    calls = Counter()

    def hook_for(name):
        def hook(module, inputs, output):
            calls[name] += 1
            call = calls[name]
            watch(name if call == 1 else f"{name}:{call}", module, output)

        return hook

    with ExitStack() as hooks:
        hooks.enter_context(_uncompiled())
        for name, module, *_ in layers:
            handle = torch.nn.Module.register_forward_hook(module, hook_for(name))
            hooks.enter_context(handle)
        yield


def _uncompiled():
    """Let everything run as it is written, whatever was compiled."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        return torch.compiler.set_stance("force_eager")
    return nullcontext()


def tensors_in(name, value):
    """Yield each tensor in an output with its name, such as "lstm[0]"."""
    if isinstance(value, torch.Tensor):
        yield name, value
        return
    if isinstance(value, Mapping):
        names = [str(key) for key in value]
        if len({*names}) < len(names):  # such as 0 and "0"
            names = [repr(key) for key in value]
        parts = zip(names, value.values(), strict=True)
    elif hasattr(value, "_asdict"):
        parts = value._asdict().items()
    elif isinstance(value, (tuple, list)):
        parts = enumerate(value)
    else:
        return
    for key, part in parts:
        yield from tensors_in(f"{name}[{key}]", part)


def with_modes(model):
    """Return the modules whose `training` says in which mode they are."""
    modules = (module for _, module in modules_of(model))
    return [module for module in modules if "training" not in module._modules]


@contextmanager
def evaluating(model):
    """Put every module into evaluation mode, and back into the mode it was in.

    Only the flags change: the `train` of some models does more, or refuses.
    """
    modes = [(module, module.training) for module in with_modes(model)]
    try:
        set_evaluating(model)
        yield
    finally:
        for module, training in modes:
            module.training = training


def set_evaluating(model):
    """Put every module into evaluation mode."""
    for module in with_modes(model):
        module.training = False


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
    floating = (p for p in parameters_of(model) if p.is_floating_point())
    like = next(floating, torch.empty(0))
    with torch.inference_mode(False):
        return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


def outside_inference_mode(*values):
    """Leave inference mode, unless tensors in `values` were made in it."""
    made = (tensor.is_inference() for _, tensor in tensors_in("", values))
    return torch.inference_mode(torch.is_inference_mode_enabled() and any(made))


def as_arguments(value, name):
    """Return what a model is called with: positional arguments, and named ones.

    A tuple or a list holds the positional, a dict the named ones; all else is one.
    """
    if next(tensors_in(name, value), None) is None:
        expected = "a tensor, or a tuple, list or dict of arguments with a tensor"
        raise invalid(name, expected, describe(value), TypeError)
    if isinstance(value, Mapping):
        return (), dict(value)
    several = isinstance(value, (tuple, list)) and not hasattr(value, "_asdict")
    return (tuple(value) if several else (value,)), {}


def run(model, x, argument="input_shape"):
    """Run `model` on `x`, as `as_arguments` takes it: evaluating, without gradients."""
    args, kwargs = as_arguments(x, argument)
    with evaluating(model), outside_inference_mode(x), torch.no_grad():
        try:
            return model(*args, **kwargs)
        except UnsupportedError:
            raise
        except Exception as error:
            expected, got = "what the model takes", describe(x)
            if argument == "input_shape":
                expected = "a shape (without the batch) that the model takes"
                got = ", ".join(str(tuple(each.shape[1:])) for each in args)
            raise invalid(argument, expected, f"{got}: {error}") from error

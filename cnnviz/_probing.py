"""Running a model once to learn about it, and leaving it as it was."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager

import torch

from cnnviz._validation import as_integer, describe, invalid

OUTPUT = "output"


class Unsupported(ValueError):
    """Raised by a watcher that cannot go on; `run` lets it pass as it is."""


def check_model(model):
    """Refuse anything but a PyTorch module."""
    if not isinstance(model, torch.nn.Module):
        raise invalid("model", "a torch.nn.Module", describe(model), TypeError)


def layers_of(model):
    """Return every module by its name; the model itself comes first, as "output"."""
    return [(name or OUTPUT, module) for name, module in model.named_modules()]


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
    """Yield each tensor in a module's output with its name: "lstm[0]", "head[boxes]"."""
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
    """Put every module into evaluation mode, and back into the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
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


def run(model, input_shape):
    """Run `model` on one input of zeros, in evaluation mode, without gradients."""
    floating = (p for p in model.parameters() if p.is_floating_point())
    like = next(floating, torch.empty(0))
    zeros = torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)
    with evaluating(model), torch.no_grad():
        try:
            return model(zeros)
        except Unsupported:
            raise
        except Exception as error:
            expected = "a shape (without the batch) that the model takes"
            got = f"{input_shape}: {error}"
            raise invalid("input_shape", expected, got) from error

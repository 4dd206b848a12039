"""The functions that modules call between their layers, such as ``F.relu(x)``."""

import re
from collections import Counter
from contextlib import ExitStack, contextmanager

from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from cnnviz._probing import OUTPUT, tensors_in

# What only copies, converts or hands over: the values are the same.
_COPIES = {
    *("bfloat16", "clone", "contiguous", "cpu", "cuda", "data", "detach", "double"),
    *("float", "half", "requires_grad", "to", "type", "type_as"),
}
_OPERATOR = re.compile("^__[ir]?(?=(add|sub|mul|div|floordiv|mod|pow|matmul)__$)")


@contextmanager
def functions_watched(layers, inputs, watch):
    """Call ``watch(name, module, result, kind)`` for each function that a module calls.

    Only what becomes of the inputs is followed, and what happens inside of a function
    is not told. The name holds the module's: "block.relu()", "block.relu():2".
    """
    running = [layers[0]]

    def start_of(layer):
        return lambda module, inputs: running.append(layer)

    def finish(module, inputs, output):
        running.pop()

    with ExitStack() as hooks:
        for layer in layers:
            module = layer[1]
            handle = nn.Module.register_forward_pre_hook(module, start_of(layer))
            hooks.enter_context(handle)
            handle = nn.Module.register_forward_hook(module, finish, always_call=True)
            hooks.enter_context(handle)
        hooks.enter_context(_FunctionWatcher(running, inputs, watch))
        yield


class _FunctionWatcher(TorchFunctionMode):
    """Sees each function of PyTorch that is called, but those called by others."""

    def __init__(self, running, inputs, watch):
        super().__init__()
        self._running = running
        self._watch = watch
        self._calls = Counter()
        self._followed = WeakIdKeyDictionary()
        self._follow(inputs)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        follows = any(
            tensor in self._followed for _, tensor in tensors_in("", (args, kwargs))
        )
        result = function(*args, **kwargs)
        if follows and self._follow(result):
            kind = _name(function)
            if kind not in _COPIES:
                name, module = self._running[-1][:2]
                name = f"{kind}()" if name == OUTPUT else f"{name}.{kind}()"
                self._calls[name] += 1
                call = self._calls[name]
                name = name if call == 1 else f"{name}:{call}"
                self._watch(name, module, result, kind)
        return result

    def _follow(self, value):
        """Follow the tensors in a value from now on; tell whether there are any."""
        tensors = [tensor for _, tensor in tensors_in("", value)]
        self._followed.update((tensor, True) for tensor in tensors)
        return bool(tensors)


def _name(function):
    """Return a function's name: "add" also for ``+``, ``+=`` and `torch.add_`."""
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":  # of a property, such as x.T
        name = function.__self__.__name__
    name = name.split(".")[0]  # operators of ATen: "add.Tensor"
    name = _OPERATOR.sub("", name)
    return name.strip("_")

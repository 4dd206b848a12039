"""A hash of a model: what it holds, and the code that it runs.

Everything that a module keeps counts, also what no `state_dict` has: attributes,
buffers that are not persistent, how tensors lie in memory, which are shared. Classes
and functions count by their bytecode, defaults and closures, so none needs a source.
What is not known to be told apart by its value, such as a hook, is refused.
"""

import hashlib
import types

import numpy as np
import torch

from cnnviz._probing import is_compiled, modules_of

LIBRARIES = ("builtins", "torch", "torchvision")
PLAIN = (type(None), bool, int, float, complex, str, bytes, range, slice, type(...))
PLAIN += (torch.dtype, torch.device, torch.layout, torch.memory_format)
NO_BEHAVIOUR = {"__module__", "__doc__", "__dict__", "__weakref__", "__annotations__"}
NO_BEHAVIOUR |= {"__firstlineno__", "__static_attributes__", "__annotate_func__"}
NO_BEHAVIOUR |= {"__annotations_cache__", "__classcell__", "__parameters__"}
SET_BY_TRAINING = {"training"}


class UntoldError(ValueError):
    """Raised for what can't be told apart from another of its kind."""


def fingerprint(model):
    """Return a hash of a model.

    Raises
    ------
    UntoldError
        If the model holds what can't be told apart from another of its kind.
    """
    return hashlib.sha256(repr(_of_model(model)).encode()).hexdigest()


def _of_model(model):
    if is_compiled(model):
        raise UntoldError("it is compiled")
    seen = {}
    return [
        (path, _of_class(type(module)), _of_attributes(path, module, seen))
        for path, module in modules_of(model)
    ]


def _of_attributes(path, module, seen):
    """Return what a module keeps, but for its modules, which stand for themselves."""
    told = []
    for name, value in sorted(vars(module).items()):
        if name == "_modules":
            told.append([(key, type(child).__name__) for key, child in value.items()])
        elif "hooks" in name and isinstance(value, dict):
            if value:
                raise UntoldError(f"{path or 'the model'} has hooks")
        elif name not in SET_BY_TRAINING:
            where = f"{path}.{name}" if path else name
            told.append((name, _of(value, where, seen)))
    return told


def _of(value, where, seen):
    """Return what tells a value from others, with its type."""
    kind = type(value)
    if isinstance(value, torch.Tensor):
        return _of_tensor(value, where, seen)
    if kind in PLAIN:
        return kind.__name__, repr(value)
    if isinstance(value, (tuple, list)):
        return kind.__name__, [_of(part, where, seen) for part in value]
    if isinstance(value, (set, frozenset)):
        return kind.__name__, sorted(repr(_of(part, where, seen)) for part in value)
    if isinstance(value, dict):
        items = [
            (_of(key, where, seen), _of(part, where, seen))
            for key, part in value.items()
        ]
        return kind.__name__, items
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        return str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).digest()
    if isinstance(value, type):
        return _of_class(value)
    library = str(getattr(value, "__module__", None)).split(".")[0] in LIBRARIES
    if library and hasattr(value, "__qualname__"):
        return value.__module__, value.__qualname__
    if kind is types.FunctionType:
        return _of_function(value, where)
    raise UntoldError(f"{where} is a {kind.__name__}")


def _of_tensor(tensor, where, seen):
    """Return a tensor's bits and how they lie, or which tensor before it this is."""
    plain = (torch.Tensor, torch.nn.Parameter, getattr(torch.nn, "Buffer", None))
    if type(tensor) not in plain or tensor.layout != torch.strided or tensor.is_meta:
        raise UntoldError(f"{where} is a {type(tensor).__name__} of a special kind")
    if id(tensor) in seen:
        return "the same as", seen[id(tensor)]
    seen[id(tensor)] = where
    values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    bits = hashlib.sha256(values.numpy().tobytes()).digest()
    described = type(tensor).__name__, tensor.dtype, tensor.shape, tensor.stride()
    return *described, str(tensor.device), tensor.requires_grad, bits


def _of_class(kind):
    """Return the code of a class and of those that it is made from."""
    told = []
    for base in kind.__mro__:
        name = base.__module__, base.__qualname__
        if name[0].split(".")[0] in LIBRARIES or base is object:
            told.append(name)
            continue
        members = {k: v for k, v in vars(base).items() if k not in NO_BEHAVIOUR}
        told.append(
            (*name, [(k, _of_member(v, f"{name[1]}.{k}")) for k, v in members.items()])
        )
    return told


def _of_member(value, where):
    """Return what a class holds under a name: functions are wrapped in many ways."""
    if isinstance(value, (staticmethod, classmethod)):
        return type(value).__name__, _of_member(value.__func__, where)
    if isinstance(value, property):
        accessors = value.fget, value.fset, value.fdel
        return "property", [each and _of_member(each, where) for each in accessors]
    if isinstance(value, types.FunctionType):
        return _of_function(value, where)
    return _of(value, where, {})


def _of_function(function, where):
    """Return a function's code, its defaults and what it closes over."""
    closed = []
    for cell in function.__closure__ or ():
        content = cell.cell_contents
        name = getattr(content, "__qualname__", None)
        inside = isinstance(content, type) and function.__qualname__.startswith(name)
        closed.append(name if inside else _of(content, where, {}))
    defaults = _of((function.__defaults__, function.__kwdefaults__), where, {})
    return _of_code(function.__code__), defaults, closed


def _of_code(code):
    """Return what a piece of bytecode does, and not where it stands."""
    constants = [
        _of_code(each) if isinstance(each, types.CodeType) else _of(each, "code", {})
        for each in code.co_consts
    ]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, names, code.co_exceptiontable, code.co_flags, constants

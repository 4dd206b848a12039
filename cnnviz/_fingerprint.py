"""A hash of what values are: what they hold, and the code that they would run.

Tensors count by their bits and by how these lie in memory; modules and other objects by
their classes and attributes; classes and functions by their bytecode, defaults,
closures and the globals that they name. So no source is needed: what was written in a
notebook's cell counts as well. What belongs to Python, PyTorch or NumPy counts by its
name.
"""

import copyreg
import dis
import hashlib
import sys
import sysconfig
import types
import weakref
from itertools import chain

import torch

LIBRARIES = ("numpy", "torch", "torchvision")
STANDARD_LIBRARY = sysconfig.get_path("stdlib")
MADE_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE: not a static type of C
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
HOOKS += ("_backward_pre_hooks", "_post_accumulate_grad_hooks")
COMPILED = ("_compiled_call_impl", "_torchdynamo_orig_callable")
CODE = ("co_code", "co_consts", "co_names", "co_varnames", "co_freevars")
CODE += ("co_cellvars", "co_flags", "co_argcount", "co_posonlyargcount")
CODE += ("co_kwonlyargcount", "co_exceptiontable")
NO_BEHAVIOUR = ("__dict__", "__weakref__", "__doc__", "__annotations__", "_abc_impl")
NO_BEHAVIOUR += ("__annotate_func__", "__annotations_cache__")
NO_BEHAVIOUR += ("__firstlineno__", "__static_attributes__", "__slotnames__")


def fingerprint(*values):
    """Return a hash of the values.

    Raises
    ------
    Exception
        Of any kind, as in pickling, if a value holds what can't be told: a lock, an
        open file, a tensor without values, hooks, which may do anything.
    """
    walk = _Walk()
    walk.add(values)
    return walk.digest.hexdigest()


class _Walk:
    """A hash, and the objects that went into it."""

    def __init__(self):
        self.digest = hashlib.sha256()
        self.met = {}  # by id; held, so that no other object gets the same id
        self.storages = {}

    def write(self, *words):
        self.digest.update(repr(words).encode("utf-8", "surrogatepass"))

    def add(self, value):
        kind = type(value)
        if kind in PLAIN:
            self.write(kind.__name__, value)
        elif kind in (tuple, types.CodeType, types.CellType):
            self.add_parts(value)  # equal ones are shared or not, by chance
        elif id(value) in self.met:
            self.write("met", self.met[id(value)][0])
        else:
            self.met[id(value)] = len(self.met), value
            if _is_of_a_library(value):
                self.write(*_name(value))
            else:
                self.add(kind)
                self.add_parts(value)

    def add_parts(self, value):
        is_tensor = isinstance(value, torch.Tensor)
        parts = self.parts_of_tensor(value) if is_tensor else _parts(value)
        self.write(type(value).__name__, len(parts))
        for part in parts:
            self.add(part)

    def parts_of_tensor(self, tensor):
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise TypeError(f"it holds a tensor of the kind {type(tensor).__name__}")
        if tensor.grad_fn is not None:
            raise TypeError("it holds a tensor that was computed with gradients")
        _refuse_hooks(tensor)
        storage = tensor.untyped_storage().data_ptr()
        place = self.storages.setdefault(storage, len(self.storages))
        bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return (
            *(str(tensor.dtype), str(tensor.device), tuple(tensor.shape)),
            *(tensor.stride(), place, tensor.storage_offset(), tensor.requires_grad),
            *(hashlib.sha256(bits.numpy()).hexdigest(), vars(tensor)),
        )


def _parts(value):
    """Return what else than its type a value is."""
    match value:
        case torch.nn.Module():
            _refuse_hooks(value)
            return tuple(chain.from_iterable(_attributes(value)))
        case type():
            own = {k: v for k, v in vars(value).items() if k not in NO_BEHAVIOUR}
            return value.__qualname__, value.__bases__, own
        case types.FunctionType():
            defaults = value.__defaults__, value.__kwdefaults__
            used = tuple(_used_globals(value))
            return value.__code__, *defaults, value.__closure__, vars(value), used
        case types.MethodType():
            return value.__func__, value.__self__
        case types.CodeType():
            return tuple(getattr(value, name) for name in CODE)
        case types.CellType():
            return () if value == types.CellType() else (value.cell_contents,)
        case property():
            return value.fget, value.fset, value.fdel
        case classmethod() | staticmethod():
            return (value.__func__,)
        case types.GetSetDescriptorType() | types.MemberDescriptorType():
            return (value.__qualname__,)
        case weakref.ref():
            return (value(),)
    if type(value) in (list, tuple):
        return tuple(value)
    if type(value) in (set, frozenset):
        return tuple(sorted(map(fingerprint, value)))
    if type(value) in (dict, types.MappingProxyType):
        return tuple(chain.from_iterable(value.items()))
    attributes = getattr(value, "__dict__", None)
    reduce = copyreg.dispatch_table.get(type(value))
    pickled = reduce(value) if reduce else value.__reduce_ex__(4)
    if isinstance(pickled, str):
        pickled = pickled, getattr(value, "__module__", None)
    listed = (tuple(p) if hasattr(p, "__next__") else p for p in pickled)
    return *listed, attributes


def _attributes(module):
    """Yield a module's attributes; of hooks without the numbers that they have got."""
    for name, value in vars(module).items():
        yield name, list(value.values()) if name.endswith("_hooks") else value


def _refuse_hooks(value):
    if any(getattr(value, name, None) for name in HOOKS):
        raise TypeError("it has hooks, which may do anything")
    if any(vars(value).get(name) for name in COMPILED):
        raise TypeError("it is compiled")


def _is_of_a_library(value):
    """Tell whether a module, class or function is found where its name says."""
    if isinstance(value, types.ModuleType):
        return _names_a_library(value.__name__)
    if not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return False
    if not isinstance(value.__module__, str) or not _names_a_library(value.__module__):
        return False
    if isinstance(value, type) and not value.__flags__ & MADE_IN_PYTHON:
        return True
    found = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _name(value):
    is_module = isinstance(value, types.ModuleType)
    return (value.__name__,) if is_module else (value.__module__, value.__qualname__)


def _names_a_library(module):
    top = module.partition(".")[0]
    if top in LIBRARIES:
        return True
    file = getattr(sys.modules.get(top), "__file__", None) or STANDARD_LIBRARY
    return top in sys.stdlib_module_names and file.startswith(STANDARD_LIBRARY)


def _used_globals(function):
    """Yield the names in a function's code that are globals, and what they stand for.

    Of modules, those that are the user's own, it is what the names stand for in them.
    """
    if _names_a_library(function.__globals__.get("__name__") or ""):
        return
    codes = list(_codes(function.__code__))
    loaded = [name for code in codes for name in _loaded(code)]
    names = [name for code in codes for name in code.co_names]
    spaces = [function.__globals__]
    for space in spaces:
        for name in dict.fromkeys(loaded if space is spaces[0] else names):
            value = space.get(name)
            if isinstance(value, types.ModuleType) and not _is_of_a_library(value):
                if not any(vars(value) is space for space in spaces):
                    spaces.append(vars(value))
            elif name in space:
                yield name, value


def _codes(code):
    """Yield a code object, and those of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _loaded(code):
    """Yield the names of the globals that a code object reads."""
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield name
        elif instruction.opname == "IMPORT_NAME" and not _names_a_library(name):
            raise TypeError(f"its code imports {name}")

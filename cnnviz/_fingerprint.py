"""A hash of what values are: what they hold, and the code that they would run.

Tensors count by their bits and by how these lie in memory; modules and other objects by
their classes and attributes; classes and functions by their bytecode, defaults,
closures and the globals that they name. So no source is needed: what was written in a
notebook's cell counts as well. What belongs to Python or an installed package counts by
its name and the package's release.
"""

import copyreg
import dis
import functools
import hashlib
import os
import site
import sys
import sysconfig
import types
import weakref
from importlib import metadata, util
from itertools import chain

import torch

LIBRARIES = ("numpy", "torch", "torchvision")
STANDARD_LIBRARY = ("built-in", "frozen", sysconfig.get_path("stdlib"))
INSTALLED = (*site.getsitepackages(), site.getusersitepackages())
MADE_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE: not a static type of C
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
HOOKS += ("_backward_pre_hooks", "_post_accumulate_grad_hooks")
COMPILED = ("_compiled_call_impl", "_torchdynamo_orig_callable")
CODE = ("co_code", "co_consts", "co_names", "co_varnames", "co_freevars")
CODE += ("co_cellvars", "co_flags", "co_argcount", "co_posonlyargcount")
CODE += ("co_kwonlyargcount", "co_exceptiontable")
NO_BEHAVIOUR = ("__dict__", "__weakref__", "__annotations__", "_abc_impl")
NO_BEHAVIOUR += ("__annotate_func__", "__annotations_cache__")
NO_BEHAVIOUR += ("__firstlineno__", "__static_attributes__", "__slotnames__")
NO_BEHAVIOUR += ("_autograd_function_id",)


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
            return tuple(_attributes(value))
        case type():
            own = {k: v for k, v in vars(value).items() if k not in NO_BEHAVIOUR}
            return value.__qualname__, value.__bases__, own
        case types.FunctionType():
            defaults = value.__defaults__, value.__kwdefaults__
            used = value.__name__, value.__doc__, *_used_globals(value)
            return value.__code__, *defaults, value.__closure__, vars(value), used
        case types.MethodType():
            return value.__func__, value.__self__
        case types.CodeType():
            return tuple(getattr(value, name) for name in CODE)
        case types.CellType():
            return () if value == types.CellType() else (value.cell_contents,)
        case functools.cached_property():
            return (value.func,)
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
    reduce = copyreg.dispatch_table.get(type(value))
    pickled = reduce(value) if reduce else value.__reduce_ex__(4)
    if isinstance(pickled, str):
        return pickled, getattr(value, "__module__", None), *_attributes(value)
    pickled = *pickled[:3], *(tuple(items or ()) for items in pickled[3:5])
    if _is_of_a_library(type(value)):
        return pickled
    return *pickled, *_attributes(value)  # which its pickling may leave out


def _attributes(value):
    """Yield the names and values of attributes; hooks without their numbers."""
    for name, held in getattr(value, "__dict__", {}).items():
        yield from (name, list(held.values()) if name.endswith("_hooks") else held)
    for base in type(value).__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, types.MemberDescriptorType) and hasattr(value, name):
                yield from (name, getattr(value, name))


def _refuse_hooks(value):
    if any(getattr(value, name, None) for name in HOOKS):
        raise TypeError("it has hooks, which may do anything")
    if any(vars(value).get(name) for name in COMPILED):
        raise TypeError("it is compiled")


def _is_of_a_library(value):
    """Tell whether a module, class or function is what its name says in a library."""
    if isinstance(value, types.ModuleType):
        return _release(value.__name__) is not None
    if not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return False
    if not isinstance(value.__module__, str) or _release(value.__module__) is None:
        return False
    if isinstance(value, type) and not value.__flags__ & MADE_IN_PYTHON:
        return True
    found = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value and not (isinstance(value, type) and _is_patched(value))


def _is_patched(library_class):
    functions = (v for v in vars(library_class).values() if _is_function(v))
    return any(_release(_home(function)) is None for function in functions)


def _is_function(value):
    return type(value) is types.FunctionType


def _home(function):
    """Return the name of the module whose globals a function reads."""
    return function.__globals__.get("__name__") or ""


def _name(value):
    if isinstance(value, types.ModuleType):
        return value.__name__, _release(value.__name__)
    return value.__module__, value.__qualname__, _release(value.__module__)


def _release(module):
    """Return what says which release of a library a module is of, None of others."""
    return _release_of_package(module.partition(".")[0])


@functools.cache
def _release_of_package(package):
    try:
        origin = util.find_spec(package).origin or ""
    except (AttributeError, ValueError):
        return None
    if package in LIBRARIES:
        return str(sys.modules[package].__version__)
    if package in sys.stdlib_module_names:
        return sys.version if origin.startswith(STANDARD_LIBRARY) else None
    if not origin.startswith(INSTALLED):
        return None
    names = metadata.packages_distributions().get(package, ())
    found = map(metadata.distribution, names)
    return fingerprint([each.read_text("RECORD") or each.version for each in found])


def _used_globals(function):
    """Yield the names in a function's code that are globals, and what they stand for.

    A text may be such a name as well, as in `getattr`. Of modules that are named, it is
    what the names stand for in them; of libraries, only functions, by which others may
    have been replaced.
    """
    home = _home(function)
    if _release(home) is not None:
        yield home, _release(home)
        return
    codes = list(_codes(function.__code__))
    texts = [each for code in codes for each in code.co_consts if type(each) is str]
    names = [*chain.from_iterable(code.co_names for code in codes), *texts]
    loaded = [*chain.from_iterable(map(_loaded, codes)), *texts]
    spaces = [function.__globals__]
    if "environ" in names or "getenv" in names:
        spaces.append(os.environ)
    for space in spaces:
        of_library = space is not os.environ and _release(space.get("__name__") or "")
        for name in dict.fromkeys(loaded if space is spaces[0] else names):
            value = space.get(name)
            if isinstance(value, types.ModuleType):
                if not any(vars(value) is space for space in spaces):
                    spaces.append(vars(value))
                if _is_of_a_library(value):
                    yield name, value
            elif name in space and (not of_library or _is_function(value)):
                yield name, value
    for module in chain.from_iterable(map(_imported, codes)):
        if _release(module) is None:
            raise TypeError(f"its code imports {module}")
        yield module, _release(module)


def _codes(code):
    """Yield a code object, and those of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _loaded(code):
    """Yield the names of the globals that a code object reads."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval


def _imported(code):
    """Yield the names of the modules that a code object imports."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield instruction.argval

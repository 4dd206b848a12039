"""Copies of models that hold the weights they run with as plain parameters.

Pruning, weight and spectral normalisation and other parametrisations keep what training
changes, and work the weights out of it at each run.
"""

from copy import deepcopy

from torch import nn
from torch.nn.utils import prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from cnnviz._probing import (
    is_parametrized,
    layers_of,
    modules_of,
    set_evaluating,
    tensors_in,
)


def copy_to_evaluate(model):
    """Return a copy in evaluation mode, without the graphs of what it holds."""
    held = (tensors_in("", vars(module)) for _, module in layers_of(model))
    results = (each for some in held for _, each in some if not each.is_leaf)
    copy = deepcopy(model, {id(each): each.detach().clone() for each in results})
    set_evaluating(copy)
    return copy


def copy_with_plain_weights(model):
    """Return a copy in evaluation mode whose weights nothing works out any more.

    The copy of a compiled model is not compiled.
    """
    modules = [module for _, module in modules_of(copy_to_evaluate(model))]
    for module in modules:
        _remove_hooks(module)
        if is_parametrized(module):
            _remove_parametrizations(module)
    return modules[0]


def _remove_hooks(module):
    """Work out what hooks set before each run, and remove them."""
    hooks = [hook for hook in module._forward_pre_hooks.values() if _removal(hook)]
    if hooks:  # their removal writes into parameters, which other layers may share
        for name, each in module._parameters.items():
            if each is not None:
                _set_parameter(module, name, each)
    for hook in hooks * len(hooks):  # one may set what an earlier one works from
        hook(module, ())
    names = [getattr(hook, "_tensor_name", None) or hook.name for hook in hooks]
    values = [getattr(module, name) for name in names]
    for hook, name, value in reversed([*zip(hooks, names, values, strict=True)]):
        _removal(hook)(module, name)
        _set_parameter(module, name, value)


def _remove_parametrizations(module):
    """Work out what is parametrised, and give the module its own class back.

    A copy shares the class that PyTorch made with its original, and PyTorch's own
    function to remove parametrisations changes that class.
    """
    values = {name: getattr(module, name) for name in module.parametrizations._modules}
    del module._modules["parametrizations"]
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        _set_parameter(module, name, value)


def _removal(hook):
    """Return the function of PyTorch that removes a hook, None if it sets no weight."""
    match hook:
        case prune.BasePruningMethod():
            return prune.remove
        case WeightNorm():
            return remove_weight_norm
        case SpectralNorm():
            return remove_spectral_norm
    return None


def _set_parameter(module, name, value):
    """Make a value a parameter of its own, to be trained if what it comes from is."""
    own = value.detach().clone()
    setattr(module, name, nn.Parameter(own, value.requires_grad))

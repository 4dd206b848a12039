"""Trained networks that are kept, and read instead of being trained again."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import platform
import random
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import platformdirs
import torch
from filelock import FileLock

from cnnviz._files import write_whole
from cnnviz._fingerprint import HOOKS, fingerprint
from cnnviz._probing import set_evaluating, with_modes

CHECKSUM = hashlib.sha256().digest_size
GLOBAL_HOOKS = [f"_global{name}" for name in HOOKS]
INSTRUCTION_SETS = ("ATEN_", "DNNL_", "MKL_", "ONEDNN_")
_processor = getattr(torch.cpu, "get_capabilities", platform.processor)


def cache_folder() -> Path:
    """Return the folder for trained networks, which can be deleted at any time.

    The environment variable ``CNNVIZ_CACHE`` names it; without one it is the user's
    cache folder of the operating system. It is made when something is kept.

    Returns
    -------
    pathlib.Path
        An absolute path.
    """
    chosen = os.environ.get("CNNVIZ_CACHE")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    return platformdirs.user_cache_path("cnnviz", appauthor=False)


def kept(train, model, *causes):
    """Return what `train()` returns, or returned when its result was kept.

    Either way `model` is then as training leaves it. What can't be kept is told: the
    causes must be ones that a fingerprint covers, and training may change nothing of
    the model but its `state_dict` and its mode.

    Parameters
    ----------
    train : callable
        Trains `model`, leaves it in evaluation mode, and returns a dict of numbers,
        lists and tensors.
    model : torch.nn.Module
        The network before training.
    *causes
        All else that the result depends on.
    """
    try:
        key = fingerprint(model, causes, _environment())
    except Exception as error:
        warnings.warn(f"the trained network cannot be kept: {error}", stacklevel=3)
        return train()
    path = cache_folder() / "trained" / f"{key[:32]}.pt"
    result = _load(model, path)
    if result is None:
        with _locked(path):
            result = _load(model, path) or _train_and_save(train, model, path)
    return result


def remember(model):
    """Return a function that gives a model the state and modes back that it has now."""
    state = copy.deepcopy(model.state_dict())
    modes = [(module, module.training) for module in with_modes(model)]

    def give_back():
        model.load_state_dict(state)
        for module, training in modes:
            module.training = training

    return give_back


def _environment():
    """Return what PyTorch computes with; on other processors sums differ a little."""
    if any(v for k, v in vars(torch.nn.modules.module).items() if k in GLOBAL_HOOKS):
        raise TypeError("hooks are set for all modules, which may do anything")
    cudnn, cpu = torch.backends.cudnn, torch.backends.mkldnn
    return (
        *(sys.version, str(torch.__version__), np.__version__, platform.machine()),
        *(_processor(), torch.__config__.show(), torch.__config__.parallel_info()),
        {k: v for k, v in os.environ.items() if k.startswith(INSTRUCTION_SETS)},
        *(cpu.enabled, cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        *(torch.get_default_dtype(), torch.get_default_device()),
        *(torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu")),
        torch.are_deterministic_algorithms_enabled(),
    )


def _foreign_numbers():
    """Return the state of generators that no seed of ours sets."""
    return random.getstate(), np.random.get_state()  # noqa: NPY002


def _load(model, path):
    """Put a kept result into the model and return what training had, if it is there."""
    if not path.is_file():
        return None
    give_back = remember(model)
    try:
        content = path.read_bytes()
        checksum, content = content[:CHECKSUM], content[CHECKSUM:]
        if _checksum(path, content) != checksum:
            raise ValueError("another checksum")
        result = torch.load(io.BytesIO(content), weights_only=True)
        model.load_state_dict(result.pop("model"))
    except Exception as error:
        give_back()
        warnings.warn(
            f"the trained network {path} is damaged ({type(error).__name__}): "
            "training again",
            stacklevel=4,
        )
        with suppress(OSError):
            path.unlink()
        return None
    set_evaluating(model)
    return result


def _train_and_save(train, model, path):
    before, was = remember(model), fingerprint(model, _foreign_numbers())
    result = train()
    after, file = remember(model), io.BytesIO()
    try:
        torch.save({"model": model.state_dict(), **result}, file)
        before()
        if fingerprint(model, _foreign_numbers()) != was:
            raise ValueError(
                "meanwhile, more than its state_dict changed, "
                "or numbers were drawn from random or numpy.random"
            )
        content = file.getvalue()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _checksum(path, content) + content)
    except Exception as error:
        warnings.warn(f"the trained network cannot be kept: {error}", stacklevel=4)
    finally:
        after()
    return result


def _checksum(path, content):
    """Return a hash that says that this content, whole, belongs to this path."""
    return hashlib.sha256(path.name.encode() + content).digest()


@contextmanager
def _locked(path):
    """Keep other processes from training the same network meanwhile, if possible."""
    lock = FileLock(path.with_suffix(".lock"))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

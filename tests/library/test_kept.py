"""Trained networks that are kept: no other network's, and only what can be told."""

import copy
import dataclasses
import enum
import functools
import logging
import os
import random
import subprocess
import sys
import threading
import types

import matplotlib.pyplot as plt
import numpy as np
import platformdirs
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils.prune import l1_unstructured
from torch.optim.swa_utils import AveragedModel
from torchvision.transforms import Normalize

from cnnviz import training
from cnnviz._fingerprint import fingerprint
from cnnviz.models import CNN, MLP
from cnnviz.training import cache_folder, evaluate, fit

IMAGES = torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(60) % 3


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache that is empty."""
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def train(model, cache=True, **settings):
    settings = {"batch_size": 20, "progress": False} | settings
    return fit(model, IMAGES, LABELS, cache=cache, **settings)


class Net(nn.Module):
    """A classifier whose scores are multiplied by what it holds, or calls."""

    def __init__(self, factor=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))
        self.factor = factor

    def forward(self, x):
        return self.layers(x) * (
            self.factor() if callable(self.factor) else self.factor
        )


def with_factor(factor):
    model = Net()
    del model.factor
    model.register_buffer("factor", torch.tensor(factor), persistent=False)
    return model


@dataclasses.dataclass
class Options:
    factor: float

    def __call__(self):
        return self.factor


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self):
        return self.factor


class Forgetful(Options):
    """Pickling keeps nothing of it."""

    def __getstate__(self):
        return {}


class Secretive(Slotted):
    """So it keeps nothing of slots."""

    __slots__ = ()

    def __reduce__(self):
        return Secretive, (0,)


class Factor(enum.Enum):
    ONE = 1.0
    OTHER = -3.0

    def __call__(self):
        return self.value


def returning(factor):
    def scale():
        return factor

    return scale


def from_source(source, **names):
    """A network whose class is made as a notebook makes it, without a file."""
    names = {"nn": nn, "Net": Net, "__name__": "__main__"} | names
    exec(f"class Made(Net):\n    def forward(self, x):\n        {source}", names)
    return names["Made"]()


def with_global(factor):
    return from_source("return super().forward(x) * FACTOR", FACTOR=factor)


def from_environment(factor):
    os.environ["FACTOR"] = str(factor)
    return from_source("return self.layers(x) * float(os.environ['FACTOR'])", os=os)


def with_library(factor):
    """A network whose library's function was replaced by the user's."""
    F.bilinear = lambda x: x * factor
    return from_source("return F.bilinear(self.layers(x))", F=F)


def with_layer(factor):
    """A network of a library's layer, a method of which was replaced."""
    nn.LPPool1d.forward = lambda self, x: x * factor
    model = Net()
    model.layers.append(nn.LPPool1d(1, 1))
    return model


def with_helper(source):
    names = {}
    exec(f"def helper(x):\n    return x * {source}", names)
    return from_source("return helper(self.layers(x))", helper=names["helper"])


def with_module(factor):
    module = types.ModuleType("helpers")
    exec(f"FACTOR = {factor}\ndef helper(x):\n    return x * FACTOR", vars(module))
    return from_source("return tools.helper(self.layers(x))", tools=module)


class Classwide(Net):
    scale = 1.0

    def forward(self, x):
        return self.layers(x) * self.scale


def classwide(scale):
    return type("Classwide", (Classwide,), {"scale": scale})()


def with_method(factor):
    model = Net()
    model.forward = types.MethodType(lambda self, x: self.layers(x) * factor, model)
    return model


def with_tag(factor):
    model = Net()
    model.layers[2].weight.scale = factor
    model.factor = lambda: model.layers[2].weight.scale
    return model


def shared(alike):
    """A network with a plain tensor that is its weights, or is equal to them."""
    model = Net()
    weight = model.layers[2].bias.detach()
    model.factor = returning(weight if alike else weight.clone())
    return model


def tied(alike):
    model = Net()
    twins = [nn.Linear(16, 16, bias=False) for _ in range(2)]
    twins[1].weight = (
        twins[0].weight if alike else nn.Parameter(twins[0].weight.clone())
    )
    model.layers = nn.Sequential(nn.Flatten(), *twins, model.layers[2])
    return model


def moded(training):
    """A network with a part that stays in the mode in which it is."""
    model = Net()
    model.layers[1] = Stubborn(16)
    return model.train(training)


class Stubborn(nn.BatchNorm1d):
    def train(self, mode=True):
        return self


MAKERS = {
    "an attribute": Net,
    "a buffer that is not saved": with_factor,
    "a plain tensor": lambda factor: Net(torch.tensor(factor)),
    "an array": lambda factor: Net(functools.partial(np.sum, np.array([factor]))),
    "a list in a dict": lambda factor: Net(lambda held={"a": [factor]}: held["a"][0]),
    "an object": lambda factor: Net(Options(factor)),
    "an object with slots": lambda factor: Net(Slotted(factor)),
    "what pickling forgets": lambda factor: Net(Forgetful(factor)),
    "slots that pickling forgets": lambda factor: Net(Secretive(factor)),
    "an enum's member": lambda factor: Net(Factor(factor)),
    "a bound method": lambda factor: Net(Options(factor).__call__),
    "a partial": lambda factor: Net(functools.partial(float, factor)),
    "a closure": lambda factor: Net(returning(factor)),
    "a default": lambda factor: Net(lambda factor=factor: factor),
    "a lambda's body": lambda factor: Net(eval(f"lambda: {factor}")),
    "a class's body": lambda factor: from_source(f"return self.layers(x) * {factor}"),
    "a class attribute": classwide,
    "a global": with_global,
    "a global that a text names": lambda factor: from_source(
        "return self.layers(x) * globals()['FACTOR']", FACTOR=factor
    ),
    "the environment": from_environment,
    "a library's function": with_library,
    "a library's layer": with_layer,
    "a helper's body": with_helper,
    "a module's global": with_module,
    "a method of one network": with_method,
    "an attribute of a weight": with_tag,
    "a part's mode": lambda factor: moded(factor == 1),
    "tied weights": lambda factor: tied(factor == 1),
    "a weight's copy": lambda factor: shared(factor == 1),
}


def weights(model):
    return [value.clone() for value in model.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore:the trained network cannot be kept")
@pytest.mark.parametrize("what", MAKERS)
def test_a_network_never_gets_another_ones_result(what, monkeypatch):
    monkeypatch.setattr(F, "bilinear", F.bilinear)
    monkeypatch.setattr(nn.LPPool1d, "forward", nn.LPPool1d.forward)
    monkeypatch.setenv("FACTOR", "")
    make = MAKERS[what]
    train(make(1.0))
    model, right = make(-3.0), make(-3.0)
    history = train(model)
    assert history.loss == train(right, cache=False).loss
    assert same(weights(model), weights(right))
    assert evaluate(model, IMAGES, LABELS).loss == evaluate(right, IMAGES, LABELS).loss


FIRST = [
    "an attribute",
    "an object",
    "a closure",
    "a lambda's body",
    "a class's body",
    "a global",
    "a helper's body",
    "a module's global",
]


@pytest.mark.parametrize(
    "what", [*FIRST, "a class attribute", "a partial", "a default", "tied weights"]
)
def test_a_kept_result_is_read_and_not_made_again(what, monkeypatch):
    make = MAKERS[what]
    first, second = make(2.0), make(2.0)
    settings = {"snapshots": (0, 2), "validation": (IMAGES[:9], LABELS[:9])}
    made = train(first, **settings)
    monkeypatch.setattr(training, "_train", None)
    read = train(second, **settings)
    assert same(weights(first), weights(second))
    assert not any(module.training for module in second.modules())
    for name, value in vars(made).items():
        if name != "snapshots":
            assert getattr(read, name) == value != []
    for step, state in read.snapshots.items():
        assert same(made.snapshots[step].values(), state.values())


def test_a_kept_result_is_read_by_another_process(own_cache):
    """Also of a class that is made of text; sets have another order in each process."""
    code = """
import torch
from torch import nn
from cnnviz.training import fit

class Net(nn.Sequential):
    names = {"one", "two", "three", "four"}
    def forward(self, x):
        return super().forward(x) if "one" in {"one", "two", "three"} else x

torch.manual_seed(0)
model = Net(nn.Flatten(), nn.BatchNorm1d(16, affine=False), nn.GELU(), nn.Linear(16, 3))
fit(model, torch.ones(9, 1, 4, 4), torch.arange(9) % 3, cache=True, progress=False)
"""
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code], env=environment, check=True
        )
    assert len(list(own_cache.glob("trained/*.pt"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        "weights",
        "frozen",
        "strides",
        "image",
        "label",
        "validation",
        "epochs",
        "seed",
        "threads",
        "instruction set",
        "default dtype",
        "autocast",
        "deterministic",
    ],
)
def test_another_cause_is_another_result(own_cache, monkeypatch, change):
    train(Net())
    model, images, labels, settings = Net(), IMAGES.clone(), LABELS.clone(), {}
    if change == "weights":
        nn.init.zeros_(model.layers[2].bias)
    elif change == "frozen":
        model.layers[2].bias.requires_grad = False
    elif change == "strides":
        weight = model.layers[2].weight
        weight.data = weight.data.t().contiguous().t()
    elif change == "image":
        images[7, 0, 0, 0] += 1e-6
    elif change == "label":
        labels[7] = (labels[7] + 1) % 3
    elif change == "validation":
        settings["validation"] = IMAGES, LABELS
    elif change == "threads":
        monkeypatch.setattr(torch.__config__, "parallel_info", lambda: "many")
    elif change == "instruction set":
        monkeypatch.setenv("DNNL_MAX_CPU_ISA", "SSE41")
    elif change == "default dtype":
        monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    elif change == "deterministic":
        monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    elif change in ("epochs", "seed"):
        settings[change] = 1
    with torch.autocast("cpu", enabled=change == "autocast"):
        settings = {"batch_size": 20, "cache": True, "progress": False} | settings
        fit(model, images, labels, **settings)
    assert len(list(own_cache.glob("trained/*.pt"))) == 2


def noisy(draw):
    return from_source("return self.layers(x) + draw()", draw=draw)


def hooked(register):
    model = Net()
    getattr(model.layers[2], register)(lambda *_: None)
    return model


def counting():
    model = Net()
    model.calls = 0
    model.forward = types.MethodType(count_and_run, model)
    return model


def count_and_run(self, x):
    self.calls += 1
    return self.layers(x)


def averaging():
    """A network with a buffer that changes in training, and is not saved."""
    model = Net()
    model.layers[1] = Average()
    return model


def holding(thing):
    return Net(lambda: 1.0 if thing is None else 2.0)


class Average(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.mean())
        return x - self.mean


def hooked_weight():
    model = Net()
    model.layers[2].weight.register_hook(lambda gradient: 2 * gradient)
    return model


UNKEPT = {
    "a hook": lambda: hooked("register_forward_hook"),
    "a hook before": lambda: hooked("register_forward_pre_hook"),
    "a hook backwards": lambda: hooked("register_full_backward_hook"),
    "a weight's hook": hooked_weight,
    "pruning": lambda: nn.Sequential(
        nn.Flatten(), l1_unstructured(nn.Linear(16, 3), "weight", 4)
    ),
    "a lock": lambda: holding(threading.Lock()),
    "an open file": lambda: holding(sys.__stdin__),
    "a generator": lambda: holding(letter for letter in "abc"),
    "a weight without values": lambda: holding(torch.ones(3, device="meta")),
    "what forward counts": counting,
    "a buffer that changes": averaging,
    "numpy's random numbers": lambda: noisy(np.random.rand),
    "Python's random numbers": lambda: noisy(random.random),
    "an import": lambda: from_source("import conftest; return self.layers(x)"),
    "TorchScript": lambda: torch.jit.script(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    ),
    "a compiled part": lambda: torch.compile(Net(), backend="eager"),
}


@pytest.mark.filterwarnings("ignore:.*is deprecated")
@pytest.mark.parametrize("what", UNKEPT)
def test_what_cannot_be_kept_is_trained_and_told(own_cache, what):
    for _ in range(2):
        torch.manual_seed(0)
        model = UNKEPT[what]()
        torch.manual_seed(0)
        right = UNKEPT[what]()
        with pytest.warns(
            UserWarning, match="trained network cannot be kept: "
        ) as told:
            train(model)
        assert len(told) == 1
        assert told[0].filename == __file__
        if "random" not in what:
            train(right, cache=False)
            assert same(weights(model), weights(right))
            assert same(model.buffers(), right.buffers())
    assert list(own_cache.glob("trained/*.pt")) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(16, 3)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(16, 3)),
        lambda: nn.Linear(16, 3).bfloat16(),
        lambda: nn.LazyLinear(3),
        lambda: nn.Sequential(nn.Unflatten(1, (4, 4)), nn.GRU(4, 3), Last()),
        lambda: Tutorial(),
        lambda: AveragedModel(nn.Linear(16, 3)),
        lambda: torchvision.ops.MLP(16, [8, 3]),
    ],
    ids=[
        *("weight norm", "spectral norm", "bfloat16", "lazy", "GRU"),
        *("a tutorial's", "averaged", "torchvision's"),
    ],
)
def test_ordinary_models_are_kept(own_cache, make, monkeypatch):
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), make())
        fit(
            model,
            IMAGES.to(next(model.parameters()).dtype),
            LABELS,
            cache=True,
            progress=False,
        )
        results.append(weights(model))
        monkeypatch.setattr(training, "_train", None)
    assert same(*results)


class Straight(torch.autograd.Function):
    """The sign of numbers, with the gradient of the numbers."""

    @staticmethod
    def forward(context, x):
        return x.sign()

    @staticmethod
    def backward(context, gradient):
        return gradient


class Tutorial(nn.Module):
    """Holds, names and imports what ordinary networks do."""

    log = logging.getLogger("tutorial")

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(16, 3)
        self.device = torch.device("cpu")
        self.normalise = Normalize(0.5, 0.5)
        self.flat = functools.partial(torch.flatten, start_dim=1)
        self.act, self.pool = F.relu, F.max_pool2d

    @functools.cached_property
    def width(self):
        return 3

    def forward(self, x):
        self.log.debug("%s", x.shape)
        return self.last(Straight.apply(self.act(self.flat(x))))

    def explain(self, x):
        import captum.attr

        plt.imshow(captum.attr.Saliency(self).attribute(x))


class Last(nn.Module):
    def forward(self, x):
        return x[0][:, -1]


@pytest.mark.parametrize("make", [CNN, MLP])
def test_networks_of_the_pages_have_one_fingerprint(make):
    """A copy has the same, and so has the next one that is made in the same way."""
    torch.manual_seed(0)
    one = make()
    torch.manual_seed(0)
    assert fingerprint(one) == fingerprint(make()) == fingerprint(copy.deepcopy(one))


@pytest.mark.parametrize("function", [F.relu, torch.relu, F.max_pool2d, np.sin, len])
def test_functions_of_libraries_count_by_their_names(function):
    assert fingerprint(function) == fingerprint(function)
    assert fingerprint(function) != fingerprint(F.gelu)


@pytest.mark.unmutated
def test_two_at_once_train_once(monkeypatch):
    calls = []
    once = training._train
    monkeypatch.setattr(
        training, "_train", lambda *a, **k: (calls.append(1), once(*a, **k))[1]
    )
    models = [Net(), Net()]
    threads = [threading.Thread(target=train, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert same(*map(weights, models))


# --- the cache folder --------------------------------------------------------------


def test_cache_folder_is_the_one_chosen_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()


def test_cache_folder_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNVIZ_CACHE", "here")
    assert cache_folder() == tmp_path / "here"


def test_cache_folder_may_be_below_the_home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("CNNVIZ_CACHE", os.path.join("~", "mine"))
    assert cache_folder() == tmp_path / "mine"


@pytest.mark.parametrize("chosen", [None, ""])
def test_cache_folder_is_the_user_s_unless_chosen(tmp_path, monkeypatch, chosen):
    def user_cache_path(name, appauthor):
        assert appauthor is False
        return tmp_path / name

    monkeypatch.setattr(platformdirs, "user_cache_path", user_cache_path)
    if chosen is None:
        monkeypatch.delenv("CNNVIZ_CACHE")
    else:
        monkeypatch.setenv("CNNVIZ_CACHE", chosen)
    assert cache_folder() == tmp_path / "cnnviz"

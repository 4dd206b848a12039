"""Models that are not plain networks of layers: they work, or are refused clearly."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cnnviz._probing import parameters_of
from cnnviz.activations import record_activations
from cnnviz.architecture import summarize
from cnnviz.geometry import (
    ReceptiveField,
    effective_receptive_field,
    receptive_field,
)
from cnnviz.models import count_parameters
from cnnviz.plotting import plot_architecture, plot_feature_maps

SHAPE = (3, 16, 14)


def network():
    """Return nested blocks; the last layer's units see 7 × 7 pixels, 4 apart."""
    block = nn.Sequential(nn.Conv2d(4, 5, 3, 2), nn.Sequential(nn.MaxPool2d(2)))
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), block)


FIELD = ReceptiveField((7, 7), (4, 4), (0, 0))
PARAMETERS = 4 * (27 + 1) + 5 * (36 + 1)


class Several(nn.Module):
    """A network with an output of several parts."""

    def __init__(self, combine):
        super().__init__()
        self.network = network()
        self.combine = combine

    def forward(self, x):
        return self.combine(x, self.network(x))


class Repeated(nn.Module):
    """One layer that runs three times, and once more under another name."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3)
        self.last = self.layer

    def forward(self, x):
        return self.last(self.layer(self.layer(self.layer(x))))


class HidesMethods(Several):
    """A network that gives the names of a module's methods to other things."""

    def __init__(self):
        super().__init__(lambda x, y: y)
        for name in dir(nn.Module):
            if not name.startswith("_") and name not in ("forward", "training"):
                setattr(self, name, 3)
        self.training = nn.Identity()

    def forward(self, x):
        return self.training(super().forward(x))


def has_run(model):
    """Return a model after it has run, and was compiled."""
    with torch.no_grad():
        model(torch.rand(1, *SHAPE))
    return model


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


VALUES = {
    "record_activations": record_activations,
    "summarize": lambda model, x: summarize(model, x.shape[1:]),
    "receptive_field": lambda model, x: receptive_field(model, x.shape[1:]),
}


def assert_same(found, expected):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected)
    else:
        assert found == expected


UNUSUAL = {
    "nested": (network, "output", FIELD, PARAMETERS),
    "tuple": (
        lambda: Several(lambda x, y: (x.mean(), y)),
        "output[1]",
        FIELD,
        PARAMETERS,
    ),
    "dict": (
        lambda: Several(lambda x, y: {"in": x, "parts": [y, 1]}),
        "output[parts][0]",
        FIELD,
        PARAMETERS,
    ),
    "shared": (Repeated, "layer:4", ReceptiveField((9, 9), (1, 1), (0, 0)), 84),
    "double": (lambda: network().double(), "output", FIELD, PARAMETERS),
    "half": (lambda: network().half(), "output", FIELD, PARAMETERS),
    "bfloat16": (lambda: network().bfloat16(), "output", FIELD, PARAMETERS),
    "channels last": (
        lambda: network().to(memory_format=torch.channels_last),
        "output",
        FIELD,
        PARAMETERS,
    ),
    "graph": (lambda: torch.fx.symbolic_trace(network()), "output", FIELD, PARAMETERS),
    "exported": (
        lambda: torch.export.export(network(), (torch.rand(1, *SHAPE),)).module(),
        "output",
        FIELD,
        PARAMETERS,
    ),
    "compiled": (
        lambda: has_run(torch.compile(network(), backend="eager")),
        "output",
        FIELD,
        PARAMETERS,
    ),
    "compiled in place": (
        lambda: has_run(compiled_in_place(network())),
        "output",
        FIELD,
        PARAMETERS,
    ),
    "compiled inside": (
        lambda: has_run(
            nn.Sequential(*(torch.compile(part, backend="eager") for part in network()))
        ),
        "2.1.0",
        FIELD,
        PARAMETERS,
    ),
    "compiled function": (
        lambda: has_run(Several(torch.compile(lambda x, y: y + 1, backend="eager"))),
        "network.2.1.0",
        FIELD,
        PARAMETERS,
    ),
    "hidden methods": (HidesMethods, "output", FIELD, PARAMETERS),
    "parametrized": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
        "output",
        ReceptiveField((3, 3), (1, 1), (0, 0)),
        4 * (1 + 27 + 1),
    ),
}


@pytest.mark.parametrize(
    ("make", "layer", "field", "parameters"), UNUSUAL.values(), ids=UNUSUAL.keys()
)
def test_unusual_models_work(make, layer, field, parameters):
    torch.manual_seed(0)  # with others, all of a unit's inputs may be below zero
    model = make()
    (dtype,) = {p.dtype for p in parameters_of(model)}
    x = torch.rand(1, *SHAPE).to(dtype)
    assert count_parameters(model) == parameters
    assert sum(row.parameters for row in summarize(model, SHAPE)) == parameters
    assert receptive_field(model, SHAPE)[layer] == field

    maps = record_activations(model, x)[layer]
    assert maps.dtype == dtype
    images = [ax.images[0] for ax in plot_feature_maps(maps).axes if ax.images]
    for image, values in zip(images, maps[0].double().numpy(), strict=True):
        np.testing.assert_allclose(image.get_array(), values, rtol=1e-3, atol=1e-6)

    drawn = plot_architecture(model, SHAPE).axes[0].texts
    assert f"{parameters:,}" in [text.get_text() for text in drawn]

    influence = effective_receptive_field(model, x, layer)
    row, column = (size // 2 for size in maps.shape[-2:])
    top, left, bottom, right = field.window(row, column, image_size=SHAPE[1:])
    assert influence[top:bottom, left:right].any()
    influence[top:bottom, left:right] = 0
    assert not influence.any()


def test_models_of_no_values_have_all_but_maps():
    model = network().to("meta")
    assert count_parameters(model) == PARAMETERS
    assert receptive_field(model, SHAPE)["output"] == FIELD
    assert [row.output_shape for row in summarize(model, SHAPE)] == [
        (4, 14, 12),
        (4, 14, 12),
        (5, 6, 5),
        (5, 3, 2),
    ]
    plt.close(plot_architecture(model, SHAPE))
    maps = record_activations(model, torch.rand(1, *SHAPE, device="meta"))["output"]
    assert maps.shape == (1, 5, 3, 2)
    with pytest.raises(ValueError, match=r"maps must be .*, got a meta tensor, which"):
        plot_feature_maps(maps)
    x = torch.rand(1, *SHAPE, device="meta")
    with pytest.raises(ValueError, match=r"x must be .*, got a meta tensor, which"):
        effective_receptive_field(model, x, "output")


def test_inference_mode_changes_nothing():
    model, x = network(), torch.rand(1, *SHAPE)
    expected = {name: look(model, x) for name, look in VALUES.items()}
    with torch.inference_mode():
        made_in_it = network()
        inputs = x.clone()
        assert inputs.is_inference()
        for name, look in VALUES.items():
            assert_same(look(model, x), expected[name])
            assert_same(look(model, inputs), expected[name])
            look(made_in_it, inputs)
        assert torch.is_inference_mode_enabled()
    for look in VALUES.values():
        look(made_in_it, x)


LOOKS = {
    "summarize": lambda model, x: summarize(model, x.shape[1:]),
    "plot_architecture": lambda model, x: plot_architecture(model, x.shape[1:]),
    "receptive_field": lambda model, x: receptive_field(model, x.shape[1:]),
    "effective_receptive_field": lambda model, x: effective_receptive_field(
        model, x, "output"
    ),
}


@pytest.mark.parametrize(
    "look",
    [*LOOKS.values(), lambda model, x: count_parameters(model)],
    ids=[*LOOKS, "count_parameters"],
)
def test_lazy_models_must_have_run(look):
    x = torch.rand(1, *SHAPE)
    model = nn.Sequential(nn.ReLU(), nn.LazyConv2d(4, 3), nn.Flatten())
    message = "model must be initialised .*, got '1.weight', which has no shape yet"
    with pytest.raises(ValueError, match=message):
        look(model, x)
    assert isinstance(model[1], nn.LazyConv2d)
    record_activations(model, x)
    look(model, x)
    assert count_parameters(model) == 4 * (27 + 1)


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize(
    "look",
    [*LOOKS.values(), record_activations],
    ids=[*LOOKS, "record_activations"],
)
@pytest.mark.parametrize(
    ("compile_model", "layer"),
    [
        (torch.jit.script, "output"),
        (lambda model: torch.jit.trace(model, torch.rand(1, *SHAPE)), "output"),
        (lambda model: torch.jit.freeze(torch.jit.script(model.eval())), "output"),
        (lambda model: nn.Sequential(nn.ReLU(), torch.jit.script(model)), "1"),
    ],
    ids=["scripted", "traced", "frozen", "scripted inside"],
)
def test_torchscript_is_refused_where_layers_are_watched(look, compile_model, layer):
    model = compile_model(network())
    message = (
        f"model must be a model of Python modules: .* scripted or traced '{layer}'"
    )
    with pytest.raises(ValueError, match=message):
        look(model, torch.rand(1, *SHAPE))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_outputs_are_recorded_where_they_run(name):
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, init_weights=False)
        x = torch.rand(2, 3, 299, 299)
    outputs = {"logits", *(["aux_logits"] if "3" in name else ["aux_logits1"])}
    recorded = record_activations(model.train(), x)
    assert {f"output[{part}]" for part in outputs} <= set(recorded)
    assert not any("aux" in layer for layer in record_activations(model.eval(), x))
    assert {row.name for row in summarize(model, x.shape[1:]) if not row.output_shape}


class Merging(nn.Linear):
    """A layer whose `train` changes its weights, as that of LoRA does."""

    def train(self, mode=True):
        self.weight.data += 1
        return super().train(mode)


def test_only_the_mode_is_changed():
    model = Merging(4, 4)
    before = model.weight.detach().clone()
    summarize(model, (4,))
    assert torch.equal(model.weight, before)
    assert model.training


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Bilinear(2, 2, 3), (2,), "missing 1 required positional argument"),
        (nn.Embedding(9, 2), (5,), "to have one of the following scalar types: Long"),
    ],
)
def test_models_that_need_other_inputs_say_so(model, shape, message):
    with pytest.raises(ValueError, match=f"input_shape must be .*: .*{message}"):
        summarize(model, shape)


@pytest.mark.parametrize("look", [*LOOKS.values(), record_activations])
@pytest.mark.parametrize("name", ["compiled", "compiled in place", "compiled inside"])
def test_old_versions_cannot_look_into_what_is_compiled(name, look, monkeypatch):
    model, x = UNUSUAL[name][0](), torch.rand(1, *SHAPE)
    monkeypatch.delattr(torch.compiler, "set_stance")
    message = "model must be one that is not compiled, .* got a compiled part in 'outpu"
    with pytest.raises(ValueError, match=message):
        look(model, x)

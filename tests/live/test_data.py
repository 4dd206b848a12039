"""What live figures carry, without a browser: read back, it is what went in."""

import base64
import copy
import hashlib
import html
import itertools
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune

from cnnviz import live
from cnnviz.geometry import receptive_field
from cnnviz.kernels import KERNELS, SOBEL_X, SOBEL_Y
from cnnviz.live import LiveFigure
from cnnviz.live._packing import pack_network
from cnnviz.models import CNN
from cnnviz.training import History, evaluate, fit
from packed import unpack, unpack_picture


def pixels(*shape):
    return arrays(np.uint8, shape)


numbers = st.floats(-100, 100, width=32)


@given(pixels(2, 4, 5), st.booleans(), arrays(np.float32, (2, 3, 2), elements=numbers))
def test_channel_sum_carries_maps_kernels_and_bias(levels, bytewise, kernels):
    maps = levels / 255 if bytewise else levels / 255 - 0.3
    figure = live.channel_sum(maps, kernels, 0.5, names=["a", 2])
    assert figure.name == "channel_sum"
    assert figure.data["maps"]["dtype"] == ("uint8" if bytewise else "float32")
    np.testing.assert_allclose(unpack(figure.data["maps"]), maps, atol=1e-6)
    np.testing.assert_array_equal(unpack(figure.data["kernels"]), kernels)
    assert figure.data["names"] == ["a", "2"]
    assert figure.settings == {"at": "0,1", "added": "2", "bias": "0.5"}


@pytest.mark.parametrize(
    "maps",
    [
        [[[0.0, 1.0]]],
        [[[1 / 255, 254 / 255]]],
        [[[-1 / 255, 0.0]]],
        [[[256 / 255, 0.0]]],
        [[[0.5 / 255, 1.0]]],
        [[[0.0, 1.5e-4 / 255]]],
    ],
)
def test_only_pixels_become_bytes(maps):
    packed = live.channel_sum(maps, [[[1.0]]]).data["maps"]
    levels = np.array(maps) * 255
    whole = np.abs(levels - levels.round()).max() < 1e-4
    assert (packed["dtype"] == "uint8") == (
        whole and levels.min() >= 0 and levels.max() <= 255
    )
    np.testing.assert_allclose(unpack(packed), maps, atol=1e-6)


def test_channel_sum_takes_what_is_just_allowed():
    maps = np.zeros((16, 93, 100))
    figure = live.channel_sum(maps, np.zeros((16, 5, 5)), -1000)
    assert figure.settings == {"at": "44,47", "added": "16", "bias": "-1000"}
    assert figure.data["names"] == [f"map {i}" for i in range(16)]
    assert live.channel_sum(np.zeros((1, 300, 500)), [[[0]]], 1000).data
    assert live.channel_sum(np.zeros((1, 2, 3)), np.zeros((1, 2, 3))).data


@given(st.data())
def test_pixel_inspector_carries_the_pixels(data):
    shape = data.draw(st.sampled_from([(3, 4), (3, 4, 3), (3, 4, 1)]))
    levels = data.draw(pixels(*shape))
    image = data.draw(st.sampled_from([levels, levels / 255]))
    row, column = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 3))
    figure = live.pixel_inspector({3: image}, row, column)
    assert figure.name == "pixel_inspector"
    assert figure.settings == {"at": f"{row},{column}"}
    (name, packed), *rest = figure.data["pictures"].items()
    assert (name, rest) == ("3", [])
    expected = levels if shape == (3, 4, 3) else levels.reshape(3, 4)
    np.testing.assert_array_equal(unpack_picture(packed), expected)
    single = live.pixel_inspector(image)
    assert single.data["pictures"] == {"picture": packed}
    assert single.settings == {"at": "0,0"}


def test_pictures_may_have_4096_pixels_a_side():
    for shape in ((4096, 1), (1, 4096)):
        packed = live.pixel_inspector(np.ones(shape)).data["pictures"]["picture"]
        np.testing.assert_array_equal(unpack_picture(packed), np.full(shape, 255))
    with pytest.raises(ValueError, match="at most 4096 pixels a side, got 4097×1"):
        live.pixel_inspector(np.ones((4097, 1)))


@given(st.data())
def test_kernel_playground_is_set_as_asked(data):
    sides = data.draw(st.integers(2, 7)), data.draw(st.integers(2, 7))
    elements = st.one_of(numbers, st.integers(-9, 9).map(float))
    kernel = data.draw(arrays(np.float64, sides, elements=elements))
    number = st.integers(1, 9)
    windows = {name: data.draw(number) for name in ("stride", "padding", "dilation")}
    view = data.draw(st.sampled_from(["signed", "coloured", "absolute", "clipped"]))
    row, column = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))
    small = data.draw(st.booleans())
    spans = [(side - 1) * windows["dilation"] + 1 for side in sides]
    size = [
        max(1, span + place * windows["stride"] - 2 * windows["padding"])
        for span, place in zip(spans, (row, column), strict=True)
    ]
    image = np.zeros(size, np.uint8)
    arguments = {**windows, "view": view, "row": row, "column": column, "small": small}
    figure = live.kernel_playground({"a": image, "b": image}, kernel, **arguments)
    assert figure.name == "kernel_playground"
    found = figure.settings
    text = found.pop("kernel")
    weights = [[float(word) for word in line.split(",")] for line in text.split(";")]
    np.testing.assert_array_equal(weights, kernel)
    assert not re.search(r"\.0\b", text)
    assert ("small" in found) == small
    assert found.pop("small", "") == ""
    assert found == {
        "rows": str(sides[0]),
        "columns": str(sides[1]),
        **{name: str(value) for name, value in windows.items()},
        "view": view,
        "at": f"{row},{column}",
        "ratio": f"{size[1]} / {size[0]}",
    }
    assert list(figure.data["pictures"]) == ["a", "b"]
    assert figure.data["kernels"].keys() == KERNELS.keys()
    for name, weights in figure.data["kernels"].items():
        np.testing.assert_array_equal(weights, KERNELS[name])
    assert figure.data["snippets"].keys() == {"NumPy", "OpenCV", "PyTorch"}
    for axis in (0, 1):
        if size[axis] > 1:
            short = np.delete(image, 0, axis)
            name = ("row", "column")[axis] if (row, column)[axis] else "kernel"
            with pytest.raises(ValueError, match=f"{name} must be"):
                live.kernel_playground(short, kernel, **arguments)


def test_kernel_playground_has_the_defaults_it_names():
    figure = live.kernel_playground(np.zeros((5, 6, 3)))
    assert figure.settings == {
        "kernel": "-1,0,1;-2,0,2;-1,0,1",
        **{"rows": "3", "columns": "3", "stride": "1", "padding": "0"},
        **{"dilation": "1", "view": "signed", "at": "0,0", "ratio": "6 / 5"},
    }
    largest = live.kernel_playground(np.zeros((3, 3)), np.full((2, 2), 999_999.5))
    assert largest.settings["kernel"].startswith("999999.5,")


@given(
    pixels(2, 3, 4),
    st.sampled_from([SOBEL_X, SOBEL_Y, np.arange(9.0).reshape(3, 3) - 100]),
    st.floats(0, 1000),
    st.integers(0, 9),
    st.integers(1, 2000),
)
@settings(max_examples=25)
def test_learn_kernel_is_set_as_asked(levels, target, learning_rate, seed, steps):
    options = {"learning_rate": learning_rate, "seed": seed, "steps": steps}
    figure = live.learn_kernel(levels[:, None], target, **options)
    np.testing.assert_allclose(
        unpack(figure.data["pictures"]), levels / 255, rtol=1e-6, atol=1e-9
    )
    assert figure.name == "learn_kernel"
    assert figure.data["steps"] == steps
    assert float(figure.settings["learning_rate"]) == learning_rate
    assert figure.settings["seed"] == str(seed)
    targets = {name: unpack(packed) for name, packed in figure.data["targets"].items()}
    named = {name for name, kernel in KERNELS.items() if kernel.shape == (3, 3)}
    assert targets.keys() - {"your own"} == named
    for name in named:
        np.testing.assert_allclose(targets[name], KERNELS[name], rtol=1e-6)
    np.testing.assert_array_equal(targets[figure.settings["target"]], target)
    assert (figure.settings["target"] == "your own") == (target[0, 0] == -100)


def test_learn_kernel_starts_as_conv2d_does():
    state = torch.get_rng_state()
    figure = live.learn_kernel(np.zeros((1, 300, 500)))
    assert torch.equal(torch.get_rng_state(), state)
    assert figure.settings == {"target": "Sobel x", "learning_rate": "1", "seed": "0"}
    assert figure.data["steps"] == 500
    starts = unpack(figure.data["starts"])
    assert len(starts) == 10
    with torch.random.fork_rng():
        for seed, start in enumerate(starts):
            torch.manual_seed(seed)
            weight = nn.Conv2d(1, 1, 3).weight[0, 0].detach()
            np.testing.assert_array_equal(start.reshape(3, 3), weight)
    for least in (np.zeros((1, 3, 9)), np.ones((1, 1, 9, 3), np.uint8)):
        assert live.learn_kernel(least, np.full((3, 3), -100.0)).data


PARTS = st.one_of(
    st.builds(
        nn.Conv2d,
        st.just(1),
        st.just(1),
        st.integers(1, 4),
        st.integers(1, 3),
        st.sampled_from([0, 1, "valid"]),
        st.integers(1, 2),
    ),
    st.builds(
        nn.MaxPool2d,
        st.integers(2, 3),
        st.sampled_from([None, 1, 2]),
        st.integers(0, 1),
        st.integers(1, 2),
    ),
    st.builds(nn.AvgPool2d, st.integers(1, 3), st.sampled_from([None, 1])),
    st.sampled_from([nn.ReLU(), nn.Tanh(), nn.Identity(), nn.Dropout2d()]),
)


def layer_of(words):
    """Return the layer that a part of a list stands for."""
    kind, size, *options = words.split(" ")
    names, values = options[::2], map(int, options[1::2])
    options = dict(zip(names, values, strict=True))
    if kind == "conv":
        return nn.Conv2d(1, 1, int(size), **options)
    assert kind == "pool"
    return nn.MaxPool2d(int(size), **options)


@given(st.lists(PARTS, min_size=1, max_size=4), pixels(4, 5, 3), st.booleans())
@settings(max_examples=50)
def test_receptive_field_lists_the_layers(parts, levels, floats):
    network = nn.Sequential(*parts, nn.Flatten(), nn.Tanh())
    image = levels / 255 if floats else levels
    figure = live.receptive_field(network, image)
    (only,) = figure.data.values()
    layers = [layer_of(words) for words in filter(None, only["list"].split(", "))]
    shape = (1, 320, 340)
    expected = receptive_field(nn.Sequential(*parts), shape)["output"]
    assert receptive_field(nn.Sequential(*layers), shape)["output"] == expected
    grey = unpack_picture(only["picture"])
    red, green, blue = np.moveaxis(levels.astype(float), 2, 0)
    np.testing.assert_allclose(
        grey, 0.299 * red + 0.587 * green + 0.114 * blue, atol=0.51
    )


def test_receptive_field_leaves_out_what_is_usual_and_takes_several():
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.Conv2d(1, 1, 5, 2))
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    wide = np.zeros((1, 1024))
    figure = live.receptive_field(
        {"a": network, 2: "conv 3, pool 2"}, {"a": grey, 2: wide}
    )
    assert figure.name == "receptive_field"
    lists = {name: one["list"] for name, one in figure.data.items()}
    assert lists == {"a": "conv 3, pool 2, conv 5 stride 2", "2": "conv 3, pool 2"}
    for name, image in {"a": grey, "2": wide}.items():
        found = unpack_picture(figure.data[name]["picture"])
        np.testing.assert_array_equal(found, image)
    same = live.receptive_field({"a": "conv 3", "b": "conv 3"}, grey).data
    assert same["a"] == same["b"]
    for layer in (
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(1, 1, (3, 5)),
    ):
        with pytest.raises(ValueError, match="alike in both directions"):
            live.receptive_field(nn.Sequential(layer), grey)


@given(st.data())
def test_quantised_weights_are_the_nearest_of_255_levels(data):
    torch.manual_seed(data.draw(st.integers(0, 99)))
    model = nn.Sequential(
        nn.Conv2d(2, 3, (2, 3)), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(4, 5)
    )
    factor = data.draw(st.floats(1e-3, 1e3))
    nn.init.normal_(model[0].weight, std=factor)
    before = copy.deepcopy(model.state_dict())
    quantised = live.quantise_weights(model)
    assert not quantised.training
    assert model.training
    for name, value in quantised.state_dict().items():
        assert torch.equal(before[name], model.state_dict()[name])
        if name not in ("0.weight", "3.weight"):
            assert torch.equal(value, before[name])
            continue
        for row, original in zip(value, before[name], strict=True):
            step = original.abs().max() / 127
            levels = row / step
            np.testing.assert_allclose(levels, levels.round(), atol=1e-3)
            assert (row - original).abs().max() <= 0.5001 * step
            assert levels.abs().max().round() == 127


def scores_of(layers, x):
    """Run a packed network as its page does."""
    for layer in layers:
        match layer["kind"]:
            case "conv":
                bias = torch.tensor(unpack(layer["bias"])) if "bias" in layer else None
                windows = [layer[name] for name in ("stride", "padding", "dilation")]
                weight = torch.tensor(unpack(layer["weight"]))
                x = F.conv2d(x, weight, bias, *windows)
            case "maxpool":
                x = F.max_pool2d(x, layer["size"], layer["stride"])
            case "norm":
                factor, offset = (
                    torch.tensor(unpack(layer[name])).view(-1, 1, 1)
                    for name in ("factor", "offset")
                )
                x = x * factor + offset
            case "relu":
                x = x.relu()
            case "flatten":
                x = x.flatten(1)
            case "linear":
                weight, bias = unpack(layer["weight"]), unpack(layer["bias"])
                x = x @ torch.tensor(weight).T + torch.tensor(bias)
            case kind:
                raise AssertionError(kind)
    return x


@st.composite
def networks(draw):
    """Return a network of all kinds of layers with random statistics."""
    torch.manual_seed(draw(st.integers(0, 99)))
    stride, padding, dilation = (draw(st.integers(1, 2)) for _ in range(3))
    affine = draw(st.booleans())
    layers = [
        nn.Conv2d(1, 3, 3, stride, padding, dilation, bias=draw(st.booleans())),
        nn.Dropout2d(),
        nn.Sequential(nn.BatchNorm2d(3, affine=affine), nn.ReLU(), nn.Identity()),
        nn.MaxPool2d(3, draw(st.integers(1, 3))),
        nn.Flatten(),
        nn.Dropout(),
    ]
    norm = layers[2][0]
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    size = nn.Sequential(*layers).eval()(torch.zeros(1, 1, 28, 28)).shape[1]
    layers.append(nn.Linear(size, 10, bias=draw(st.booleans())))
    return nn.Sequential(*layers)


@given(networks(), pixels(3, 1, 28, 28), st.lists(st.integers(0, 9), min_size=3))
@settings(max_examples=15)
def test_draw_digit_carries_networks_digits_and_answers(network, levels, labels):
    digits, labels = torch.tensor(levels) / 255, torch.tensor(labels[:3])
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    given_networks = {"first": network, 2: linear}
    figure = live.draw_digit(given_networks, digits, labels, digit=2, centred=True)
    assert figure.name == "draw_digit"
    assert figure.settings == {"digit": "2", "centred": "true"}
    assert figure.data["networks"].keys() == {"first", "2"}
    reads = {}
    for name, model in given_networks.items():
        scores = live.quantise_weights(model)(digits)
        packed = figure.data["networks"][str(name)]
        found = scores_of(packed, digits)
        np.testing.assert_allclose(found.detach(), scores.detach(), atol=1e-3)
        reads[name] = scores.argmax(1)
    names = [layer["name"] for layer in figure.data["networks"]["first"]]
    assert names == ["0", "2.0", "2.1", "3", "4", "6"]
    sheet = unpack_picture(figure.data["sheet"])
    np.testing.assert_array_equal(sheet, levels.reshape(-1, 28))
    for i, (words, label) in enumerate(
        zip(figure.data["words"], labels.tolist(), strict=True)
    ):
        wrong = [f"{k} reads {v[i]}" for k, v in reads.items() if v[i] != label]
        assert words == ", ".join([str(label), *wrong])
    plain = live.draw_digit({"CNN": CNN()}, digits, labels)
    assert plain.settings == {"digit": "0"}


class Doubled(nn.Module):
    """A parametrisation of the user's own."""

    def forward(self, weight):
        return 2 * weight


def parametrised_and_pruned(layer):
    parametrize.register_parametrization(layer, "weight", Doubled())
    prune.random_unstructured(layer.parametrizations.weight, "original", 3)


def weight_normed_and_pruned(layer):
    torch.nn.utils.weight_norm(layer)
    prune.random_unstructured(layer, "weight_v", 3)


def normed_twice(layer):
    parametrizations.weight_norm(layer)
    parametrizations.spectral_norm(layer)


def frozen_weight_norm(layer):
    parametrizations.weight_norm(layer).requires_grad_(False)


REWORKED = {
    "plain": lambda layer: None,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.6),
    "pruned twice": lambda layer: [
        prune.ln_structured(layer, "weight", 1, n=2, dim=0),
        prune.random_unstructured(layer, "weight", 2),
        prune.random_unstructured(layer, "bias", 1),
    ],
    "weight norm by hooks": torch.nn.utils.weight_norm,
    "spectral norm by hooks": torch.nn.utils.spectral_norm,
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "own": lambda layer: parametrize.register_parametrization(
        layer, "weight", Doubled()
    ),
    "own, pruned": parametrised_and_pruned,
    "weight norm, pruned": weight_normed_and_pruned,
    "twice": normed_twice,
    "frozen": frozen_weight_norm,
}


def reworked(rework):
    """Return a classifier of 28 × 28 that has taken a step in training since it ran."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(507, 10)
    )
    for layer in (model[0], model[3]):
        rework(layer)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.3)
    model(torch.rand(5, 1, 28, 28)).square().mean().backward()
    optimizer.step()
    return model


def own_weights(layer, shape):
    """Return a layer's weights, from what it makes of inputs of a single 1."""
    size = int(np.prod(shape))
    with torch.no_grad():
        layer(torch.zeros(1, *shape))  # where hooks work weights out from each other's
        rows = layer(torch.eye(size).view(-1, *shape)) - layer(torch.zeros(1, *shape))
    return rows.flatten(1).T.numpy()


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
@pytest.mark.parametrize("rework", REWORKED.values(), ids=REWORKED.keys())
def test_weights_are_those_that_the_network_runs_with(rework):
    model = reworked(rework)
    before = copy.deepcopy(model.state_dict())
    quantised = live.quantise_weights(model)
    packed = pack_network(torch.compile(model, backend="eager"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert model.training
    model.eval()
    digits = torch.rand(4, 1, 28, 28)
    scores = [quantised(digits) for _ in range(2)]
    assert torch.equal(*scores)
    torch.testing.assert_close(scores_of(packed, digits), scores[0], rtol=0, atol=1e-4)
    for number, shape in ((0, (1, 3, 3)), (3, (507,))):
        expected = own_weights(model[number], shape)
        steps = np.abs(expected).max(axis=1, keepdims=True) / 127
        for name, _ in quantised[number].named_parameters():
            assert name in ("weight", "bias")
        assert not list(quantised[number].buffers())
        error = np.abs(quantised[number].weight.detach().flatten(1).numpy() - expected)
        assert (error <= 0.51 * steps + 1e-6).all()


class Hiding(nn.Module):
    """A model that gives the name of a method to a layer."""

    def __init__(self, layer):
        super().__init__()
        self.eval = layer


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda model: model.bfloat16(), id="bfloat16"),
        pytest.param(lambda model: model.double(), id="double"),
        pytest.param(
            lambda model: torch.compile(model, backend="eager"), id="compiled"
        ),
        pytest.param(lambda model: Hiding(model), id="hidden"),
    ],
)
def test_weights_of_any_network_are_quantised(make):
    prune.l1_unstructured(model := nn.Linear(3, 4), "weight", 2)
    quantised = live.quantise_weights(make(model))
    ((name, weight),) = (
        (name, p) for name, p in quantised.named_parameters() if p.ndim == 2
    )
    assert name.endswith("weight")
    expected = model.weight.detach().float()
    torch.testing.assert_close(weight.float(), expected, rtol=0.05, atol=0.005)


def test_shared_weights_are_pruned_apart():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    prune.custom_from_mask(first, "weight", torch.eye(3))
    quantised = live.quantise_weights(nn.Sequential(first, second))
    assert torch.equal(quantised[0].weight != 0, torch.eye(3, dtype=torch.bool))
    assert (quantised[1].weight != 0).all()


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_weights_that_cannot_be_quantised_are_refused():
    broken = nn.Sequential(nn.Linear(2, 2))
    broken[0].weight.data[0, 0] = torch.nan
    for model, message in (
        (broken, "model's 0.weight must be weights of finite values, got 1 NaN"),
        (nn.Linear(2, 2, device="meta"), "model's weight must be .* meta tensor"),
        (nn.LazyLinear(2), "model must be initialised"),
        (torch.jit.script(nn.Linear(2, 2)), "got a scripted or traced 'output'"),
    ):
        with pytest.raises(ValueError, match=message):
            live.quantise_weights(model)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
@pytest.mark.parametrize("rework", REWORKED.values(), ids=REWORKED.keys())
def test_training_steps_shows_the_weights_that_ran(rework):
    model = reworked(rework)
    images, labels = torch.rand(6, 1, 28, 28), torch.arange(6)
    history = fit(
        model, images, labels, epochs=2, batch_size=3, snapshots=(0, 3), progress=False
    )
    figure = live.training_steps({"a": (model, history)}, images, labels, filters=2)
    (net,) = figure.data["nets"]
    assert net["kind"] == "2 of 3 filters of 0"
    for step, shown in zip((0, 3), net["weights"], strict=True):
        model.load_state_dict(history.snapshots[step])
        expected = own_weights(model.eval()[0], (1, 3, 3))[:2]
        np.testing.assert_allclose(
            unpack(shown).reshape(2, 9), expected, atol=np.abs(expected).max() / 250
        )


def test_training_steps_refuses_weights_of_another_kind():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    kept = History([], [], 0.0, {5: copy.deepcopy(model.state_dict())})
    prune.l1_unstructured(model[1], "weight", 0.5)
    images, labels = torch.rand(6, 1, 28, 28), torch.arange(6)
    message = r"models\['a'\] must be of the same parameters as the one kept at step 5"
    with pytest.raises(ValueError, match=message):
        live.training_steps({"a": (model, kept)}, images, labels)


class Centred(nn.Sequential):
    def forward(self, x):
        return super().forward(x - 0.5)


class StandardisedConv2d(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


def hooked(model):
    model[0].register_forward_hook(lambda module, inputs, output: output + 1)
    return model


@pytest.mark.parametrize(
    "network",
    [
        Centred(*reworked(lambda layer: None)),
        hooked(reworked(lambda layer: None)),
        nn.Sequential(StandardisedConv2d(1, 2, 28), nn.Flatten(), nn.Linear(2, 10)),
    ],
    ids=["forward", "hook", "layer"],
)
def test_draw_digit_refuses_what_does_more_than_its_layers(network):
    digits = torch.rand(2, 1, 28, 28)
    with pytest.raises(ValueError, match="networks must be networks that do what"):
        live.draw_digit({"a": network}, digits, torch.zeros(2, dtype=torch.int64))


def test_draw_digit_takes_146_digits():
    digits, labels = torch.zeros(147, 1, 28, 28), torch.zeros(147, dtype=torch.int64)
    assert live.draw_digit({"a": CNN()}, digits[:146], labels[:146]).data
    for wrong in (digits, digits[:0], digits.int()[:1], digits[:1].numpy()):
        with pytest.raises(ValueError, match="N at most 146"):
            live.draw_digit({"a": CNN()}, wrong, labels)
    with pytest.raises(ValueError, match="digits must be from 0 to 1, got -1 to 0"):
        live.draw_digit({"a": CNN()}, digits[:2] - torch.eye(28), labels[:2])


STEPS, CLASSES = (0, 3), 4
IMAGES = torch.rand(40, 1, 5, 6, generator=torch.Generator().manual_seed(0))


def kept(model, seed):
    """Return a model with weights that are said to be those of two steps."""
    generator = torch.Generator().manual_seed(seed)
    snapshots = {
        step: {
            name: torch.randn(value.shape, generator=generator)
            for name, value in model.state_dict().items()
        }
        for step in reversed(STEPS)
    }
    return model, History([], [], 0.0, snapshots)


@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 50), st.integers(0, 9))
@settings(max_examples=15)
def test_training_steps_carries_what_evaluate_says(seed, filters, digits, examples):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (len(IMAGES),), generator=generator)
    models = {
        "dense": kept(nn.Sequential(nn.Flatten(), nn.Linear(30, CLASSES)), seed),
        "conv": kept(
            nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(1), nn.Linear(36, CLASSES)),
            seed,
        ),
    }
    figure = live.training_steps(
        models, IMAGES, labels, filters=filters, digits=digits, examples=examples
    )
    answers = {}
    for name, (model, history) in models.items():
        for step in STEPS:
            model = copy.deepcopy(model)
            model.load_state_dict(history.snapshots[step])
            answers[name, step] = evaluate(model, IMAGES, labels)
    data = figure.data
    assert figure.name == "training_steps"
    assert data["steps"] == list(STEPS)
    assert data["size"] == [5, 6]
    assert data["most"] == pytest.approx(np.log1p(np.bincount(labels).max()))

    # The images that are shown, in sixteen shades, side by side.
    shown = len(data["labels"])
    sheet, columns = unpack_picture(data["sheet"]), data["columns"]
    assert sheet.shape == (5 * -(-shown // columns), 6 * columns)
    tiles = sheet.reshape(-1, 5, columns, 6).swapaxes(1, 2).reshape(-1, 5, 6)
    shades = (IMAGES[:, 0] * 15).round() * 17
    places = [
        next(i for i in range(len(IMAGES)) if np.array_equal(shades[i], tile))
        for tile in tiles[:shown]
    ]
    assert labels[places].tolist() == data["labels"]
    assert not tiles[shown:].any()
    assert len(set(places)) == shown

    kinds = {"dense": (CLASSES, "neurons", "1"), "conv": (3, "filters", "0")}
    for net, (name, (_, history)) in zip(data["nets"], models.items(), strict=True):
        assert net["name"] == name
        count, kind, layer = kinds[name]
        assert net["kind"] == f"{min(filters, count)} of {count} {kind} of {layer}"
        for i, step in enumerate(STEPS):
            answer = answers[name, step]
            right = (answer.predictions == labels).float().mean().item()
            assert net["scores"][i] == f"{right:.2%} right"
            weight = history.snapshots[step][f"{layer}.weight"][:filters]
            weight = weight.reshape(len(weight), -1)
            found = unpack(net["weights"][i]).reshape(weight.shape)
            bound = weight.abs().amax(1, keepdim=True).numpy() / 253
            assert (np.abs(found - weight.numpy()) <= bound).all()
            table = np.reshape(net["tables"][i], (CLASSES + 1, CLASSES + 1))
            matrix = np.zeros((CLASSES, CLASSES), int)
            np.add.at(matrix, (labels, answer.predictions), 1)
            names = [str(k) for k in range(CLASSES)]
            assert table[0].tolist() == ["", *names]
            assert table[1:, 0].tolist() == names
            np.testing.assert_array_equal(table[1:, 1:].astype(int), matrix)
            for true, said in itertools.permutations(range(CLASSES), 2):
                cell = net["examples"][i].get(f"{true},{said}", [])
                assert len(cell) == min(examples, matrix[true, said])
                for place in cell:
                    assert labels[places[place]] == true
                    assert answer.predictions[places[place]] == said

    last = answers["conv", STEPS[-1]]
    true, said = map(int, figure.settings["cell"].split(","))
    errors = last.confusion_matrix.numpy().copy()
    np.fill_diagonal(errors, 0)
    assert errors[true, said] == errors.max()
    assert figure.settings["checkpoint"] == "1"

    chances = {key: answer.probabilities for key, answer in answers.items()}
    assert data["doubts"].keys() == {
        f"{choice} {when}"
        for choice in ("least sure", "most wrong")
        for when in ("in the end", "at this step")
    }
    for choice, at_steps in data["doubts"].items():
        for i, step in enumerate(STEPS):
            of = STEPS[-1] if choice.endswith("in the end") else step
            both = [chances[name, of] for name in models]
            if choice.startswith("least sure"):
                doubt = sum(chance.amax(1) for chance in both)
            else:
                doubt = sum(chance[range(40), labels] for chance in both)
            found = [places[place] for place, *_ in at_steps[i]]
            assert len(set(found)) == min(digits, 40)
            torch.testing.assert_close(
                doubt[found], doubt.sort().values[: len(found)], atol=1e-5, rtol=0
            )
            for place, truth, *words in at_steps[i]:
                image = places[place]
                assert truth == f"a {labels[image]}"
                for name, word in zip(models, words, strict=True):
                    chance = chances[name, step][image]
                    best = chance.argmax().item()
                    mark = "" if best == labels[image] else "✗"
                    assert word == f"{name} {best}{mark} {chance[best]:.0%}"


def test_training_steps_knows_a_first_layer_that_is_the_model():
    model, history = kept(nn.Conv2d(1, CLASSES, (5, 6)), 0)
    flat = nn.Sequential(model, nn.Flatten())
    states = {
        step: {f"0.{name}": value for name, value in state.items()}
        for step, state in history.snapshots.items()
    }
    labels = torch.arange(40) % CLASSES
    figure = live.training_steps(
        {"a": (flat, History([], [], 0.0, states))}, IMAGES, labels
    )
    (net,) = figure.data["nets"]
    assert net["kind"] == "4 of 4 filters of 0"
    assert len(figure.data["doubts"]["least sure in the end"][0]) == 12
    with pytest.raises(ValueError, match="convolution or a fully connected layer"):
        live.training_steps(
            {"a": (nn.Flatten(), History([], [], 0.0, {0: {}}))},
            torch.rand(2, 4, 1, 1),
            torch.tensor([0, 1]),
        )
    wide = nn.Sequential(nn.Conv2d(3, CLASSES, 1), nn.AvgPool2d(5), nn.Flatten())
    states = {0: wide.state_dict()}
    with pytest.raises(
        ValueError, match=r"grey images of \(5, 5\), got weights of shape \(4, 3, 1, 1"
    ):
        live.training_steps(
            {"a": (wide, History([], [], 0.0, states))},
            torch.rand(40, 3, 5, 5),
            labels,
        )


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=9)


@given(words, words)
def test_a_file_holds_the_data_and_runs_only_its_own_scripts(tmp_path_factory, a, b):
    figure = LiveFigure("pixel_inspector", {a: [b, 1.5]}, {"at": b, "n": 3})
    assert repr(figure) == f"<live figure pixel_inspector, at={b!r}, n='3'>"
    path = tmp_path_factory.mktemp("live") / "figure.html"
    figure.save(path)
    figure.save(str(path))
    assert [file.name for file in path.parent.iterdir()] == ["figure.html"]
    page = path.read_text("utf-8")
    scripts = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    expected = [script.read_text("utf-8") for script in figure.scripts]
    assert (scripts == expected) is True  # without pages of differences
    policy = html.unescape(re.search('Policy" content="([^"]*)"', page)[1])
    allowed = re.search("script-src ([^;]*);", policy)[1].split()
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    for digest in digests:
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in allowed
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; style-src 'unsafe-inline'; img-src data:")
    data = re.search('<script type="application/json">(.*?)</script>', page)[1]
    assert json.loads(data) == {a: [b, 1.5]}
    assert f'<cnn-pixel-inspector at="{html.escape(b)}" n="3">' in page
    assert "<title>pixel inspector</title>" in page
    assert "<p>pixel inspector: needs JavaScript.</p></cnn-pixel-inspector>" in page

    figure.save_data(path.with_name("data.js"))
    script = path.with_name("data.js").read_text("utf-8")
    given = re.fullmatch(r"cnnviz\.provide\(JSON\.parse\((.*)\);\n", script)[1]
    data, settings = given.split("),{", 1)
    assert json.loads(json.loads(data)) == {a: [b, 1.5]}
    assert json.loads("{" + settings) == {"at": b, "n": "3"}
    shown = figure._repr_html_()
    assert f'<cnn-pixel-inspector at="{html.escape(b)}" n="3" embedded>' in shown
    again = re.findall("<script>(.*?)</script>", shown, re.DOTALL)
    assert (again == expected) is True


def test_a_figure_needs_no_settings_and_takes_no_nan():
    figure = LiveFigure("pixel_inspector", {"a": float("nan")})
    assert figure.settings == {}
    assert repr(figure) == "<live figure pixel_inspector>"
    with pytest.raises(ValueError, match="not JSON compliant"):
        figure.json()
    assert LiveFigure("x", {"a": [1, 2]}).json() == '{"a":[1,2]}'

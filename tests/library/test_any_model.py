"""All classification models of torchvision, with random weights.

Every function takes every model. Windows are compared with gradients once a family.
"""

import gc

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cnnviz.activations import record_activations
from cnnviz.geometry import receptive_field
from cnnviz.models import count_parameters
from cnnviz.plotting import plot_architecture, plot_feature_maps
from seen_pixels import box_of_all, check_units, output_and_pixels, positive

NAMES = torchvision.models.list_models(module=torchvision.models)
OPTIONS = {
    # As the published weights are. Weights need not be drawn twice.
    "googlenet": {"init_weights": False, "aux_logits": False},
    "inception_v3": {"init_weights": False},
}


def build(name):
    """Return a model with random weights, as the builder makes it."""
    options = OPTIONS.get(name, {})
    return torchvision.models.get_model(name, weights=None, **options).eval()


def published(name):
    """Return the input shape and the published number of parameters of a model.

    Of several weights, those for the smallest images are for the model as it is built.
    """
    choices = torchvision.models.get_model_weights(name)
    (size,), weights = min(
        ((choice.transforms().crop_size, choice) for choice in choices),
        key=lambda pair: pair[0],
    )
    return (3, size, size), weights.meta["num_params"]


RANDOM = np.random.default_rng(0).standard_normal(65_537, dtype=np.float32)


def fill(tensor, *arguments, **options):
    """Fill a tensor with the same random numbers again and again, which is quick."""
    scale = np.float32(tensor[0].numel() ** -0.5)
    tensor.data.copy_(torch.from_numpy(np.resize(scale * RANDOM, tensor.shape)))


@pytest.fixture(autouse=True)
def free_memory():
    """Give back what the test before took; figures hold on to memory in cycles."""
    gc.collect()


@pytest.fixture
def quick_weights(monkeypatch):
    """Let models fill their weights quickly."""
    for distribution in ("uniform", "normal"):
        for how in ("", "kaiming_", "xavier_"):
            monkeypatch.setattr(nn.init, f"{how}{distribution}_", fill)
    monkeypatch.setattr(nn.init, "trunc_normal_", fill)
    monkeypatch.setattr(nn.init, "zeros_", fill)


@pytest.mark.usefixtures("quick_weights")
@pytest.mark.parametrize("name", NAMES)
def test_every_function_takes_every_model(name):
    model = build(name)
    shape, parameters = published(name)
    assert count_parameters(model) == parameters
    check_activations(model, torch.randn(1, *shape))
    model.to("meta")  # Shapes and windows don't depend on values.
    check_architecture(model, shape, parameters)
    check_fields(model, shape)


def first_convolution(model):
    """Return the name and the module."""
    layers = model.named_modules()
    return next(layer for layer in layers if isinstance(layer[1], nn.Conv2d))


def check_activations(model, x):
    """Record all layers: the model gives what it gives otherwise. Draw maps."""
    with torch.no_grad():
        output = model(x)
    assert output.isfinite().all()
    assert output.std() > 0
    recorded = record_activations(model, x)
    assert torch.equal(recorded["output"], output)

    maps = recorded[first_convolution(model)[0]][0, :8]
    images = [ax.images[0] for ax in plot_feature_maps(maps).axes if ax.images]
    for image, values in zip(images, maps.numpy(), strict=True):
        np.testing.assert_array_equal(image.get_array(), values)


def check_architecture(model, shape, parameters):
    """Draw the model: the first row is the input, the last the sum of all others."""
    texts = plot_architecture(model, shape).axes[0].texts
    numbers = [text.get_text() for text in texts if text.get_ha() == "right"]
    assert " × ".join(map(str, shape)) in numbers
    assert numbers[-1] == f"{parameters:,}"


def check_fields(model, shape):
    """Ask for windows: the first layer's are its kernels, the last sees all."""
    fields = receptive_field(model, shape)
    name, convolution = first_convolution(model)
    field = fields[name]
    assert (field.size, field.stride) == (convolution.kernel_size, convolution.stride)
    assert fields["output"].stride == (0, 0)
    assert fields["output"].size == fields["output"].window(0, 0, shape[1:])[2:]


FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_32",
    "wide_resnet50_2",
]


@pytest.mark.usefixtures("quick_weights")
@pytest.mark.parametrize("name", FAMILIES)
def test_windows_are_what_units_see(name):
    """Compare the first, a middle and the last layer whose windows are in the image."""
    model = build(name)
    shape = (3, 224, 224) if name in ("maxvit_t", "vit_b_32") else (3, 160, 144)
    fields = receptive_field(model, shape)
    maps = record_activations(model, torch.rand(1, *shape))
    inside = [
        layer
        for layer, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and layer in fields
        and fields[layer].stride != (0, 0)
        and is_inside(fields[layer], maps[layer].shape, shape)
    ]
    model = positive(model)
    for layer in {inside[0], inside[len(inside) // 2], inside[-1]}:
        output, pixels = output_and_pixels(model, shape, layer)
        check_units(fields[layer], output, pixels, most=3)
    output, pixels = output_and_pixels(model, shape)
    assert box_of_all(output, pixels) == fields["output"].window(0, 0)


def is_inside(field, maps_shape, shape):
    """Tell whether the window of the unit in the centre is in the image."""
    centre = [size // 2 for size in maps_shape[-2:]]
    return field.window(*centre) == field.window(*centre, image_size=shape[1:])

import copy

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnnviz.architecture import LayerSummary, summarize
from cnnviz.geometry import output_size


def lenet():
    """Return LeNet-5 with full connections between its convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Dropout(0.5),
        nn.Linear(120, 10),
    )


def test_lenet_row_by_row():
    assert summarize(lenet(), (1, 32, 32)) == (
        LayerSummary("0", "Conv2d", (6, 28, 28), 156, "5×5"),
        LayerSummary("1", "Tanh", (6, 28, 28), 0, ""),
        LayerSummary("2", "AvgPool2d", (6, 14, 14), 0, "2×2, stride 2"),
        LayerSummary("3", "Conv2d", (16, 10, 10), 2416, "5×5"),
        LayerSummary("4", "Tanh", (16, 10, 10), 0, ""),
        LayerSummary("5", "AvgPool2d", (16, 5, 5), 0, "2×2, stride 2"),
        LayerSummary("6", "Flatten", (400,), 0, ""),
        LayerSummary("7", "Linear", (120,), 48120, "400 → 120"),
        LayerSummary("8", "Dropout", (120,), 0, "p = 0.5"),
        LayerSummary("9", "Linear", (10,), 1210, "120 → 10"),
    )


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # The numbers of parameters in the documentation of torchvision.
        ("alexnet", 61_100_840),
        ("vgg16", 138_357_544),
        ("resnet18", 11_689_512),
        ("densenet121", 7_978_856),
        ("mobilenet_v3_small", 2_542_856),
        ("convnext_tiny", 28_589_128),
        ("vit_b_16", 86_567_656),
    ],
)
def test_rows_of_known_networks_count_each_parameter_once(name, published):
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    rows = summarize(model, (3, 224, 224))
    assert sum(row.parameters for row in rows) == published
    assert rows[-1].output_shape in [(1000,), ()]


@pytest.mark.parametrize("name", ["resnet50", "googlenet", "vit_b_16", "swin_t"])
@pytest.mark.parametrize("depth", [1, 2, 3, 9])
def test_folded_rows_count_each_parameter_once(name, depth):
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, **options)
    rows = summarize(model, (3, 224, 224), depth)
    assert sum(row.parameters for row in rows) == sum(
        parameter.numel() for parameter in model.parameters()
    )
    assert (rows == summarize(model, (3, 224, 224))) == (depth == 9)


def test_resnet_in_blocks():
    with torch.device("meta"):
        model = torchvision.models.resnet50()
    rows = summarize(model, (3, 224, 224), depth=1)
    # Table 1 of He et al., 2016: the sizes of the outputs of each stage.
    assert [row[:3] for row in rows] == [
        ("conv1", "Conv2d", (64, 112, 112)),
        ("bn1", "BatchNorm2d", (64, 112, 112)),
        ("relu", "ReLU", (64, 112, 112)),
        ("maxpool", "MaxPool2d", (64, 56, 56)),
        ("layer1", "Sequential", (256, 56, 56)),
        ("layer2", "Sequential", (512, 28, 28)),
        ("layer3", "Sequential", (1024, 14, 14)),
        ("layer4", "Sequential", (2048, 7, 7)),
        ("avgpool", "AdaptiveAvgPool2d", (2048, 1, 1)),
        ("fc", "Linear", (1000,)),
    ]
    blocks = [row.name for row in summarize(model, (3, 224, 224), depth=2)]
    assert [name for name in blocks if name.startswith("layer4")] == [
        "layer4.0",
        "layer4.1",
        "layer4.2",
    ]


class Listed(nn.Module):
    """Blocks in a list and a dictionary, one inside the other; one has parameters."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        blocks = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)]
        self.blocks = nn.ModuleList([nn.ModuleDict({"a": blocks[0]}), *blocks[1:]])

    def forward(self, x):
        return self.blocks[1](self.blocks[0]["a"](x * self.weight))


def test_lists_of_modules_are_no_level():
    rows = summarize(Listed(), (4,), depth=1)
    assert rows == (
        LayerSummary("blocks.0.a", "Sequential", (4,), 20, ""),
        LayerSummary("blocks.1", "Sequential", (4,), 20, ""),
        LayerSummary("output", "Listed", (4,), 4, ""),
        LayerSummary("blocks.2", "Sequential", (), 20, "not called"),
    )


def test_parameters_beside_other_modules_have_a_row():
    with torch.device("meta"):
        model = torchvision.models.vit_b_16()
    rows = {row.name: row for row in summarize(model, (3, 224, 224))}
    assert rows["output"] == ("output", "VisionTransformer", (1000,), 768, "")
    assert rows["encoder"] == ("encoder", "Encoder", (197, 768), 197 * 768, "")


def test_parameters_that_do_not_run_have_a_row_at_the_end():
    with torch.device("meta"):
        model = torchvision.models.googlenet(init_weights=False)
    rows = summarize(model, (3, 224, 224))
    idle = [row for row in rows if row.description == "not called"]
    assert list(rows[-len(idle) :]) == idle
    assert {row.name.split(".")[0] for row in idle} == {"aux1", "aux2"}
    assert {row.output_shape for row in idle} == {()}
    assert sum(row.parameters for row in idle) == sum(
        parameter.numel()
        for auxiliary in (model.aux1, model.aux2)
        for parameter in auxiliary.parameters()
    )


class Shared(nn.Module):
    """A layer that runs twice, and one whose weight another one uses."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.alias = self.layer
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.layer.weight

    def forward(self, x):
        return self.tied(self.layer(self.alias(x)))


def test_what_is_shared_counts_once():
    rows = summarize(Shared(), (4,))
    assert [(row.name, row.parameters) for row in rows] == [
        ("layer", 20),
        ("layer:2", 0),
        ("tied", 4),
    ]


def test_shapes_are_those_of_the_first_output():
    model = nn.LSTM(3, 5, batch_first=True)
    (row,) = summarize(model, (7, 3))
    assert row == ("output", "LSTM", (7, 5), 4 * (5 * 3 + 5 * 5 + 2 * 5), "")


class Silent(nn.Module):
    def forward(self, x):
        return "nothing"


def test_a_layer_without_tensors_has_no_shape():
    assert summarize(Silent(), (1,)) == (LayerSummary("output", "Silent", (), 0, ""),)


@pytest.mark.parametrize(
    ("layer", "description"),
    [
        (nn.Conv2d(4, 8, 3, padding=1), "3×3"),
        (nn.Conv2d(4, 8, 3, stride=2), "3×3, stride 2"),
        (nn.Conv2d(4, 8, (1, 5), (1, 2)), "1×5, stride 1×2"),
        (nn.Conv2d(4, 4, 3, dilation=2, groups=4), "3×3, dilation 2, 4 groups"),
        (nn.ConvTranspose2d(4, 2, 2, 2), "2×2, stride 2"),
        (nn.MaxPool2d(3, 2), "3×3, stride 2"),
        (nn.MaxPool2d((2, 3), 1, dilation=2), "2×3, dilation 2"),
        (nn.AdaptiveAvgPool2d((None, 2)), "to 16×2"),
        (nn.AdaptiveMaxPool2d(1), "to 1×1"),
        (nn.Linear(16, 5), "16 → 5"),
        (nn.Dropout2d(0.25), "p = 0.25"),
        (nn.BatchNorm2d(4), ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_descriptions(layer, description):
    (row,) = summarize(layer, (4, 16, 16))
    assert row.description == description


@given(
    st.integers(8, 20),
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 4), st.integers(1, 2)),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=50)
def test_shapes_and_parameters_follow_the_formulas(input_size, kinds):
    layers, expected = [], []
    channels, size = 1, input_size
    for is_convolution, kernels, stride in kinds:
        if size < 3:
            break
        if is_convolution:
            layers.append(nn.Conv2d(channels, kernels, 3, stride))
            parameters, channels = kernels * (9 * channels + 1), kernels
        else:
            layers.append(nn.MaxPool2d(3, stride))
            parameters = 0
        size = output_size(size, 3, stride)
        expected.append(((channels, size, size), parameters))
    rows = summarize(nn.Sequential(*layers), (1, input_size, input_size))
    assert [(row.output_shape, row.parameters) for row in rows] == expected


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).double()
    model[1].eval()
    before = copy.deepcopy(model.state_dict())
    assert summarize(model, (1, 5, 5))[-1].output_shape == (2, 3, 3)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    for name, value in model.state_dict().items():
        assert torch.equal(before[name], value)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_that_fails_is_left_as_it_was_and_heard():
    model = lenet()
    message = r"input_shape must be .*, got \(1, 28, 28\): mat1 and mat2 shapes cannot"
    with pytest.raises(ValueError, match=message) as raised:
        summarize(model, (1, 28, 28))
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("depth", "error", "message"),
    [
        (0, ValueError, "depth must be an integer of at least 1, got 0"),
        ("all", TypeError, "depth must be an integer, got str 'all'"),
    ],
)
def test_bad_depths_are_refused(depth, error, message):
    with pytest.raises(error, match=message):
        summarize(lenet(), (1, 32, 32), depth)


@pytest.mark.parametrize(
    ("model", "shape", "error", "message"),
    [
        (
            lenet,
            (1, 32, 32),
            TypeError,
            "model must be a torch.nn.Module, got function",
        ),
        (nn.Flatten(), 784, TypeError, "input_shape must be a tuple of integers"),
        (nn.Flatten(), (), ValueError, r"input_shape must be a tuple .*, got \(\)"),
        (
            nn.Flatten(),
            (1, 2.5),
            TypeError,
            "input_shape must be an integer, got float",
        ),
        (
            nn.Flatten(),
            (1, -2),
            ValueError,
            "input_shape must be an integer of at least",
        ),
    ],
)
def test_bad_arguments_are_named(model, shape, error, message):
    with pytest.raises(error, match=message):
        summarize(model, shape)

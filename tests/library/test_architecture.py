import copy

import pytest
import torch
import torchinfo
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.ao import quantization
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from cnnviz.architecture import LayerSummary, summarize
from cnnviz.geometry import output_size
from cnnviz.models import count_parameters


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


def row(name, kind, shape, parameters, description, trainable=None):
    trainable = parameters if trainable is None else trainable
    return LayerSummary(name, kind, shape, parameters, description, trainable)


def test_lenet_row_by_row():
    assert summarize(lenet(), (1, 32, 32)) == (
        row("0", "Conv2d", (6, 28, 28), 156, "5x5"),
        row("1", "Tanh", (6, 28, 28), 0, ""),
        row("2", "AvgPool2d", (6, 14, 14), 0, "2x2, stride 2"),
        row("3", "Conv2d", (16, 10, 10), 2416, "5x5"),
        row("4", "Tanh", (16, 10, 10), 0, ""),
        row("5", "AvgPool2d", (16, 5, 5), 0, "2x2, stride 2"),
        row("6", "Flatten", (400,), 0, ""),
        row("7", "Linear", (120,), 48120, "400 -> 120"),
        row("8", "Dropout", (120,), 0, "p = 0.5"),
        row("9", "Linear", (10,), 1210, "120 -> 10"),
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
        ("flatten()", "flatten", (2048,)),
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
        row("mul()", "mul", (4,), 0, "function"),
        row("blocks.0.a", "Sequential", (4,), 20, ""),
        row("blocks.1", "Sequential", (4,), 20, ""),
        row("output", "Listed", (4,), 4, ""),
        row("blocks.2", "Sequential", (), 20, "not called"),
    )


def test_parameters_beside_other_modules_have_a_row():
    with torch.device("meta"):
        model = torchvision.models.vit_b_16()
    rows = {row.name: row for row in summarize(model, (3, 224, 224))}
    assert rows["output"] == row("output", "VisionTransformer", (1000,), 768, "")
    assert rows["encoder"] == row("encoder", "Encoder", (197, 768), 197 * 768, "")


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
    (only,) = summarize(model, (7, 3))
    assert only == row("output", "LSTM", (7, 5), 4 * (5 * 3 + 5 * 5 + 2 * 5), "")


class Silent(nn.Module):
    def forward(self, x):
        return "nothing"


def test_a_layer_without_tensors_has_no_shape():
    assert summarize(Silent(), (1,)) == (row("output", "Silent", (), 0, ""),)


@pytest.mark.parametrize(
    ("layer", "description"),
    [
        (nn.Conv2d(4, 8, 3, padding=1), "3x3"),
        (nn.Conv2d(4, 8, 3, stride=2), "3x3, stride 2"),
        (nn.Conv2d(4, 8, (1, 5), (1, 2)), "1x5, stride 1x2"),
        (nn.Conv2d(4, 4, 3, dilation=2, groups=4), "3x3, dilation 2, 4 groups"),
        (nn.ConvTranspose2d(4, 2, 2, 2), "2x2, stride 2"),
        (nn.MaxPool2d(3, 2), "3x3, stride 2"),
        (nn.MaxPool2d((2, 3), 1, dilation=2), "2x3, dilation 2"),
        (nn.AdaptiveAvgPool2d((None, 2)), "to 16x2"),
        (nn.AdaptiveMaxPool2d(1), "to 1x1"),
        (nn.Linear(16, 5), "16 -> 5"),
        (nn.Dropout2d(0.25), "p = 0.25"),
        (nn.BatchNorm2d(4), ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_descriptions(layer, description):
    (only,) = summarize(layer, (4, 16, 16))
    assert only.description == description


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


class Tutorial(nn.Module):
    """A classifier of 32 × 32 in the manner of PyTorch's tutorials."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc2(F.relu(self.fc1(x.view(x.size(0), -1).clone())))


class Skip(nn.Module):
    """A block with a connection around its layers, in and out of a U."""

    def __init__(self, inner=None):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.inner = inner
        if inner:
            self.up = nn.ConvTranspose2d(2, 2, 2, 2)

    def forward(self, x):
        y = self.conv(x).relu_()
        if self.inner:
            below = self.up(self.inner(F.max_pool2d(y, 2)))
            y = torch.cat([y, below], dim=1)[:, 1:3]
        y += x
        return y


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(5, 4)

    def forward(self, image, facts):
        return self.conv(image).mean(dim=(2, 3)) + self.fc(facts)


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        return self.fc((x + self.attention(x, x, x)[0])[:, 0])


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, words):
        return self.fc(self.lstm(self.embedding(words))[0][:, -1])


def frozen_backbone():
    model = torchvision.models.mobilenet_v2().requires_grad_(False)
    model.classifier = nn.Linear(1280, 5)
    return model


def normed(norm):
    return nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.Flatten(), norm(nn.Linear(64, 2)))


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
@pytest.mark.parametrize(
    ("make", "shapes", "beside"),
    [
        (Tutorial, [(3, 32, 32)], set()),
        (lambda: Skip(Skip()), [(2, 8, 8)], set()),
        (TwoInputs, [(1, 6, 6), (5,)], set()),
        (Attentive, [(4, 8)], {"output", "attention"}),
        (Recurrent, None, set()),
        (frozen_backbone, [(3, 64, 64)], set()),
        (lambda: torchvision.models.resnet18(), [(3, 64, 64)], set()),
        (lambda: torchvision.models.squeezenet1_1(), [(3, 64, 64)], set()),
        (lambda: normed(nn.utils.weight_norm), [(3, 6, 6)], set()),
        (lambda: normed(nn.utils.spectral_norm), [(3, 6, 6)], set()),
    ],
)
def test_layers_agree_with_torchinfo(make, shapes, beside):
    model = make()
    data = [torch.zeros(1, 7, dtype=torch.int64)]
    if shapes:
        data = [torch.zeros(1, *shape) for shape in shapes]
    rows = summarize(model, input_data=data)
    if shapes:
        assert rows == summarize(model, shapes)
    info = torchinfo.summary(model, input_data=data, depth=9, mode="eval", verbose=0)
    assert sum(row.parameters for row in rows) == info.total_params
    assert sum(row.trainable for row in rows) == info.trainable_params
    assert count_parameters(model) == info.total_params
    assert count_parameters(model, trainable=True) == info.trainable_params
    layers = [row for row in rows if row.description != "function"]
    assert {row.name for row in layers} >= beside
    assert [
        (row.kind, row.output_shape, row.parameters)
        for row in layers
        if row.name not in beside
    ] == [
        (
            each.class_name,
            tuple(each.output_size[1:]),
            0 if each.is_recursive else each.num_params,
        )
        for each in info.summary_list
        if each.is_leaf_layer and each.executed
    ]


@pytest.mark.parametrize(
    "norm",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ],
)
def test_parametrised_layers_are_rows_like_others(norm):
    rows = summarize(normed(norm), (3, 6, 6))
    assert [row.name for row in rows] == ["0", "1", "2"]
    assert [row.output_shape for row in rows] == [(4, 4, 4), (64,), (2,)]
    info = torchinfo.summary(normed(norm), (1, 3, 6, 6), verbose=0)
    assert sum(row.parameters for row in rows) == info.total_params
    assert [row.description for row in rows] == ["3x3", "", "64 -> 2"]


def test_functions_have_rows_where_they_are_called():
    rows = summarize(Tutorial(), (3, 32, 32))
    assert [(row.name, row.output_shape) for row in rows] == [
        ("conv1", (6, 28, 28)),
        ("relu()", (6, 28, 28)),
        ("pool", (6, 14, 14)),
        ("conv2", (16, 10, 10)),
        ("relu():2", (16, 10, 10)),
        ("pool:2", (16, 5, 5)),
        ("view()", (400,)),
        ("fc1", (120,)),
        ("relu():3", (120,)),
        ("fc2", (10,)),
    ]
    functions = [row for row in rows if row.description == "function"]
    assert [row.kind for row in functions] == ["relu", "relu", "view", "relu"]
    assert not any(row.parameters or row.trainable for row in functions)
    rows = summarize(Skip(Skip()), (2, 8, 8))
    assert [row.name for row in rows] == [
        *("conv", "relu()", "max_pool2d()"),
        *("inner.conv", "inner.relu()", "inner.add()"),
        *("up", "cat()", "getitem()", "add()"),
    ]
    rows = summarize(Skip(Skip()), (2, 8, 8), depth=1)
    assert [row.name for row in rows] == [
        *("conv", "relu()", "max_pool2d()", "inner", "up", "cat()", "getitem()"),
        "add()",
    ]


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: x + 1, "add"),
        (lambda x: 1 - x, "sub"),
        (lambda x: x.mul_(2), "mul"),
        (lambda x: 2 / x, "div"),
        (lambda x: 2**x, "pow"),
        (lambda x: x @ x, "matmul"),
        (lambda x: x // 2, "floordiv"),
        (lambda x: -x, "neg"),
        (lambda x: x.mT, "mT"),
        (lambda x: F.adaptive_max_pool2d(x, 2), "adaptive_max_pool2d"),
        (lambda x: torch.ops.aten.relu.default(x), "relu"),
        (lambda x: F.interpolate(x, scale_factor=2), "interpolate"),
        (lambda x: x.float().to(x.dtype).contiguous().detach().cpu(), None),
        (lambda x: torch.ones(3) + torch.ones(3), None),
        (lambda x: [x.size(), x.shape, x.ndim, x.dtype, len(x), x.is_cuda], None),
    ],
)
def test_functions_are_known_by_their_name(function, kind):
    class Calling(nn.Module):
        def forward(self, x):
            return function(x)

    found = [row.kind for row in summarize(Calling(), (2, 4, 4))]
    assert found == ([kind] if kind else ["Calling"])


class Caught(nn.Module):
    """Calls a layer that fails, and goes on without."""

    def __init__(self):
        super().__init__()
        self.broken, self.fc = nn.Sequential(nn.Linear(3, 3)), nn.Linear(2, 2)

    def forward(self, x):
        try:
            x = self.broken(x)
        except RuntimeError:
            x = F.relu(x)
        return self.fc(x)


def test_functions_after_a_failure_belong_to_who_calls_them():
    names = [row.name for row in summarize(Caught(), (2,))]
    assert names == ["relu()", "fc", "broken"]


def test_summaries_print_as_tables_of_ascii():
    model = Tutorial()
    model.conv1.requires_grad_(False)
    rows = summarize(model, (3, 32, 32))
    table = str(rows)
    assert table.isascii()
    assert repr(rows).isascii()
    lines = table.splitlines()
    assert len(lines) == 1 + len(rows) + 1
    assert lines[0].split() == ["layer", "kind", "output", "parameters"]
    assert lines[1].split() == [
        *("conv1", "Conv2d", "6", "x", "28", "x", "28", "456", "5x5")
    ]
    assert lines[-1].split() == ["total", "52,202", "456", "of", "them", "frozen"]
    whole = tuple(summarize(nn.Sequential(nn.Dropout(), nn.Linear(2, 3)), (2,)))
    assert repr(whole).isascii()


def statically_quantised():
    model = nn.Sequential(
        quantization.QuantStub(),
        nn.Conv2d(3, 6, 5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 28 * 28, 4),
        quantization.DeQuantStub(),
    ).eval()
    backend = torch.backends.quantized.engine
    model.qconfig = quantization.get_default_qconfig(backend)
    prepared = quantization.prepare(model)
    prepared(torch.rand(1, 3, 32, 32))
    return quantization.convert(prepared)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "described"),
    [
        (
            lambda: quantization.quantize_dynamic(Tutorial(), {nn.Linear}),
            {"fc1": "400 -> 120, quantised", "fc2": "120 -> 10, quantised"},
        ),
        (
            lambda: quantization.quantize_dynamic(
                Tutorial(), {nn.Linear}, dtype=torch.float16
            ),
            {"fc1": "400 -> 120, quantised", "fc2": "120 -> 10, quantised"},
        ),
        (
            statically_quantised,
            {"1": "5x5, quantised", "4": "4704 -> 4, quantised"},
        ),
    ],
)
def test_quantised_layers_have_rows(make, described):
    rows = {row.name: row for row in summarize(make(), (3, 32, 32))}
    for name, words in described.items():
        assert rows[name].description == words
        assert rows[name].output_shape
        assert rows[name].parameters == 0


@pytest.mark.filterwarnings("ignore")
def test_quantised_recurrent_layers_have_rows():
    model = quantization.quantize_dynamic(Recurrent(), {nn.LSTM, nn.Linear})
    words = torch.zeros(1, 7, dtype=torch.int64)
    rows = {row.name: row for row in summarize(model, input_data=words)}
    assert rows["lstm"].output_shape == (7, 10)
    assert rows["lstm"].description == "quantised"
    assert rows["fc"].description == "10 -> 2, quantised"


@pytest.mark.parametrize(
    ("shape", "data", "error", "message"),
    [
        (None, None, ValueError, "input_shape must be given, .* got neither"),
        ((5,), torch.ones(1, 5), ValueError, "input_shape must be given, .* got both"),
        (None, 5, TypeError, "input_data must be a tensor, or .*, got int 5"),
        (None, {}, TypeError, "input_data must be a tensor"),
        (None, [(1, 6, 6), (5,)], TypeError, "input_data must be a tensor"),
        ([(1, 6, 6), 5], None, TypeError, "input_shape must be a tuple .*, got int 5"),
        ([(1, 6, 6), ()], None, ValueError, "input_shape must be a tuple"),
        ([(1, 6, 6)], None, ValueError, r"got \(1, 6, 6\): .*'facts'"),
        ([(1, 6, 6), (4,)], None, ValueError, r"got \(1, 6, 6\), \(4,\): mat1"),
        (
            None,
            {"image": torch.ones(1, 1, 6, 6)},
            ValueError,
            "(?s)input_data must be what the model takes, got dict .*: .*'facts'",
        ),
    ],
)
def test_bad_inputs_are_named(shape, data, error, message):
    with pytest.raises(error, match=message):
        summarize(TwoInputs(), shape, input_data=data)


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

import copy
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from cnnviz.geometry import (
    ReceptiveField,
    effective_receptive_field,
    output_size,
    receptive_field,
)
from seen_pixels import check_units, output_and_pixels, positive

# Output size.


def pairs(low, high):
    number = st.integers(low, high)
    return st.one_of(number, st.tuples(number, number))


def torch_size(operation):
    """Return the size that PyTorch gives, None where it refuses."""
    try:
        return tuple(operation().shape[-2:])
    except RuntimeError:
        return None


def our_size(*arguments):
    """Return the size that we give, None where the kernel doesn't fit."""
    try:
        result = output_size(*arguments)
    except ValueError as error:
        if "kernel_size must be a window of at most" not in str(error):
            raise
        return None
    return result if isinstance(result, tuple) else (result, result)


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    pairs(1, 5),
    pairs(1, 4),
    pairs(0, 4),
    pairs(1, 3),
)
def test_output_size_is_that_of_conv2d(size, kernel, stride, padding, dilation):
    x = torch.zeros(1, 1, *size)
    weight = torch.zeros(1, 1, *(kernel if isinstance(kernel, tuple) else [kernel] * 2))
    expected = torch_size(
        lambda: nn.functional.conv2d(x, weight, None, stride, padding, dilation)
    )
    assert our_size(size, kernel, stride, padding, dilation) == expected


@given(
    st.integers(1, 14),
    st.integers(1, 6),
    st.integers(1, 6),
    st.data(),
    st.integers(1, 3),
    st.booleans(),
)
@settings(max_examples=300)
def test_output_size_is_that_of_max_pool2d(size, kernel, stride, data, dilation, ceil):
    padding = data.draw(st.integers(0, kernel // 2))
    x = torch.zeros(1, 1, size, size)
    expected = torch_size(
        lambda: nn.functional.max_pool2d(x, kernel, stride, padding, dilation, ceil)
    )
    assert our_size(size, kernel, stride, padding, dilation, ceil) == expected


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@given(
    pairs(1, 9),
    pairs(1, 4),
    pairs(1, 3),
    pairs(1, 2),
    st.sampled_from(["same", "valid"]),
)
def test_output_size_takes_the_paddings_of_conv2d(
    size, kernel, stride, dilation, padding
):
    sides = size if isinstance(size, tuple) else (size, size)
    weight = torch.zeros(1, 1, *(kernel if isinstance(kernel, tuple) else [kernel] * 2))
    if padding == "same" and stride not in (1, (1, 1)):
        with pytest.raises(ValueError, match='stride must be 1 with padding "same"'):
            output_size(size, kernel, stride, padding, dilation)
        return
    x = torch.zeros(1, 1, *sides)
    expected = torch_size(
        lambda: nn.functional.conv2d(x, weight, None, stride, padding, dilation)
    )
    assert our_size(size, kernel, stride, padding, dilation) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((4, 3), 2),  # figure 2.1 of Dumoulin and Visin
        ((5, 4, 1, 2), 6),  # figure 2.2
        ((5, 3, 1, 1), 5),  # figure 2.3
        ((5, 3, 1, 2), 7),  # figure 2.4
        ((5, 3, 2), 2),  # figure 2.5
        ((6, 3, 2, 1), 3),  # figure 2.7
        ((7, 3, 1, 0, 2), 3),  # figure 5.1
    ],
)
def test_output_size_is_that_of_the_guides_figures(arguments, expected):
    assert output_size(*arguments) == expected


def test_output_size_is_a_pair_if_any_argument_is():
    assert output_size(28, 3) == 26
    assert output_size((28, 28), 3) == (26, 26)
    assert output_size(28, (3, 5)) == (26, 24)
    assert output_size(28, 3, padding=[0, 1]) == (26, 28)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5, 8), ValueError, "kernel_size must be a window of at most the 5 padded"),
        ((5, 3, 1, 0, 4), ValueError, "got one of 9"),
        ((0, 3), ValueError, "size must be an integer of at least 1, got 0"),
        ((5, 3, 0), ValueError, "stride must be an integer of at least 1"),
        ((5, 3, 1, -1), ValueError, "padding must be an integer of at least 0"),
        ((5, 3, 1, "full"), ValueError, "padding must be one of 'same', 'valid'"),
        ((5, 3, 1, 0, 0), ValueError, "dilation must be an integer of at least 1"),
        ((5.0, 3), TypeError, "size must be an integer, got float 5.0"),
        ((5, (3, 3, 3)), ValueError, "kernel_size must be an integer or a pair"),
    ],
)
def test_output_size_says_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        output_size(*arguments)


# Receptive fields. Those of torchvision's models are in `test_any_model`.


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.dtype = nn.Parameter(torch.ones(()))
        self.function = function

    def forward(self, x):
        return self.function(x)


def ones_like(x, *shape):
    return torch.ones(shape, dtype=x.dtype, device=x.device)


def write_through_a_view(x):
    y = x.clone()
    turned = y.transpose(2, 3)
    part = y[:, :, 1:]
    part[:, :, :, :2] = x[:, :, :-1, -2:]
    part[:, :, ::2] += x.flip(3)[:, :, 1::2]
    return turned


def fill(x):
    y = torch.zeros_like(x)
    y[:, :1] = x[:, 1:]
    y[:, 1:, :-1] = x[:, :1, 1:]
    y[:, :, 3].zero_()
    return y


def exchange_data(x):
    y = torch.zeros_like(x)
    y.data = x.flip(2)
    return y


def space_to_depth(x):
    x = nn.functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    return nn.functional.pixel_unshuffle(x, 2)[:, 3:5]


def interpolating(**options):
    return lambda x: nn.functional.interpolate(x, **options)


def padding(mode):
    return lambda x: nn.functional.pad(x, (2, 1, 0, 1), mode=mode)


# They take (1, 2, H, W) and return (1, 2, H', W').
REARRANGING = {
    "transpose": lambda x: x.transpose(2, 3),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "flip": lambda x: x.flip(2),
    "flip both": lambda x: x.flip(2, 3),
    "roll": lambda x: x.roll((1, -2), (2, 3)),
    "roll all": lambda x: x.roll(3),
    "reshape": lambda x: x.reshape(*x.shape[:2], x.shape[3], x.shape[2]),
    "flatten": lambda x: (x.flatten(2) * 2).view(x.shape),
    "channels last": lambda x: x.to(memory_format=torch.channels_last) * 2,
    "depth to space": lambda x: nn.functional.pixel_shuffle(
        torch.cat([x, x.flip(2), x.flip(3), x], 1), 2
    ),
    "space to depth": space_to_depth,
    "unfold": lambda x: nn.functional.unfold(x, 2, padding=1).view(
        1, 8, x.shape[2] + 1, x.shape[3] + 1
    )[:, 2:4],
    "windows": lambda x: x.unfold(2, 2, 1).sum(-1),
    "shuffle": lambda x: nn.functional.channel_shuffle(x, 2),
    "pick": lambda x: x[:, :, [0, 2, 1]],
    "gather": lambda x: x.gather(3, torch.tensor([2, 0]).expand(*x.shape[:3], 2)),
    "repeat": lambda x: x.repeat(1, 1, 2, 1).repeat_interleave(2, 3),
    "split": lambda x: torch.cat(x.split(3, 3)[::-1], 3),
    "unbind": lambda x: torch.stack(x.unbind(2)[::-1], 2),
    "thin out": lambda x: x[:, :, ::2, 1::3],
    "crop": lambda x: nn.functional.pad(x, (-1, 1, 0, -1)),
    "reflect": padding("reflect"),
    "replicate": padding("replicate"),
    "circular": padding("circular"),
    "nearest": interpolating(scale_factor=2),
    "nearest uneven": interpolating(scale_factor=(1.5, 0.7)),
    "nearest exact": interpolating(size=(7, 10), mode="nearest-exact"),
    "bilinear": interpolating(scale_factor=2, mode="bilinear"),
    "bilinear corners": interpolating(size=(9, 7), mode="bilinear", align_corners=True),
    "bicubic": interpolating(scale_factor=2, mode="bicubic"),
    "antialias": interpolating(size=(5, 4), mode="bilinear", antialias=True),
    "area": interpolating(size=(5, 4), mode="area"),
    "excite": lambda x: x * nn.functional.adaptive_avg_pool2d(x, 1),
    "accumulate": lambda x: x.cumsum(3),
    "triangle": lambda x: x.tril(1),
    "shift": lambda x: x[:, :, 3:4] + x,
    "strides": lambda x: (
        x[:, :, : 2 * (x.shape[2] // 2) : 2] + x[:, :, x.shape[2] - x.shape[2] // 2 :]
    ),
    "write": write_through_a_view,
    "fill": fill,
    "linear": lambda x: (x.permute(0, 2, 3, 1) @ ones_like(x, 2, 2)).permute(
        0, 3, 1, 2
    ),
}


@st.composite
def layers(draw, channels=2):
    kinds = ["conv", "conv", "transposed", "max", "average", "function"]
    kind = draw(st.sampled_from(kinds))
    if kind == "function":
        name = draw(st.sampled_from(list(REARRANGING)))
        return Function(REARRANGING[name])
    dilation = draw(st.integers(1, 2))
    stride = draw(st.integers(1, 3))
    kernel = draw(st.integers(1, 3))
    if kind == "max":
        ceil = draw(st.booleans())
        return nn.MaxPool2d(kernel, stride, kernel // 2, dilation, ceil_mode=ceil)
    kernels = kernel, draw(st.integers(1, 4))
    if kind == "average":
        return nn.AvgPool2d(kernels, stride, ceil_mode=draw(st.booleans()))
    strides = stride, draw(st.integers(1, 2))
    padding = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    groups = draw(st.sampled_from([1, channels]))
    if kind == "transposed":
        extra = draw(st.integers(0, 1))
        return nn.ConvTranspose2d(
            channels, channels, kernels, strides, padding, extra, groups, True, dilation
        )
    mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
    if draw(st.booleans()):
        strides, padding = 1, "same"
    return nn.Conv2d(
        channels,
        channels,
        kernels,
        strides,
        padding,
        dilation,
        groups=groups,
        padding_mode=mode,
    )


class Branches(nn.Module):
    """Branches that meet by adding in place, or by concatenating and mixing again."""

    def __init__(self, *branches, concatenate):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.mix = nn.Conv2d(2 * len(branches), 2, 1) if concatenate else None

    def forward(self, x):
        outputs = [branch(x) for branch in self.branches]
        height, width = (min(y.shape[d] for y in outputs) for d in (2, 3))
        outputs = [y[:, :, :height, :width] for y in outputs]
        if self.mix:
            return self.mix(torch.cat(outputs, 1))
        total = outputs[0] * 1
        for output in outputs[1:]:
            total += output
        return total


@st.composite
def branches(draw):
    long = nn.Sequential(*draw(st.lists(layers(), min_size=1, max_size=2)))
    short = nn.Sequential(*draw(st.lists(layers(), max_size=1)))
    return Branches(long, short, concatenate=draw(st.booleans()))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@given(
    st.lists(st.one_of(layers(), branches()), min_size=1, max_size=4),
    st.tuples(st.integers(5, 12), st.integers(5, 12)),
)
@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_windows_are_what_units_see(parts, size):
    model, shape = nn.Sequential(*parts).double(), (2, *size)
    try:
        output, pixels = output_and_pixels(positive(model), shape)
    except (RuntimeError, IndexError):
        assume(False)  # a kernel that doesn't fit
    assume(0 < output[0].numel() < 1000)
    check_units(receptive_field(model, shape).get("output"), output, pixels)


def with_strides_at_the_end(model):
    """Change a ResNet to that of TF-slim, which strides in the last unit of a stage."""
    stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    for stage in stages[1:]:
        stage[0].conv2.stride = stage[0].downsample[0].stride = (1, 1)
    for stage in stages[:-1]:
        stage[-1].conv2.stride = (2, 2)
        stage[-1].downsample = nn.MaxPool2d(1, 2)
    return model


@pytest.mark.parametrize(
    ("name", "change", "shape", "layer", "size", "stride"),
    [
        # Araujo, Norris and Sim, 2019, table 1.
        ("alexnet", None, (3, 224, 224), "features", 195, 32),
        ("vgg16", None, (3, 224, 224), "features", 212, 32),
        ("inception_v3", None, (3, 299, 299), "Mixed_7c", 1311, 32),
        ("resnet50", with_strides_at_the_end, (3, 224, 224), "layer4", 483, 32),
        ("resnet101", with_strides_at_the_end, (3, 224, 224), "layer4", 1027, 32),
    ],
)
def test_receptive_fields_are_those_published(name, change, shape, layer, size, stride):
    options = {"init_weights": False} if "inception" in name else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **options)
    model = change(model) if change else model
    field = receptive_field(model, shape)[layer]
    assert field.size == (size, size)
    assert field.stride == (stride, stride)


def test_padding_moves_the_start_by_the_strides_before_it():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, (3, 1), 2, (1, 0)))
    fields = receptive_field(model, (1, 32, 32))
    assert fields == {
        "0": ReceptiveField((3, 3), (2, 2), (-1, -1)),
        "1": ReceptiveField((7, 3), (4, 4), (-3, -1)),
        "output": ReceptiveField((7, 3), (4, 4), (-3, -1)),
    }


WHOLE = ReceptiveField((12, 10), (0, 0), (0, 0))


class Attention(nn.MultiheadAttention):
    """Attention between the rows and columns of a map."""

    def forward(self, x):
        x = x.flatten(2).mT
        return super().forward(x, x, x)[0]


@pytest.mark.parametrize(
    "head",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Sequential(nn.Flatten(), nn.Linear(480, 3)),
        nn.Sequential(nn.Flatten(2), nn.Linear(120, 3), nn.ReLU()),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4),
        nn.LayerNorm((4, 12, 10)),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Sequential(torchvision.ops.SqueezeExcitation(4, 2), nn.Conv2d(4, 4, 3)),
        Attention(4, 2, batch_first=True),
    ],
    ids=lambda head: type(head).__name__,
)
def test_where_places_are_lost_units_see_the_whole_image(head):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), head)
    assert receptive_field(model, (1, 12, 10))["output"] == WHOLE


def test_pixels_that_no_unit_sees_are_not_in_the_common_window():
    model = nn.Sequential(nn.MaxPool2d(3), nn.AdaptiveAvgPool2d(1))
    field = receptive_field(model, (1, 8, 10))["output"]
    assert field == ReceptiveField((6, 9), (0, 0), (0, 0))
    thin_out, pad = nn.Conv2d(1, 1, 1, 3), nn.Conv2d(1, 1, 3, padding=1)
    hang_over = nn.MaxPool2d(2, ceil_mode=True)
    for behind in (pad, hang_over, nn.Sequential(pad, hang_over)):
        model = nn.Sequential(thin_out, behind, nn.Flatten())
        field = receptive_field(model, (1, 8, 9))["output"]
        assert field == ReceptiveField((7, 7), (0, 0), (0, 0))


def test_adaptive_pooling_of_equal_windows_keeps_places():
    field = receptive_field(nn.AdaptiveAvgPool2d((7, 4)), (1, 8, 8))["output"]
    assert field == ReceptiveField((2, 2), (1, 2), (0, 0))


def same_by_rows(x):
    """Mix channels as a matrix product over all places of all images."""
    weight = torch.ones(2, 2, dtype=x.dtype, device=x.device)
    return nn.functional.linear(x.permute(0, 2, 3, 1), weight).permute(0, 3, 1, 2)


def same_by_columns(x):
    """Mix channels as a matrix product from the left."""
    weight = torch.ones(2, 2, dtype=x.dtype, device=x.device)
    return torch.einsum("nchw,dc->ndhw", x, weight)


FUNCTIONS = REARRANGING | {
    "pad": lambda x: nn.functional.pad(x, (1, 2, 3, 0)),
    "slice": lambda x: x[:, :, 2:-1, 3:],
    "transpose twice": lambda x: nn.functional.avg_pool2d(x.mT, (1, 3)).mT,
    "split channels": lambda x: torch.cat(
        [nn.functional.avg_pool2d(x[:, :1], 3), nn.functional.avg_pool2d(x[:, 1:], 3)],
        1,
    ),
    "chunk": lambda x: torch.add(*nn.functional.avg_pool2d(x, (3, 1), 1).chunk(2, 1)),
    "unbind channels": lambda x: torch.stack(x.unbind(1), 1) + x[:, 0].unsqueeze(1),
    "stack last": lambda x: nn.functional.avg_pool2d(
        torch.stack([x, x], -1).sum(-1), 2
    ),
    "stack first": lambda x: torch.stack([x, 2 * x]).sum(0),
    "pool channels": lambda x: nn.functional.avg_pool2d(
        nn.functional.adaptive_avg_pool2d(x.transpose(1, 2), (2, 11)), (2, 1)
    ).transpose(1, 2),
    "rows": same_by_rows,
    "columns": same_by_columns,
    "shuffle and pool": lambda x: nn.functional.avg_pool2d(
        nn.functional.channel_shuffle(x, 2), 2
    ),
    "reduce": lambda x: x.sum(1, keepdim=True) + x.amax(1)[:, None],
    "normalize": lambda x: nn.functional.layer_norm(
        x.permute(0, 2, 3, 1), (2,)
    ).permute(0, 3, 1, 2),
    "broadcast": lambda x: x[:, :1].expand(1, 3, -1, -1) * torch.ones(3, 1, 1).to(x),
    "softmax": lambda x: nn.functional.softmax(x, 1)[:, :1],
    "batch norm": lambda x: torch.ops.aten._native_batch_norm_legit_no_training(
        x, None, None, torch.zeros(2).to(x), torch.ones(2).to(x), 0.1, 1e-5
    )[0],
    "response norm": lambda x: nn.functional.avg_pool2d(
        nn.functional.local_response_norm(x, 2), 2
    ),
    "new": lambda x: x + torch.zeros_like(x) + x.new_ones(1),
    "activate": lambda x: nn.functional.hardswish(
        nn.functional.silu(nn.functional.prelu(x, torch.ones(1).to(x)))
    ),
    "pool": lambda x: nn.functional.lp_pool2d(x, 2, 2),
    "one row": lambda x: nn.functional.conv2d(x, torch.ones(1, 2, x.shape[2], 1).to(x)),
    "uneven parts": nn.AdaptiveAvgPool2d((9, 7)),
    "gate": lambda x: nn.functional.glu(x[..., :10], 3),
    "three dimensions": lambda x: nn.functional.interpolate(
        nn.functional.conv_transpose3d(
            x[:, None], ones_like(x, 1, 1, 1, 3, 2), stride=(1, 2, 1)
        ),
        size=(2, 8, 14),
        mode="trilinear",
    )[:, 0],
    "line": lambda x: nn.functional.conv1d(
        x.flatten(1, 2), ones_like(x, 26, 1, 3), padding=1, groups=26
    ).view(1, 2, 13, 11),
    "attention by rows": lambda x: nn.functional.scaled_dot_product_attention(x, x, x),
    "attention to rows before": lambda x: nn.functional.scaled_dot_product_attention(
        x, x, x, is_causal=True
    )[:, :, 1:],
    "depth of one": lambda x: nn.functional.conv3d(
        x.unsqueeze(-1), ones_like(x, 2, 2, 1, 1, 3), padding=(0, 0, 1)
    ).squeeze(-1),
    "convolve twice": lambda x: nn.functional.conv2d(
        nn.functional.conv2d(x, torch.ones(1, 2, 3, 3).to(x), padding="same"),
        torch.ones(1, 1, 2, 2).to(x),
    ),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_windows_are_followed_through_functions(function):
    model, shape = Function(function).double(), (2, 13, 11)
    field = receptive_field(model, shape)["output"]
    try:
        check_units(field, *output_and_pixels(model, shape))
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        pytest.skip(f"this PyTorch has no gradient to compare with ({error})")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: torch.ones(13, 13) @ x, ((13, 1), (0, 1), (0, 0))),
        (lambda x: x @ torch.ones(11, 11), ((1, 11), (1, 0), (0, 0))),
        (
            lambda x: nn.functional.conv2d(x, x[:, :, :3, :3].expand(2, -1, -1, -1)),
            ((13, 11), (0, 0), (0, 0)),
        ),
        (lambda x: x.softmax(2), ((13, 1), (0, 1), (0, 0))),
        (lambda x: x + x.sum(), ((13, 11), (0, 0), (0, 0))),
        (lambda x: x * x.mean(3, keepdim=True), ((1, 11), (1, 0), (0, 0))),
        (
            lambda x: nn.functional.conv2d(
                x.mT.permute(0, 3, 1, 2), torch.ones(13, 13, 1, 3)
            ),
            ((13, 3), (0, 1), (0, 0)),
        ),
    ],
)
def test_axes_are_lost_where_operations_mix_all_places(function, expected):
    field = receptive_field(Function(function), (2, 13, 11))["output"]
    assert field == ReceptiveField(*expected)


def test_axes_of_a_single_unit_are_told_apart():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, (3, 1), padding=(1, 0)))
    field = receptive_field(model, (1, 3, 3))["output"]
    assert field == ReceptiveField((5, 3), (1, 1), (-1, 0))


def test_names_are_those_of_recorded_activations():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.constant = Function(lambda x: torch.ones(3))

        def forward(self, x):
            self.constant(x)
            return {"small": self.pool(self.pool(x)), "same": (x, 1)}

    fields = receptive_field(Several(), (1, 8, 8))
    assert {name: field.size[0] for name, field in fields.items()} == {
        "pool": 2,
        "pool:2": 4,
        "output[small]": 4,
        "output[same][0]": 1,
    }


@pytest.mark.parametrize(
    ("layers", "unit", "window"),
    [
        (
            [nn.Conv2d(1, 2, 3, 2), nn.Conv2d(2, 2, 3, padding=1)],
            (6, 12),
            (10, 22, 17, 27),
        ),
        ([nn.Conv2d(1, 2, 3, padding=2, dilation=2)], (0, 1), (0, 1, 3, 4)),
        ([nn.Conv2d(1, 2, 3, padding=5)], (0, 20), (0, 0, 0, 0)),
    ],
    ids=["last pixels", "gaps", "padding alone"],
)
def test_padding_is_left_out_layer_by_layer(layers, unit, window):
    field = receptive_field(nn.Sequential(*layers), (1, 28, 28))["output"]
    assert field.window(*unit, image_size=28) == window


@pytest.mark.parametrize(
    ("change", "field"),
    [
        # Regular grids, also where they are turned round.
        (lambda x: x.flip(2), ((3, 3), (-1, 1), (12, -1))),
        (padding("reflect"), ((3, 3), (1, 1), (-1, -3))),
        (interpolating(scale_factor=0.5), ((3, 3), (2, 2), (-1, -1))),
        # No grid: rows go along x; units that lie half a pixel apart; both ends.
        (lambda x: x.transpose(2, 3), ((3, 3), (0, 0), (0, 0))),
        (interpolating(scale_factor=2), ((3, 3), (0, 0), (0, 0))),
        (padding("circular"), ((3, 3), (0, 0), (0, 7))),
    ],
)
def test_grids_are_named_where_there_are_some(change, field):
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), Function(change))
    assert receptive_field(model, (1, 14, 10))["output"] == ReceptiveField(*field)


class Recurrent(nn.LSTM):
    """The rows of a map as a sequence."""

    def forward(self, x):
        return super().forward(x.flatten(2))[0][:, :, None]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            Function(
                lambda x: torchvision.ops.deform_conv2d(
                    x, torch.zeros(1, 18, 11, 9), torch.ones(2, 2, 3, 3)
                )
            ),
            "torchvision::deform_conv2d",
        ),
        (Recurrent(143, 4, batch_first=True), "aten::mkldnn_rnn_layer"),
        (Function(lambda x: torch.fft.rfft2(x).real), "aten::_fft_r2c"),
        (Function(torch.inference_mode()(torch.relu)), r"torch.inference_mode\(\)"),
        (Function(lambda x: x / (1 + x.max().item())), "aten.* reads a value"),
        (Function(lambda x: x + 1 if x.sum() > 0 else 2 * x), "aten.* reads a value"),
        (Function(lambda x: torch.from_numpy(x.numpy())), "Tensor.numpy"),
        (Function(lambda x: torch.tensor(np.asarray(x))), "Tensor.__array__"),
        (Function(lambda x: torch.tensor(x.tolist())), "Tensor.tolist"),
        (
            Function(lambda x: torch.from_dlpack(x.flip(2))),
            "aten::is_pinned|Tensor.__dlpack__",
        ),
        (Function(exchange_data), "Tensor.data"),
        (Function(lambda x: x.gather(2, x.long())), "aten::gather of computed places"),
    ],
)
def test_what_cannot_be_followed_is_named(layer, message):
    shape = (2, 13, 11)
    with pytest.raises(ValueError, match=f"model must be .* got ({message}).* 'layer'"):
        receptive_field(nn.Sequential(OrderedDict(layer=layer)), shape)
    conv = nn.Conv2d(2, 2, 3, padding=1)
    model = nn.Sequential(OrderedDict(conv=conv, layer=layer, relu=nn.ReLU()))
    with pytest.warns(UserWarning, match=f"'layer' and 2 more.*({message}).* 'layer'"):
        fields = receptive_field(model, shape)
    assert fields == {"conv": ReceptiveField((3, 3), (1, 1), (-1, -1))}
    assert not any(module._forward_hooks for module in model.modules())


def test_windows_in_the_image_and_beyond():
    field = ReceptiveField((7, 5), (2, 4), (-3, 0))
    assert field.window(0, 0) == (-3, 0, 4, 5)
    assert field.window(3, 2) == (3, 8, 10, 13)
    assert field.window(0, 0, image_size=(8, 9)) == (0, 0, 4, 5)
    assert field.window(3, 2, image_size=(8, 9)) == (3, 8, 8, 9)
    assert field.window(9, 0, image_size=8) == (8, 0, 8, 5)
    with pytest.raises(
        ValueError, match="row must be an integer of at least 0, got -1"
    ):
        field.window(-1, 0)
    field = receptive_field(nn.Conv2d(1, 1, 3), (1, 8, 9))["output"]
    with pytest.raises(ValueError, match=r"column must be below 7, .*, got 7"):
        field.window(5, 7)
    with pytest.raises(
        ValueError, match=r"image_size must be \(8, 9\), .*, got \(9, 9"
    ):
        field.window(5, 6, image_size=9)


def test_models_are_left_as_they_were():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    model[1].eval()
    before = copy.deepcopy(model.state_dict())
    receptive_field(model, (1, 8, 8))
    effective_receptive_field(model, torch.rand(2, 1, 8, 8), "2")
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(
        torch.equal(before[name], value) for name, value in model.state_dict().items()
    )
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("model", "shape", "error", "message"),
    [
        ("resnet", (3, 8, 8), TypeError, "model must be a torch.nn.Module, got str"),
        (
            nn.Flatten(),
            (8, 8),
            ValueError,
            r"input_shape must be the shape \(C, H, W\)",
        ),
        (nn.Flatten(), 8, TypeError, r"input_shape must be the shape \(C, H, W\)"),
        (nn.Flatten(), (1, 8, 0), ValueError, "input_shape must be an integer of at"),
        (nn.Conv2d(1, 1, 9), (1, 8, 8), ValueError, r"\(1, 8, 8\): .*Kernel size"),
    ],
)
def test_receptive_field_says_what_is_wrong(model, shape, error, message):
    with pytest.raises(error, match=message):
        receptive_field(model, shape)


# The effective receptive field.


def linear_network():
    """Return two convolutions with kernels of ones, and one that a ReLU overwrites."""
    model = nn.Sequential(
        nn.Conv2d(2, 1, 3, bias=False),
        nn.Conv2d(1, 3, 3, padding=1, bias=False),
        nn.ReLU(inplace=True),
    )
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    return model


def test_effective_field_of_equal_weights_is_a_pyramid():
    model = linear_network()
    field = effective_receptive_field(model, torch.rand(3, 2, 11, 9), "1")
    pyramid = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) / 9
    expected = np.zeros((11, 9))
    expected[3:8, 2:7] = pyramid
    np.testing.assert_allclose(field, expected)


def test_effective_field_is_that_of_the_layer_not_of_what_overwrites_it():
    model = linear_network()
    nn.init.constant_(model[1].weight, -1)
    x = torch.rand(1, 2, 9, 9)
    assert effective_receptive_field(model, x, "1").max() == 1
    assert not effective_receptive_field(model, x, "2").any()


def test_effective_field_lies_in_the_window_and_weighs_the_mean_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.Tanh(), nn.MaxPool2d(3, 2, 1))
    x = torch.randn(4, 3, 31, 27)
    field = effective_receptive_field(model, x, "output")

    pixels = x.clone().requires_grad_()
    output = model(pixels)
    row, column = output.shape[2] // 2, output.shape[3] // 2
    output[:, :, row, column].sum().backward()
    expected = pixels.grad.abs().mean((0, 1)).numpy()
    np.testing.assert_allclose(field, expected / expected.max(), rtol=1e-5)

    window = receptive_field(model, x.shape[1:])["output"].window(row, column)
    outside = np.ones_like(field, dtype=bool)
    outside[window[0] : window[2], window[1] : window[3]] = False
    assert not field[outside].any()
    assert field[~outside].any()
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("x", "layer", "error", "message"),
    [
        (np.zeros((1, 2, 9, 9)), "1", TypeError, "x must be a floating-point tensor"),
        (torch.zeros(1, 2, 9, 9).int(), "1", TypeError, "got Tensor of shape"),
        (torch.zeros(2, 9, 9), "1", ValueError, r"x must be images \(N, C, H, W\)"),
        (torch.full((1, 2, 9, 9), torch.nan), "1", ValueError, "finite"),
        (
            torch.zeros(1, 2, 9, 9),
            "conv",
            ValueError,
            "got 'conv' .it has 0, 1, 2, out",
        ),
        (torch.zeros(1, 2, 9, 9), "outputs", ValueError, "'outputs' .close: output"),
    ],
)
def test_effective_field_says_what_is_wrong(x, layer, error, message):
    with pytest.raises(error, match=message):
        effective_receptive_field(linear_network(), x, layer)


def test_effective_field_of_a_layer_that_sees_nothing_is_refused():
    for constant in (
        torch.ones(1, 1, 3, 3),
        torch.ones(1, 1, 3, 3, requires_grad=True),
    ):
        model = Function(lambda x, constant=constant: constant * 1)
        with pytest.raises(ValueError, match="layer must be a layer that depends on x"):
            effective_receptive_field(model, torch.rand(1, 1, 4, 4), "output")


def test_effective_field_in_inference_mode_is_the_same_or_refused():
    model, x = linear_network(), torch.rand(1, 2, 9, 9)
    expected = effective_receptive_field(model, x, "1")
    with torch.inference_mode():
        for pixels in (x, x.clone()):
            field = effective_receptive_field(model, pixels, "1")
            np.testing.assert_array_equal(field, expected)
        made_in_it = linear_network()
    with pytest.raises(ValueError, match=r"model must be made outside torch.inference"):
        effective_receptive_field(made_in_it, x, "1")
    inside = Function(torch.inference_mode()(model.forward))
    with pytest.raises(ValueError, match="runs with gradients, got 'output'"):
        effective_receptive_field(inside, x, "output")


@given(st.data())
def test_a_window_is_that_of_the_first_unit_moved_by_strides(data):
    number = st.integers(1, 9)
    size, stride = data.draw(st.tuples(number, number)), data.draw(pairs(0, 4))
    stride = stride if isinstance(stride, tuple) else (stride, stride)
    start = data.draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
    row, column = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    height, width = data.draw(number), data.draw(number)
    field = ReceptiveField(size, stride, start)
    top, left, bottom, right = field.window(row, column)
    assert (bottom - top, right - left) == size
    assert top == start[0] + row * stride[0]
    assert left == start[1] + column * stride[1]
    rows, columns = set(range(top, bottom)), set(range(left, right))
    top, left, bottom, right = field.window(row, column, (height, width))
    assert set(range(top, bottom)) == rows & set(range(height))
    assert set(range(left, right)) == columns & set(range(width))
    assert 0 <= top <= bottom <= height
    assert 0 <= left <= right <= width


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2)), min_size=1, max_size=3),
    st.integers(11, 16),
    st.integers(11, 16),
)
@settings(max_examples=25)
def test_effective_field_of_positive_weights_fills_the_window(layers, height, width):
    model = nn.Sequential(*[nn.Conv2d(1, 1, k, s) for k, s in layers])
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.5, 1)
    size = (height, width)
    for kernel, stride in layers:
        assume(min(size) >= kernel)
        size = output_size(size, kernel, stride)
    x = torch.rand(2, 1, height, width)
    field = effective_receptive_field(model, x, "output")
    middle = (side // 2 for side in size)
    window = receptive_field(model, (1, height, width))["output"].window(*middle)
    inside = np.zeros((height, width), bool)
    inside[window[0] : window[2], window[1] : window[3]] = True
    if all(stride <= kernel for kernel, stride in layers):  # else pixels are left out
        assert ((field > 0) == inside).all()
    assert not field[~inside].any()
    assert field.max() == 1


def test_effective_field_asks_for_images_where_something_of_all_is_measured():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 4))
    x = torch.rand(1, 1, 5, 5)
    field = effective_receptive_field(model, x, "2")
    pixels = x.clone().requires_grad_()
    model(pixels).sum().backward()
    expected = pixels.grad.abs()[0, 0].double()
    np.testing.assert_allclose(field, expected / expected.max(), rtol=1e-6)

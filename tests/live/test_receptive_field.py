"""Receptive fields, in a browser, against the geometry and the gradients of torch."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

import playing
from cnnviz import live
from cnnviz.geometry import receptive_field
from cnnviz.models import CNN

TAG = "cnn-receptive-field"
IMAGE = np.random.default_rng(0).integers(0, 256, (17, 23), np.uint8)
LIST = "conv 3, pool 2, conv 3 padding 1"
RESNET = "conv 7 stride 2 padding 3, pool 3 stride 2 padding 1" + ", ".join(
    ["", *["conv 3 padding 1"] * 4]
    + (["conv 3 stride 2 padding 1"] + ["conv 3 padding 1"] * 3) * 3
)


def random_list(chance, most=5):
    """Return a list as text, and as a network in which every weight is 1."""
    parts, layers = [], []
    for _ in range(chance.randint(1, most)):
        kind = chance.choice(["conv", "pool"])
        size = chance.randint(1, 4)
        settings = {
            "stride": chance.randint(1, 3),
            "padding": chance.randint(0, size // 2),
            "dilation": chance.randint(1, 2),
        }
        kept = {
            name: value for name, value in settings.items() if chance.random() < 0.6
        }
        order = chance.sample(list(kept), len(kept))
        parts.append(" ".join([f"{kind} {size}", *(f"{n} {kept[n]}" for n in order)]))
        if kind == "pool":
            layers.append(nn.MaxPool2d(size, **kept))
        else:
            layers.append(nn.Conv2d(1, 1, size, **kept, bias=False))
    return ", ".join(parts), layers


def generated(count, seed):
    """Return lists which fit into the picture, each with the fields of its layers."""
    chance, found = random.Random(seed), []
    while len(found) < count:
        text, layers = random_list(chance)
        model = nn.Sequential(*layers)
        try:
            fields = receptive_field(model, (1, *IMAGE.shape))
            sizes, x = [], torch.zeros(1, 1, *IMAGE.shape)
            for layer in layers:
                x = layer(x)
                sizes.append(list(x.shape[2:]))
        except (ValueError, RuntimeError):
            continue
        fields = [fields[str(i)] for i in range(len(layers))]
        found.append((text, layers, sizes, fields))
    return found


def tell(page, settings):
    """Put the figure into each of the states, and return what it then says."""
    return page.evaluate(
        """async ([tag, settings]) => {
          const figure = document.querySelector(tag);
          const told = [];
          for (const state of settings) {
            figure.state = state;
            await figure.drawn;
            const { layers, sees, seenBy } = figure;
            const message = figure.find(".message").textContent;
            told.push({ layers, sees, seenBy, message });
          }
          return told;
        }""",
        [TAG, settings],
    )


def test_fields_are_those_of_geometry(open_figure):
    page = open_figure(live.receptive_field(LIST, IMAGE))
    lists = generated(60, seed=1)
    for (text, _, sizes, fields), told in zip(
        lists, tell(page, [{"list": text} for text, *_ in lists]), strict=True
    ):
        for size, field, layer in zip(sizes, fields, told["layers"][1:], strict=True):
            assert layer["sides"] == size, text
            assert (layer["field"],) * 2 == field.size, text
            assert (layer["stride"],) * 2 == field.stride, text
            assert (layer["start"],) * 2 == field.start, text


def said(text, counts):
    """Return whether a slice is the smallest that holds all that is not 0."""
    if not counts.any():
        return "-1:0" in text
    rows, columns = counts.any(axis=1).nonzero()[0], counts.any(axis=0).nonzero()[0]
    return text == f"[{rows[0]}:{rows[-1] + 1}, {columns[0]}:{columns[-1] + 1}]"


def paths(layers):
    """Return how many paths lead from each pixel to each unit, by PyTorch."""
    x = torch.zeros(1, 1, *IMAGE.shape, requires_grad=True, dtype=torch.float64)
    y = x
    for layer in layers:
        settings = {
            name: getattr(layer, name) for name in ("stride", "padding", "dilation")
        }
        size = layer.kernel_size
        kernel = torch.ones(1, 1, *(size if isinstance(size, tuple) else (size, size)))
        y = nn.functional.conv2d(y, kernel.double(), **settings)
    units = y.shape[2:]
    jacobian = [torch.autograd.grad(u, x, retain_graph=True)[0] for u in y.flatten()]
    return torch.stack(jacobian).reshape(*units, *IMAGE.shape).numpy()


def test_windows_hold_what_has_a_gradient_both_ways(open_figure):
    page = open_figure(live.receptive_field(LIST, IMAGE))
    chance = random.Random(2)
    for text, layers, sizes, fields in generated(12, seed=2):
        counts = paths(layers)
        units = [[chance.randrange(n) for n in sizes[-1]] for _ in range(8)]
        field = fields[-1]
        middle = [
            [
                start + i * stride + (size - 1) // 2
                for i, size, stride, start in zip(unit, *field, strict=True)
            ]
            for unit in units
        ]
        settings = [
            {"list": text, "layer": len(layers), "at": f"{y},{x}"} for y, x in middle
        ]
        for unit, (y, x), told in zip(units, middle, tell(page, settings), strict=True):
            assert said(told["sees"], counts[tuple(unit)]), text
            window = field.window(*unit)
            if min(window) >= 0 and window[2] <= 17 and window[3] <= 23:
                top, left, bottom, right = window
                assert told["sees"] == f"[{top}:{bottom}, {left}:{right}]"
            if 0 <= y < 17 and 0 <= x < 23:
                assert said(told["seenBy"], counts[:, :, y, x]), text


def colours(page):
    """Return the pixels that the picture shows."""
    return page.locator(".panels canvas").first.evaluate(
        """(canvas) => {
          const { width, height } = canvas;
          const context = new OffscreenCanvas(width, height).getContext("2d");
          context.drawImage(canvas, 0, 0);
          return Array.from(context.getImageData(0, 0, width, height).data);
        }"""
    )


def test_colour_is_the_root_mean_square_of_random_gradients(open_figure):
    text = "conv 3, conv 2 stride 2, conv 3 padding 1"
    black = np.zeros((12, 12), np.uint8)
    page = open_figure(live.receptive_field(text, black))
    tell(page, [{"at": "4,6"}])
    red = np.reshape(colours(page), (12, 12, 4))[..., 0]
    torch.manual_seed(0)
    nets = 3000
    x = torch.zeros(nets, 1, 12, 12, requires_grad=True)
    y = x.transpose(0, 1)
    for kernel, settings in ((3, {}), (2, {"stride": 2}), (3, {"padding": 1})):
        weight = torch.randint(2, (nets, 1, kernel, kernel)) * 2.0 - 1
        y = nn.functional.conv2d(y, weight, groups=nets, **settings)
    row, column = 2, 3
    gradient = torch.autograd.grad(y[..., row, column].sum(), x)[0][:, 0]
    measured = gradient.square().mean(dim=0).sqrt().numpy()
    share = red / 212
    scale = (measured * share).sum() / (share**2).sum()
    np.testing.assert_allclose(measured / scale, share, atol=0.05)
    assert ((red > 0) == (measured > 0)).all()


def test_colour_is_the_root_of_the_number_of_paths(open_figure):
    page = open_figure(live.receptive_field(LIST, np.zeros((17, 23), np.uint8)))
    for text, layers, sizes, fields in generated(6, seed=5):
        counts = paths(layers)
        unit = [n // 2 for n in sizes[-1]]
        size, stride, start = fields[-1]
        at = [
            s + i * d + (n - 1) // 2
            for i, n, d, s in zip(unit, size, stride, start, strict=True)
        ]
        tell(page, [{"list": text, "layer": len(layers), "at": f"{at[0]},{at[1]}"}])
        red = np.reshape(colours(page), (17, 23, 4))[..., 0]
        share = np.sqrt(counts[tuple(unit)])
        assert np.abs(red - 212 * share / (share.max() or 1)).max() <= 1


def test_networks_become_lists_with_the_same_fields(open_figure):
    resnet = resnet18(weights=None).eval()
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, dilation=2), nn.ReLU(), nn.AvgPool2d(3, 2, 1)
    )
    stages = [resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4]
    blocks = [block for stage in stages for block in stage]
    convs = [conv for block in blocks for conv in (block.conv1, block.conv2)]
    path = nn.Sequential(resnet.conv1, resnet.maxpool, *convs)
    nets = {"CNN": CNN(), "ResNet-18": path, "mine": model}
    images = {"CNN": IMAGE[:1, :1].repeat(28, 0).repeat(28, 1)}
    images |= {name: np.zeros((64, 64)) for name in ("ResNet-18", "mine")}
    figure = live.receptive_field(nets, images)
    lists = {name: net["list"] for name, net in figure.data.items()}
    assert lists["ResNet-18"] == RESNET
    assert lists["CNN"] == "conv 5, pool 2, conv 5, pool 2"
    assert lists["mine"] == "conv 3 stride 2 dilation 2, pool 3 stride 2 padding 1"
    page = open_figure(figure)
    for name, net, shape, layers in (
        ("CNN", CNN(), (1, 28, 28), {"conv1": 1, "pool1": 2, "conv2": 3, "relu2": 4}),
        ("mine", model, (1, 64, 64), {"0": 1, "2": 2}),
        (
            "ResNet-18",
            resnet,
            (3, 64, 64),
            {
                "conv1": 1,
                "maxpool": 2,
                "layer1": 6,
                "layer2": 10,
                "layer3": 14,
                "layer4": 18,
            },
        ),
    ):
        page.get_by_label("example").select_option(name)
        playing.drawn(page)
        assert page.get_by_role("textbox", name="layers").input_value() == lists[name]
        (told,) = tell(page, [{}])
        assert (
            len(told["layers"]) - 1
            == max(layers.values())
            == playing.state(page)["layer"]
        )
        fields = receptive_field(net, shape)
        for layer, number in layers.items():
            shown = told["layers"][number]
            assert (shown["field"],) * 2 == fields[layer].size
            assert (shown["stride"],) * 2 == fields[layer].stride
            assert (shown["start"],) * 2 == fields[layer].start


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Layer 1, “”: write conv or pool"),
        ("conv 3, conf 3", "Layer 2, “conf 3”: write conv or pool"),
        ("conv three", "“conv three”: write"),
        ("conv 0", "“conv 0”: write"),
        ("pool 2 stride 0", "“pool 2 stride 0”: write"),
        ("conv -3", "“conv -3”: write"),
        ("conv 3 stride", "“conv 3 stride”: write"),
        ("conv 3 strides 2", "“conv 3 strides 2”: write"),
        ("conv 1e9", "“conv 1e9”: write"),
        ("conv 1000000000", "up to 99"),
        ("conv 3 <b>x</b>", "“conv 3 <b>x</b>”"),
        ("conv 3,, pool 2", "Layer 2, “”"),
        ("conv 3, conv 17", "Layer 2, “conv 17”: its window exceeds the map, 15×21"),
        ("conv 3 dilation 9", "exceeds the map, 17×23"),
        (
            ", ".join(["conv 1 padding 99"] * 9),
            "Layer 6, “conv 1 padding 99”: over 1024",
        ),
        (
            ", ".join(["conv 1"] * 1000),
            "Layer 101, “conv 1”: over 1024 units a side, or 100",
        ),
    ],
)
def test_a_bad_list_is_told_and_the_last_good_one_stays(page_of_list, text, message):
    page = page_of_list
    (good,) = tell(page, [{"list": LIST, "at": "8,11"}])
    bad, moved = tell(page, [{"list": text}, {"at": "3,3"}])
    assert message in bad["message"]
    assert bad["layers"] == moved["layers"] == good["layers"]
    assert moved["sees"] != good["sees"]
    (good,) = tell(page, [{"list": "conv 3"}])
    assert good["message"] == ""
    assert len(good["layers"]) == 2


@pytest.fixture(scope="module")
def page_of_list(chromium, tmp_path_factory):
    """One page for all lists; whatever the console says fails the tests."""
    path = tmp_path_factory.mktemp("figure") / "figure.html"
    live.receptive_field(LIST, IMAGE).save(path)
    page, errors = chromium.new_page(), []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    page.evaluate("tag => document.querySelector(tag).ready.then(() => true)", TAG)
    yield page
    page.close()
    assert not errors


def test_a_list_is_typed(open_figure):
    page = open_figure(live.receptive_field(LIST, IMAGE))
    page.get_by_role("textbox", name="layers").fill("Conv 5\n pool 3  stride 1 ,conv 2")
    page.get_by_label("layer", exact=True).fill("2")
    playing.drawn(page)
    rows = page.locator("tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["0", "picture", "17×23", "1", "1", "0"],
        ["1", "conv", "5", "13×19", "5", "1", "0"],
        ["▸", "2", "pool", "3", "stride", "1", "11×17", "7", "1", "0"],
        ["3", "conv", "2", "10×16", "8", "1", "0"],
    ]
    page.get_by_label("layer", exact=True).fill("")
    alert = page.get_by_role("alert").inner_text()
    assert "layer must be a whole number from 1 to 100, got no number" in alert


def test_pointing_by_touch_and_keys_on_both_pictures(open_figure):
    page = open_figure(live.receptive_field("conv 3, pool 2", IMAGE), has_touch=True)
    picture, units = page.get_by_role("application").all()
    box = picture.bounding_box()
    cell = box["width"] / 23
    picture.tap(position={"x": 4.5 * cell, "y": 10.5 * cell})
    assert playing.state(page)["at"] == "10,4"
    picture.press("ArrowRight")
    picture.press("Shift+ArrowUp")
    assert playing.state(page)["at"] == "0,5"
    cell = units.bounding_box()["width"] / 10
    units.tap(position={"x": 6.5 * cell, "y": 3.5 * cell})
    assert tell(page, [{}])[0]["sees"] == "[6:10, 12:16]"
    units.press("ArrowDown")
    units.press("ArrowRight")
    assert tell(page, [{}])[0]["sees"] == "[8:12, 14:18]"
    playing.said(page, "Unit [4,7] of pool 2 sees pixels [8:12, 14:18].")


def test_the_address_keeps_the_state_and_reset_forgets_it(open_figure):
    figure = live.receptive_field(LIST, IMAGE)
    page = open_figure(figure, "#receptive-field?list=conv+5,+conv+5&layer=1&at=2,2")
    assert tell(page, [{}])[0]["sees"] == "[0:5, 0:5]"
    page.get_by_label("layer", exact=True).fill("2")
    assert "layer=2" in playing.address(page)
    page.get_by_role("button", name="reset").click()
    playing.drawn(page)
    assert page.get_by_role("textbox", name="layers").input_value() == LIST
    assert playing.state(page)["at"] == "8,11"


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("at=", "at must be row,column"),
        ("at=3", "at must be row,column"),
        ("layer=x", "layer can't be x"),
        ("net=none", "net can't be none"),
    ],
)
def test_a_damaged_address_is_told(open_figure, fragment, message):
    page = open_figure(
        live.receptive_field(LIST, IMAGE), f"#receptive-field?{fragment}"
    )
    assert message in page.get_by_role("alert").inner_text()
    assert page.locator("tbody tr").count() == 4


def test_a_bad_list_in_the_address_shows_the_example(open_figure):
    page = open_figure(
        live.receptive_field(LIST, IMAGE), "#receptive-field?list=nonsense&at=-9,99999"
    )
    assert "“nonsense”" in page.get_by_role("alert").inner_text()
    assert page.locator("tbody tr").count() == 4


def test_nothing_is_cut_off_on_a_narrow_page(open_figure):
    page = open_figure(
        live.receptive_field(LIST, IMAGE), viewport={"width": 320, "height": 700}
    )
    widths = page.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert widths[0] == widths[1]
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize(
    ("layers", "image", "error", "message"),
    [
        (3, IMAGE, TypeError, r"layers\['layers'\] must be a list such as"),
        ({}, IMAGE, ValueError, "at least one list"),
        (
            {"a": LIST},
            {"b": IMAGE},
            ValueError,
            r"image must be one for each of \['a'\]",
        ),
        (LIST, np.zeros((2, 1025)), ValueError, "at most 1024 pixels a side"),
        (LIST, np.zeros(3), ValueError, "image"),
        (nn.Sequential(nn.Upsample(2)), IMAGE, ValueError, "got Upsample"),
        (nn.Sequential(nn.Conv2d(1, 1, (3, 2))), IMAGE, ValueError, "both directions"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), IMAGE, ValueError, "both"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), IMAGE, ValueError, "sides"),
    ],
)
def test_bad_arguments_are_named(layers, image, error, message):
    with pytest.raises(error, match=message):
        live.receptive_field(layers, image)

"""Drawings of networks: they must agree with the model that runs."""

import copy
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from torch import nn
from torch.ao.quantization import quantize_dynamic

from cnnviz.models import CNN, MLP
from cnnviz.plotting import plot_architecture


def rows(figure):
    """Return the texts of each row, from left to right, by their height."""
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    texts.sort(key=lambda text: (text.get_position()[1], text.get_position()[0]))
    return [(text.get_position(), text.get_text()) for text in texts]


def words(figure):
    return [text for _, text in rows(figure)]


def polygons(figure):
    """Return the extents of all rectangles: maps, then bars."""
    collections = figure.axes[0].findobj(PolyCollection)
    return [
        [path.get_extents() for path in collection.get_paths()]
        for collection in collections
    ]


def test_the_articles_mlp():
    drawn = words(plot_architecture(MLP(), (1, 28, 28), title="MLP"))
    assert drawn[0] == "MLP"
    # 784 × 512 + 512, 512 × 512 + 512, 512 × 10 + 10: the article's 669,706.
    for text in ("1 × 28 × 28", "784", "401,920", "262,656", "5,130", "669,706"):
        assert text in drawn


@pytest.mark.parametrize("model", [MLP, CNN])
def test_shapes_and_parameters_are_those_of_a_run(model):
    model = model().eval()
    shapes = []
    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda module, args, output: shapes.append(tuple(output.shape[1:]))
            )
    figure = plot_architecture(model, (1, 28, 28))
    drawn = rows(figure)
    # The hooks ran once for the drawing, so they tell what it saw.
    expected = [" × ".join(map(str, shape)) for shape in [(1, 28, 28), *shapes]]
    numbers = [text for (x, _), text in drawn if x == 3.5]
    assert numbers[:2] == ["output", "parameters"]
    assert [numbers[2], *numbers[3:-1:2]] == expected
    counts = [
        int(n.replace(",", "")) for n in (*numbers[4::2], numbers[-1]) if n != "–"
    ]
    total = sum(parameter.numel() for parameter in model.parameters())
    assert counts[-1] == sum(counts[:-1]) == total


def test_layers_are_named_in_order_with_their_hyper_parameters():
    model = nn.Sequential()
    model.add_module("first", nn.Conv2d(2, 3, 5, stride=2))
    model.add_module("second", nn.ReLU())
    drawn = words(plot_architecture(model, (2, 11, 11)))
    assert [w for w in drawn if w in ("input", "first", "second", "total")] == [
        "input",
        "first",
        "second",
        "total",
    ]
    assert "Conv2d: 5×5, stride 2" in drawn
    assert "ReLU" in drawn


def test_maps_are_drawn_in_number_and_proportion():
    model = nn.Sequential(nn.Conv2d(1, 6, 1), nn.AvgPool2d((2, 1)))
    maps, bars = polygons(plot_architecture(model, (1, 40, 20)))
    assert len(maps) == 1 + 6 + 6
    assert not bars
    np.testing.assert_allclose([m.height / m.width for m in maps[:7]], 2)
    np.testing.assert_allclose([m.height / m.width for m in maps[7:]], 1)
    np.testing.assert_allclose({m.width for m in maps}.pop(), maps[0].width)


def test_bars_grow_with_the_logarithm_of_units():
    model = nn.Sequential(nn.Linear(3, 15), nn.Linear(15, 255))
    maps, bars = polygons(plot_architecture(model, (3,)))
    assert not maps
    widths = np.array([bar.width for bar in bars])
    np.testing.assert_allclose(widths / widths[0], [1, 2, 4])


def test_rows_do_not_overlap():
    figure = plot_architecture(CNN(), (1, 28, 28))
    renderer = figure.canvas.get_renderer()
    boxes = [
        text.get_window_extent(renderer)
        for text in figure.axes[0].texts
        if text.get_text()
    ]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_long_names_stay_clear_of_drawing_and_numbers():
    model = nn.Sequential()
    model.add_module("downsampling_" * 6, nn.Linear(4000, 4000))
    figure = plot_architecture(model, (4000,))
    figure.canvas.draw()
    right = max(bar.x1 for bar in polygons(figure)[1])
    edge = figure.axes[0].transData.transform((right, 0))[0]
    boxes = [
        text.get_window_extent() for text in figure.axes[0].texts if text.get_text()
    ]
    for i, box in enumerate(boxes):
        assert box.x0 > edge
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_modules_that_do_not_run_have_no_shape():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(2, 3), nn.Linear(2, 5)

        def forward(self, x):
            return self.used(x)

    figure = plot_architecture(Net(), (2,))
    assert "Linear: not called" in words(figure)
    assert "24" in words(figure)
    assert len(polygons(figure)[1]) == 2


def test_deep_networks_are_tall_and_too_deep_ones_are_refused():
    layers = [nn.Identity() for _ in range(80)]
    figure = plot_architecture(nn.Sequential(*layers), (2,))
    assert words(figure).count("Identity") == 80
    message = "model must be a network of at most 80 layers or blocks, got 81"
    with pytest.raises(ValueError, match=message):
        plot_architecture(nn.Sequential(*layers, nn.Identity()), (2,))


def test_deep_networks_are_drawn_in_blocks():
    block = [nn.Linear(2, 2), nn.ReLU()]
    blocks = [nn.Sequential(*copy.deepcopy(block), nn.Flatten()) for _ in range(27)]
    model = nn.Sequential(*(nn.Sequential(part) for part in blocks))
    drawn = words(plot_architecture(model, (2,)))
    assert drawn.count("Sequential") == 27
    assert "ReLU" not in drawn
    assert [drawn[5], drawn[-1]] == ["0.0", str(27 * 6)]
    assert "0" in words(plot_architecture(model, (2,), depth=1))
    drawn = words(plot_architecture(model[:26], (2,)))
    assert drawn.count("ReLU") == 26
    with pytest.raises(ValueError, match="at most 80 layers or blocks, got 81"):
        plot_architecture(model, (2,), depth=3)


class Functional(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(layers))

    def forward(self, x, more=0):
        for layer in self.layers:
            x = torch.relu(layer(x + more))
        return x


def test_functions_are_drawn_where_they_fit():
    drawn = words(plot_architecture(Functional(2), (2,)))
    assert drawn.count("function") == 4
    assert {"layers.0", "relu()", "relu():2", "add()", "Linear: 2 → 2"} <= {*drawn}
    for depth in (None, 1):
        drawn = words(plot_architecture(Functional(80), (2,), depth=depth))
        assert drawn.count("Linear: 2 → 2") == 80
        assert "function" not in drawn


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"input_shape": [(2,), (2,)]}, ["input[0]", "input[1]"]),
        ({"input_data": torch.ones(3, 2)}, ["input"]),
        (
            {"input_data": {"x": torch.ones(3, 2), "more": torch.ones(3, 2)}},
            ["input[x]", "input[more]"],
        ),
    ],
)
def test_each_input_has_a_row(given, names):
    figure = plot_architecture(Functional(1), **given)
    drawn = words(figure)
    assert [word for word in drawn if word.startswith("input")] == names
    _, bars = polygons(figure)
    assert len(bars) == len(names) + 3


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_are_drawn():
    model = quantize_dynamic(MLP(), {nn.Linear})
    drawn = words(plot_architecture(model, (1, 28, 28)))
    assert {"fc1", "fc2", "fc3", "Linear: 512 → 10, quantised"} <= {*drawn}


def test_errors_of_the_run_come_through():
    with pytest.raises(ValueError, match="input_shape"):
        plot_architecture(nn.Linear(3, 2), (4,))
    with pytest.raises(TypeError, match="model"):
        plot_architecture(torch.relu, (4,))
    assert not plt.get_fignums()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.booleans())
@settings(max_examples=10)
def test_every_layer_has_a_row_with_its_parameters(sizes, named):
    model = nn.Sequential(
        *[nn.Linear(a, b) for a, b in itertools.pairwise([3, *sizes])]
    )
    figure = plot_architecture(model, (3,), title="net" if named else None)
    drawn = rows(figure)
    title = [text for (x, _), text in drawn if x == 1.8]
    assert title == (["net"] if named else [])
    counts = [4 * sizes[0], *[(a + 1) * b for a, b in itertools.pairwise(sizes)]]
    right = [text for (x, _), text in drawn if x == 3.5]
    expected = ["3"]
    for size, count in zip(sizes, counts, strict=True):
        expected += [str(size), f"{count:,}"]
    assert right == ["output", "parameters", *expected, f"{sum(counts):,}"]
    _, bars = polygons(figure)
    widths = np.array([bar.width for bar in bars])
    units = np.log2([4, *[1 + size for size in sizes]])
    np.testing.assert_allclose(widths, 0.9 * units / units.max())
    plt.close()

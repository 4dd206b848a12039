"""Confusions and probabilities, read back through their artists."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.transforms import Bbox

from cnnviz.plotting import plot_confusion_matrix, plot_probabilities


def written(ax):
    (numbers,) = ax.artists
    return {tuple(c): text for text, _, centres in numbers.groups for c in centres}


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 999)))
@settings(max_examples=20)
def test_counts_are_written_and_only_errors_coloured(matrix):
    ax = plot_confusion_matrix(matrix)
    expected = {(x, y): str(n) for (y, x), n in np.ndenumerate(matrix) if n}
    assert written(ax) == expected
    image = ax.images[0]
    errors = matrix[~np.eye(3, dtype=bool)]
    assert image.get_clim() == (0, errors.max() or 1)
    rgba = image.to_rgba(image.get_array())
    assert len({tuple(rgba[i, i]) for i in range(3)}) == 1
    assert np.ptp(rgba[0, 0, :3]) == 0
    plt.close()


def test_confusions_are_labelled():
    ax = plot_confusion_matrix([[1, 0], [2, 1]], labels=["cat", "dog"], title="t")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["cat", "dog"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert ax.get_title() == "t"


def test_a_confusion_of_zeros_or_one_class_can_be_drawn():
    assert not written(plot_confusion_matrix(np.zeros((2, 2))))
    assert written(plot_confusion_matrix([[5]])) == {(0, 0): "5"}


@pytest.mark.parametrize(
    ("matrix", "how", "message"),
    [
        (np.zeros((2, 3)), {}, r"square matrix \(K, K\) of counts .* got ndarray"),
        ([[1, -1], [0, 2]], {}, "matrix .* of at least 0, got -1"),
        ([[0.5, np.nan], [0, 1]], {}, "matrix .* of finite values, got 1 NaN"),
        ([[1, 0], [0, 1]], {"labels": ["a"]}, "labels .* 2 strings, got 1"),
        (np.eye(3), {"top": 0}, "top must be an integer of at least 1, got 0"),
        (np.eye(999), {"top": 99}, r"top must be at most \d+, to be read .* got 99"),
    ],
)
def test_bad_confusions_are_named(matrix, how, message):
    with pytest.raises(ValueError, match=message):
        plot_confusion_matrix(matrix, **how)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_normalised_confusions_are_written_as_shares(axis):
    counts = np.random.default_rng(0).integers(0, 99, (5, 5))
    matrix = counts / counts.sum(axis, keepdims=True)
    for kind in (np.asarray, torch.tensor, np.float32):
        ax = plot_confusion_matrix(kind(matrix))
        for (column, row), text in written(ax).items():
            assert abs(float(text) - matrix[int(row), int(column)]) <= 0.005
        assert len(written(ax)) == (matrix >= 0.005).sum()


def test_the_classes_most_confused_stand_for_a_thousand():
    matrix = np.eye(1000, dtype=int) * 50
    matrix[3, 700], matrix[999, 20], matrix[20, 5] = 9, 8, 1
    ax = plot_confusion_matrix(matrix, top=4, labels=[f"no. {i}" for i in range(1000)])
    names = ["no. 3", "no. 20", "no. 700", "no. 999"]
    assert texts(ax.get_xticklabels()) == texts(ax.get_yticklabels()) == names
    assert written(ax)[2, 0] == "9"
    assert written(ax)[1, 3] == "8"
    assert ax.get_xlabel() == "predicted\n4 of 1,000 classes,\nthe most confused"


def texts(labels):
    return [label.get_text() for label in labels]


CIFAR = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
LONG = [f"{i} name of {'many ' * (i % 19)}words" for i in range(1000)]


def overlapping(boxes):
    return [
        (one, other)
        for one, other in itertools.combinations(boxes, 2)
        if one.overlaps(other) and one.width * other.width
    ]


@pytest.mark.parametrize("plot", [plot_confusion_matrix, plot_probabilities])
@pytest.mark.parametrize("given_axes", [False, True])
@pytest.mark.parametrize(
    ("count", "names"),
    [
        (10, None),
        (10, CIFAR),
        (10, LONG),
        (26, LONG),
        (40, None),
        (100, LONG),
        (1000, LONG),
    ],
)
def test_names_of_classes_never_overlap_nor_leave_the_figure(
    plot, given_axes, count, names
):
    ax = plt.subplots(1, 2, figsize=(7.2, 5), layout="constrained")[1][1]
    if plot is plot_confusion_matrix:
        values = np.random.default_rng(0).integers(0, 99, (count, count))
    else:
        values = {"a": np.full(count, 1 / count), "b": np.eye(count)[1]}
    ax = plot(values, ax if given_axes else None, labels=names and names[:count])
    figure = ax.figure
    for _ in range(2):  # the layout of a matrix beside other axes takes two
        figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert not overlapping(boxes)
    assert not overlapping([text.get_window_extent() for text in ax.texts])
    named = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, *ax.texts]
    boxes = [text.get_window_extent() for text in named if text.get_text()]
    room = Bbox(figure.bbox.padded(1))
    assert Bbox.union([room, *boxes]).bounds == room.bounds
    shown = len(ax.get_xticks())
    assert (shown == count) == ("the most" not in ax.get_xlabel())


@given(arrays(np.float64, 10, elements=st.floats(0.01, 1)))
@settings(max_examples=15)
def test_bars_are_the_probabilities(weights):
    probabilities = weights / weights.sum()
    ax = plot_probabilities(probabilities)
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_array_equal(heights, probabilities)
    assert [t.get_text() for t in ax.texts] == [f"{probabilities.max():.2f}"]
    assert [t.get_text() for t in ax.get_xticklabels()] == list("0123456789")
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] >= 1
    plt.close()


def test_two_networks_stand_side_by_side():
    ax = plot_probabilities(
        {"MLP": torch.tensor([0.2, 0.8]), "CNN": [1, 0]}, labels=["a", "b"], title="t"
    )
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["MLP", "CNN"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    left, right = ax.containers
    for i, (one, other) in enumerate(zip(left, right, strict=True)):
        assert one.get_x() + one.get_width() <= other.get_x() + 1e-9
        assert one.get_x() < i < other.get_x() + other.get_width()


def test_the_most_probable_of_a_thousand_stand_in_falling_order():
    values = torch.softmax(3 * torch.randn(1000), 0)
    ax = plot_probabilities(values, top=5)
    expected = values.topk(5)
    assert texts(ax.get_xticklabels()) == list(map(str, expected.indices.tolist()))
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, expected.values)
    assert ax.get_xlabel() == "5 of 1,000 classes, the most probable"
    assert len(plot_probabilities(values).patches) == 10


def test_only_the_largest_probability_of_a_network_is_written():
    ax = plot_probabilities({"a": [0.7, 0.3], "b": [0.4, 0.6]}, top=1)
    assert texts(ax.texts) == ["0.70"]


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([2.0, -1.0], r"probabilities \(K,\) .* got values from -1 that add up to 1"),
        ([3.0, 4.0], "got values from 3 that add up to 7"),
        ({"a": [1.0], "b": [0.5, 0.5]}, r"vectors of one length, got \[1, 2\]"),
        ({"a": [0.5]}, r"probabilities\['a'\] must be probabilities"),
        ({}, "one or two vectors, got 0 of them"),
        ({key: [1.0] for key in "abc"}, "one or two vectors, got 3 of them"),
    ],
)
def test_bad_probabilities_are_named(probabilities, message):
    with pytest.raises(ValueError, match=message):
        plot_probabilities(probabilities)

"""Confusions and probabilities, read back through their artists."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnviz.plotting import plot_confusion_matrix, plot_probabilities


def written(ax):
    (numbers,) = ax.artists
    return {tuple(c): text for text, _, centres in numbers.groups for c in centres}


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 999)))
@settings(max_examples=20, deadline=None)
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
    ("matrix", "labels", "message"),
    [
        (np.zeros((2, 3)), None, r"square matrix of counts \(K, K\), got ndarray"),
        ([[1, -1], [0, 2]], None, "matrix .* got negative or broken numbers"),
        ([[0.5, 0], [0, 1]], None, "matrix .* got negative or broken numbers"),
        ([[1, 0], [0, 1]], ["a"], "labels must be a sequence of 2 strings, got 1"),
    ],
)
def test_bad_confusions_are_named(matrix, labels, message):
    with pytest.raises(ValueError, match=message):
        plot_confusion_matrix(matrix, labels=labels)


@given(arrays(np.float64, 10, elements=st.floats(0.01, 1)))
@settings(max_examples=15, deadline=None)
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

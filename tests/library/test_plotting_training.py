"""Curves and shifts, read back through their artists."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnviz.plotting import plot_history, plot_shift_accuracy
from cnnviz.plotting._style import ACCENT, SECOND
from cnnviz.training import History


def written(ax):
    (numbers,) = ax.artists
    return {tuple(c): text for text, _, centres in numbers.groups for c in centres}


def test_curves_hold_the_data():
    curves = {"MLP": [3.0, 2.0, 1.0], "CNN": ([10, 20], torch.tensor([2.0, 0.0]))}
    ax = plot_history(curves, title="t", xlabel="x", ylabel="y")
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("t", "x", "y")
    mlp, cnn = ax.lines
    np.testing.assert_array_equal(mlp.get_xydata(), [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(cnn.get_xydata(), [[10, 2], [20, 0]])
    assert (mlp.get_color(), cnn.get_color()) == (ACCENT, SECOND)


def test_names_stand_at_the_ends_in_the_colour_of_their_curves():
    ax = plot_history({"a": [3, 2], "b": [2, 0]})
    names = {text.get_text(): (text.xy, text.get_color()) for text in ax.texts}
    assert names == {"a": ((2, 2), ACCENT), "b": ((2, 0), SECOND)}
    assert ax.get_legend() is None


def test_a_legend_holds_names_that_would_overlap():
    ax = plot_history({"a": [3, 0.01], "b": [2, 0]})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert not ax.texts


def test_eight_curves_can_be_told_apart():
    ax = plot_history({str(i): [i, i + 1] for i in range(8)})
    styles = {(line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert len(styles) == 8


@pytest.mark.parametrize(
    ("histories", "error", "message"),
    [
        ([1, 2], TypeError, r"histories must be .* dictionary .* got list \[1, 2\]"),
        ({}, ValueError, "1 to 8 curves, got 0 of them"),
        ({key: [1, 2] for key in range(9)}, ValueError, "got 9 of them"),
        ({"a": [np.nan]}, ValueError, r"histories\['a'\] .* 1 NaN or infinite"),
        ({"a": [[1, 2]] * 3}, ValueError, r"pair \(steps, values\), got ndarray"),
        ({"a": ([1, 2], [1])}, TypeError, r"histories\['a'\] must be values or a pair"),
    ],
)
def test_bad_curves_are_named(histories, error, message):
    with pytest.raises(error, match=message):
        plot_history(histories)


@given(st.integers(0, 4), st.data())
@settings(max_examples=15)
def test_shifts_are_in_pixels_and_accuracy_in_per_cent(reach, data):
    side = 2 * reach + 1
    accuracy = data.draw(arrays(np.float64, (side, side), elements=st.floats(0, 1)))
    ax = plot_shift_accuracy(accuracy)
    np.testing.assert_array_equal(ax.images[0].get_array(), accuracy)
    assert ax.images[0].get_clim() == (0, 1)
    texts = written(ax)
    for (row, column), value in np.ndenumerate(accuracy):
        assert texts[column - reach, row - reach] == f"{100 * value:.0f}"
    assert set(ax.get_xticks()) <= set(range(-reach, reach + 1))
    assert 0 in ax.get_xticks()
    plt.close()


@pytest.mark.parametrize(
    ("accuracy", "message"),
    [
        (np.zeros((2, 2)), r"square of odd size \(2R \+ 1, 2R \+ 1\), got ndarray"),
        (np.zeros((3, 5)), "square of odd size"),
        (np.full((3, 3), 97.0), "accuracies from 0 to 1 .* got 97 to 97"),
    ],
)
def test_bad_accuracies_are_named(accuracy, message):
    with pytest.raises(ValueError, match=message):
        plot_shift_accuracy(accuracy)


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        arrays(np.float64, st.integers(1, 5), elements=st.floats(-1e3, 1e3)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=20)
def test_every_curve_is_drawn_and_named_once(curves):
    ax = plot_history(curves)
    assert len(ax.lines) == len(curves)
    for line, (name, values) in zip(ax.lines, curves.items(), strict=True):
        assert line.get_label() == name
        steps = np.arange(len(values)) + 1
        np.testing.assert_array_equal(
            line.get_xydata(), np.column_stack([steps, values])
        )
    legend = ax.get_legend()
    names = [text.get_text() for text in (legend.get_texts() if legend else ax.texts)]
    assert names == list(curves)
    assert bool(legend) != bool(ax.texts)
    ends = sorted(values[-1] for values in curves.values())
    low, high = ax.get_ylim()
    near = any(b - a < 0.07 * (high - low) for a, b in itertools.pairwise(ends))
    assert bool(legend) == near
    plt.close()


def test_a_history_is_drawn_as_fit_returns_it():
    history = History(
        loss=[4.0, 3.0, 2.0, 1.0],
        learning_rate=[0.1] * 4,
        seconds=1.0,
        validation_loss=[2.5, 0.5],
    )
    ax = plot_history(history)
    training, validation = ax.lines
    np.testing.assert_array_equal(training.get_xydata()[:, 1], history.loss)
    np.testing.assert_array_equal(validation.get_xydata(), [[2, 2.5], [4, 0.5]])
    assert ax.get_ylabel() == "loss"
    named = plot_history({"net": history, "other": [1, 2]})
    np.testing.assert_array_equal(named.lines[0].get_ydata(), history.loss)

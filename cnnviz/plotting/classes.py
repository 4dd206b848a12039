"""Classes: which are taken for which, and how sure a network is of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from cnnviz._validation import (
    as_array,
    as_integer,
    as_text,
    as_titles,
    describe,
    invalid,
)
from cnnviz.plotting._numbers import shortest, write_values
from cnnviz.plotting._style import (
    COLORS,
    LABEL,
    TICK,
    VERBATIM,
    WIDTH,
    finish,
    frame,
    legend,
    new_axes,
    text_width,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from cnnviz._types import ArraysByName, Integer

__all__ = ["plot_confusion_matrix", "plot_probabilities"]

_LINE = 1.2 * TICK / 72  # inches that a class needs for its name
_LONGEST_NAME = 2  # inches
_FEW = 15  # classes in a small figure
_HEIGHT = 2.6  # inches of a diagram of bars


def plot_confusion_matrix(
    matrix: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    labels: Sequence[str] | None = None,
    top: Integer | None = None,
) -> Axes:
    """Show which classes are taken for which.

    Only the errors are coloured: the right answers, on the diagonal, are so many more
    that they would leave no colours for the rest. Numbers that don't round to 0 are
    written in where they can be read. Names wider than their cells are turned, and
    long ones are cut.

    Parameters
    ----------
    matrix : array_like or torch.Tensor, shape (K, K)
        Counts, or shares as in a normalised matrix: row true class, column predicted
        class.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the matrix.
    labels : sequence of str, optional
        The names of the classes; by default 0, 1, ….
    top : int, optional
        How many classes to show: those with the largest single errors, in the order of
        the matrix. By default as many as have room for their names, some 40 in a
        figure of its own. A line below says where some are left out.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `matrix` is not a square of numbers of at least 0, labels do not match in
        number, or `top` classes have no room.

    Examples
    --------
    >>> ax = plot_confusion_matrix([[90, 10], [3, 97]])
    >>> ax.images[0].get_clim()
    (0.0, 10.0)
    """
    words = "a square matrix (K, K) of counts or shares"
    matrix = as_array(matrix, "matrix", 2, words)
    count = len(matrix)
    if matrix.shape[1] != count:
        raise invalid("matrix", words, describe(matrix))
    if matrix.min() < 0:
        raise invalid("matrix", f"{words} of at least 0", f"{matrix.min():g}")
    labels = _as_names(labels, count)
    side = 5.4 if count <= _FEW and _longest(labels) <= 1 else WIDTH
    title = as_text(title, "title")
    room = min(_inches(ax, (side, side))) - _longest(labels)
    shown = _fitting(top, count, room)
    ax = new_axes(ax, (side, side))
    errors = np.where(np.eye(count, dtype=bool), 0, matrix)
    worst = np.maximum(errors, errors.T).max(axis=0)
    chosen = np.sort(_largest(worst, shown))
    matrix, errors = (each[np.ix_(chosen, chosen)] for each in (matrix, errors))
    image = ax.imshow(
        np.ma.masked_array(matrix, np.eye(len(chosen), dtype=bool)),
        cmap=mpl.colormaps["Oranges"].with_extremes(bad="#dddddd"),
        vmin=0,
        vmax=float(errors.max()) or 1.0,
        interpolation="nearest",
    )
    write_values(image, matrix, _write)
    frame(ax, title)
    names = [labels[i] for i in chosen]
    _name_classes(ax, names, room)
    ax.set_yticks(range(len(chosen)), names, fontsize=TICK, **VERBATIM)
    ax.tick_params(length=0)
    note = _note(len(chosen), count, "most confused").replace(", ", ",\n")
    ax.set_xlabel(f"predicted\n{note}".strip(), fontsize=LABEL)
    ax.set_ylabel("true", fontsize=LABEL)
    return ax


def plot_probabilities(
    probabilities: ArrayLike | ArraysByName,
    ax: Axes | None = None,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    top: Integer | None = None,
) -> Axes:
    """Draw the probabilities that a network gives to each class.

    Parameters
    ----------
    probabilities : array_like or torch.Tensor, shape (K,), or dict
        Numbers from 0 to 1 that add up to 1, or the vectors of one or two networks by
        name.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    labels : sequence of str, optional
        The names of the classes; by default 0, 1, ….
    title : str, optional
        The title over the diagram.
    top : int, optional
        How many classes to show: the most probable ones, in falling order of the
        larger probability. By default all in their order, or, where their names have
        no room, the 10 most probable. A line below says where some are left out.

    Returns
    -------
    matplotlib.axes.Axes
        The largest probability of each network is written over its bar.

    Raises
    ------
    TypeError, ValueError
        If a vector does not hold probabilities, the vectors differ in length, labels
        do not match in number, or `top` classes have no room.

    Examples
    --------
    >>> ax = plot_probabilities({"MLP": [0.2, 0.8], "CNN": [0.05, 0.95]})
    >>> [text.get_text() for text in ax.texts]
    ['0.80', '0.95']
    """
    named = isinstance(probabilities, dict)
    vectors = _as_probabilities(probabilities if named else {None: probabilities})
    count = len(next(iter(vectors.values())))
    labels = _as_names(labels, count)
    title = as_text(title, "title")
    figure_is_ours = ax is None
    room = _inches(ax, (WIDTH, _HEIGHT))[0]
    chosen = np.arange(count)
    if top is not None or count > room / _LINE:
        best = np.max(list(vectors.values()), axis=0)
        chosen = _largest(best, _fitting(10 if top is None else top, count, room))
    ax = new_axes(ax, (WIDTH, _HEIGHT))
    width = 0.8 / len(vectors)
    peaks = []
    for i, (name, vector) in enumerate(vectors.items()):
        x = np.arange(len(chosen)) + (i - (len(vectors) - 1) / 2) * width
        ax.bar(x, vector[chosen], width * 0.92, color=COLORS[i], label=name)
        peaks += [
            (vector.max(), x[k]) for k in np.nonzero(chosen == vector.argmax())[0]
        ]
    note = _note(len(chosen), count, "most probable")
    finish(ax, title, note or None, "probability")
    ax.set_ylim(0, 1.12)
    ax.set_yticks([0, 0.5, 1])
    longest = _name_classes(ax, [labels[i] for i in chosen], room)
    if figure_is_ours:
        ax.figure.set_figheight(_HEIGHT + longest)
    _write_peaks(ax, sorted(peaks), room / len(chosen))
    if named:
        legend(ax)
    return ax


def _write_peaks(ax, peaks, cell):
    """Write heights over bars at x, `cell` inches apart, none over another."""
    before = None
    for height, x in peaks:
        text = f"{height:.2f}"
        lift = 0
        if before is not None:
            apart = (x - before[1]) * cell, (height - before[0]) * _inches(ax, ())[1]
            is_near = abs(apart[0]) < text_width(text, TICK) and apart[1] < _LINE
            lift = 72 * _LINE * is_near
        ax.annotate(
            text,
            (x, height),
            xytext=(0, 2 + lift),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=TICK,
        )
        before = height, x


def _inches(ax, figsize):
    """Return the width and height of `ax`, or of new axes, before a layout."""
    if ax is None:
        return 0.775 * figsize[0], 0.77 * figsize[1]
    extent = new_axes(ax).get_window_extent()
    return extent.width / ax.figure.dpi, extent.height / ax.figure.dpi


def _as_names(labels, count):
    """Return the names of classes, each in one line of at most `_LONGEST_NAME`."""
    names = as_titles(range(count) if labels is None else labels, count, "labels")
    names = [" ".join(name.split()) for name in names]
    widths = [text_width(name, TICK) for name in names]
    return [
        f"{name[: int(len(name) * _LONGEST_NAME / width) - 1]}…"
        if width > _LONGEST_NAME
        else name
        for name, width in zip(names, widths, strict=True)
    ]


def _longest(names):
    """Return the inches that the longest name takes."""
    return max(text_width(name, TICK) for name in names)


def _name_classes(ax, names, room):
    """Write names below the classes, upright where they would touch each other.

    Return the inches that upright names need.
    """
    longest = _longest(names)
    is_upright = longest > 0.95 * room / len(names)
    style = {"fontsize": TICK, "rotation": 90 * is_upright, **VERBATIM}
    ax.set_xticks(range(len(names)), names, **style)
    return longest * is_upright


def _fitting(top, count, room):
    """Return how many of `count` classes to show in `room` inches."""
    most = max(1, int(room / _LINE))
    if top is None:
        return min(count, most)
    top = min(as_integer(top, "top", 1), count)
    if top > most:
        raise invalid("top", f"at most {most}, to be read in these axes", top)
    return top


def _largest(values, count):
    """Return the indices of the largest values, these first."""
    return np.argsort(-values.astype(np.float64), kind="stable")[:count]


def _note(shown, count, which):
    """Say which classes are shown, where some are not."""
    return "" if shown == count else f"{shown} of {count:,} classes, the {which}"


def _write(value):
    """Write a count or a share, nothing for what rounds to 0."""
    text = shortest(int(value) if value == int(value) else value)
    return text if float(text) else ""


def _as_probabilities(vectors):
    """Return one or two checked vectors of one length, by name."""
    if not 1 <= len(vectors) <= len(COLORS):
        raise invalid("probabilities", "one or two vectors", f"{len(vectors)} of them")
    words = "probabilities (K,) from 0 to 1 that add up to 1"
    checked = {}
    for key, vector in vectors.items():
        name = "probabilities" if key is None else f"probabilities[{key!r}]"
        vector = as_array(vector, name, 1, words)
        if vector.min() < 0 or abs(vector.sum() - 1) > 0.01:
            got = f"values from {vector.min():g} that add up to {vector.sum():g}"
            raise invalid(name, words, got)
        checked[key] = vector
    lengths = {len(vector) for vector in checked.values()}
    if len(lengths) > 1:
        raise invalid("probabilities", "vectors of one length", sorted(lengths))
    return checked

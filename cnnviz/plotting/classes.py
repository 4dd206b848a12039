"""Classes: which are taken for which, and how sure a network is of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from cnnviz._validation import as_array, as_titles, describe, invalid
from cnnviz.plotting._numbers import write_values
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
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from cnnviz._types import ArraysByName

__all__ = ["plot_confusion_matrix", "plot_probabilities"]


def plot_confusion_matrix(
    matrix: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    labels: Sequence[str] | None = None,
) -> Axes:
    """Show which classes are taken for which.

    Only the errors are coloured: the right answers, on the diagonal, are so many more
    that they would leave no colours for the rest. All counts but zeros are written in.

    Parameters
    ----------
    matrix : array_like or torch.Tensor, shape (K, K)
        Counts: row true class, column predicted class.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the matrix.
    labels : sequence of str, optional
        The names of the classes; by default 0, 1, ….

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `matrix` is not a square of counts, or labels do not match in number.

    Examples
    --------
    >>> ax = plot_confusion_matrix([[90, 10], [3, 97]])
    >>> ax.images[0].get_clim()
    (0.0, 10.0)
    """
    words = "a square matrix of counts (K, K)"
    matrix = as_array(matrix, "matrix", 2, words)
    if matrix.shape[0] != matrix.shape[1]:
        raise invalid("matrix", words, describe(matrix))
    if matrix.min() < 0 or (matrix != np.round(matrix)).any():
        raise invalid("matrix", words, "negative or broken numbers")
    matrix = matrix.astype(np.int64)
    labels = as_titles(
        range(len(matrix)) if labels is None else labels, len(matrix), "labels"
    )
    diagonal = np.eye(len(matrix), dtype=bool)
    ax = new_axes(ax, (5.4, 5.4))
    image = ax.imshow(
        np.ma.masked_array(matrix, diagonal),
        cmap=mpl.colormaps["Oranges"].with_extremes(bad="#dddddd"),
        vmin=0,
        vmax=float(matrix[~diagonal].max(initial=0)) or 1.0,
        interpolation="nearest",
    )
    write_values(image, matrix, lambda count: str(count or ""))
    frame(ax, title)
    ax.set_xticks(range(len(matrix)), labels, fontsize=TICK, **VERBATIM)
    ax.set_yticks(range(len(matrix)), labels, fontsize=TICK, **VERBATIM)
    ax.tick_params(length=0)
    ax.set_xlabel("predicted", fontsize=LABEL)
    ax.set_ylabel("true", fontsize=LABEL)
    return ax


def plot_probabilities(
    probabilities: ArrayLike | ArraysByName,
    ax: Axes | None = None,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
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

    Returns
    -------
    matplotlib.axes.Axes
        The largest probability of each network is written over its bar.

    Raises
    ------
    TypeError, ValueError
        If a vector does not hold probabilities, the vectors differ in length, or
        labels do not match in number.

    Examples
    --------
    >>> ax = plot_probabilities({"MLP": [0.2, 0.8], "CNN": [0.05, 0.95]})
    >>> [text.get_text() for text in ax.texts]
    ['0.80', '0.95']
    """
    named = isinstance(probabilities, dict)
    vectors = _as_probabilities(probabilities if named else {None: probabilities})
    classes = len(next(iter(vectors.values())))
    labels = as_titles(range(classes) if labels is None else labels, classes, "labels")
    ax = new_axes(ax, (WIDTH, 2.6))
    width = 0.8 / len(vectors)
    for i, (name, vector) in enumerate(vectors.items()):
        x = np.arange(classes) + (i - (len(vectors) - 1) / 2) * width
        ax.bar(x, vector, width * 0.92, color=COLORS[i], label=name)
        best = vector.argmax()
        ax.annotate(
            f"{vector[best]:.2f}",
            (x[best], vector[best]),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=TICK,
        )
    finish(ax, title, ylabel="probability")
    ax.set_ylim(0, 1.12)
    ax.set_yticks([0, 0.5, 1])
    ax.set_xticks(range(classes), labels, fontsize=TICK, **VERBATIM)
    if named:
        legend(ax)
    return ax


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

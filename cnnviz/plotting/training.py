"""Training and evaluation: curves, accuracy of shifted pictures."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from cnnviz._validation import as_array, describe, invalid
from cnnviz.plotting._numbers import write_values
from cnnviz.plotting._style import (
    COLORS,
    LABEL,
    TICK,
    VERBATIM,
    finish,
    frame,
    legend,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from cnnviz._types import ArraysByName
    from cnnviz.training import History

__all__ = ["plot_history", "plot_shift_accuracy"]

_DASHES = ["-", "--", ":", "-."]


def plot_history(
    histories: History | ArraysByName,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    xlabel: str | None = "step",
    ylabel: str | None = None,
) -> Axes:
    """Draw curves of training, each with its name at its end.

    Where the ends lie too close together, a legend holds the names.

    Parameters
    ----------
    histories : cnnviz.training.History or dict
        What `cnnviz.training.fit` returned: the loss of each step and, where there was
        validation, its loss after each epoch. Or curves by name, at most 8: histories,
        of which the loss is drawn, sequences of values for steps 1, 2, …, or pairs
        ``(steps, values)``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the diagram.
    xlabel, ylabel : str, optional
        What the axes measure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If a curve is not a finite sequence, or there are none or too many.

    Examples
    --------
    >>> ax = plot_history({"MLP": [2.3, 0.9], "CNN": ([1, 2, 3], [2.3, 0.5, 0.2])})
    >>> [line.get_label() for line in ax.lines]
    ['MLP', 'CNN']
    """
    if _is_history(histories):
        ylabel = "loss" if ylabel is None else ylabel
        histories = _curves_of(histories)
    words = "a History, or a dictionary of 1 to 8 curves"
    if not isinstance(histories, dict):
        raise invalid("histories", words, describe(histories), TypeError)
    if not 1 <= len(histories) <= len(COLORS) * len(_DASHES):
        raise invalid("histories", words, f"{len(histories)} of them")
    curves = {str(name): _as_curve(name, curve) for name, curve in histories.items()}
    ax = new_axes(ax)
    styles = itertools.product(_DASHES, COLORS)
    for name, (steps, values) in curves.items():
        dash, color = next(styles)
        ax.plot(steps, values, dash, color=color, linewidth=1.5, label=name)
    finish(ax, title, xlabel, ylabel)
    _name_curves(ax, curves)
    return ax


def plot_shift_accuracy(
    accuracy: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """Show how many pictures are still recognised after they were shifted.

    Colours run from 0 to 100 %, so that networks can be compared.

    Parameters
    ----------
    accuracy : array_like or torch.Tensor, shape (2R + 1, 2R + 1)
        Accuracy from 0 to 1. Rows are shifts downwards, columns shifts to the right,
        from -R to R pixels: no shift is in the middle.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    title : str, optional
        The title over the map.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `accuracy` is not a square of odd size with values from 0 to 1.

    Examples
    --------
    >>> ax = plot_shift_accuracy([[0.4, 0.7, 0.4], [0.8, 1.0, 0.8], [0.5, 0.7, 0.3]])
    >>> ax.images[0].get_extent()
    [-1.5, 1.5, 1.5, -1.5]
    """
    words = "accuracies from 0 to 1 in a square of odd size (2R + 1, 2R + 1)"
    accuracy = as_array(accuracy, "accuracy", 2, words)
    if accuracy.shape[0] != accuracy.shape[1] or accuracy.shape[0] % 2 == 0:
        raise invalid("accuracy", words, describe(accuracy))
    if accuracy.min() < 0 or accuracy.max() > 1:
        raise invalid("accuracy", words, f"{accuracy.min():g} to {accuracy.max():g}")
    reach = len(accuracy) // 2
    ax = new_axes(ax, (5.4, 5.4))
    image = ax.imshow(
        accuracy,
        cmap="viridis",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5),
    )
    write_values(image, accuracy, lambda value: f"{100 * value:.0f}")
    frame(ax, title)
    shifts = range(-reach, reach + 1, max(1, reach // 4))
    ax.set_xticks(shifts, [f"{s}".replace("-", "−") for s in shifts], fontsize=TICK)
    ax.set_yticks(shifts, [f"{s}".replace("-", "−") for s in shifts], fontsize=TICK)
    ax.tick_params(length=0)
    ax.set_xlabel("shift to the right, pixels", fontsize=LABEL)
    ax.set_ylabel("shift downwards, pixels", fontsize=LABEL)
    return ax


def _is_history(value):
    """Tell a `History` without importing PyTorch, which it needs."""
    return hasattr(value, "loss") and hasattr(value, "validation_loss")


def _curves_of(history):
    """Return the losses that a history holds, as curves by name."""
    curves = {"training": history.loss}
    if history.validation_loss:
        epochs = len(history.validation_loss)
        steps = np.arange(1, epochs + 1) * len(history.loss) // epochs
        curves["validation"] = steps, history.validation_loss
    return curves


def _as_curve(name, curve):
    """Return the steps and values of one curve."""
    if _is_history(curve):
        curve = curve.loss
    name, words = f"histories[{name!r}]", "values or a pair (steps, values)"
    array = as_array(curve, name, (1, 2), words)
    if array.ndim == 1:
        return np.arange(1, len(array) + 1), array
    if len(array) != 2:
        raise invalid(name, words, describe(array))
    return array


def _name_curves(ax, curves):
    """Write the names of the curves at their ends, or into a legend."""
    ends = np.sort([values[-1] for _, values in curves.values()])
    low, high = ax.get_ylim()
    if len(ends) > 1 and np.diff(ends).min() < 0.07 * (high - low):
        legend(ax)
        return
    for line in ax.lines[-len(curves) :]:
        ax.annotate(
            line.get_label(),
            (line.get_xdata()[-1], line.get_ydata()[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=LABEL,
            fontweight="bold",
            **VERBATIM,
            color=line.get_color(),
            annotation_clip=False,
        )

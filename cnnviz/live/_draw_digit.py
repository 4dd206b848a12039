from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from cnnviz._validation import as_integer, describe, invalid
from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import (
    pack_network,
    pack_picture,
    quantise_weights,
    run_as_packed,
)
from cnnviz.training import evaluate

if TYPE_CHECKING:
    from cnnviz._types import Integer

MOST = 146  # their picture is 4096 pixels high at most


def draw_digit(
    networks: Mapping[str, nn.Sequential],
    digits: torch.Tensor,
    labels: torch.Tensor,
    *,
    digit: Integer = 0,
    centred: bool = False,
) -> LiveFigure:
    """Draw a digit and watch trained networks read it.

    At each stroke the figure shows what every layer of the first convolutional network
    finds, and how probable each network finds each digit. The drawing can be moved,
    turned, made thicker, and centred as MNIST's digits were.

    Parameters
    ----------
    networks : mapping of str to torch.nn.Sequential
        Classifiers of digits by name, such as `cnnviz.models.CNN` and
        `cnnviz.models.MLP`, at least one of them with convolutions. They run with the
        weights of `quantise_weights`.
    digits : torch.Tensor, shape (N, 1, 28, 28), float
        Digits to start from, 0–1, at most 146; rounded to the nearest of 256 levels.
    labels : torch.Tensor, shape (N,), int64
        What they are, 0–9.
    digit : int, default 0
        Which of them the figure starts from.
    centred : bool, default False
        Whether it centres drawings at first.

    Returns
    -------
    LiveFigure
        The element ``<cnn-draw-digit>``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, or a network has a layer
        that the figure can't run.

    References
    ----------
    Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits",
    for the way in which digits are centred: scaled into 20 × 20 pixels, with the centre
    of mass in the middle of 28 × 28.
    """
    if not isinstance(networks, Mapping) or not networks:
        raise invalid("networks", "a mapping of names to networks", describe(networks))
    packed = {str(name): pack_network(model) for name, model in networks.items()}
    if not any(layer["kind"] == "conv" for net in packed.values() for layer in net):
        raise invalid("networks", "at least one with convolutions", ", ".join(packed))
    _check_digits(digits)
    answers = {name: _answers(net, digits, labels) for name, net in networks.items()}
    digit = as_integer(digit, "digit", 0)
    if digit >= len(digits):
        raise invalid("digit", f"at most {len(digits) - 1}", digit)
    labels = labels.tolist()
    words = [
        ", ".join(
            [str(label)]
            + [f"{name} reads {a[i]}" for name, a in answers.items() if a[i] != label]
        )
        for i, label in enumerate(labels)
    ]
    data = {
        "networks": packed,
        "sheet": pack_picture(digits.reshape(-1, 28), "digits"),
        "words": words,
    }
    settings = {"digit": digit, **({"centred": "true"} if centred else {})}
    return LiveFigure("draw_digit", data, settings)


def _check_digits(digits):
    """Refuse what is no batch of grey digits, 0–1."""
    if (
        not isinstance(digits, torch.Tensor)
        or not digits.is_floating_point()
        or digits.shape[1:] != (1, 28, 28)
        or not 1 <= len(digits) <= MOST
    ):
        expected = f"a float tensor (N, 1, 28, 28), N at most {MOST}"
        raise invalid("digits", expected, describe(digits))
    low, high = digits.aminmax()
    if not 0 <= low <= high <= 1:
        raise invalid("digits", "from 0 to 1", f"{low:.3g} to {high:.3g}")


def _answers(network, digits, labels):
    """Return what a network takes digits for, with the weights that the page has."""
    quantised = quantise_weights(network)
    evaluation = evaluate(quantised, digits, labels)
    if evaluation.logits.shape[1] != 10:
        expected = "classifiers with ten scores"
        raise invalid("networks", expected, evaluation.logits.shape[1])
    with torch.no_grad():
        scores = run_as_packed(quantised, digits)
    if not torch.allclose(scores, evaluation.logits, rtol=1e-3, atol=1e-3):
        expected = "networks that do what their layers do, one after the other"
        got = f"a {type(network).__name__} with a forward or hooks that do more"
        raise invalid("networks", expected, got)
    return evaluation.predictions.tolist()

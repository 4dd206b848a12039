"""Figures that can be played with, in a page, in a notebook or in a file of their own.

Each function returns a `LiveFigure`: the last expression of a notebook's cell shows it,
``save`` writes it into one HTML file. What the browser computes is what PyTorch
computes, from the same numbers; it needs no server and no network.

Every figure is one function here and one script beside it, a custom element over a
small shared core: ``arithmetic.js``, ``drawing.js`` and ``figure.js``.
"""

from cnnviz.live._channel_sum import channel_sum
from cnnviz.live._draw_digit import draw_digit
from cnnviz.live._figure import LiveFigure
from cnnviz.live._kernel_playground import kernel_playground
from cnnviz.live._learn_kernel import learn_kernel
from cnnviz.live._packing import quantise_weights
from cnnviz.live._pixel_inspector import pixel_inspector
from cnnviz.live._receptive_field import receptive_field
from cnnviz.live._training_steps import training_steps

__all__ = [
    "LiveFigure",
    "channel_sum",
    "draw_digit",
    "kernel_playground",
    "learn_kernel",
    "pixel_inspector",
    "quantise_weights",
    "receptive_field",
    "training_steps",
]

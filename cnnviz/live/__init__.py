"""Figures that can be played with, in a page, in a notebook or in a file of their own.

Each function returns a `LiveFigure`: the last expression of a notebook's cell shows it,
``save`` writes it into one HTML file. What the browser computes is what PyTorch
computes, from the same numbers; it needs no server and no network.

Every figure is one function here and one script beside it, a custom element over a
small shared core: ``arithmetic.js``, ``drawing.js`` and ``figure.js``.
"""

from cnnviz.live._figure import LiveFigure
from cnnviz.live._pixel_inspector import pixel_inspector

__all__ = ["LiveFigure", "pixel_inspector"]

"""Convolutional networks explained by pictures that run.

One module, one subject:

`datasets`
    The MNIST digits and a photo of a dog, shipped with the package.
`kernels`
    Kernels made by hand, and applying them to images.
`models`
    The networks that the pages show.
`training`
    Seeded training and evaluation.
`activations`
    What each layer of any PyTorch model outputs.
`architecture`
    What each layer of any PyTorch model is: its shape and its parameters.
`attribution`
    What a classifier's score rests on.
`geometry`
    Output sizes and receptive fields.
`plotting`
    Every figure: arrays or tensors in, `Axes` or `Figure` out.
`live`
    Figures that can be played with, in a page, a notebook or a file.

Modules are imported when they are first used, so ``import cnnviz`` is instant.
"""

from importlib import import_module

__version__ = "0.2.0"

__all__ = [
    "activations",
    "architecture",
    "attribution",
    "datasets",
    "geometry",
    "kernels",
    "live",
    "models",
    "plotting",
    "training",
]


def __getattr__(name):
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])

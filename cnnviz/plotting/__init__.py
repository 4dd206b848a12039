"""Every figure: arrays or tensors in, `Axes` or `Figure` out.

A function that draws one picture takes ``ax=None`` and returns the ``Axes``; one that
draws a grid takes the stack and returns the ``Figure``. None of them shows the figure
or changes settings of matplotlib. Colours have fixed meanings: pixels run from 0 to 255
or from 0 to 1, signed values are blue below zero and red above, panels that are
compared share their limits.
"""

from cnnviz.plotting.classes import plot_confusion_matrix, plot_probabilities
from cnnviz.plotting.feature_maps import plot_feature_maps, plot_signed
from cnnviz.plotting.images import (
    plot_boxes,
    plot_channels,
    plot_digits,
    plot_image,
    plot_images,
    plot_overlay,
)
from cnnviz.plotting.kernels import plot_kernel, plot_kernels
from cnnviz.plotting.networks import plot_architecture
from cnnviz.plotting.pixel_values import plot_pixel_values
from cnnviz.plotting.training import plot_history, plot_shift_accuracy

__all__ = [
    "plot_architecture",
    "plot_boxes",
    "plot_channels",
    "plot_confusion_matrix",
    "plot_digits",
    "plot_feature_maps",
    "plot_history",
    "plot_image",
    "plot_images",
    "plot_kernel",
    "plot_kernels",
    "plot_overlay",
    "plot_pixel_values",
    "plot_probabilities",
    "plot_shift_accuracy",
    "plot_signed",
]

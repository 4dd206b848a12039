"""How much faster than one annotation a cell `plot_pixel_values` is.

Both draw the same figure, from its creation to the PNG.
"""

import gzip
import io
from importlib.resources import files

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnviz.datasets import dog
from cnnviz.plotting import plot_pixel_values


def digit():
    """Return the training digit that the article shows, a "3"."""
    packed = files("cnnviz") / "data/mnist/train-images-idx3-ubyte.gz"
    start = 16 + 7 * 784
    data = gzip.decompress(packed.read_bytes())[start : start + 784]
    return np.frombuffer(data, np.uint8).reshape(28, 28)


def patch():
    """Return a part of the dog's picture."""
    return cv2.cvtColor(dog(), cv2.COLOR_RGB2GRAY)[200:328, 150:278]


def save(figure):
    """Return the figure's PNG and close it."""
    png = io.BytesIO()
    figure.savefig(png)
    plt.close(figure)
    return png.getvalue()


def with_outlines(image):
    return save(plot_pixel_values(image).figure)


def with_annotations(image):
    inches = plot_pixel_values(image).figure.get_size_inches()
    plt.close()
    figure = plt.figure(figsize=inches)
    ax = figure.add_axes((0, 0, 1, 1), xticks=[], yticks=[])
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    for y, row in enumerate(image):
        for x, value in enumerate(row):
            ax.annotate(
                str(value),
                xy=(x, y),
                ha="center",
                va="center",
                fontsize=6,
                color="white" if value < 117 else "black",
            )
    return save(figure)


@pytest.mark.parametrize("draw", [with_annotations, with_outlines])
@pytest.mark.parametrize("image", [digit, patch])
def bench_draw(benchmark, image, draw):
    benchmark.group = f"{image.__name__}: at least {4 if image is digit else 30} times"
    rounds = 1 if (image, draw) == (patch, with_annotations) else 5
    pixels = image()
    with_outlines(pixels[:2, :2])  # fonts are found once
    benchmark.pedantic(draw, (pixels,), rounds=rounds)

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cnnviz._validation import as_array, as_integer, as_number, describe, invalid
from cnnviz.kernels import KERNELS, SOBEL_X
from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import as_text, pack, pack_maps

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cnnviz._types import Integer, Number

_SEEDS, _MOST_NUMBERS, _MOST_STEPS, _LARGEST_RATE = 10, 150_000, 2000, 1000


def learn_kernel(
    images: ArrayLike,
    target: ArrayLike = SOBEL_X,
    *,
    learning_rate: Number = 1.0,
    seed: Integer = 0,
    steps: Integer = 500,
) -> LiveFigure:
    """Watch gradient descent find a kernel from pictures before and after.

    The page learns as `torch.optim.SGD` does, by the mean squared difference. A batch
    takes the next pictures in turn. The reader chooses the target, the learning rate,
    the batch and the seed of the first kernel.

    Parameters
    ----------
    images : (N, H, W) or (N, 1, H, W) array_like
        Grey pictures, uint8 0–255 or float 0–1; at most 150,000 pixels in all.
    target : (3, 3) array_like
        The kernel to find at first; all named 3 × 3 kernels can be chosen.
    learning_rate : float
        The one at first, from 0 to 1000.
    seed : int
        The first kernel at first, from 0 to 9: that of a new `torch.nn.Conv2d` after
        ``torch.manual_seed(seed)``.
    steps : int
        The last step, at most 2000.

    Returns
    -------
    LiveFigure
        The element ``<cnn-learn-kernel>``.

    Raises
    ------
    TypeError, ValueError
        If an argument has another shape, kind or range.
    """
    words = "pictures (N, H, W) or (N, 1, H, W)"
    images = as_array(images, "images", (3, 4), words)
    if images.ndim == 4:
        if images.shape[1] != 1:
            raise invalid("images", words, describe(images))
        images = images[:, 0]
    if images.dtype == np.uint8:
        images = images / 255
    if min(images.shape[1:]) < 3 or images.size > _MOST_NUMBERS:
        expected = f"at least 3×3 and at most {_MOST_NUMBERS:,} pixels in all"
        raise invalid("images", expected, describe(images))
    if images.min() < 0 or images.max() > 1:
        got = f"{images.min():g} to {images.max():g}"
        raise invalid("images", "uint8 0–255 or float 0–1", got)
    target = as_array(target, "target", 2, "a kernel (3, 3)")
    if target.shape != (3, 3) or not np.abs(target).max() <= 100:
        expected = "a kernel (3, 3) with weights from −100 to 100"
        raise invalid("target", expected, describe(target))
    learning_rate = as_number(learning_rate, "learning_rate", 0)
    seed = as_integer(seed, "seed", 0)
    steps = as_integer(steps, "steps", 1)
    for value, name, most in (
        (learning_rate, "learning_rate", _LARGEST_RATE),
        (seed, "seed", _SEEDS - 1),
        (steps, "steps", _MOST_STEPS),
    ):
        if value > most:
            raise invalid(name, f"at most {most}", value)
    targets = {k: v for k, v in KERNELS.items() if v.shape == (3, 3)}
    same = [k for k, v in targets.items() if np.array_equal(v, target)]
    name = same[0] if same else "your own"
    data = {
        "pictures": pack_maps(images),
        "starts": pack([_start(seed) for seed in range(_SEEDS)]),
        "targets": {k: pack(v) for k, v in {**targets, name: target}.items()},
        "steps": steps,
    }
    rate = as_text(learning_rate)
    settings = {"target": name, "learning_rate": rate, "seed": seed}
    return LiveFigure("learn_kernel", data, settings)


def _start(seed):
    """Return the weights of a new layer, without disturbing torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Conv2d(1, 1, 3, bias=False).weight[0, 0].detach().numpy()

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnviz._validation import as_array, as_integer, invalid, one_of
from cnnviz.kernels import KERNELS, SOBEL_X
from cnnviz.live._figure import LiveFigure
from cnnviz.live._packing import as_text, pack_pictures, pack_place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from numpy.typing import ArrayLike

    from cnnviz._types import Integer

VIEWS = ("signed", "coloured", "absolute", "clipped")

# What readers copy: the window that the output saw and the weights, made one number.
# The script fills in the $names.
SNIPPETS = {
    "NumPy": """\
import numpy as np

# Row $row, column $column of the output; stride $stride, padding $padding.
window = np.array([$patch]).reshape($height, $width)
kernel = np.array([$kernel
])
print((window[::$dilation, ::$dilation] * kernel).sum())
""",
    "OpenCV": """\
import cv2
import numpy as np

# Row $row, column $column of the output; stride $stride, padding $padding.
window = np.array([$patch], dtype=np.float64).reshape($height, $width)
kernel = np.zeros(($height, $width))
kernel[::$dilation, ::$dilation] = [$kernel
]
output = cv2.filter2D(window, cv2.CV_64F, kernel, anchor=(0, 0))
print(output[0, 0])
""",
    "PyTorch": """\
import torch
from torch.nn.functional import conv2d

# Row $row, column $column of the output; its padding of $padding is in the window.
window = torch.tensor([$patch], dtype=torch.float64).reshape(1, 1, $height, $width)
kernel = torch.tensor([[[$kernel
]]], dtype=torch.float64)
output = conv2d(window, kernel, stride=$stride, dilation=$dilation)
print(output.item())
""",
}


def kernel_playground(
    images: ArrayLike | Mapping[str, ArrayLike],
    kernel: ArrayLike = SOBEL_X,
    *,
    stride: Integer = 1,
    padding: Integer = 0,
    dilation: Integer = 1,
    view: Literal["signed", "coloured", "absolute", "clipped"] = "signed",
    row: Integer = 0,
    column: Integer = 0,
    small: bool = False,
) -> LiveFigure:
    """Slide a kernel over a picture, change both, and follow the arithmetic.

    What is computed is `torch.nn.functional.conv2d` on pixels from 0 to 255. The reader
    chooses among `cnnviz.kernels.KERNELS`, edits weights and settings, brings pictures
    of their own, and copies code that prints the number pointed at.

    Parameters
    ----------
    images : (H, W) or (H, W, 3) array_like, or mapping of str to such
        Pixels, uint8 0–255 or float 0–1; at most 4096 a side. Of several, the reader
        chooses one by its name.
    kernel : array_like, shape (2–7, 2–7)
        The weights at first, of magnitudes below a million.
    stride, dilation : int, 1–9
        As in `torch.nn.Conv2d`.
    padding : int, 0–9
        How many zeros are added on all four sides.
    view : {"signed", "coloured", "absolute", "clipped"}
        How outputs are drawn: zero mid-grey; below zero blue and above red; without
        their sign; cut to 0–255 as 8 bits do.
    row, column : int
        The output that the figure points at first.
    small : bool
        Show only the picture, the weights and the output.

    Returns
    -------
    LiveFigure
        The element ``<cnn-kernel-playground>``.

    Raises
    ------
    TypeError, ValueError
        If an image or the kernel has another shape, dtype or range of values, or the
        kernel or the place does not fit into the first image.
    """
    kernel = as_array(kernel, "kernel", 2, "a kernel (kh, kw)").astype(np.float64)
    if min(kernel.shape) < 2 or max(kernel.shape) > 7:
        shape = f"{kernel.shape[0]}×{kernel.shape[1]}"
        raise invalid("kernel", "2×2 to 7×7", shape)
    if np.abs(kernel).max() >= 1e6:
        raise invalid("kernel", "of weights below a million", np.abs(kernel).max())
    pictures = pack_pictures(images)
    windows = {
        "stride": _up_to_nine(stride, "stride", 1),
        "padding": _up_to_nine(padding, "padding", 0),
        "dilation": _up_to_nine(dilation, "dilation", 1),
    }
    height, width = next(iter(pictures.values()))["shape"][1:]
    padded = [side + 2 * padding for side in (height, width)]
    spans = [(side - 1) * dilation + 1 for side in kernel.shape]
    if spans[0] > padded[0] or spans[1] > padded[1]:
        expected = f"no larger than the padded image of {padded[0]}×{padded[1]}"
        raise invalid("kernel", expected, f"a span of {spans}")
    output = [
        (side - span) // stride + 1 for side, span in zip(padded, spans, strict=True)
    ]
    settings = {
        "kernel": ";".join(",".join(map(as_text, weights)) for weights in kernel),
        "rows": kernel.shape[0],
        "columns": kernel.shape[1],
        **windows,
        "view": one_of(view, "view", VIEWS),
        "at": pack_place(row, column, output),
        "ratio": f"{width} / {height}",
        **({"small": ""} if small else {}),
    }
    data = {
        "pictures": pictures,
        "kernels": {name: weights.tolist() for name, weights in KERNELS.items()},
        "snippets": SNIPPETS,
    }
    return LiveFigure("kernel_playground", data, settings)


def _up_to_nine(value, name, minimum):
    """Return an integer of one digit."""
    value = as_integer(value, name, minimum)
    if value > 9:
        raise invalid(name, f"an integer from {minimum} to 9", value)
    return value

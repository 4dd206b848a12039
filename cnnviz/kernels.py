"""Kernels made by hand, and applying them to images.

All kernels are read-only float64 arrays. They are applied as convolutional
networks apply theirs: by cross-correlation, without flipping the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import cv2
import numpy as np

from cnnviz._validation import as_array, as_flag, as_integer, invalid, one_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cnnviz._types import Floats, Integer

__all__ = [
    "BOX_BLUR",
    "EMBOSS",
    "GAUSSIAN_BLUR",
    "IDENTITY",
    "KERNELS",
    "LAPLACIAN",
    "PREWITT_X",
    "PREWITT_Y",
    "SCHARR_X",
    "SCHARR_Y",
    "SHARPEN",
    "SOBEL_X",
    "SOBEL_Y",
    "Gradient",
    "apply_kernel",
    "edge_bank",
    "gradient",
]


def _kernel(rows: ArrayLike) -> Floats:
    kernel = np.array(rows, dtype=np.float64)
    kernel.setflags(write=False)
    return kernel


IDENTITY = _kernel([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
"""Leaves every pixel as it is."""

SOBEL_X = _kernel([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
"""Derivative along x: positive where brightness grows to the right.

It finds vertical edges. I. Sobel and G. Feldman, 1968; the signs are those of
OpenCV's `Sobel` with ``dx=1``.
"""

SOBEL_Y = _kernel(SOBEL_X.T)
"""Derivative along y: positive where brightness grows downwards.

It finds horizontal edges. I. Sobel and G. Feldman, 1968; the signs are those of
OpenCV's `Sobel` with ``dy=1``.
"""

PREWITT_X = _kernel([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
"""Derivative along x with equal weights. J. Prewitt, 1970."""

PREWITT_Y = _kernel(PREWITT_X.T)
"""Derivative along y with equal weights. J. Prewitt, 1970."""

SCHARR_X = _kernel([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]])
"""Derivative along x, better at oblique edges than Sobel's. H. Scharr, 2000."""

SCHARR_Y = _kernel(SCHARR_X.T)
"""Derivative along y, better at oblique edges than Sobel's. H. Scharr, 2000."""

LAPLACIAN = _kernel([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
"""Sum of the second derivatives: large where a pixel differs from its neighbours.

The signs are those of OpenCV's `Laplacian` with ``ksize=1``.
"""

BOX_BLUR = _kernel(np.full((3, 3), 1 / 9))
"""Mean of the 3 × 3 neighbourhood; `cv2.blur` with ``ksize=(3, 3)``."""

GAUSSIAN_BLUR = _kernel(np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256)
"""Binomial 5 × 5 approximation of a Gaussian with a standard deviation of 1 pixel.

P. Burt and E. Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983.
"""

SHARPEN = _kernel(IDENTITY - LAPLACIAN)
"""The image minus its Laplacian: every pixel moves away from its neighbours.

R. Gonzalez and R. Woods, "Digital Image Processing", section 3.6.
"""

EMBOSS = _kernel([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
"""Light from the upper left: a diagonal derivative added to the image.

From GIMP's manual, "Convolution Matrix".
"""

KERNELS: dict[str, Floats] = {
    "identity": IDENTITY,
    "Sobel x": SOBEL_X,
    "Sobel y": SOBEL_Y,
    "Prewitt x": PREWITT_X,
    "Prewitt y": PREWITT_Y,
    "Scharr x": SCHARR_X,
    "Scharr y": SCHARR_Y,
    "Laplacian": LAPLACIAN,
    "box blur": BOX_BLUR,
    "Gaussian blur": GAUSSIAN_BLUR,
    "sharpen": SHARPEN,
    "emboss": EMBOSS,
}
"""Every named kernel, by the name that pages show."""


def edge_bank() -> Floats:
    """Return the four 4 × 4 edge kernels of the article.

    In order: brighter on the right, brighter on the left, brighter at the bottom,
    brighter at the top.

    Returns
    -------
    numpy.ndarray, shape (4, 4, 4), float64
        Four kernels of −1 and +1.

    References
    ----------
    "Understanding CNNs through visualisations in PyTorch", 2019.
    """
    right = np.tile([-1.0, -1.0, 1.0, 1.0], (4, 1))
    return np.stack([right, -right, right.T, -right.T])


_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}


def apply_kernel(
    image: ArrayLike,
    kernel: ArrayLike,
    stride: Integer = 1,
    padding: Literal["same", "valid"] | Integer = "same",
    *,
    dilation: Integer = 1,
    padding_mode: Literal["zeros", "reflect", "replicate"] = "zeros",
    convolution: bool = False,
) -> Floats:
    """Slide a kernel over an image: at each place, multiply and add.

    Values are computed in float64 and never clipped, so negative responses and
    those above the image's range stay as they are.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any real dtype. Channels are filtered one by one.
    kernel : array_like, shape (kh, kw)
        The weights.
    stride : int, default 1
        How many pixels the kernel moves between two outputs.
    padding : {"same", "valid"} or int, default "same"
        How much is added around the image. ``"same"`` gives an output of the
        image's size at stride 1 (where the total is odd, the larger part goes to
        the right and the bottom, as in PyTorch), ``"valid"`` adds nothing, a number
        is added on all four sides.
    dilation : int, default 1
        The distance between neighbouring weights, in pixels.
    padding_mode : {"zeros", "reflect", "replicate"}, default "zeros"
        What the padding is filled with, as in `torch.nn.Conv2d`.
    convolution : bool, default False
        Flip the kernel in both directions first. That is what mathematics calls
        convolution; networks, and this function by default, compute
        cross-correlation.

    Returns
    -------
    numpy.ndarray, shape (H', W') or (H', W', C), float64
        With ``H' = floor((H + padding − dilation·(kh − 1) − 1) / stride) + 1``
        where ``padding`` counts both sides.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument has the wrong shape or values, or the kernel does not fit
        into the padded image.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep
    learning", 2016.

    Examples
    --------
    >>> apply_kernel([[0, 0, 9, 9]], [[-1, 1]], padding="valid")
    array([[0., 9., 0.]])
    """
    image = as_array(image, "image", (2, 3), "an image (H, W) or (H, W, C)")
    kernel = as_array(kernel, "kernel", 2, "a kernel (kh, kw)").astype(np.float64)
    stride = as_integer(stride, "stride", 1)
    dilation = as_integer(dilation, "dilation", 1)
    mode = _PAD_MODES[one_of(padding_mode, "padding_mode", tuple(_PAD_MODES))]
    if as_flag(convolution, "convolution"):
        kernel = kernel[::-1, ::-1]
    spans = [(size - 1) * dilation + 1 for size in kernel.shape]
    (top, bottom), (left, right) = (_padding(padding, span) for span in spans)
    if mode == "reflect" and max(top, bottom, left, right) >= min(image.shape[:2]):
        raise invalid(
            "padding",
            "smaller than the image for padding_mode 'reflect'",
            f"{max(top, bottom, left, right)} for an image of "
            f"{image.shape[0]}×{image.shape[1]}",
        )
    padded_size = top + image.shape[0] + bottom, left + image.shape[1] + right
    height, width = (
        size - span + 1 for size, span in zip(padded_size, spans, strict=True)
    )
    if height < 1 or width < 1:
        raise invalid(
            "kernel",
            f"no larger than the padded image of {padded_size[0]}×{padded_size[1]}",
            f"a span of {spans[0]}×{spans[1]}",
        )
    planes = image.astype(np.float64).reshape(*image.shape[:2], -1)
    padded = np.pad(planes, ((top, bottom), (left, right), (0, 0)), mode)
    kernel = _spread(kernel, dilation)
    channels = [
        cv2.filter2D(channel, cv2.CV_64F, kernel, anchor=(0, 0))
        for channel in np.moveaxis(padded, -1, 0)
    ]
    output = np.stack(channels, axis=-1)[:height:stride, :width:stride]
    return output.reshape(output.shape[:2] + image.shape[2:])


def _spread(kernel, dilation):
    """Put ``dilation - 1`` zeros between neighbouring weights."""
    height, width = kernel.shape
    spread = np.zeros(((height - 1) * dilation + 1, (width - 1) * dilation + 1))
    spread[::dilation, ::dilation] = kernel
    return spread


def _padding(padding, span):
    """Return the padding before and after, for a kernel that spans `span` pixels."""
    if isinstance(padding, str):
        one_of(padding, "padding", ("same", "valid"))
        total = span - 1 if padding == "same" else 0
        return total // 2, total - total // 2
    return (as_integer(padding, "padding", 0),) * 2


class Gradient(NamedTuple):
    """The gradient of an image: four float64 arrays of the image's shape."""

    x: Floats
    """Derivative along x, positive where brightness grows to the right."""
    y: Floats
    """Derivative along y, positive where brightness grows downwards."""
    magnitude: Floats
    """Steepness: ``sqrt(x² + y²)``."""
    angle: Floats
    """Direction of growing brightness, in degrees in (−180, 180].

    0 points right and 90 points down. Where `magnitude` is 0 the angle means
    nothing and is 0.
    """


def gradient(image: ArrayLike) -> Gradient:
    """Return the gradient of an image by Sobel's kernels.

    The image is continued by reflection at its border, so that the border itself
    is no edge.

    Parameters
    ----------
    image : array_like, shape (H, W)
        A grey image of any real dtype, at least 2 × 2.

    Returns
    -------
    Gradient
        `x`, `y`, `magnitude` and `angle`, each of shape (H, W), in the image's own
        units times 8 for a slope of 1 a pixel (the sum of the positive weights
        times the distance between them).

    Raises
    ------
    TypeError, ValueError
        If `image` is not a finite grey image.

    References
    ----------
    I. Sobel and G. Feldman, "A 3×3 isotropic gradient operator for image
    processing", 1968.
    """
    image = as_array(image, "image", 2, "a grey image (H, W)")
    if min(image.shape) < 2:
        raise invalid("image", "at least 2×2", f"{image.shape[0]}×{image.shape[1]}")
    x, y = (
        apply_kernel(image, kernel, padding_mode="reflect")
        for kernel in (SOBEL_X, SOBEL_Y)
    )
    return Gradient(x, y, np.hypot(x, y), np.degrees(np.arctan2(y, x)))

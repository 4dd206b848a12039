"""Numbers and pictures as text that a browser reads: base64, without loss."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from cnnviz._validation import invalid
from cnnviz.plotting._style import as_pixels


def pack(array):
    """Return an array as a dict for JSON; all but bytes become float32."""
    array = np.ascontiguousarray(array)
    if array.dtype not in (np.uint8, np.int8):
        array = np.ascontiguousarray(array, dtype="<f4")
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(array.tobytes()).decode(),
    }


def pack_weights(weights):
    """Return weights as 8-bit numbers with a scale a row (the first dimension).

    The largest magnitude of a row becomes ±127, so a weight is off by at most 1/254 of
    that.
    """
    weights = np.asarray(weights, dtype=np.float32)
    rows = weights.reshape(len(weights), -1)
    largest = np.abs(rows).max(axis=1)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1))
    scale = scale.astype(np.float32)
    levels = np.rint(rows / scale[:, None]).astype(np.int8)
    return {**pack(levels.reshape(weights.shape)), "scale": pack(scale)}


def pack_picture(image, name="image"):
    """Return pixels as a picture that browsers decode without loss (WebP).

    Floats are rounded to the nearest of 256 levels.
    """
    pixels, white = as_pixels(image, name)
    if white == 1:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    if max(height, width) > 4096:
        raise invalid(name, "at most 4096 pixels a side", f"{height}×{width}")
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, method=6)
    address = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return {"source": address, "grey": pixels.ndim == 2}


def pack_pictures(images, name="images"):
    """Return one picture, or a mapping of names to pictures, as named pictures."""
    if not hasattr(images, "items"):
        images = {"picture": images}
    if not images:
        raise invalid(name, "at least one picture", "none")
    return {str(k): pack_picture(v, f"{name}[{k!r}]") for k, v in images.items()}

"""What live figures carry, read back as a page reads it, from its description alone."""

import base64
import zlib

import numpy as np


def unpack(packed):
    """Return an array: its numbers, times the scale of their row."""
    data = base64.b64decode(packed["base64"], validate=True)
    assert packed["dtype"] in ("uint8", "int8", "float32")
    array = np.frombuffer(data, packed["dtype"]).reshape(packed["shape"])
    if "scale" in packed:
        scale = unpack(packed["scale"])
        array = array * scale.reshape(-1, *[1] * (array.ndim - 1))
    return array


def unpack_picture(packed):
    """Return the pixels of a picture, (H, W) or (H, W, 3); the median predicts each."""
    channels, height, width = packed["shape"]
    data = zlib.decompress(base64.b64decode(packed["deflated"], validate=True))
    stored = np.moveaxis(np.frombuffer(data, np.uint8).reshape(packed["shape"]), 0, 2)
    levels = np.zeros((height + 1, width + 1, channels), int)
    for row in range(1, height + 1):
        for column in range(1, width + 1):
            left, above = levels[row, column - 1], levels[row - 1, column]
            sloping = left + above - levels[row - 1, column - 1]
            median = np.sort([left, above, sloping], axis=0)[1]
            levels[row, column] = (stored[row - 1, column - 1] + median) % 256
    pixels = levels[1:, 1:]
    if channels == 1:
        return pixels[..., 0].astype(np.uint8)
    pixels[..., [0, 2]] += pixels[..., [1]]
    return (pixels % 256).astype(np.uint8)

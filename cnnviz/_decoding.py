"""Files of images to 8-bit RGB: what `datasets.read_image` does with their bytes."""

import io

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from cnnviz._side_notes import separate

PNG_BIT_DEPTH = 24  # where the PNG header has it
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_BLACK_IS_ZERO = 258, 262, 1
TIFF_SAMPLE_FORMAT, SIGNED = 339, 2


def decode(data):
    """Return the bytes of an image file as an upright RGB image."""
    data, orientation = separate(data)
    image = Image.open(io.BytesIO(data))
    if image.format == "EPS":
        raise ValueError("it is a program, which an interpreter would have to run")
    image.load()
    if orientation is not None:
        image.getexif()[ExifTags.Base.Orientation] = orientation
    if image.format == "PNG":
        _check_png(image, data)
        _scale_key(image, data[PNG_BIT_DEPTH])
    if image.format == "TIFF" and SIGNED in image.tag_v2.get(TIFF_SAMPLE_FORMAT, ()):
        raise ValueError("its values can be negative")
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_eight_bits(image, _grey_16(image))
    elif image.format == "PNG" and data[PNG_BIT_DEPTH] == 16:
        image = _to_eight_bits(image, _colour_16(data))
    image = _upright(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _upright(image):
    """Turn an image as its EXIF says, where that can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises all kinds on damaged EXIF
        return image


def _check_png(image, data):
    """Refuse a PNG that is damaged where `load` does not look."""
    Image.open(io.BytesIO(data)).verify()  # the checksums of pixels, and the end
    if image.mode == "P":
        palette = image.palette
        colours = len(palette.palette) // len(palette.mode) if palette else 0
        if image.getextrema()[1] >= colours:
            raise ValueError(f"a pixel has a colour beyond the palette's {colours}")


def _scale_key(image, depth):
    """Give the transparent grey of 2 or 4 bits the range that Pillow gives pixels."""
    if image.mode == "L" and depth < 8 and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2**depth - 1)


def _to_eight_bits(image, values):
    """Return the 16-bit `values` of `image` with 8 bits, to be turned as `image` is."""
    rounded = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    orientation = ExifTags.Base.Orientation
    rounded.getexif()[orientation] = image.getexif().get(orientation, 1)
    return rounded


def _grey_16(image):
    """Return 16-bit values (H, W), or (H, W, 2) where one grey is transparent."""
    if image.format == "TIFF":
        full_range = (
            image.mode.startswith("I;16")
            and image.tag_v2.get(TIFF_BITS) == (16,)
            and image.tag_v2.get(TIFF_PHOTOMETRIC) == TIFF_BLACK_IS_ZERO
        )
    else:
        full_range = image.mode != "F" and image.format in ("JPEG2000", "PNG", "PPM")
    if not full_range:
        raise ValueError("its values are not known to go from black 0 to white 65535")
    grey = np.asarray(image)
    transparent = image.info.get("transparency")
    if transparent is None:
        return grey
    return np.dstack([grey, np.where(grey == transparent, 0, 65535)])


def _colour_16(data):
    """Return 16-bit values (H, W, 3 or 4) of a PNG: Pillow keeps their high bytes."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    blue, green, red, *alpha = np.moveaxis(values, -1, 0)
    return np.dstack([red, green, blue, *alpha])

"""Checks of arguments: one function a kind, one form of message.

Every message names the argument, what was expected and what came.
"""

import numbers
import operator

import numpy as np

_FLOATS = ("float16", "float32", "float64")  # that torch and NumPy have


def invalid(name, expected, got, error=ValueError):
    """Return the exception that says what `name` must be and what it was."""
    return error(f"{name} must be {expected}, got {got}")


def describe(value):
    """Say in a few words what `value` is: type, shape and dtype, or the value."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        kind = type(value).__name__
        return f"{kind} of shape {tuple(shape)} and dtype {value.dtype}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def as_integer(value, name, minimum):
    """Return `value` as an `int` of at least `minimum`."""
    if isinstance(value, (bool, np.bool_)):
        raise invalid(name, "an integer", describe(value), TypeError)
    try:
        integer = operator.index(value)
    except TypeError:
        raise invalid(name, "an integer", describe(value), TypeError) from None
    if integer < minimum:
        raise invalid(name, f"an integer of at least {minimum}", integer)
    return integer


def as_number(value, name, minimum=None):
    """Return `value` as a finite `float`, at least `minimum` where one is given."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise invalid(name, "a number", describe(value), TypeError)
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise invalid(name, "a finite number", number)
    if minimum is not None and number < minimum:
        raise invalid(name, f"a number of at least {minimum}", number)
    return number


def one_of(value, name, choices):
    """Return `value`, which must be one of `choices`."""
    is_plain = isinstance(value, (str, int, np.bool_))
    if not is_plain or value not in choices:
        got = repr(value) if isinstance(value, str) else describe(value)
        raise invalid(name, "one of " + ", ".join(map(repr, choices)), got)
    return value


def as_flag(value, name):
    """Return `value`, of Python or NumPy, as a `bool`."""
    if not isinstance(value, (bool, np.bool_)):
        raise invalid(name, "True or False", describe(value), TypeError)
    return bool(value)


def as_text(value, name):
    """Return `value`, a string that can be written or None."""
    if value is not None and not isinstance(value, str):
        raise invalid(name, "a string or None", describe(value), TypeError)
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise invalid(name, "text that can be written", ascii(value)) from None
    return value


def count_of(values, name, words):
    """Return the length of a sequence that is no text."""
    try:
        if isinstance(values, (str, bytes, set)):
            raise TypeError
        return len(values)
    except TypeError:
        raise invalid(name, words, describe(values), TypeError) from None


def as_array(value, name, ndim, shape_words, boolean=np.uint8):
    """Return `value` (array-like or tensor) as a finite, non-empty numeric array.

    Parameters
    ----------
    value : array_like or torch.Tensor
        What came in. Tensors are detached and moved to the CPU; floats that NumPy
        lacks, such as ``bfloat16``, become ``float32``.
    name : str
        The argument's name, for messages.
    ndim : int or tuple of int
        The numbers of dimensions allowed.
    shape_words : str
        What is expected, for messages, such as ``"an image (H, W) or (H, W, C)"``.
    boolean : dtype, default uint8
        What `bool` becomes.

    Returns
    -------
    numpy.ndarray
        The same values and dtype, but for `bool` and ``longdouble``.
    """
    if hasattr(value, "detach"):
        if value.is_meta:
            raise invalid(name, shape_words, "a meta tensor, which has no values")
        value = value.detach().cpu()
        if value.is_floating_point() and str(value.dtype)[6:] not in _FLOATS:
            value = value.float()
    if np.ma.is_masked(value):
        raise invalid(name, shape_words, "masked values")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        raise invalid(name, shape_words, describe(value), TypeError) from None
    if array.dtype == bool:
        array = array.astype(boolean)
    if array.dtype.kind not in "iuf":
        raise invalid(
            name, f"{shape_words} of real numbers", describe(array), TypeError
        )
    allowed = ndim if isinstance(ndim, tuple) else (ndim,)
    if array.ndim not in allowed:
        raise invalid(name, shape_words, describe(array))
    if array.size == 0:
        raise invalid(name, f"{shape_words}, not empty", describe(array))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise invalid(name, f"{shape_words} of finite values", f"{bad} NaN or infinite")
    return array.astype(np.float64) if array.dtype == np.longdouble else array


def as_signed(signed, values, name):
    """Return whether to show `values` as signed: if told, or if any is negative."""
    lowest = values.min()
    if signed is None:
        return bool(lowest < 0)
    if not as_flag(signed, "signed") and lowest < 0:
        raise invalid(name, "at least 0 where signed is False", f"{lowest:g}")
    return bool(signed)


def as_limit(limit, values):
    """Return the colour limit given, or the largest magnitude in `values`."""
    if limit is not None:
        limit = as_number(limit, "limit")
        if limit <= 0:
            raise invalid("limit", "a positive number", limit)
        return limit
    return float(max(np.abs(v.astype(np.float64)).max() for v in values)) or 1.0


def as_titles(titles, count, name="titles"):
    """Return `count` titles, all None where none are given."""
    if titles is None:
        return [None] * count
    words = f"a sequence of {count} strings"
    if (number := count_of(titles, name, words)) != count:
        raise invalid(name, words, f"{number} of them")
    return [_as_title(title, f"{name}[{i}]") for i, title in enumerate(titles)]


def _as_title(title, name):
    """Return anything that is one thing as text."""
    if hasattr(title, "item"):
        is_record = getattr(title.dtype, "names", None)
        if is_record or np.prod(title.shape) != 1:
            raise invalid(name, "one thing", describe(title), TypeError)
        title = title.item()
    return as_text(str(title), name)


def as_picture(picture, name, words, channels=(1, 3)):
    """Return an array (H, W) or (H, W, C), C being one of `channels` and not 1.

    Tensors have torch's order, (H, W), (C, H, W) or (1, C, H, W); all else has
    NumPy's, (H, W) or (H, W, C). The type says which, never the sizes.
    """
    is_tensor = hasattr(picture, "detach")
    order = "({}, H, W)" if is_tensor else "(H, W, {})"
    shapes = ["(H, W)", *(order.format(count) for count in channels)]
    words = f"{'a tensor' if is_tensor else 'an array'} of {words} "
    words += ", ".join(shapes[:-1]) + " or " + shapes[-1]
    array = as_array(picture, name, (2, 3, 4) if is_tensor else (2, 3), words, float)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and is_tensor:
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in channels):
        raise invalid(name, words, describe(picture))
    return array[..., 0] if array.shape[2:] == (1,) else array


def as_pixels(image, name="image", normalised_by=None):
    """Return pixels as uint8 or float, (H, W) or (H, W, 3), and their white.

    White is 255 for integers, 1 for floats. The mean and standard deviation that floats
    were `normalised_by` are undone, where the caller takes them.
    """
    is_coarse = getattr(getattr(image, "dtype", None), "itemsize", 8) < 4
    mode = getattr(image, "mode", None) if hasattr(image, "getbands") else None
    if mode not in (None, "1", "L", "RGB"):
        raise invalid(name, "of mode 1, L or RGB where Pillow made it", mode)
    pixels = as_picture(image, name, "pixels")
    words = ""
    if normalised_by is not None:
        words = ", or normalised ones with their mean and std"
        if any(each is not None for each in normalised_by):
            words = " once mean and std are undone"
            pixels = _undo_normalisation(pixels, name, *normalised_by)
    white, slack, kind = (
        (1, 0.01 if is_coarse else 1e-6, "float")
        if pixels.dtype.kind == "f"
        else (255, 0, "integer")
    )
    low, high = pixels.min(), pixels.max()
    if low < -slack or high > white + slack:
        expected = f"{kind} pixels from 0 to {white}" + words * (white == 1)
        raise invalid(name, expected, f"values from {low:g} to {high:g}")
    pixels = pixels.clip(0, white)
    return (pixels.astype(np.uint8) if kind == "integer" else pixels), white


def _undo_normalisation(pixels, name, mean, std):
    """Return ``pixels * std + mean``."""
    if pixels.dtype.kind != "f":
        raise invalid(name, "floats where mean or std are given", describe(pixels))
    channels = 3 if pixels.ndim == 3 else 1
    mean = _by_channel(0 if mean is None else mean, "mean", channels)
    std = _by_channel(1 if std is None else std, "std", channels)
    if std.min() <= 0:
        raise invalid("std", "positive", f"{std.min():g}")
    return pixels * std + mean


def _by_channel(value, name, channels):
    """Return a number for all `channels`, or one for each."""
    words = f"a number, or one for each of {channels} channels"
    array = as_array(value, name, (0, 1), words)
    if array.size not in (1, channels):
        raise invalid(name, words, f"{array.size} numbers")
    return array.astype(np.float64)

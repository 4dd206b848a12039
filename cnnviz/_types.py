"""Types that many signatures share. Only type checkers import this module.

What the documentation calls array_like is NumPy's `ArrayLike`, which tensors satisfy.
"""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
"""An array of real numbers that this package worked out."""

Pixels: TypeAlias = NDArray[np.uint8]
"""An image as files hold it, 0–255."""

Arrays: TypeAlias = NDArray[Any] | torch.Tensor | Sequence[ArrayLike]
"""A stack of arrays of one shape, or a sequence of arrays that differ in shape."""

ArraysByName: TypeAlias = dict[str, Any]
"""Arrays by name; not ``dict[str, ArrayLike]``, which a dict of tensors is not."""

Labels: TypeAlias = Sequence[object] | NDArray[Any] | torch.Tensor
"""One thing for each picture, shown as text."""

Integer: TypeAlias = int | np.integer[Any]
"""An int, of Python or NumPy."""

Number: TypeAlias = float | np.integer[Any] | np.floating[Any]
"""A real number, of Python or NumPy."""

Sizes: TypeAlias = tuple[Integer, ...] | list[int]
"""A shape, or a pair (height, width)."""

File: TypeAlias = str | os.PathLike[str]
"""The path of a file."""

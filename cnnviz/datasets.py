"""Real images without a network: the MNIST digits, a photo of a dog, your own files.

The package carries MNIST compressed. `mnist` unpacks it on first use into the cache
folder (see `cache_folder`) and from then on only checks that it is whole.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gzip
import hashlib
import os
import shutil
import tempfile
import uuid
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import platformdirs
from PIL import Image, UnidentifiedImageError

from cnnviz._decoding import decode
from cnnviz._validation import describe, invalid, one_of

if TYPE_CHECKING:
    import torch
    from torchvision.datasets import MNIST

    from cnnviz._types import File, Pixels

__all__ = ["cache_folder", "dog", "mnist", "mnist_tensors", "photo", "read_image"]

DATA = Path(__file__).with_name("data")

# SHA-256 of the raw files, as their authors published them.
MNIST_FILES = {
    "train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}


def mnist(train: bool = True) -> MNIST:
    """Return the MNIST handwritten digits.

    On first use they are unpacked into the cache folder. Their checksums are compared
    at every call, and a damaged file is replaced. The network is never used.

    Parameters
    ----------
    train : bool, default True
        The 60,000 training digits, or else the 10,000 test digits.

    Returns
    -------
    torchvision.datasets.MNIST
        Pairs of an image, a float32 tensor (1, 28, 28) from 0 (black) to 1 (white),
        and its label, an int from 0 to 9.

    Raises
    ------
    ValueError
        If `train` is neither True nor False.
    RuntimeError
        If the files that the package carries are missing or damaged.

    Warns
    -----
    RuntimeWarning
        If a damaged file was replaced, or if the cache cannot be written and a
        temporary folder serves instead.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86 (11), 1998, 2278-2324.

    Examples
    --------
    >>> image, label = mnist()[7]
    >>> image.shape, label
    (torch.Size([1, 28, 28]), 3)
    """
    train = bool(one_of(train, "train", (True, False)))
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor

    folder = _chosen_folder()
    try:
        _unpack_mnist(folder)
    except OSError as error:
        folder = _fall_back(folder, error)
        _unpack_mnist(folder)
    return MNIST(folder, train=train, transform=ToTensor())


def mnist_tensors(train: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all MNIST digits at once, in order.

    Parameters
    ----------
    train : bool, default True
        The 60,000 training digits, or else the 10,000 test digits.

    Returns
    -------
    tuple of torch.Tensor
        The images, (N, 1, 28, 28) float32 from 0 (black) to 1 (white), as `mnist` gives
        them, and their labels, (N,) int64 from 0 to 9.

    Examples
    --------
    >>> images, labels = mnist_tensors(train=False)
    >>> images.shape, labels[:3].tolist()
    (torch.Size([10000, 1, 28, 28]), [7, 2, 1])
    """
    digits = mnist(train)
    return digits.data[:, None].float().div_(255), digits.targets


def dog() -> Pixels:
    """Return the photo of a dog that the pages use.

    Returns
    -------
    numpy.ndarray
        (576, 768, 3) uint8 RGB.

    References
    ----------
    Joseph Redmon, darknet, 2018 (``data/dog.jpg``).

    Examples
    --------
    >>> dog().shape
    (576, 768, 3)
    """
    return photo("dog")


PHOTOS = {
    "dog": DATA / "dog.jpg",
    **{
        name: DATA / "photos" / f"{name}.png" for name in ("cat", "coffee", "astronaut")
    },
}


def photo(name: Literal["dog", "cat", "coffee", "astronaut"]) -> Pixels:
    """Return one of the photos that the pages show to a network trained on photos.

    Parameters
    ----------
    name : {"dog", "cat", "coffee", "astronaut"}
        What is on it; `dog` returns the first as well.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) uint8 RGB.

    Raises
    ------
    ValueError
        If there is no such photo.

    References
    ----------
    Stefan van der Walt (cat), Rachel Michetti (coffee), NASA (Eileen Collins); see
    ``data/LICENSES.md``.

    Examples
    --------
    >>> photo("cat").shape
    (300, 451, 3)
    """
    return read_image(PHOTOS[one_of(name, "name", tuple(PHOTOS))])


def read_image(path: File) -> Pixels:
    """Read an image file as RGB.

    Whatever the file holds comes out as 8-bit RGB: grey is repeated three times,
    transparency is laid over white, 16 bits a channel are divided by 257 and rounded
    (but of 16-bit colour in a TIFF, Pillow keeps the high byte), the EXIF orientation
    is applied, an animation gives its first frame. Colour profiles are ignored.

    Images of 32 bits a channel, integer or float, are refused: no value of theirs is
    known to be white. So are signed values, and 16-bit grey TIFFs that use fewer bits
    or count from white; and EPS, whose files are programs.

    The checksums of a PNG are compared. Most other formats have none: of damage that
    still can be decoded, nothing is known.

    Parameters
    ----------
    path : str or os.PathLike
        A file of any format that Pillow reads.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) uint8 RGB.

    Raises
    ------
    TypeError
        If `path` is not a path.
    FileNotFoundError
        If there is no such file.
    ValueError
        If `path` is a folder; if the file is empty, cut short, damaged, no image, or
        an image of more than ``PIL.Image.MAX_IMAGE_PIXELS`` pixels or of a depth that
        is refused.

    Examples
    --------
    >>> image = read_image(DATA / "dog.jpg")
    >>> image.shape, image.dtype
    ((576, 768, 3), dtype('uint8'))
    """
    if not isinstance(path, (str, os.PathLike)):
        raise invalid("path", "a str or os.PathLike", describe(path), TypeError)
    if os.path.isdir(path):
        raise invalid("path", "an image file", f"the folder {os.fspath(path)!r}")
    data = Path(path).read_bytes()
    file = repr(os.fspath(path))
    if not data:
        raise invalid("path", "an image file", f"the empty file {file}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = decode(data)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        expected = f"an image of at most {Image.MAX_IMAGE_PIXELS} pixels"
        raise invalid("path", expected, f"a larger one, {file}") from None
    except UnidentifiedImageError:
        got = f"{file}, in which Pillow recognises no image"
        raise invalid("path", "an image file", got) from None
    except Exception as error:  # Pillow's decoders raise all kinds on a damaged file
        expected = "a whole image of 8 or 16 bits a channel"
        raise invalid("path", expected, f"{file} ({error})") from error
    return np.array(image)


def cache_folder() -> Path:
    """Return the folder for what can be made again, after making sure of it.

    The environment variable ``CNNVIZ_CACHE`` names it; without one it is the user's
    cache folder of the operating system. When that can't be written, a temporary
    folder, removed when the process ends, serves instead.

    Returns
    -------
    pathlib.Path
        An absolute path of a folder that exists and can be written.

    Warns
    -----
    RuntimeWarning
        If a temporary folder serves.
    """
    folder = _chosen_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        folder = _fall_back(folder, error)
    return folder


def _chosen_folder():
    """Return the cache folder that the user or the operating system chose."""
    chosen = os.environ.get("CNNVIZ_CACHE")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    return platformdirs.user_cache_path("cnnviz", appauthor=False)


def _fall_back(folder, error):
    """Return the temporary folder, and warn that it serves instead of `folder`."""
    temporary = _temporary_folder()
    warnings.warn(
        f"the cache {str(folder)!r} cannot be written ({error}); {str(temporary)!r} "
        "serves until this process ends. CNNVIZ_CACHE can name another folder.",
        RuntimeWarning,
        stacklevel=3,
    )
    return temporary


@functools.cache
def _temporary_folder():
    """Return this process's temporary folder, which is removed at its end."""
    folder = tempfile.mkdtemp(prefix="cnnviz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _unpack_mnist(folder):
    """Put the MNIST files where torchvision looks, unless they are there and whole."""
    for name, expected in MNIST_FILES.items():
        path = folder / "MNIST" / "raw" / name
        found = _sha256(path)
        if found == expected:
            continue
        try:
            _write(path, _packaged(name))
        except OSError:
            # Another process was faster: it took the part-file for one left behind,
            # or Windows refuses to replace a file that is being read.
            if _sha256(path) != expected:
                raise
        for left in path.parent.glob(f"{name}.*.part"):  # by a process that was killed
            with contextlib.suppress(OSError):
                left.unlink()
        if found is not None:
            warnings.warn(
                f"the file {str(path)!r} was damaged and has been replaced",
                RuntimeWarning,
                stacklevel=3,
            )


def _sha256(path):
    """Return the SHA-256 of a file, or None when it is missing or unreadable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _packaged(name):
    """Return the contents of an MNIST file, unpacked from the package."""
    packed = DATA / "mnist" / f"{name}.gz"
    problem = f"{packed} is missing or damaged: reinstall cnnviz"
    try:
        raw = gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise RuntimeError(problem) from error
    if hashlib.sha256(raw).hexdigest() != MNIST_FILES[name]:
        raise RuntimeError(problem)
    return raw


def _write(path, content):
    """Write a file in one step, so that other processes never see half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)

"""Real images without a network: the MNIST digits, a photo of a dog, your own files."""

from __future__ import annotations

import gzip
import os
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from cnnviz._decoding import decode
from cnnviz._validation import describe, invalid, one_of

if TYPE_CHECKING:
    import torch
    from torchvision.datasets import MNIST

    from cnnviz._types import File, Pixels

__all__ = ["dog", "mnist", "mnist_tensors", "photo", "read_image"]

DATA = Path(__file__).with_name("data")


def mnist(train: bool = True) -> MNIST:
    """Return the MNIST handwritten digits.

    The package carries them compressed; nothing is fetched, and no file is written.

    Parameters
    ----------
    train : bool, default True
        The 60,000 training digits, or else the 10,000 test digits.

    Returns
    -------
    torchvision.datasets.MNIST
        Pairs of an image, a float32 tensor (1, 28, 28) from 0 (black) to 1 (white),
        and its label, an int from 0 to 9. All of them are in its `data`, (N, 28, 28)
        uint8, and `targets`, (N,) int64.

    Raises
    ------
    ValueError
        If `train` is neither True nor False.
    RuntimeError
        If the files that the package carries are missing or damaged.

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
    import torch
    from torchvision.datasets import MNIST, VisionDataset
    from torchvision.transforms import ToTensor

    def values(kind, dimensions, offset):
        file = f"{'train' if train else 't10k'}-{kind}-ubyte.gz"
        content = bytearray(_decompressed(DATA / "mnist" / file))
        data = torch.frombuffer(content, dtype=torch.uint8, offset=offset)
        return data.view(-1, *dimensions)

    digits = MNIST.__new__(MNIST)  # its own __init__ would read unpacked files
    VisionDataset.__init__(digits, DATA / "mnist", transform=ToTensor())
    digits.train = train
    digits.data = values("images-idx3", (28, 28), offset=16)
    digits.targets = values("labels-idx1", (), offset=8).long()
    return digits


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

    What isn't pixels hides no picture: a comment, profile or EXIF may be as long or as
    broken as it likes. Where the orientation can't be read, the image stays as it is.

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
            warnings.simplefilter("ignore", UserWarning)  # of what isn't pixels
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


def _decompressed(path):
    """Return the contents of a file of the package; gzip compares its checksum."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        problem = f"{path} is missing or damaged: reinstall cnnviz"
        raise RuntimeError(problem) from error

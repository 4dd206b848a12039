import copy
import functools
import gzip
import hashlib
import io
import os
import pickle
import re
import shutil
import socket
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFile, features
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from cnnviz import datasets

DATA = Path(datasets.__file__).parent / "data"
SUMS = dict(
    reversed(line.split("  "))
    for line in (DATA / "LICENSES.md").read_text("utf-8").splitlines()
    if re.fullmatch(r"[0-9a-f]{64}  \S+", line)
)
SPLITS = [(True, "train", 60_000), (False, "t10k", 10_000)]


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


# --- MNIST: values -----------------------------------------------------------------


@pytest.mark.parametrize(("train", "prefix", "count"), SPLITS)
def test_mnist_holds_the_values_of_the_files(train, prefix, count):
    def content(kind):
        packed = DATA / "mnist" / f"{prefix}-{kind}-ubyte.gz"
        return gzip.decompress(packed.read_bytes())

    pixels = np.frombuffer(content("images-idx3"), np.uint8, offset=16)
    labels = np.frombuffer(content("labels-idx1"), np.uint8, offset=8)
    digits = datasets.mnist(train)
    assert type(digits) is torchvision.datasets.MNIST
    assert len(digits) == count
    np.testing.assert_array_equal(digits.data, pixels.reshape(count, 28, 28))
    np.testing.assert_array_equal(digits.targets, labels)


def test_mnist_is_the_training_set_unless_told():
    assert datasets.mnist().train is True
    assert len(datasets.mnist_tensors()[0]) == 60_000


@pytest.mark.parametrize(
    ("train", "counts"),
    [
        (True, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        (False, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ],
)
def test_each_label_occurs_as_often_as_published(train, counts):
    _, labels = datasets.mnist_tensors(train)
    assert labels.bincount().tolist() == counts


def test_first_training_digits_are_in_the_published_order():
    digits = datasets.mnist()
    assert [digits[i][1] for i in range(10)] == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_training_pixels_have_the_published_mean_and_deviation():
    images, _ = datasets.mnist_tensors()
    assert images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert images.std().item() == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize(("train", "prefix", "count"), SPLITS)
def test_tensors_equal_what_the_dataset_gives(train, prefix, count):
    digits = datasets.mnist(train)
    images, labels = datasets.mnist_tensors(train)
    assert images.shape == (count, 1, 28, 28)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert (images.min(), images.max()) == (0, 1)
    for i in np.random.default_rng(0).choice(count, 200, replace=False):
        image, label = digits[i]
        assert torch.equal(images[i], image)
        assert labels[i] == label


def test_tensors_may_be_changed_without_harm():
    images, labels = datasets.mnist_tensors(train=False)
    images.zero_()
    labels.zero_()
    again, labels = datasets.mnist_tensors(train=False)
    assert again.max() == 1
    assert labels.max() == 9


@pytest.mark.parametrize("train", ["test", None, 2])
@pytest.mark.parametrize("function", [datasets.mnist, datasets.mnist_tensors])
def test_train_is_true_or_false(function, train):
    with pytest.raises(
        ValueError, match=f"train must be one of True, False, .*{train}"
    ):
        function(train)


# --- MNIST: the files ---------------------------------------------------------------


@pytest.fixture
def unpacked(tmp_path):
    """The files as torchvision wants them."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (DATA / "mnist").iterdir():
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return tmp_path


@pytest.mark.parametrize("train", [True, False])
def test_mnist_is_what_torchvision_makes_of_unpacked_files(unpacked, train):
    def described(dataset):
        return repr(dataset).replace(str(dataset.root), "")

    expected = torchvision.datasets.MNIST(unpacked, train, transform=ToTensor())
    digits = datasets.mnist(train)
    for ours in (digits, pickle.loads(pickle.dumps(digits)), copy.deepcopy(digits)):
        assert vars(ours).keys() == vars(expected).keys()
        assert described(ours) == described(expected)
        assert (ours.classes, ours.train) == (expected.classes, expected.train)
        for name in ("data", "targets"):
            one, other = getattr(ours, name), getattr(expected, name)
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
        assert torch.equal(ours[7][0], expected[7][0])
        assert (type(ours[7][1]), ours[7][1]) == (int, expected[7][1])


def test_mnist_can_be_loaded_by_workers():
    loader = DataLoader(datasets.mnist(False), 100, num_workers=1)
    images, labels = next(iter(loader))
    expected = datasets.mnist_tensors(False)
    assert torch.equal(images, expected[0][:100])
    assert torch.equal(labels, expected[1][:100])


def test_nothing_is_written_or_fetched(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path / "cache"))
    before = sorted(DATA.rglob("*"))
    datasets.mnist()
    assert sorted(DATA.rglob("*")) == before
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("problem", ["missing", "truncated", "garbage", "flip"])
def test_damaged_package_is_an_error_that_names_the_file(
    tmp_path, monkeypatch, problem
):
    shutil.copytree(DATA / "mnist", tmp_path / "mnist")
    packed = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    good = packed.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    content = {"truncated": good[:-100], "garbage": b"not gzip", "flip": flipped}
    packed.unlink()
    if problem in content:
        packed.write_bytes(content[problem])
    monkeypatch.setattr(datasets, "DATA", tmp_path)
    with pytest.raises(RuntimeError, match=f"{packed.name} is missing or damaged: rei"):
        datasets.mnist(train=False)


def test_files_in_the_package_have_the_sums_recorded_beside_them():
    for name, expected in SUMS.items():
        (path,) = DATA.rglob(f"{name}*")
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert hashlib.sha256(content).hexdigest() == expected
    assert len(SUMS) >= len(list((DATA / "mnist").iterdir())) + 1


def test_importing_is_light():
    code = (
        "import sys, cnnviz.datasets\n"
        "print({'torch', 'torchvision', 'matplotlib'} & {*sys.modules})"
    )
    assert run_python(code).stdout == "set()\n"


# --- images: files made by hand ----------------------------------------------------


def chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(pixels, *chunks, size=None):
    """Return a PNG file of (H, W, C) uint8 or uint16 pixels, made without a library."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.itemsize
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">2I5B", *(size or (width, height)), depth, colour, 0, 0, 0)
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in big_endian)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            *chunks,
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def saved(image, kind, **options):
    """Return the file that Pillow makes of an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def over_white(colour, alpha):
    """Return 8-bit colours (H, W, C) over white, by the formula, as RGB."""
    colour, alpha = colour.astype(float), alpha.astype(float)[..., None]
    blended = np.rint(colour * alpha / 255 + 255 - alpha).astype(np.uint8)
    return np.broadcast_to(blended, (*blended.shape[:2], 3))


def random_pixels(*shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)


@pytest.fixture
def read(tmp_path):
    """Read an image from the bytes of its file."""

    def read(content):
        path = tmp_path / "image"
        path.write_bytes(content)
        return datasets.read_image(path)

    return read


def assert_image(image, expected, tolerance=0):
    assert type(image) is np.ndarray
    assert image.dtype == np.uint8
    assert image.shape == (*np.shape(expected)[:2], 3)
    assert image.flags.writeable
    difference = np.abs(image.astype(int) - np.asarray(expected, int))
    assert difference.max() <= tolerance


def test_dog_is_the_photo_as_opencv_reads_it():
    image = datasets.dog()
    assert image.shape == (576, 768, 3)
    assert_image(image, cv2.imread(str(DATA / "dog.jpg"))[..., ::-1], tolerance=2)


def test_dog_may_be_changed_without_harm():
    datasets.dog()[:] = 0
    assert datasets.dog().any()


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4)).flatmap(
        lambda shape: st.one_of(arrays(np.uint8, shape), arrays(np.uint16, shape))
    )
)
def test_png_of_every_depth_and_kind(tmp_path_factory, pixels):
    path = tmp_path_factory.getbasetemp() / "every.png"
    path.write_bytes(png(pixels))
    rounded = pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257)
    if pixels.shape[2] in (2, 4):
        expected = over_white(rounded[..., :-1], rounded[..., -1])
    else:
        expected = np.broadcast_to(rounded, (*rounded.shape[:2], 3))
    assert_image(datasets.read_image(path), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_rounded_over_the_whole_range(read, channels):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    image = read(png(np.repeat(values, channels, axis=2)))
    levels, counts = np.unique(image[..., 0], return_counts=True)
    assert levels.tolist() == list(range(256))
    assert counts.tolist() == [129, *[257] * 254, 129]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_colour_of_a_png_becomes_white(read, dtype, channels):
    pixels = random_pixels(4, 5, channels, dtype=dtype)
    pixels[1, 2] = [17, 34, 51][:channels]
    key = chunk(b"tRNS", pixels[1, 2].astype(">u2").tobytes())
    alpha = np.where((pixels == pixels[1, 2]).all(-1), 0, 255)
    assert (alpha == 0).sum() == 1
    rounded = np.rint(pixels / (257 if dtype == np.uint16 else 1))
    assert_image(read(png(pixels, key)), over_white(rounded, alpha))


def test_sixteen_bit_colour_is_transparent_only_where_all_16_bits_match(read):
    pixels = np.full((1, 2, 3), 0x1234, np.uint16)
    pixels[0, 1] += 1
    key = chunk(b"tRNS", pixels[0, 0].astype(">u2").tobytes())
    assert read(png(pixels, key))[0, :, 0].tolist() == [255, 0x12]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_palette(read, kind):
    palette = random_pixels(8, 3)
    indices = random_pixels(5, 6) % 8
    image = Image.fromarray(indices, "L")
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    assert_image(read(saved(image, kind)), palette[indices])


def test_palette_with_partial_transparency(read):
    palette, alpha = random_pixels(8, 3), random_pixels(8, seed=1)
    indices = random_pixels(5, 6) % 8
    image = Image.fromarray(indices, "L")
    image.putpalette(palette.tobytes())
    content = saved(image, "PNG", transparency=alpha.tobytes())
    assert_image(read(content), over_white(palette[indices], alpha[indices]))


def test_palette_with_one_transparent_colour(read):
    palette = random_pixels(8, 3)
    indices = random_pixels(5, 6) % 8
    image = Image.fromarray(indices, "L")
    image.putpalette(palette.tobytes())
    alpha = np.where(indices == 3, 0, 255)
    assert (alpha == 0).any()
    content = saved(image, "GIF", transparency=3)
    assert_image(read(content), over_white(palette[indices], alpha))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "BMP"])
def test_one_bit(read, kind):
    bits = random_pixels(5, 11) > 127
    content = saved(Image.fromarray(bits), kind)
    assert_image(read(content), np.repeat(255 * bits[..., None], 3, axis=2))


def test_grey_with_alpha_in_a_tiff(read):
    pixels = random_pixels(5, 6, 2)
    content = saved(Image.fromarray(pixels, "LA"), "TIFF")
    assert_image(read(content), over_white(pixels[..., :1], pixels[..., 1]))


def test_cmyk(read):
    ink = random_pixels(5, 6, 4)
    content = saved(Image.fromarray(ink, "CMYK"), "TIFF")
    light = 255.0 - ink
    expected = np.rint(light[..., :3] * light[..., 3:] / 255)
    assert_image(read(content), expected, tolerance=1)


def test_cmyk_jpeg_is_not_inverted(read):
    ink = Image.new("CMYK", (16, 16), (0, 200, 200, 0))
    expected = np.full((16, 16, 3), (255, 55, 55))
    assert_image(read(saved(ink, "JPEG", quality=100)), expected, tolerance=2)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bit_grey_of_other_formats(read, kind):
    if kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    values = random_pixels(40, 40, dtype=np.uint16)
    content = saved(Image.fromarray(values), kind)
    expected = np.repeat(np.rint(values / 257)[..., None], 3, axis=2)
    assert_image(read(content), expected)


@pytest.mark.parametrize(("magic", "channels"), [(b"P5", 1), (b"P6", 3)])
@pytest.mark.parametrize(("top", "tolerance"), [(1023, 1), (65535, 0)])
def test_deep_netpbm(read, magic, channels, top, tolerance):
    values = np.random.default_rng(0).integers(0, top, (4, 5, channels), endpoint=True)
    content = magic + b" 5 4 %d\n" % top + values.astype(">u2").tobytes()
    expected = np.broadcast_to(np.rint(values * (255 / top)), (4, 5, 3))
    assert_image(read(content), expected, tolerance)


def test_sixteen_bit_colour_tiff_keeps_the_high_byte(read):
    values = random_pixels(4, 5, 3, dtype=np.uint16)
    _, content = cv2.imencode(".tiff", values[..., ::-1])
    assert_image(read(content.tobytes()), values >> 8)


def tiff_entry(tag, value):
    return struct.pack("<HHIHH", tag, 3, 1, value, 0)


def grey_tiff(old, new):
    """Return a 16-bit grey TIFF with one of its tags changed."""
    content = saved(Image.fromarray(random_pixels(4, 5, dtype=np.uint16)), "TIFF")
    assert content.count(old) == 1
    return content.replace(old, new)


@pytest.mark.parametrize(
    "content",
    [
        saved(Image.new("F", (3, 2), 0.5), "TIFF"),
        saved(Image.new("I", (3, 2), 5), "TIFF"),
        b"Pf\n3 2\n-1.0\n" + bytes(4 * 6),
        grey_tiff(tiff_entry(258, 16), tiff_entry(258, 12)),
        grey_tiff(tiff_entry(262, 1), tiff_entry(262, 0)),
    ],
    ids=["float", "32-bit integer", "float map", "12-bit", "white is zero"],
)
def test_values_of_unknown_range_are_refused(read, content):
    with pytest.raises(
        ValueError, match=r"path must .* 8 or 16 bits .*image' \(its val"
    ):
        read(content)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_animation_gives_its_first_frame(read, kind):
    first, second = (Image.new("RGB", (9, 7), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(first, kind, save_all=True, append_images=[second], **options)
    with Image.open(io.BytesIO(content)) as animation:
        assert animation.n_frames == 2
    assert_image(read(content), np.full((7, 9, 3), (255, 0, 0)))


# --- images: orientation -----------------------------------------------------------

# How an upright image is stored: EXIF says what row 0 and column 0 of the file are.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def exif(orientation):
    entry = tiff_entry(274, orientation)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_is_turned_upright(read, orientation, channels, dtype):
    upright = random_pixels(2, 3, channels, dtype=dtype)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    turned = read(png(stored, chunk(b"eXIf", exif(orientation))))
    assert_image(turned, read(png(upright)))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_is_turned_upright(read, orientation, dtype):
    upright = random_pixels(2, 3, dtype=dtype)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    content = saved(Image.fromarray(stored), "TIFF", tiffinfo={274: orientation})
    expected = np.rint(upright / (257 if dtype == np.uint16 else 1))
    assert_image(read(content), np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("orientation", STORED)
def test_jpeg_is_turned_upright_as_opencv_turns_it(read, tmp_path, orientation):
    upright = np.kron(random_pixels(2, 3, 3), np.ones((16, 16, 1), np.uint8))
    stored = np.ascontiguousarray(STORED[orientation](upright))
    content = saved(
        Image.fromarray(stored),
        "JPEG",
        quality=100,
        subsampling=0,
        exif=b"Exif\0\0" + exif(orientation),
    )
    image = read(content)
    assert_image(image, upright, tolerance=6)
    assert_image(image, cv2.imread(str(tmp_path / "image"))[..., ::-1], tolerance=2)


# --- images: what goes wrong -------------------------------------------------------


@pytest.mark.parametrize("path", [3, None, b"dog.jpg", np.zeros((2, 2))])
def test_path_is_a_path(path):
    message = f"path must be a str or os.PathLike, got {type(path).__name__}"
    with pytest.raises(TypeError, match=message):
        datasets.read_image(path)


def test_any_path_like_will_do(tmp_path, monkeypatch):
    class PathLike:
        def __fspath__(self):
            return "red.png"

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (2, 1), "red").save("red.png")
    for path in ("red.png", Path("red.png"), tmp_path / "red.png", PathLike()):
        assert_image(datasets.read_image(path), [[(255, 0, 0)] * 2])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        datasets.read_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize("as_type", [str, Path])
def test_folder_is_named(tmp_path, as_type):
    message = f"path must be an image file, got the folder {str(tmp_path)!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.read_image(as_type(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "path must be an image file, got the empty file '.*image'"),
        (b"Dear diary", "path must be an image file, got '.*image', in which Pillow"),
        (bytes(5000), "path must be an image file, got '.*image', in which Pillow"),
    ],
)
def test_file_that_is_no_image_is_named(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


NOISE = Image.fromarray(random_pixels(9, 11, 3))
FILES = {
    "png": saved(NOISE, "PNG"),
    "16-bit png": png(random_pixels(5, 6, 3, dtype=np.uint16)),
    "jpeg": saved(NOISE, "JPEG"),
    "gif": saved(NOISE, "GIF"),
    "bmp": saved(NOISE, "BMP"),
    "tiff": saved(NOISE, "TIFF"),
    "webp": saved(NOISE, "WEBP"),
}


def attempt(path):
    """Return the image and None, or None and what the ValueError says."""
    try:
        return datasets.read_image(path), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_truncated_image_is_named_or_still_whole(read, tmp_path, content):
    whole = read(content)
    path = tmp_path / "cut"
    for length in range(1, len(content), 5):
        path.write_bytes(content[:length])
        image, message = attempt(path)
        if image is None:
            assert re.match("path must be an? .*image.*, got .*cut'", message)
        else:
            assert length > len(content) - 20  # all pixels were there
            np.testing.assert_array_equal(image, whole)


def test_truncated_photo_is_refused(read):
    photo = (DATA / "dog.jpg").read_bytes()
    message = r"path must be a whole image .*, got '.*image' \(image file is truncated"
    with pytest.raises(ValueError, match=message):
        read(photo[: len(photo) // 2])


@given(st.data())
def test_changed_byte_gives_an_image_or_a_value_error(tmp_path_factory, data):
    content = bytearray(FILES[data.draw(st.sampled_from(["png", "jpeg", "gif"]))])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(
        st.integers(1, 255)
    )
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(content)
    image, message = attempt(path)
    if image is None:
        assert str(path) in message
    else:
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)


@pytest.mark.parametrize("pixels", [11, 21])  # where Pillow warns, where it refuses
def test_image_of_too_many_pixels_is_refused(read, monkeypatch, pixels):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read(png(random_pixels(1, 10, 3))).shape == (1, 10, 3)
    with pytest.raises(ValueError, match=r"at most 10 pixels, got a larger .*image'"):
        read(png(random_pixels(1, pixels, 3)))


def test_decompression_bomb_is_refused(read):
    bomb = png(random_pixels(1, 1, 3), size=(100_000, 100_000))
    message = f"path must be an image of at most {Image.MAX_IMAGE_PIXELS} pixels"
    with pytest.raises(ValueError, match=message):
        read(bomb)


@pytest.mark.parametrize("action", ["ignore", "default", "error"])
def test_nothing_global_changes_nor_matters(read, monkeypatch, action):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        before = list(warnings.filters)
        read(png(random_pixels(4, 5, 3)))
        for content in (png(random_pixels(5, 5, 3)), FILES["png"][:-99], b"?"):
            with pytest.raises(ValueError, match="path must be"):
                read(content)
        assert warnings.filters == before
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@functools.cache
def split(train):
    return datasets.mnist(train), *datasets.mnist_tensors(train)


@given(st.booleans(), st.integers(0, 9_999))
def test_any_digit_is_the_same_alone_and_among_all(train, index):
    digits, images, labels = split(train)
    image, label = digits[index]
    torch.testing.assert_close(images[index], image, rtol=0, atol=0)
    assert labels[index] == label


@given(st.integers(0, 575), st.integers(0, 767))
@settings(max_examples=5)
def test_what_is_written_into_one_photo_of_the_dog_is_not_in_the_next(row, column):
    photo = datasets.dog()
    before = photo[row, column].copy()
    photo[row, column] ^= 255
    np.testing.assert_array_equal(datasets.dog()[row, column], before)

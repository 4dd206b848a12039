"""Any image file gives the right pixels or an error that names it, also in figures.

The PNGs are written here from the specification alone, with the cases of Willem van
Schaik's PngSuite: its features, its sizes, its damages.
"""

import io
import re
import struct
import warnings
import zlib

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from cnnviz import live, plotting
from cnnviz.datasets import read_image
from cnnviz.kernels import apply_kernel
from packed import unpack_picture
from png_files import (
    COLOUR,
    DEPTHS,
    GREY,
    GREY_ALPHA,
    KINDS,
    PALETTE,
    SIGNATURE,
    chunk,
    header,
    image_data,
    png,
    samples_of,
)

RNG = np.random.default_rng(11)
COLOURS = RNG.integers(0, 256, (256, 3), np.uint8)
NAMED = r"path must be an? .*image\.png'"


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Read an image from the bytes of its file."""
    path = tmp_path_factory.mktemp("images") / "image.png"

    def read(content):
        path.write_bytes(content)
        image = read_image(path)
        assert type(image) is np.ndarray
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        return image

    return read


def refused(read, content):
    """Return what the error says of a file."""
    with pytest.raises(ValueError, match=NAMED) as caught:
        read(content)
    return str(caught.value)


def attempt(read, content):
    """Return the image, or None where an error names the file."""
    try:
        return read(content)
    except ValueError as error:
        if re.match(NAMED, str(error)):
            return None
        raise


def plte(depth):
    return chunk(b"PLTE", COLOURS[: 2**depth].tobytes())


def write(samples, kind, depth, *chunks, **how):
    """Return a PNG, whose palette is `COLOURS` where it needs one."""
    palette = [plte(depth)] if kind == PALETTE else []
    return png(samples, kind, depth, *palette, *chunks, **how)


def eight_bits(samples, depth):
    """Return samples of full range as 0–255, rounded."""
    return np.rint(samples * (255 / (2**depth - 1)))


def expected(samples, kind, depth, transparent=None):
    """Return the RGB pixels of samples over white.

    Transparent is a sample's value (grey, colour), or the alphas of the palette.
    """
    alpha = np.full(samples.shape[:2], 255.0)
    if kind == PALETTE:
        colour = COLOURS[samples[..., 0]]
        if transparent is not None:
            alphas = np.full(256, 255)
            alphas[: len(transparent)] = transparent
            alpha = alphas[samples[..., 0]]
    elif kind >= GREY_ALPHA:
        colour = eight_bits(samples[..., :-1], depth)
        alpha = eight_bits(samples[..., -1], depth)
    else:
        colour = eight_bits(samples, depth)
        if transparent is not None:
            alpha = np.where((samples == transparent).all(-1), 0, 255)
    blended = np.rint((colour * 1.0 * alpha[..., None]) / 255 + 255 - alpha[..., None])
    return np.broadcast_to(blended, (*samples.shape[:2], 3))


# --- PNG: what is right -------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_every_kind_and_depth(read, kind, depth, interlaced):
    samples = samples_of(RNG, 32, 32, kind, depth)
    content = write(samples, kind, depth, interlaced=interlaced, filters=range(5))
    np.testing.assert_array_equal(read(content), expected(samples, kind, depth))


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize("size", [*range(1, 10), *range(32, 41)])
def test_every_size(read, size, interlaced):
    for kind, depth in ((GREY, 1), (PALETTE, 2), (PALETTE, 4), (COLOUR, 16)):
        for height, width in ((size, size), (1, size), (size, 1)):
            samples = samples_of(RNG, height, width, kind, depth)
            image = read(write(samples, kind, depth, interlaced=interlaced))
            np.testing.assert_array_equal(image, expected(samples, kind, depth))


@settings(max_examples=100)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_every_combination(read, data, seed):
    kind, depth = data.draw(st.sampled_from(KINDS))
    height, width = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    samples = samples_of(np.random.default_rng(seed), height, width, kind, depth)
    how = {
        "interlaced": data.draw(st.booleans()),
        "filters": data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=7)),
        "level": data.draw(st.integers(0, 9)),
        "piece": data.draw(st.integers(1, 99)),
    }
    image = read(write(samples, kind, depth, **how))
    np.testing.assert_array_equal(image, expected(samples, kind, depth))


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize(("kind", "depth"), KINDS[:11])
def test_every_transparency(read, kind, depth, interlaced):
    """One grey or colour, or alphas of the first colours of a palette."""
    samples = samples_of(RNG, 9, 9, kind, depth)
    if kind == PALETTE:
        keys = [
            (RNG.integers(0, 256, n, np.uint8), np.uint8) for n in (1, 2**depth - 1)
        ]
    else:
        levels = 2**depth - 1
        samples[0, :3] = [[0], [levels // 2], [levels]]
        keys = [(samples[0, i], ">u2") for i in range(4)]
    for transparent, dtype in keys:
        key = chunk(b"tRNS", transparent.astype(dtype).tobytes())
        image = read(write(samples, kind, depth, key, interlaced=interlaced))
        right = expected(samples, kind, depth, transparent)
        np.testing.assert_array_equal(image, right)


PROFILE = chunk(b"iCCP", b"grey\0\0" + zlib.compress(bytes(128)))
ANCILLARY = {
    "gAMA 0.35": chunk(b"gAMA", struct.pack(">I", 35_000)),
    "gAMA 2.5": chunk(b"gAMA", struct.pack(">I", 250_000)),
    "cHRM": chunk(b"cHRM", struct.pack(">8I", *range(10_000, 90_000, 10_000))),
    "sRGB": chunk(b"sRGB", b"\0"),
    "iCCP": PROFILE,
    "sBIT": chunk(b"sBIT", b"\5\6\5"),
    "bKGD": chunk(b"bKGD", struct.pack(">3H", 255, 0, 0)),
    "pHYs": chunk(b"pHYs", struct.pack(">2IB", 1, 4, 0)),
    "sPLT": chunk(b"sPLT", b"six\0\x08" + bytes(6)),
    "PLTE, suggested": plte(8),
    "tIME": chunk(b"tIME", struct.pack(">H5B", 1999, 12, 31, 23, 59, 59)),
    "tEXt": chunk(b"tEXt", b"Title\0\xe4<b>"),
    "tEXt, empty": chunk(b"tEXt", b"Title\0"),
    "zTXt": chunk(b"zTXt", b"Title\0\0" + zlib.compress(b"x" * 999)),
    "iTXt": chunk(b"iTXt", b"Title\0\0\0de\0Titel\0" + "ä".encode()),
    "private": chunk(b"prIv", b"whatever"),
    "two IDATs, one empty": chunk(b"IDAT"),
    "all in any order": chunk(b"tEXt", b"a\0b")
    + chunk(b"pHYs", struct.pack(">2IB", 1, 1, 0))
    + chunk(b"gAMA", struct.pack(">I", 45_455)),
}


@pytest.mark.parametrize("name", ANCILLARY)
def test_what_else_stands_in_a_png_changes_no_pixel(read, name):
    samples = samples_of(RNG, 5, 6, COLOUR, 8)
    image = read(png(samples, COLOUR, 8, ANCILLARY[name]))
    np.testing.assert_array_equal(image, samples)


@pytest.mark.parametrize(("kind", "depth"), [(k, d) for k, d in KINDS if k >= 4])
def test_a_background_is_not_used_for_transparency(read, kind, depth):
    """Transparency is laid over white, as the pages are."""
    samples = samples_of(RNG, 5, 6, kind, depth)
    colours = 1 if kind == GREY_ALPHA else 3
    content = write(samples, kind, depth, chunk(b"bKGD", bytes(2 * colours)))
    np.testing.assert_array_equal(read(content), expected(samples, kind, depth))


def test_what_follows_the_end_of_a_png_does_not_matter(read):
    samples = samples_of(RNG, 5, 6, COLOUR, 8)
    np.testing.assert_array_equal(read(png(samples, COLOUR, 8) + b"more"), samples)


# --- PNG: what is damaged -----------------------------------------------------------

PIXELS = samples_of(RNG, 9, 7, COLOUR, 8)
WHOLE = png(PIXELS, COLOUR, 8)
DATA = WHOLE.index(b"IDAT") - 4
END = WHOLE.index(b"IEND") - 4


def replaced(place, by):
    return WHOLE[:place] + by + WHOLE[place + len(by) :]


def with_header(**changes):
    values = {"width": 7, "height": 9, "depth": 8, "kind": COLOUR} | changes
    return SIGNATURE + header(**values) + WHOLE[DATA:]


def with_data(rows):
    """Return a PNG whose data, rightly packed, are these."""
    return WHOLE[:DATA] + chunk(b"IDAT", zlib.compress(rows)) + WHOLE[END:]


ROWS = image_data(PIXELS, 8)
INDICES = np.full((2, 2, 1), 3)
DAMAGED = {
    "signature's first bit": replaced(0, b"\x09"),
    "signature without P": replaced(1, b"Q"),
    "signature with LF for CR": replaced(4, b"\n\n"),
    "signature, last byte": replaced(7, b"\r"),
    "read as text: CR LF to LF": WHOLE.replace(b"\r\n", b"\n"),
    "read as text: LF to CR LF": WHOLE.replace(b"\n", b"\r\n"),
    "colour type 1": with_header(kind=1),
    "colour type 9": with_header(kind=9),
    "bit depth 0": with_header(depth=0),
    "bit depth 3": with_header(depth=3),
    "bit depth 99": with_header(depth=99),
    "bit depth 4 of a colour": with_header(depth=4),
    "no width": with_header(width=0),
    "no height": with_header(height=0),
    "width of 2**32 - 1": with_header(width=2**32 - 1),
    "interlacing 2": with_header(interlaced=2),
    "header's checksum": replaced(DATA - 4, b"\0\0\0\0"),
    "no header": SIGNATURE + WHOLE[DATA:],
    "only a header": WHOLE[:DATA],
    "only a signature": SIGNATURE,
    "no data": WHOLE[:DATA] + WHOLE[END:],
    "data's checksum": replaced(END - 4, b"\0\0\0\0"),
    "no end": WHOLE[:END],
    "data too short": with_data(ROWS[:-1]),
    "no rows": with_data(b""),
    "unknown filter": with_data(b"\5" + ROWS[1:]),
    "data not packed": WHOLE[:DATA] + chunk(b"IDAT", ROWS) + WHOLE[END:],
    "wrong sum of the data": WHOLE[:DATA]
    + chunk(b"IDAT", zlib.compress(ROWS)[:-4] + b"\0\0\0\0")
    + WHOLE[END:],
    "length of the data": replaced(DATA, b"\0\1\0\0"),
    "no palette": png(INDICES, PALETTE, 2),
    "palette too short": png(INDICES, PALETTE, 2, chunk(b"PLTE", bytes(9))),
    "palette too short, some transparent": png(
        INDICES, PALETTE, 2, chunk(b"PLTE", bytes(9)), chunk(b"tRNS", b"\7")
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_png_is_refused(read, damage):
    assert DAMAGED[damage] != WHOLE
    refused(read, DAMAGED[damage])


@pytest.mark.parametrize(("kind", "depth"), [(GREY, 8), (COLOUR, 16), (PALETTE, 4)])
@pytest.mark.parametrize("level", [0, 9])
def test_no_flipped_bit_of_a_png_changes_a_pixel(read, kind, depth, level):
    samples = samples_of(RNG, 4, 5, kind, depth)
    content = write(samples, kind, depth, level=level)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        image = attempt(read, bytes(changed))
        if place < len(content) - 12:
            assert image is None
        elif image is not None:  # the end is checked, its checksum is not
            np.testing.assert_array_equal(image, read(content))


# --- other formats ------------------------------------------------------------------


def saved(image, kind, **options):
    """Return the file that Pillow makes of an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# Smooth, so that lossy formats keep it.
Y, X = np.mgrid[:48, :40]
PHOTO = np.dstack([4 * Y, 6 * X, 255 - 2 * X - 2 * Y]).astype(np.uint8)
GREYS = (5 * Y).astype(np.uint8)
JPEGS = {
    "grey": saved(Image.fromarray(GREYS), "JPEG"),
    "grey, progressive": saved(Image.fromarray(GREYS), "JPEG", progressive=True),
    "baseline": saved(Image.fromarray(PHOTO), "JPEG", quality=95),
    "progressive": saved(Image.fromarray(PHOTO), "JPEG", progressive=True),
    "full colour": saved(Image.fromarray(PHOTO), "JPEG", subsampling=0),
    "restarts": saved(Image.fromarray(PHOTO), "JPEG", restart_marker_blocks=1),
    "as RGB": saved(Image.fromarray(PHOTO), "JPEG", keep_rgb=True),
}


@pytest.mark.parametrize("name", JPEGS)
def test_jpeg(read, name):
    image = read(JPEGS[name])
    by_opencv = cv2.imdecode(np.frombuffer(JPEGS[name], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_allclose(image, by_opencv[..., ::-1].astype(int), atol=3)
    original = np.dstack([GREYS] * 3) if "grey" in name else PHOTO
    assert np.abs(image - original.astype(int)).mean() < 3


INK = np.dstack([*np.moveaxis(PHOTO, 2, 0), GREYS // 2])
PRINTED = np.rint((255.0 - INK[..., :3]) * (255.0 - INK[..., 3:]) / 255)


def ycck():
    """Return a JPEG of Adobe's kind: inks as luma and chroma, all values inverted."""
    luma = np.asarray(Image.fromarray(INK[..., :3]).convert("YCbCr"))
    stored = np.dstack([255 - luma, INK[..., 3]])
    content = saved(Image.fromarray(stored, "CMYK"), "JPEG", quality=99, subsampling=0)
    adobe = re.search(rb"Adobe.{6}\0", content, re.DOTALL)
    return content[: adobe.end() - 1] + b"\2" + content[adobe.end() :]


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (saved(Image.fromarray(INK, "CMYK"), "TIFF"), 1),
        (saved(Image.fromarray(INK, "CMYK"), "JPEG", quality=99, subsampling=0), 4),
        (ycck(), 6),
    ],
    ids=["TIFF", "JPEG", "JPEG as YCCK"],
)
def test_four_inks(read, content, tolerance):
    np.testing.assert_allclose(read(content), PRINTED, atol=tolerance)


SMALL = PHOTO[::5, ::4]


def lossless(kind, **options):
    return saved(Image.fromarray(SMALL), kind, **options)


LOSSLESS = {
    "webp": lossless("WEBP", lossless=True),
    "tiff": lossless("TIFF"),
    "tiff, packed bits": lossless("TIFF", compression="packbits"),
    "tiff, LZW": lossless("TIFF", compression="tiff_lzw"),
    "tiff, deflate": lossless("TIFF", compression="tiff_adobe_deflate"),
    "tiff, strips": lossless("TIFF", strip_size=60),
    "tiff, big": lossless("TIFF", big_tiff=True),
    "bmp": lossless("BMP"),
    "ppm": lossless("PPM"),
    "ppm, plain": b"P3 10 10 255\n" + b" ".join(b"%d" % v for v in SMALL.ravel()),
    "tga": lossless("TGA"),
    "tga, run lengths": lossless("TGA", compression="tga_rle"),
    "pcx": lossless("PCX"),
    "sgi": lossless("SGI"),
    "qoi": lossless("QOI"),
    "dib": lossless("DIB"),
    "ico": lossless("ICO", sizes=[(10, 10)]),
}
if features.check("jpg_2000"):
    LOSSLESS["jpeg 2000"] = lossless("JPEG2000")


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless(read, name):
    np.testing.assert_array_equal(read(LOSSLESS[name]), SMALL)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_sixteen_bit_grey_tiff(read, order, compression):
    values = RNG.integers(0, 65536, (5, 6), dtype=np.uint16)
    picture = Image.fromarray(values.astype(f"{order}u2"))
    image = read(saved(picture, "TIFF", compression=compression))
    np.testing.assert_array_equal(image, np.dstack([np.rint(values / 257)] * 3))


def test_signed_tiff_is_refused(read):
    """Eight bits, too: -1 is not white."""
    content = saved(Image.fromarray(GREYS), "TIFF", tiffinfo={339: 2})
    assert "negative" in refused(read, content)


def test_webp_with_alpha_and_orientation(read):
    alpha = 255 - GREYS
    exif = Image.Exif()
    exif[274] = 6
    picture = Image.fromarray(np.dstack([PHOTO, alpha]))
    content = saved(picture, "WEBP", lossless=True, exact=True, exif=exif)
    white = 255 - alpha[..., None].astype(float)
    upright = np.rot90(np.rint(PHOTO * (255 - white) / 255 + white), -1)
    np.testing.assert_array_equal(read(content), upright)


# --- files that are cut short, or nothing -------------------------------------------

CUT = {
    **{f"jpeg, {name}": content for name, content in JPEGS.items()},
    "jpeg, inks": saved(Image.fromarray(INK, "CMYK"), "JPEG"),
    "webp, lossy": lossless("WEBP"),
    "gif": saved(Image.fromarray(SMALL).quantize(16), "GIF"),
    "tiff, 16 bits": saved(Image.fromarray(GREYS[:9, :9] * np.uint16(257)), "TIFF"),
    "png, 16 bits": png(samples_of(RNG, 8, 9, COLOUR, 16), COLOUR, 16),
    "png, adam7": png(samples_of(RNG, 9, 9, COLOUR, 8), COLOUR, 8, interlaced=True),
    "png, palette": write(samples_of(RNG, 30, 30, PALETTE, 4), PALETTE, 4),
    **LOSSLESS,
}
del CUT["ppm, plain"]  # a decimal number that is cut is a number


@pytest.mark.parametrize("name", CUT)
def test_a_file_cut_at_every_tenth_byte(read, name):
    """Nothing but padding and end marks may miss where pixels come out."""
    content = CUT[name]
    whole = read(content)
    complete = 0
    for length in range(0, len(content), 10):
        image = attempt(read, content[:length])
        if image is not None:
            np.testing.assert_array_equal(image, whole)
            complete += 1
    assert complete <= (0 if "png" in name else 3)


TEXTS = [
    b"",
    b"Dear diary,\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF\0\0\0\0WEBP",
    b"P5 1 1",
    b"P6\n1 1\n255\n",
    b"P2 2 2 255 1 2 3 4000",
    b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b"%PDF-1.7\n",
    b"/* XPM */",
    b"#define a_width 9\n",
    b"\0" * 10_000,
    "ÿ".encode("utf-16"),
]


@pytest.mark.parametrize("content", TEXTS, ids=[repr(text)[:20] for text in TEXTS])
def test_what_is_no_image_is_refused(read, content):
    refused(read, content)


def test_a_file_that_is_a_program_is_not_run(read, monkeypatch):
    """PostScript is run by an interpreter that may be installed, or not."""
    ran = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *a: ran.append(a))
    monkeypatch.setattr("PIL.EpsImagePlugin.has_ghostscript", lambda: True)
    program = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ValueError, match="it is a program"):
        read(program)
    assert ran == []


@settings(max_examples=200)
@given(
    st.sampled_from([b"", *TEXTS[1:-2], SIGNATURE, b"\0\0\2\0", b"\n\5\1\1", b"qoif"]),
    st.binary(max_size=300),
)
def test_noise_is_refused_or_an_image(read, start, noise):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's, on odd EXIF
        image = attempt(read, start + noise)
        assert image is None or image.size


def bombs():
    """Yield small files that claim very many pixels, or hold them."""
    size = 2**31 - 1
    yield "png, claimed", with_header(width=size, height=size)
    zeros = zlib.compress(bytes(10**8), 9)
    yield (
        "png, held",
        SIGNATURE
        + header(20_000, 40_000, 1, GREY)
        + chunk(b"IDAT", zeros)
        + chunk(b"IEND"),
    )
    gif = saved(Image.new("L", (1, 1)), "GIF")
    yield "gif", gif[:6] + struct.pack("<2H", 65_535, 65_535) + gif[10:]
    bmp = bytearray(LOSSLESS["bmp"])
    bmp[18:26] = struct.pack("<2i", size, size)
    yield "bmp", bytes(bmp)
    yield "ppm", b"P6 99999 99999 255\n" + bytes(99)
    yield "qoi", b"qoif" + struct.pack(">2I2B", 2**31, 2**31, 3, 0) + bytes(99)


BOMBS = dict(bombs())


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(read, name):
    assert len(BOMBS[name]) < 200_000
    assert "an image of at most" in refused(read, BOMBS[name])


# --- figures ------------------------------------------------------------------------

SHAPES = [(1, 1), (2, 1), (3, 5), (1, 500), (4000, 9), (1, 10_000), (10_000, 1)]


@pytest.fixture(params=SHAPES, ids=lambda shape: "{}x{}".format(*shape))
def colour(request, read):
    """An image that was read from a file."""
    height, width = request.param
    return read(png(samples_of(RNG, height, width, COLOUR, 8), COLOUR, 8))


def drawn(result):
    """Draw a figure, and return its axes that hold pictures."""
    figure = result if hasattr(result, "canvas") else result.figure
    figure.canvas.draw()
    assert figure.get_figwidth() < 7.21
    assert figure.get_figheight() <= 20
    return [ax for ax in figure.axes if ax.images]


def assert_seen(axes, arrays):
    """Each picture shows its own pixels, more than a pixel of the screen thick."""
    assert len(axes) == len(arrays)
    for ax, array in zip(axes, arrays, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), array)
        assert min(ax.get_window_extent().bounds[2:]) > 3


def test_pictures_of_any_size(colour):
    grey = colour[..., 0]
    assert_seen(drawn(plotting.plot_image(colour, title="title")), [colour])
    assert_seen(drawn(plotting.plot_images([colour, grey])), [colour, grey])
    planes = [colour, *np.moveaxis(colour, 2, 0)]
    assert_seen(drawn(plotting.plot_channels(colour)), planes)
    digits = plotting.plot_digits(grey[None], [3], predictions=[5])
    assert_seen(drawn(digits), [grey])
    height, width = grey.shape
    boxes = [[0, 0, 1, 1], [0, 0, height, width]]
    marked = plotting.plot_boxes(colour, boxes, labels=["one", "all"])
    assert_seen(drawn(marked), [colour])
    heat = grey / 2.0
    (over,) = drawn(plotting.plot_overlay(colour, heat, colorbar=True))
    np.testing.assert_array_equal(over.images[1].get_array(), heat)


def test_answers_of_any_size(colour):
    edges = apply_kernel(colour[..., 1], [[-1, 1]])
    assert_seen(drawn(plotting.plot_signed(edges)), [edges])
    maps = np.stack([edges, -edges])
    for shared in (True, False):
        figure = plotting.plot_feature_maps(maps, shared_scale=shared)
        assert_seen(drawn(figure), maps)


def test_pixel_values_of_any_size(colour):
    grey = colour[..., 2]
    if max(grey.shape) > 512:
        with pytest.raises(ValueError, match="image must be at most 512 pixels high"):
            plotting.plot_pixel_values(grey)
    else:
        ax = plotting.plot_pixel_values(grey)  # wider than the text, as documented
        ax.figure.canvas.draw()
        assert_seen([ax], [grey])
    with pytest.raises(ValueError, match="image must be a grey picture"):
        plotting.plot_pixel_values(colour)


def test_live_figures_of_any_size(colour):
    height, width = colour.shape[:2]
    if max(height, width) > 4096:
        for figure in (live.pixel_inspector, live.kernel_playground):
            with pytest.raises(ValueError, match="at most 4096 pixels a side"):
                figure(colour)
        return
    packed = live.pixel_inspector(colour).data["pictures"]["picture"]
    np.testing.assert_array_equal(unpack_picture(packed), colour)
    if min(height, width) < 3:
        with pytest.raises(ValueError, match=r"kernel must be no larger .* padded"):
            live.kernel_playground(colour)
    packed = live.kernel_playground(colour, padding=1).data["pictures"]["picture"]
    np.testing.assert_array_equal(unpack_picture(packed), colour)


@pytest.mark.parametrize("ratio", [5, 10, 60])
def test_wide_and_tall_pictures_share_a_row(ratio):
    wide, square = np.zeros((1, ratio)), np.zeros((9, 9))
    figure = plotting.plot_images([wide, wide.T, square], suptitle="three")
    sizes = [ax.get_window_extent().bounds[2:] for ax in drawn(figure)]
    assert min(max(size) for size in sizes) > 200
    assert min(min(size) for size in sizes) > 3


def test_pixels_are_square_where_the_picture_is_not_very_long():
    for shape, wide in (((1, 50), 1), ((50, 1), 1), ((1, 100), 0.5), ((500, 2), 5)):
        ax = plotting.plot_image(np.zeros(shape))
        ax.figure.canvas.draw()
        width, height = ax.get_window_extent().bounds[2:]
        assert max(width / height, height / width) == pytest.approx(50, 1e-3)
        assert width / shape[1] / height * shape[0] == pytest.approx(wide, 1e-3)
        plt.close("all")


def test_every_image_of_a_suite_can_be_shown(read):
    """One picture of every kind and depth, in one figure."""
    images = [
        read(write(samples_of(RNG, 4, 4, kind, depth), kind, depth))
        for kind, depths in DEPTHS.items()
        for depth in depths
    ]
    assert_seen(drawn(plotting.plot_images(images)), images)

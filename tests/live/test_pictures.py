"""Readers' own pictures, in a browser, against `read_image`."""

import base64
import struct
import warnings
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import playing
from cnnviz import live
from cnnviz.datasets import read_image
from png_files import (
    CHANNELS,
    COLOUR,
    COLOUR_ALPHA,
    GREY,
    GREY_ALPHA,
    KINDS,
    PALETTE,
    chunk,
    png,
)

RNG = np.random.default_rng(0)


@pytest.fixture
def read(open_figure):
    """Return a function that reads a file in the page, or raises what it says."""
    page = open_figure(live.pixel_inspector([[0]]))

    def read(file):
        planes = page.evaluate(
            """async text => {
              const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
              try {
                const planes = await cnnviz.readPicture(new Blob([bytes]));
                return planes.map(({data, height}) => [height, Array.from(data)]);
              } catch (error) {
                if (!(error instanceof cnnviz.InputError)) throw error;
                return error.message;
              }
            }""",
            base64.b64encode(file).decode(),
        )
        if isinstance(planes, str):
            raise ValueError(planes)
        maps = [np.reshape(data, (height, -1)) for height, data in planes]
        return np.stack(maps, axis=-1)

    return read


def encoded(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def riff(*chunks):
    """Return a WebP file of chunks (name, data)."""
    body = b"WEBP"
    for name, data in chunks:
        body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def segment(marker, data):
    return struct.pack(">BBH", 255, marker, len(data) + 2) + data


def turned(orientation):
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack(
        "<HHIHHI", 0x112, 3, 1, orientation, 0, 0
    )


COLOURED = RNG.integers(0, 256, (14, 23, 3), np.uint8)
ALPHA = np.dstack([COLOURED, RNG.integers(0, 256, (14, 23), np.uint8)])
PICTURE = Image.fromarray(COLOURED)
JPEG, WEBP = encoded(PICTURE, "JPEG"), encoded(PICTURE, "WEBP", lossless=True)
VP8X = (b"VP8X", b"\x2c\0\0\0" + bytes([22, 0, 0, 13, 0, 0]))


def noted(*chunks):
    return png(COLOURED, COLOUR, 8, *chunks)


def jpeg_noted(*segments):
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


WHOLE = {
    "gamma": noted(chunk(b"gAMA", struct.pack(">I", 100_000))),
    "cICP": noted(chunk(b"cICP", b"\x09\x10\0\1")),
    "a broken profile": noted(chunk(b"iCCP", b"x\0\0nonsense")),
    "a long comment": noted(chunk(b"tEXt", b"Comment\0" + b"a" * 2_000_000)),
    "2,000 comments": noted(*[chunk(b"tEXt", b"a\0b")] * 2000),
    "no animation": noted(chunk(b"acTL", b"\0\0\0\5\0\0\0\0")),
    "turned PNG": noted(chunk(b"eXIf", turned(6)[6:])),
    "broken EXIF": noted(chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f")),
    "grey and alpha": png(ALPHA[..., :2], GREY_ALPHA, 8),
    "alpha": png(ALPHA, COLOUR_ALPHA, 8),
    "JPEG": JPEG,
    "grey JPEG": encoded(PICTURE.convert("L"), "JPEG"),
    "progressive JPEG": encoded(PICTURE, "JPEG", progressive=True),
    "JPEG, restarted": encoded(PICTURE, "JPEG", restart_marker_blocks=1),
    "CMYK": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "JPEG of long comments": jpeg_noted(*[segment(0xFE, b"a" * 60_000)] * 40),
    "JPEG of a broken profile": jpeg_noted(segment(0xE2, b"ICC_PROFILE\0\7\2x")),
    "JPEG, then more": JPEG + b"\xff\xd8 more",
    **{f"JPEG turned by {i}": jpeg_noted(segment(0xE1, turned(i))) for i in range(9)},
    "WebP": WEBP,
    "turned WebP": riff(VP8X, (b"VP8L", WEBP[20:]), (b"EXIF", turned(6))),
    "WebP of a broken profile": riff(VP8X, (b"ICCP", b"x"), (b"VP8L", WEBP[20:])),
    "GIF": encoded(PICTURE, "GIF"),
    "BMP": encoded(PICTURE, "BMP"),
}


@pytest.mark.parametrize("file", WHOLE.values(), ids=WHOLE)
def test_a_picture_has_the_pixels_of_read_image(read, tmp_path, file):
    path = tmp_path / "picture"
    path.write_bytes(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of broken notes
        expected = read_image(path).astype(int)
    found = read(file)
    assert found.shape == expected.shape
    transparent = file in (WHOLE["alpha"], WHOLE["grey and alpha"])
    assert np.abs(found - expected).max() <= 2 * transparent


@pytest.mark.parametrize(("kind", "depth"), KINDS)
@pytest.mark.parametrize("interlaced", [False, True])
def test_every_kind_of_png_has_the_pixels_of_read_image(
    read, tmp_path, kind, depth, interlaced
):
    samples = RNG.integers(0, 2**depth, (9, 13, CHANNELS[kind]))
    palette = RNG.integers(0, 256, (2**depth, 3), np.uint8).tobytes()
    colours = [chunk(b"PLTE", palette), chunk(b"tRNS", b"\x40\x80")]
    notes = colours if kind == PALETTE else []
    rounded = depth == 16 or kind in (PALETTE, GREY_ALPHA, COLOUR_ALPHA)
    file = png(samples, kind, depth, *notes, interlaced=interlaced)
    path = tmp_path / "picture"
    path.write_bytes(file)
    assert np.abs(read(file) - read_image(path).astype(int)).max() <= 2 * rounded


PNG = noted()
DAMAGED = bytearray(PNG)
DAMAGED[PNG.index(b"IDAT") + 100] ^= 1
BROKEN = {
    "half a PNG": (PNG[:500], "cut short"),
    "a PNG without an end": (PNG[:-12], "cut short"),
    "a PNG of other pixels": (bytes(DAMAGED), "damaged"),
    "half a JPEG": (JPEG[:-300], "cut short"),
    "a JPEG without an end": (JPEG[:-2], "cut short"),
    "half a WebP": (WEBP[:400], "cut short"),
    "half a GIF": (WHOLE["GIF"][:900], "cut short"),
    "half a BMP": (WHOLE["BMP"][:900], "cut short"),
    "no picture": (b"no picture", "no picture"),
    "nothing": (b"", "no picture"),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    "64 megapixels and more": (
        png(np.zeros((8001, 8001, 1), np.uint8), GREY, 1),
        "64 megapixels; at most 64",
    ),
}


@pytest.mark.parametrize(("file", "words"), BROKEN.values(), ids=BROKEN)
def test_what_can_t_be_read_whole_is_refused_in_words(read, file, words):
    with pytest.raises(ValueError, match=words):
        read(file)


GUARDS = {
    "noise": "data[i] ^= (i * 7919) % 97 === 0",
    "white": "data[i] = 255",
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_guards_of_privacy_alter_no_pixel_of_ours_and_are_told(open_figure, guard):
    image = RNG.integers(0, 256, (9, 9, 3), np.uint8)
    page = open_figure(live.kernel_playground(image))
    put_up(page, guard)
    own = page.evaluate(
        """() => {
          const {pictures} = document.querySelector("cnn-kernel-playground");
          return pictures.picture.colours.map(({data}) => Array.from(data));
        }"""
    )
    np.testing.assert_array_equal(own, np.moveaxis(image, 2, 0).reshape(3, -1))
    give(page, png(image, COLOUR, 8))
    page.get_by_text("This browser alters pixels").wait_for()


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_guards_of_privacy_alter_no_digit_of_ours_and_are_told(open_figure, guard):
    image = torch.tensor(RNG.integers(0, 256, (1, 1, 28, 28), np.uint8)) / 255
    network = nn.Sequential(nn.Conv2d(1, 1, 9), nn.Flatten(), nn.Linear(400, 10))
    figure = live.draw_digit({"a": network}, image, torch.tensor([7]))
    page = open_figure(figure)
    put_up(page, guard)
    playing.put(page, right=2, down=-1)
    seen = playing.ask(page, "({picture}) => Array.from(picture.data)")
    expected = nn.functional.pad(image[0, 0], (2, -2, -1, 1))
    np.testing.assert_allclose(np.reshape(seen, (28, 28)), expected, atol=1e-7)
    assert playing.message(page) == ""
    for settings in ({"rotate": 5}, {"thicken": 1}, {"centred": True}):
        playing.put(page, **settings)
        assert "This browser alters pixels" in playing.message(page)
        playing.put(page, digit="0", centred=False)
        assert playing.message(page) == ""
    playing.put(page, strokes="P1 2 3 4 ")
    assert "This browser alters pixels" in playing.message(page)


def put_up(page, guard):
    """Alter what pages read from canvases, as browsers do that guard privacy."""
    page.evaluate(
        f"""() => {{
          const read = CanvasRenderingContext2D.prototype.getImageData;
          CanvasRenderingContext2D.prototype.getImageData = function (...window) {{
            const image = read.apply(this, window);
            for (let i = 0, {{data}} = image; i < data.length; i++) {guard};
            return image;
          }};
        }}"""
    )


def give(page, file):
    """Give a file to the figure, as one that the reader chose."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="own picture").click()
    chooser.value.set_files({"name": "x", "mimeType": "image/png", "buffer": file})

"""A comment, profile or EXIF, however long or broken, hides no intact picture.

Damaged pixels are refused all the same, and the orientation is followed where it can
be read: of EXIF, XMP and what ImageMagick writes.
"""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from cnnviz.datasets import read_image
from png_files import COLOUR, GREY, PALETTE, chunk, png

Y, X = np.mgrid[:24, :40]
PHOTO = np.dstack([4 * Y, 6 * X, 255 - 2 * X - 2 * Y]).astype(np.uint8)
LONG = b"x" * 3_000_000
NOISE = np.random.default_rng(0).bytes(3_000_000)
BOMB = zlib.compress(bytes(10**8))
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def exif(orientation, *entries):
    """Return EXIF of an orientation, and of other entries of its directory."""
    entries = (struct.pack("<2HIHH", 274, 3, 1, orientation, 0), *entries)
    count = struct.pack("<H", len(entries))
    return b"II*\0\x08\0\0\0" + count + b"".join(entries) + bytes(4)


FAR = struct.pack("<2H2I", 305, 2, 500, 2**31)  # text that lies beyond the file
BROKEN = [b"", b"II", b"garbage!garbage!", b"II*\0\x08\0\0\0\xff\xff", exif(99)]


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "image"
        path.write_bytes(content)
        return read_image(path)

    return read


def saved(kind, image=PHOTO, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def turned(orientation):
    picture = Image.fromarray(PHOTO)
    picture.getexif()[274] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


# --- PNG ----------------------------------------------------------------------------

ZIPPED = [zlib.compress(LONG), zlib.compress(NOISE), BOMB, b"noise"]
CHUNKS = {
    b"tEXt": [b"", b"c\0" + LONG],
    b"zTXt": [b"", b"c", b"c\0\7x", *(b"c\0\0" + each for each in ZIPPED)],
    b"iTXt": [b"", b"c", b"c\0\0\0\0\0\xff\xfe", b"c\0\0\0\0\0" + LONG],
    b"iCCP": [b"", b"p", b"p\0\7x", *(b"p\0\0" + each for each in ZIPPED)],
    b"eXIf": [*BROKEN, LONG],
    **{
        name: [b"\1"] for name in (b"gAMA", b"cHRM", b"pHYs", b"sRGB", b"tIME", b"acTL")
    },
    **{
        name: [b"\1"] for name in (b"bKGD", b"hIST", b"sPLT", b"sBIT", b"fcTL", b"fdAT")
    },
    b"prIv": [LONG],
}
for keyword in (b"c", b"XML:com.adobe.xmp"):
    CHUNKS[b"iTXt"] += [keyword + b"\0\1\0\0\0" + each for each in ZIPPED]


def wrong(whole):
    """Return a chunk whose checksum is wrong."""
    return whole[:-1] + bytes([whole[-1] ^ 1])


@pytest.mark.parametrize("name", CHUNKS, ids=bytes.decode)
def test_broken_and_long_chunks_hide_no_png(read, name):
    plain = png(PHOTO, COLOUR, 8)
    end = len(plain) - 12
    for content in CHUNKS[name]:
        for note in (chunk(name, content), wrong(chunk(name, content[:99]))):
            for file in (
                png(PHOTO, COLOUR, 8, note),
                plain[:end] + note + plain[end:],
                png(PHOTO, COLOUR, 8, note, chunk(b"eXIf", exif(1)), note),
            ):
                np.testing.assert_array_equal(read(file), PHOTO)
            turn = png(PHOTO, COLOUR, 8, note, chunk(b"eXIf", exif(6)))
            np.testing.assert_array_equal(read(turn), turned(6))


def test_eighty_megabytes_of_text_hide_no_png(read):
    notes = [chunk(b"tEXt", b"c%d\0" % i + LONG[:900_000]) for i in range(90)]
    np.testing.assert_array_equal(read(png(PHOTO, COLOUR, 8, *notes)), PHOTO)


@pytest.mark.parametrize(("kind", "step"), [(GREY, 257), (COLOUR, 257)])
def test_broken_notes_hide_no_sixteen_bits(read, kind, step, capfd):
    samples = PHOTO[..., :1] if kind == GREY else PHOTO
    notes = [chunk(name, each[-1][:99]) for name, each in CHUNKS.items()]
    image = read(png(samples.astype(np.uint16) * step, kind, 16, *notes))
    np.testing.assert_array_equal(image, np.broadcast_to(samples, PHOTO.shape))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", [COLOUR, PALETTE])
def test_no_flipped_bit_of_notes_or_transparency_changes_a_pixel(read, kind):
    samples = np.arange(20).reshape(4, 5, 1) % 4
    if kind == COLOUR:
        samples = np.dstack([samples] * 3)
    palette = [chunk(b"PLTE", bytes(range(12)))] * (kind == PALETTE)
    key = chunk(b"tRNS", bytes(range(0, 120, 30)) if kind == PALETTE else bytes(6))
    notes = chunk(b"tEXt", b"c\0what"), chunk(b"zTXt", b"c\0\0" + zlib.compress(b"why"))
    whole = png(samples, kind, 8, notes[0], *palette, key, *notes)
    right = read(whole)
    kept = 0
    for place in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        try:
            np.testing.assert_array_equal(read(bytes(changed)), right)
            kept += 1
        except ValueError:
            pass
    assert kept > 200


# --- the other formats --------------------------------------------------------------


def segment(marker, content=b""):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


JPEG = saved("JPEG", quality=95)
SEGMENTS = {
    "EXIF": [segment(0xE1, b"Exif\0\0" + each) for each in BROKEN],
    "XMP": [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<broken"), segment(0xE1)],
    "ICC": [
        segment(0xE2, b"ICC_PROFILE" + each) for each in (b"\0", b"\0\1\5a", b"\0\1\1")
    ],
    "MPF": [
        segment(0xE2, b"MPF\0" + each) for each in (b"", b"garbage", b"II*\0\x08\0\0\0")
    ],
    "Photoshop": [segment(0xED, b"Photoshop 3.0\0008BIM" + b"\4\4\0\0\xff\xff")],
    "Adobe": [segment(0xEE, each) for each in (b"Adobe", b"Adobe\0")],
    "JFIF": [segment(0xE0, each) for each in (b"JFIF", b"JFIF\0\1", b"JFIF\0\1\1\1\0")],
    "comment": [segment(0xFE), segment(0xFE, LONG[:65_000]) * 50],
    "other": [segment(0xEF, NOISE[:60_000])],
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_broken_and_long_segments_hide_no_jpeg(read, name):
    right = read(JPEG)
    turn = segment(0xE1, b"Exif\0\0" + exif(3, FAR))
    for note in SEGMENTS[name]:
        for at in (2, 20):
            np.testing.assert_array_equal(read(JPEG[:at] + note + JPEG[at:]), right)
            upside_down = JPEG[:at] + note + turn + note + JPEG[at:]
            np.testing.assert_array_equal(read(upside_down), right[::-1, ::-1])


def webp(**chunks):
    """Return a WebP with these contents of its chunks instead."""
    whole = saved("WEBP", lossless=True, exif=exif(1), icc_profile=b"icc!", xmp=b"xmp!")
    body, at = b"WEBP", 12
    while at < len(whole):
        name, length = struct.unpack_from("<4sI", whole, at)
        content = chunks.get(name.decode().strip(), whole[at + 8 : at + 8 + length])
        body += struct.pack("<4sI", name, len(content)) + content
        body += bytes(len(content) % 2)
        at += 8 + length + length % 2
    return struct.pack("<4sI", b"RIFF", len(body)) + body


@pytest.mark.parametrize("name", ["EXIF", "ICCP", "XMP"])
def test_broken_and_long_chunks_hide_no_webp(read, name):
    for content in (*BROKEN, LONG, b"\xff<"):
        np.testing.assert_array_equal(read(webp(**{name: content})), PHOTO)
    np.testing.assert_array_equal(read(webp()[:-3]), PHOTO)  # within the last note
    np.testing.assert_array_equal(read(webp(EXIF=exif(6), **{"XMP": LONG})), turned(6))


def blocks(content):
    parts = [content[at : at + 255] for at in range(0, len(content), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


@pytest.mark.parametrize(
    "extension",
    [
        b"\xfe" + blocks(LONG),
        b"\xfe\0",
        b"\xff" + blocks(b"NETSCAPE2.0"),
        b"\xff\x0bNETSCAPE2.0\1\1\0",
        b"\xff\3abc\0",
        b"\1" + blocks(b"plain text"),
        b"\x77\1x\0",
    ],
    ids=lambda extension: repr(extension[:12]),
)
def test_broken_and_long_extensions_hide_no_gif(read, extension):
    palette = Image.fromarray(PHOTO).quantize(64)
    file = io.BytesIO()
    palette.save(file, "GIF", transparency=0)
    whole, at = file.getvalue(), 13 + 3 * 64
    note = b"!" + extension
    np.testing.assert_array_equal(read(whole[:at] + note + whole[at:]), read(whole))


def tiff(order, *entries, planes=True):
    """Return a TIFF of `PHOTO` with other entries of its directory, too."""
    planar = np.moveaxis(PHOTO, 2, 0) if planes else PHOTO[None]
    count = len(planar)
    shape = [(256, 4, 1, 40), (257, 4, 1, 24), (258, 3, 1, 8), (259, 3, 1, 1)]
    shape += [(262, 3, 1, 2), (277, 3, 1, 3), (278, 4, 1, 24), (284, 3, 1, 1 + planes)]
    start = 8 + 2 + 12 * (len(shape) + 2 + len(entries)) + 4
    each = planar[0].nbytes
    offsets, sizes = [start + each * i for i in range(count)], [each] * count
    tables = struct.pack(f"{order}{2 * count}I", *offsets, *sizes)
    first = start + planar.nbytes
    places = (first, first + 12) if planes else (start, each)
    shape += [(273, 4, count, places[0]), (279, 4, count, places[1])]
    directory = b"".join(
        struct.pack(order + "HHI", *entry[:3])
        + struct.pack(order + ("H2x" if entry[1] == 3 else "I"), entry[3])
        for entry in sorted([*shape, *entries])
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    number = struct.pack(order + "H", len(shape) + len(entries))
    return head + number + directory + bytes(4) + planar.tobytes() + tables


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_broken_tags_hide_no_tiff(read, order, planes):
    """Tags whose values lie beyond the file, before and after those of the pixels."""
    for tag, kind in ((269, 2), (270, 2), (282, 5), (305, 2), (700, 1), (34665, 4)):
        for turn in ((), ((274, 3, 1, 6),)):
            file = tiff(order, (tag, kind, 500, 2**31 - 1), *turn, planes=planes)
            right = turned(6) if turn else PHOTO
            np.testing.assert_array_equal(read(file), right)


# --- orientation --------------------------------------------------------------------


def raw_profile(orientation):
    """Return EXIF as ImageMagick writes it into a text of a PNG."""
    content = b"Exif\0\0" + exif(orientation)
    text = b"\nexif\n%8d\n" % len(content) + content.hex().encode() + b"\n"
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_followed_wherever_it_stands(read, orientation):
    right = turned(orientation)
    xmp = XMP.replace(b"6", b"%d" % orientation)
    packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
    files = [
        png(PHOTO, COLOUR, 8, chunk(b"eXIf", exif(orientation, FAR))),
        png(PHOTO, COLOUR, 8, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        png(PHOTO, COLOUR, 8, chunk(b"iTXt", packed)),
        png(PHOTO, COLOUR, 8, raw_profile(orientation)),
        webp(EXIF=exif(orientation)),
        webp(EXIF=b"Exif\0\0" + exif(orientation)),
        webp(EXIF=b"", XMP=xmp),
        saved("TIFF", tiffinfo={274: orientation}),
        saved("TIFF", tiffinfo={274: orientation}, compression="tiff_lzw"),
        saved("TIFF", tiffinfo={700: xmp}, big_tiff=True),
    ]
    for number, file in enumerate(files):
        np.testing.assert_array_equal(read(file), right, str(number))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_broken_exif_hides_no_avif(read):
    whole = saved("AVIF", exif=exif(1, struct.pack("<2HIHH", 296, 3, 1, 2, 0)))
    broken = re.sub(rb"II\*\0|MM\0\*", b"what", whole)
    np.testing.assert_array_equal(read(broken), read(whole))
    assert broken != whole

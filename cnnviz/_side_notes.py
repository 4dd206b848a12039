"""What stands beside the pixels in an image file: left out, but for its orientation.

Pillow refuses a picture whose comment, profile or EXIF is damaged or long. So pixels
come to it alone. A file whose parts can't be told apart stays as it is.
"""

import re
import struct
import warnings
import zlib

from PIL import ExifTags, Image

UPRIGHT = 1
_EXIF = b"Exif\0\0"
_LONGEST_TEXT = 2**20
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def separate(data):
    """Return the bytes of an image file without side notes, and its orientation.

    The orientation, 1 to 8 as EXIF counts, is None where it is still in the file.
    """
    for signature, split in _FORMATS.items():
        if re.match(signature, data, re.DOTALL):
            try:
                parts, notes = split(data)
            except (IndexError, ValueError, struct.error):
                break
            found = filter(None, map(_orientation, notes or []))
            orientation = None if notes is None else next(found, UPRIGHT)
            return b"".join(parts), orientation
    return data, None


def _orientation(note):
    """Return the orientation that EXIF or XMP tells, or None."""
    if match := _XMP_ORIENTATION.search(note):
        return int(match[1])
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif.load(_EXIF + note.removeprefix(_EXIF))
            found = exif.get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises all kinds on damaged EXIF
        return None
    return found if found in range(1, 9) else None


def _split_png(data):
    """Return the chunks that make pixels, and the notes that may tell the orientation.

    A chunk whose checksum would be right for transparency counts as that.
    """
    parts, notes, at = [data[:8]], [], 8
    name = b""
    while name != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if not name.isalpha():
            raise ValueError("no chunk")
        is_transparency = name == b"tRNS" or checksum == zlib.crc32(b"tRNS" + body)
        if name[:1].isupper() or is_transparency:
            parts.append(data[at : at + 12 + length])
        elif checksum == zlib.crc32(name + body):
            notes.append(_png_note(name, body))
        at += 12 + length
    return parts, sorted(notes, key=lambda note: not note.startswith(_EXIF))


def _png_note(name, body):
    """Return the EXIF or XMP that a chunk holds, if any."""
    keyword, _, text = body.partition(b"\0")
    try:
        if name == b"eXIf":
            return _EXIF + body
        if name == b"iTXt" and keyword == b"XML:com.adobe.xmp":
            is_packed, (_, _, text) = text[0], text[2:].split(b"\0", 2)
            return _unpack(text) if is_packed else text
        if name in (b"tEXt", b"zTXt") and keyword == b"Raw profile type exif":
            text = _unpack(text[1:]) if name == b"zTXt" else text
            return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except (IndexError, ValueError, zlib.error):
        pass
    return b""


def _unpack(text):
    return zlib.decompressobj().decompress(text, _LONGEST_TEXT)


def _split_jpeg(data):
    """Return the segments that make pixels, and the other ones' contents."""
    parts, notes, at = [data[:2]], [], 2
    while (marker := data[at + 1]) != 0xDA:
        if data[at] != 0xFF:
            raise ValueError("no marker")
        if marker == 0xFF:
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if length != len(body) + 2:
            raise ValueError("cut short")
        makes_pixels = not (0xE0 <= marker <= 0xEF or marker == 0xFE)
        # These two tell which colours are stored, where they are whole.
        makes_pixels |= marker == 0xE0 and body.startswith(b"JFIF\0") and length >= 16
        makes_pixels |= marker == 0xEE and body.startswith(b"Adobe") and length >= 14
        if makes_pixels:
            parts.append(data[at : at + 2 + length])
        elif marker == 0xE1:
            notes.append(body)
        at += 2 + length
    return [*parts, data[at:]], notes


def _split_webp(data):
    """Return the chunks that make pixels, and EXIF and XMP."""
    parts, notes, at = [], [], 12
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : min(at + 8 + length, end)]
        if name == b"VP8X":
            body = bytes([body[0] & ~0b101100]) + body[1:]  # no profile, EXIF, XMP
        if name in (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"):
            if len(body) != length:
                raise ValueError("cut short")
            parts.append(data[at : at + 8] + body + bytes(length % 2))
        elif name in (b"EXIF", b"XMP "):
            notes.append(body)
        at += 8 + length + length % 2
    size = 4 + sum(map(len, parts))
    return [b"RIFF", size.to_bytes(4, "little"), b"WEBP", *parts], notes


def _split_gif(data):
    """Return the blocks that make the first picture; GIF has no orientation."""
    at = 13 + (data[10] >> 7) * 6 * 2 ** (data[10] % 8)
    parts = [data[:at]]
    while data[at] == 0x21:
        start, makes_pixels = at, data[at + 1] == 0xF9
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        parts += [data[start:at]] * makes_pixels
    return [*parts, data[at:]], []


_TIFF_TAGS = {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284}
_TIFF_TAGS |= {292, 293, 317, 320, 322, 323, 324, 325, 332, 334, 338, 339, 347}
_TIFF_TAGS |= {*range(512, 522), *range(529, 533), 700}
"""What makes pixels, and what turns them: orientation and XMP."""


def _split_tiff(data):
    """Return a file whose first directory has only `_TIFF_TAGS`.

    Pillow reads none of the tags that follow a broken one.
    """
    order = "<" if data[:1] == b"I" else ">"
    is_big = 43 in data[2:4]
    count, pointer, length = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    (start,) = struct.unpack_from(order + pointer, data, 8 if is_big else 4)
    (entries,) = struct.unpack_from(order + count, data, start)
    first = start + struct.calcsize(count)
    kept = [
        data[at : at + length]
        for at in range(first, first + min(entries, 4096) * length, length)
        if struct.unpack_from(order + "H", data, at)[0] in _TIFF_TAGS
    ]
    directory = struct.pack(order + count, len(kept)) + b"".join(kept)
    directory += bytes(struct.calcsize(pointer))
    return [data[:start], directory, data[start + len(directory) :]], None


def _split_avif(data):
    """Return a file whose EXIF is of a kind that nobody reads.

    AVIF has the orientation beside it.
    """
    entry = re.compile(rb"(infe\x02.{7})Exif", re.DOTALL)
    return [entry.sub(rb"\1none", data)], None


_FORMATS = {
    rb"\x89PNG\r\n\x1a\n....IHDR": _split_png,
    rb"\xff\xd8\xff": _split_jpeg,
    rb"RIFF....WEBP": _split_webp,
    rb"GIF8[79]a": _split_gif,
    rb"....ftypavi[fs]": _split_avif,
    rb"II[*+]\0|MM\0[*+]": _split_tiff,
}
"""How to split each format, by how its files begin."""

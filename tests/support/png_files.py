"""PNG files written from the specification alone (W3C, PNG, third edition)."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    COLOUR: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    COLOUR_ALPHA: (8, 16),
}
KINDS = [(kind, depth) for kind, depths in DEPTHS.items() for depth in depths]

# Adam7: first row, first column, step down, step right.
PASSES = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def chunk(name, data=b""):
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def header(width, height, depth, kind, interlaced=False):
    return chunk(
        b"IHDR", struct.pack(">2I5B", width, height, depth, kind, 0, 0, interlaced)
    )


def png(samples, kind, depth, *chunks, interlaced=False, level=6, piece=2**30, **how):
    """Return the file of samples (H, W, C), with `chunks` before the image's data.

    The data are cut into IDAT chunks of `piece` bytes.
    """
    data = zlib.compress(image_data(samples, depth, interlaced, **how), level)
    height, width = samples.shape[:2]
    return b"".join(
        [
            SIGNATURE,
            header(width, height, depth, kind, interlaced),
            *chunks,
            *(
                chunk(b"IDAT", data[start : start + piece])
                for start in range(0, len(data), piece)
            ),
            chunk(b"IEND"),
        ]
    )


def image_data(samples, depth, interlaced=False, filters=(0,)):
    """Return the filtered rows; row i of a pass has the filter i of the cycle."""
    parts = PASSES if interlaced else [(0, 0, 1, 1)]
    data = b""
    for top, left, down, right in parts:
        part = samples[top::down, left::right]
        if part.size:
            rows = [pack(row, depth) for row in part]
            data += b"".join(
                filtered(rows, max(1, part.shape[2] * depth // 8), filters)
            )
    return data


def pack(row, depth):
    """Return the bytes of a row of samples, the last filled up with zeros."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = (row.reshape(-1, 1) >> np.arange(depth)[::-1]) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def filtered(rows, step, filters):
    """Yield each row behind its filter's number; `step` bytes are a pixel."""
    above = bytes(len(rows[0]))
    for i, row in enumerate(rows):
        kind = filters[i % len(filters)]
        x, b = (np.frombuffer(r, np.uint8).astype(int) for r in (row, above))
        a, c = (np.pad(r, (step, 0))[: len(r)] for r in (x, b))
        guess = [0 * x, a, b, (a + b) // 2, paeth(a, b, c)][kind]
        yield bytes([kind]) + ((x - guess) % 256).astype(np.uint8).tobytes()
        above = row


def paeth(a, b, c):
    """Return the one of left, above and upper left that is nearest to a + b - c."""
    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c))


def samples_of(rng, height, width, kind, depth):
    """Return random samples (H, W, C) of a kind."""
    return rng.integers(0, 2**depth, (height, width, CHANNELS[kind]))

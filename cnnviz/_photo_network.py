"""A network trained on photos: EfficientNet-Lite0, as short as it can be written."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from cnnviz._validation import describe, invalid

if TYPE_CHECKING:
    from cnnviz._types import Pixels

WEIGHTS = Path(__file__).parent / "data" / "photo_network.safetensors"
SHA_256 = "0b9fd33628701011f9d0126f79aae06b1851af3be8ebad840d63f0a2e73e2e3c"
SIDE = 224
SHOWN = 0.875  # of the shorter side of a photo

STAGES = (
    # blocks, kernel size, stride of the first one, channels, expansion
    (1, 3, 1, 16, 1),
    (2, 3, 2, 24, 6),
    (2, 5, 2, 40, 6),
    (3, 3, 2, 80, 6),
    (3, 5, 1, 112, 6),
    (4, 5, 2, 192, 6),
    (1, 3, 1, 320, 6),
)


class ConvNorm(nn.Sequential):
    """A convolution, batch normalisation and, but at a block's end, ReLU6.

    At stride 2, one pixel less is put before the image than after it, as TensorFlow
    does, where the network was trained.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        padding = kernel_size // 2
        if stride == 2:
            layers["pad"] = nn.ZeroPad2d((padding - 1, padding) * 2)
            padding = 0
        layers["conv"] = nn.Conv2d(
            *(in_channels, out_channels, kernel_size, stride, padding),
            groups=groups,
            bias=False,
        )
        layers["norm"] = nn.BatchNorm2d(out_channels, eps=1e-3)
        if relu:
            layers["relu"] = nn.ReLU6()
        super().__init__(layers)


class InvertedResidual(nn.Module):
    """Many channels for a moment, each filtered by itself, and few again.

    A 1 × 1 convolution expands the channels, a depthwise one (a kernel for each
    channel) filters them, another 1 × 1 convolution projects them onto few. Where the
    shape has stayed, the input is added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        if expansion > 1:
            self.expand = ConvNorm(in_channels, inner)
        else:
            self.expand = nn.Identity()
        self.depthwise = ConvNorm(inner, inner, kernel_size, stride, groups=inner)
        self.project = ConvNorm(inner, out_channels, relu=False)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, (N, out_channels, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class PhotoNetwork(nn.Module):
    """EfficientNet-Lite0: a classifier of photos into 1,000 classes of ImageNet.

    A first convolution (`stem`), sixteen inverted residual blocks (`blocks`, by index),
    a 1 × 1 convolution (`head`), the mean of each map (`pool`), and scores
    (`classifier`): 4,652,008 parameters. Weights are random; `photo_network` loads
    trained ones.

    References
    ----------
    M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", ICML 2019; Lite: TensorFlow's TPU models, 2020.
    M. Sandler and others, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    CVPR 2018, for the blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, kernel_size=3, stride=2)
        blocks, channels = [], 32
        for count, kernel_size, stride, out_channels, expansion in STAGES:
            for first in [True] + [False] * (count - 1):
                size = kernel_size, stride if first else 1
                blocks.append(
                    InvertedResidual(channels, out_channels, *size, expansion)
                )
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvNorm(channels, 1280)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores, (N, 1000), of images as `preprocess` gives them."""
        x = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.flatten(self.pool(x)))

    @property
    def classes(self) -> list[str]:
        """The names of the 1,000 classes, in the order of the scores."""
        from torchvision.models import EfficientNet_B0_Weights

        names: list[str] = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
        return names

    @staticmethod
    def preprocess(image: Pixels) -> torch.Tensor:
        """Make a photo what the network was trained on.

        The middle square, of 0.875 times the shorter side, is resized to 224 × 224 by
        Pillow's bicubic resampling, which is made of integers and so the same to the
        bit everywhere; then 0–255 becomes (pixel − 127) / 128.

        Parameters
        ----------
        image : numpy.ndarray, shape (H, W, 3), uint8
            RGB, such as `cnnviz.datasets.read_image` gives it.

        Returns
        -------
        torch.Tensor, shape (1, 3, 224, 224), float32
            From −0.9921875 to 1.

        Raises
        ------
        TypeError, ValueError
            If `image` is not such an array.

        References
        ----------
        TensorFlow's TPU models, ``efficientnet/preprocessing.py``, for the crop.
        """
        expected = "an RGB image (H, W, 3) of uint8"
        if not isinstance(image, np.ndarray):
            raise invalid("image", expected, describe(image), TypeError)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise invalid("image", expected, describe(image))
        if not image.size:
            raise invalid("image", f"{expected}, not empty", describe(image))
        height, width = image.shape[:2]
        side = max(int(SHOWN * min(height, width)), 1)
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        square = np.ascontiguousarray(image[top : top + side, left : left + side])
        small = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None]
        return (pixels.float() - 127) / 128


def photo_network() -> PhotoNetwork:
    """Return EfficientNet-Lite0 with weights trained on ImageNet, to predict.

    It is in evaluation mode. The weights come with the package, as 16-bit floats: on
    the photos of `cnnviz.datasets.photo` this changes a probability by less than 0.005.

    Returns
    -------
    PhotoNetwork
        With `preprocess` and `classes`.

    Raises
    ------
    RuntimeError
        If the weights that the package carries are missing or damaged.

    References
    ----------
    See `PhotoNetwork`; ``data/LICENSES.md`` tells where the weights come from.

    Examples
    --------
    >>> from cnnviz.datasets import dog
    >>> network = photo_network()
    >>> scores = network(network.preprocess(dog()))
    >>> network.classes[scores.argmax()]
    'malamute'
    """
    try:
        content = WEIGHTS.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != SHA_256:
        raise RuntimeError(f"{WEIGHTS} is missing or damaged: reinstall cnnviz")
    network = PhotoNetwork()
    weights = safetensors.torch.load(content)
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval()

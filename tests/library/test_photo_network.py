"""The network trained on photos: what it says is what the published module says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnviz import _photo_network
from cnnviz.architecture import summarize
from cnnviz.datasets import dog, photo
from cnnviz.models import PhotoNetwork, count_parameters, photo_network

# The scores of the published module with its own weights, on `preprocess`ed photos.
PUBLISHED = np.load(Path(__file__).with_name("photo_scores.npz"))
FIRST = {
    "dog": "malamute",
    "cat": "tiger cat",
    "coffee": "espresso",
    "astronaut": "football helmet",
}


@pytest.fixture(scope="module")
def network():
    return photo_network()


@pytest.mark.parametrize("name", FIRST)
def test_scores_are_those_of_the_published_module(network, name):
    with torch.no_grad():
        (scores,) = network(network.preprocess(photo(name)))
    published = torch.from_numpy(PUBLISHED[name])
    assert (scores - published).abs().max() < 0.03
    assert (scores.softmax(0) - published.softmax(0)).abs().max() < 0.005
    assert network.classes[scores.argmax()] == FIRST[name]


def test_it_has_the_published_size(network):
    assert count_parameters(network) == 4_652_008
    assert len(network.blocks) == 16
    assert len(network.classes) == 1000
    rows = {row.name: row for row in summarize(network, (3, 224, 224))}
    assert rows["stem.conv"].output_shape == (32, 112, 112)
    assert rows["blocks.15.project.conv"].output_shape == (320, 7, 7)
    assert rows["head.relu"].output_shape == (1280, 7, 7)
    assert not network.training


def test_preprocess_is_a_crop_a_resize_and_a_shift():
    image = dog()
    expected = Image.fromarray(image[36:540, 132:636]).resize(
        (224, 224), Image.Resampling.BICUBIC
    )
    x = PhotoNetwork.preprocess(image)
    assert x.shape == (1, 3, 224, 224)
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(
        x[0].permute(1, 2, 0) * 128 + 127, np.asarray(expected)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 2), (224, 224), (257, 256)])
def test_preprocess_takes_any_size(shape):
    x = PhotoNetwork.preprocess(np.full((*shape, 3), 200, np.uint8))
    assert x.shape == (1, 3, 224, 224)
    assert (x == (200 - 127) / 128).all()


@pytest.mark.parametrize(
    ("image", "error"),
    [
        ("dog.jpg", TypeError),
        (torch.zeros(3, 8, 8), TypeError),
        (np.zeros((8, 8), np.uint8), ValueError),
        (np.zeros((8, 8, 4), np.uint8), ValueError),
        (np.zeros((8, 8, 3)), ValueError),
        (np.zeros((0, 8, 3), np.uint8), ValueError),
    ],
)
def test_what_is_no_photo_is_refused(image, error):
    with pytest.raises(error, match="image must be an RGB image"):
        PhotoNetwork.preprocess(image)


@pytest.mark.parametrize("content", [None, b"", b"weights"])
def test_weights_that_are_missing_or_damaged_are_named(tmp_path, monkeypatch, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(_photo_network, "WEIGHTS", path)
    with pytest.raises(RuntimeError, match="missing or damaged: reinstall cnnviz"):
        photo_network()


def test_a_photo_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="name must be one of 'dog', 'cat'"):
        photo("horse")

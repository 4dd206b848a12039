"""The networks, against the article's numbers and against plain torch."""

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from cnnviz.kernels import edge_bank
from cnnviz.models import CNN, MLP, FilterBankNet, count_parameters


def test_mlp_is_the_articles():
    model = MLP()
    by_layer = {name: count_parameters(layer) for name, layer in model.named_children()}
    assert by_layer["fc1"] == 784 * 512 + 512
    assert by_layer["fc2"] == 512 * 512 + 512
    assert by_layer["fc3"] == 512 * 10 + 10
    assert count_parameters(model) == 669_706
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.2, 0.2]


def test_mlp_computes_what_its_layers_say():
    model = MLP().eval()
    x = torch.rand(3, 1, 28, 28)
    hidden = F.relu(x.flatten(1) @ model.fc1.weight.T + model.fc1.bias)
    hidden = F.relu(hidden @ model.fc2.weight.T + model.fc2.bias)
    expected = hidden @ model.fc3.weight.T + model.fc3.bias
    torch.testing.assert_close(model(x), expected)


def test_cnn_is_small():
    assert count_parameters(CNN()) == 6_018


def test_cnn_may_pool_before_or_after_relu():
    torch.manual_seed(0)
    model = CNN().eval()
    x = torch.rand(4, 1, 28, 28)
    after = x
    for conv, norm, pool in (
        (model.conv1, model.norm1, model.pool1),
        (model.conv2, model.norm2, model.pool2),
    ):
        after = pool(F.relu(norm(conv(after))))
    torch.testing.assert_close(model(x), model.fc(after.flatten(1)))


@pytest.mark.parametrize("shape", [(1, 2, 2), (4, 4, 4), (7, 3, 5)])
def test_filter_bank_takes_any_number_and_size_of_kernels(shape):
    kernels = np.random.default_rng(0).normal(size=shape)
    x = torch.rand(2, 1, 13, 17)
    stages = FilterBankNet(kernels)(x)
    weight = torch.tensor(kernels, dtype=torch.float32).unsqueeze(1)
    expected = F.conv2d(x, weight)
    torch.testing.assert_close(stages.conv, expected)
    torch.testing.assert_close(stages.relu, expected.clamp(min=0))
    torch.testing.assert_close(stages.pool, F.max_pool2d(expected.clamp(min=0), 2))


def test_filter_bank_has_nothing_to_learn_and_keeps_its_own_copy():
    kernels = edge_bank()
    model = FilterBankNet(kernels, pool_size=3)
    assert count_parameters(model, trainable=True) == 0
    assert count_parameters(model) == 64
    kernels[:] = 0
    assert model.conv.weight.abs().sum() == 64
    assert model(torch.rand(1, 1, 10, 10)).pool.shape == (1, 4, 2, 2)


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 2)
    assert count_parameters(nn.Sequential(layer, nn.ReLU(), layer)) == 8


def test_frozen_parameters_are_counted_apart():
    model = torchvision.models.resnet18().requires_grad_(False)
    model.fc = nn.Linear(512, 5)
    assert count_parameters(model, trainable=True) == 513 * 5
    # 11,689,512 in the documentation of torchvision, with a layer of 1,000 outputs.
    backbone = 11_689_512 - 513 * 1000
    assert count_parameters(model, trainable=False) == backbone
    assert count_parameters(model) == backbone + 513 * 5


@pytest.mark.parametrize("make", [MLP, CNN])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.rand(2, 3, 28, 28), ValueError, r"x must be .*\(2, 3, 28, 28\)"),
        (torch.rand(1, 28, 28), ValueError, r"x must be .*\(1, 28, 28\)"),
        (torch.zeros(1, 1, 28, 28, dtype=torch.uint8), TypeError, "x .*float.*uint8"),
        (torch.rand(1, 1, 28, 28).double(), TypeError, "x .*float32.*got.*float64"),
        (np.zeros((1, 1, 28, 28)), TypeError, "x must be a torch.float32 .*ndarray"),
    ],
)
def test_classifiers_name_a_wrong_input(make, x, error, message):
    with pytest.raises(error, match=message):
        make()(x)


def test_filter_bank_names_wrong_arguments():
    with pytest.raises(ValueError, match=r"kernels must be .*\(K, kh, kw\), got"):
        FilterBankNet(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"kernels must be .*finite"):
        FilterBankNet(np.full((1, 3, 3), np.nan))
    with pytest.raises(ValueError, match="pool_size must be an integer of at least 1"):
        FilterBankNet(edge_bank(), pool_size=0)
    with pytest.raises(ValueError, match="x must be images of at least 5×5, got 4×4"):
        FilterBankNet(edge_bank())(torch.rand(1, 1, 4, 4))
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got list"):
        count_parameters([1])
    with pytest.raises(TypeError, match="trainable must be True, False or None, got"):
        count_parameters(nn.ReLU(), 1)


@given(st.data())
def test_filter_bank_is_a_correlation_a_clamp_and_a_maximum(data):
    height, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    pool = data.draw(st.integers(1, 3))
    numbers = st.floats(-9, 9, width=32)
    kernels = data.draw(arrays(np.float32, (2, height, width), elements=numbers))
    size = [side + pool - 1 + data.draw(st.integers(0, 4)) for side in (height, width)]
    image = data.draw(arrays(np.float32, size, elements=numbers))
    bank = FilterBankNet(kernels, pool)
    assert count_parameters(bank, trainable=True) == 0
    stages = bank(torch.tensor(image)[None, None])
    for k, kernel in enumerate(kernels):
        conv = scipy.signal.correlate2d(image, kernel, mode="valid")
        np.testing.assert_allclose(stages.conv[0, k], conv, rtol=1e-3, atol=1e-3)
        relu = np.maximum(stages.conv[0, k].numpy(), 0)
        np.testing.assert_array_equal(stages.relu[0, k], relu)
        blocks = np.lib.stride_tricks.sliding_window_view(relu, (pool, pool))
        np.testing.assert_array_equal(
            stages.pool[0, k], blocks[::pool, ::pool].max(axis=(2, 3))
        )
    for axis in (0, 1):
        small = np.delete(image, np.s_[size[axis] - 1 :], axis)
        if size[axis] == kernels.shape[1 + axis] + pool - 1 and small.size:
            with pytest.raises(ValueError, match="x must be images of at least"):
                bank(torch.tensor(small)[None, None])


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=4))
def test_parameters_to_train_are_counted(layers):
    model = nn.Sequential(*[nn.Linear(size, 2) for size, _ in layers])
    for layer, (_, trained) in zip(model, layers, strict=True):
        layer.weight.requires_grad = trained
    expected = sum(2 + 2 * size * trained for size, trained in layers)
    assert count_parameters(model, trainable=True) == expected
    frozen = sum(2 * size for size, trained in layers if not trained)
    assert count_parameters(model, trainable=False) == frozen
    assert count_parameters(model) == expected + frozen


@pytest.mark.parametrize("make", [MLP, CNN])
@given(arrays(np.float32, (3, 1, 28, 28), elements=st.floats(0, 1, width=32)))
@settings(max_examples=10)
def test_digits_are_classified_one_by_one(make, images):
    torch.manual_seed(0)
    model = make().eval()
    images = torch.tensor(images)
    scores = model(images)
    assert scores.shape == (3, 10)
    for image, score in zip(images, scores, strict=True):
        torch.testing.assert_close(model(image[None])[0], score)

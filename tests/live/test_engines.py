"""All live figures in three engines, from files and over http, against PyTorch."""

from urllib.request import urlopen

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import playing
from cnnviz import live
from cnnviz.datasets import dog, mnist_tensors
from cnnviz.geometry import receptive_field
from cnnviz.kernels import EMBOSS, SOBEL_X
from cnnviz.training import evaluate, fit
from hosting import served

PHOTO = dog()[200:240, 120:170]
GREY = PHOTO[..., 1].copy()


def pixel_inspector():
    figure = live.pixel_inspector({"grey": GREY, "colour": PHOTO})
    return figure, {"picture": "colour", "at": "7,31"}, "figure.pixel", PHOTO[7, 31]


def kernel_playground():
    figure = live.kernel_playground(GREY)
    state = {"kernel": "-2,-1,0;-1,1,1;0,1,2", "stride": 2}
    embossed = F.conv2d(tensor(GREY), tensor(EMBOSS), stride=2)
    return figure, state, "Array.from(figure.maps[0].data)", embossed


def channel_sum():
    maps, kernels = torch.rand(3, 20, 24), torch.randn(3, 3, 3)
    figure = live.channel_sum(maps, kernels, bias=0.5)
    partial = F.conv2d(maps[None, :2], kernels[None, :2])
    return figure, {"added": 2}, "Array.from(figure.sum.data)", partial


def learn_kernel():
    digits = mnist_tensors(train=True)[0][:10].double()
    figure = live.learn_kernel(digits)
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 1, kernel_size=3, bias=False).double()
    descent = torch.optim.SGD(conv.parameters(), lr=1)
    for _ in range(4):
        descent.zero_grad()
        F.mse_loss(conv(digits), F.conv2d(digits, tensor(SOBEL_X))).backward()
        descent.step()
    kernel = "Array.from(figure.learned.kernel.data)"
    return figure, {"step": 4}, kernel, conv.weight.detach()


def draw_digit():
    digits, labels = (part[:4] for part in mnist_tensors(train=False))
    rest = nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 12 * 12, 10)
    model = nn.Sequential(nn.Conv2d(1, 4, 5), *rest)
    figure = live.draw_digit({"CNN": model}, digits, labels)
    with torch.no_grad():
        expected = live.quantise_weights(model)(digits[2:3]).softmax(1)
    return figure, {"digit": "2"}, "figure.probabilities.CNN", expected


def training_steps():
    digits, labels = (part[:60] for part in mnist_tensors(train=True))
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    options = {"epochs": 1, "batch_size": 20, "progress": False}
    history = fit(model, digits, labels, snapshots=[0, 3], **options)
    figure = live.training_steps({"MLP": (model, history)}, digits, labels)
    model.load_state_dict(history.snapshots[0])
    accuracy = 100 * evaluate(model, digits, labels).accuracy
    title = "figure.find('.panels .title').textContent"
    return figure, {"checkpoint": 0}, f"parseFloat({title}.slice(4))", accuracy


def receptive_fields():
    figure = live.receptive_field("conv 5, pool 2, conv 3 stride 2", PHOTO)
    layers = nn.Conv2d(3, 1, 5), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, stride=2)
    fields = receptive_field(nn.Sequential(*layers), (3, *GREY.shape))
    state = {"layer": 2, "at": "9,9"}
    shown = "figure.layers.slice(1).map((layer) => layer.field)"
    return figure, state, shown, [fields[name].size[0] for name in "012"]


FIGURES = [pixel_inspector, kernel_playground, channel_sum, learn_kernel, draw_digit]
FIGURES += [training_steps, receptive_fields]


def tensor(array):
    return torch.tensor(np.array(array, np.float64))[None, None]


@pytest.fixture(scope="module", params=FIGURES, ids=lambda make: make.__name__)
def case(request):
    torch.manual_seed(0)
    return request.param()


@pytest.mark.parametrize("way", ["file", "http"])
def test_a_figure_is_alive_drawn_right_and_quiet(engine, case, way, tmp_path):
    figure, state, code, expected = case
    figure.save(tmp_path / "page.html")
    with served(tmp_path) as host:
        start = f"{tmp_path.as_uri()}/" if way == "file" else host
        engine.open(start + "page.html")
        before, screen = canvases(engine), engine.screenshot()
        assert any(np.ptp(canvas) for canvas in before)
        playing.put(engine, **state)
        assert not all(map(np.array_equal, before, canvases(engine)))
        assert engine.screenshot() != screen
        found = np.array(playing.ask(engine, f"figure => {code}"), float)
        np.testing.assert_allclose(found, np.ravel(expected), rtol=1e-4, atol=1e-4)
        assert engine.said == []


def canvases(engine):
    """Return the pixels of all canvases that are seen."""
    seen = playing.ask(
        engine,
        """figure => [...figure.shadowRoot.querySelectorAll("canvas")]
            .filter((canvas) => canvas.getClientRects().length)
            .map((canvas) => canvas.toDataURL())""",
    )
    return [np.array(Image.open(urlopen(address))) for address in seen]

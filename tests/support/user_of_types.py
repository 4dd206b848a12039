"""A program that uses all that is public, once, and says what it expects to get.

`test_types` has mypy judge it, and runs it to see whether each variable holds what its
annotation says. Every call is made for its types; the numbers mean nothing.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

import cnnviz
from cnnviz import live
from cnnviz.activations import record_activations
from cnnviz.architecture import LayerSummary, summarize
from cnnviz.attribution import grad_cam, gradient_times_input, occlusion, saliency
from cnnviz.datasets import dog, mnist, mnist_tensors, photo, read_image
from cnnviz.geometry import (
    ReceptiveField,
    effective_receptive_field,
    output_size,
    receptive_field,
)
from cnnviz.kernels import KERNELS, SOBEL_X, Gradient, apply_kernel, edge_bank, gradient
from cnnviz.models import (
    CNN,
    MLP,
    FilterBankNet,
    FilterBankStages,
    PhotoNetwork,
    count_parameters,
    photo_network,
)
from cnnviz.plotting import (
    plot_architecture,
    plot_boxes,
    plot_channels,
    plot_confusion_matrix,
    plot_digits,
    plot_feature_maps,
    plot_history,
    plot_image,
    plot_images,
    plot_kernel,
    plot_kernels,
    plot_overlay,
    plot_pixel_values,
    plot_probabilities,
    plot_shift_accuracy,
    plot_signed,
)
from cnnviz.training import Evaluation, History, cache_folder, evaluate, fit

matplotlib.use("agg")

# The package and its modules
version: str = cnnviz.__version__
filtered: NDArray[np.float64] = cnnviz.kernels.apply_kernel(
    [[0, 0, 9, 9]], [[-1, 1]], padding="valid"
)
modules: list[object] = [
    cnnviz.activations,
    cnnviz.architecture,
    cnnviz.attribution,
    cnnviz.datasets,
    cnnviz.geometry,
    cnnviz.live,
    cnnviz.models,
    cnnviz.plotting,
    cnnviz.training,
]

# Photos, and what a score rests on
cup_of_coffee: NDArray[np.uint8] = photo("coffee")
photographic: PhotoNetwork = photo_network()
prepared: torch.Tensor = photographic.preprocess(cup_of_coffee)
names_of_classes: list[str] = photographic.classes
pixels_that_count: torch.Tensor = saliency(photographic, prepared, target=967)
contributions: torch.Tensor = gradient_times_input(photographic, prepared, [967])
falls: torch.Tensor = occlusion(
    photographic, prepared, size=112, fill=0, output="probability"
)
places_that_count: torch.Tensor = grad_cam(photographic, prepared, "head", None)

# Data
folder: Path = cache_folder()
dog_photo: NDArray[np.uint8] = dog()
same_photo: NDArray[np.uint8] = read_image(str(cnnviz.datasets.DATA / "dog.jpg"))
grey: NDArray[np.float64] = dog_photo[::8, ::8].mean(axis=2).round() / 255
first: tuple[torch.Tensor, int] = mnist(train=False)[0]  # torchvision has no types
everything: tuple[torch.Tensor, torch.Tensor] = mnist_tensors(train=False)
images: torch.Tensor = everything[0][:64]
labels: torch.Tensor = everything[1][:64]

# Kernels
kernel: NDArray[np.float64] = KERNELS["sharpen"]
bank: NDArray[np.float64] = edge_bank()
edges: NDArray[np.float64] = apply_kernel(images[0, 0], SOBEL_X, stride=np.int64(2))
padded: NDArray[np.float64] = apply_kernel(
    dog_photo, kernel, padding=1, dilation=2, padding_mode="reflect", convolution=True
)
slope: Gradient = gradient(grey)
steepness: NDArray[np.float64] = slope.magnitude
direction: NDArray[np.float64] = slope.angle
along_x: NDArray[np.float64] = slope.x
along_y: NDArray[np.float64] = slope.y

# Models
filters: FilterBankNet = FilterBankNet(bank, pool_size=2)
stages: FilterBankStages = filters(images)
pooled: torch.Tensor = stages.pool
convolution: nn.Conv2d = filters.conv
mlp: MLP = MLP()
cnn: CNN = CNN()
scores: torch.Tensor = cnn(images)
last_layer: nn.Linear = cnn.fc
parameters: int = count_parameters(nn.Sequential(nn.Flatten(), mlp.fc1))

# Training
history: History = fit(
    cnn,
    images,
    labels,
    epochs=1,
    batch_size=32,
    learning_rate=0.01,
    snapshots=range(0, 3, 2),
    progress=False,
)
losses: list[float] = history.loss
rates: list[float] = history.learning_rate
seconds: float = history.seconds
states: dict[int, dict[str, torch.Tensor]] = history.snapshots
evaluation: Evaluation = evaluate(cnn, images, labels, batch_size=10)
logits: torch.Tensor = evaluation.logits
truth: torch.Tensor = evaluation.labels
predictions: torch.Tensor = evaluation.predictions
probabilities: torch.Tensor = evaluation.probabilities
mistakes: torch.Tensor = evaluation.mistakes
confusions: torch.Tensor = evaluation.confusion_matrix
accuracy: float = evaluation.accuracy
loss: float = evaluation.loss

# Layers
maps: dict[str, torch.Tensor] = record_activations(cnn, images[:1])
some_maps: dict[str, torch.Tensor] = record_activations(cnn, (images,), {"conv1"})
layers: tuple[LayerSummary, ...] = summarize(cnn, (1, 28, 28), depth=1)
layer_name: str = layers[0].name
layer_kind: str = layers[0].kind
layer_shape: tuple[int, ...] = layers[0].output_shape
layer_parameters: int = layers[0].parameters
layer_description: str = layers[0].description

# Sizes
side: int = output_size(28, 5, padding="same")
sides: tuple[int, int] = output_size(dog_photo.shape[:2], 7, stride=2, padding=(3, 3))
same_sides: tuple[int, int] = output_size(images.shape[2:], (5, 5), ceil_mode=True)
side_or_sides: int | tuple[int, int] = output_size(28, (5, 5))
fields: dict[str, ReceptiveField] = receptive_field(cnn, images.shape[1:])
field: ReceptiveField = fields["conv2"]
window: tuple[int, int, int, int] = field.window(0, 5, image_size=(28, 28))
field_size: tuple[int, int] = field.size
field_stride: tuple[int, int] = field.stride
field_start: tuple[int, int] = field.start
influence: NDArray[np.float64] = effective_receptive_field(cnn, images, "conv2")

# Pictures
panels: tuple[Figure, NDArray[Any]] = plt.subplots(1, 2)
axes: list[Axes] = [
    plot_image(dog_photo / 255, panels[1][0], title="dog", mean=0, std=[1, 1, 1]),
    plot_signed(edges, panels[1][1], limit=np.float32(1), colorbar=False),
    plot_kernel(SOBEL_X, title="Sobel", limit=2),
    plot_boxes(dog_photo, [window], labels=["window"]),
    plot_overlay(grey, influence, limit=0.5, signed=True, colorbar=True),
    plot_pixel_values(images[0, 0], format=".1f"),
    plot_history({"loss": losses, "rate": ([1, 2], rates)}, ylabel="nats"),
    plot_history({"loss": torch.tensor(losses)}, xlabel=None),
    plot_confusion_matrix(confusions, labels=list("0123456789"), top=10),
    plot_shift_accuracy([[0.4, 0.7, 0.4], [0.8, 1.0, 0.8], [0.5, 0.7, 0.3]]),
    plot_probabilities(probabilities[0], labels=list("0123456789")),
    plot_probabilities({"CNN": probabilities[0], "MLP": np.full(10, 0.1)}),
]
plt.close("all")
figures: list[Figure] = [
    panels[0],
    plot_images(
        [dog_photo, grey, images[0, 0]], ["a", "b", "c"], columns=2, suptitle="3"
    ),
    plot_images(images[:3, 0]),
    plot_channels(dog_photo),
    plot_digits(images[:4], labels[:4], predictions=[7, 2, 1, 9], columns=2),
    plot_feature_maps(maps["conv1"], titles=list("abcdefgh"), signed=True),
    plot_feature_maps(bank, shared_scale=False, columns=4, numbers=True),
    plot_kernels(KERNELS, columns=6),
    plot_kernels([SOBEL_X, kernel], titles=["x", "sharpen"], limit=8.0),
    plot_kernels(cnn.conv1.weight),
    plot_architecture(cnn, (1, 28, 28), depth=1, title="CNN"),
]
plt.close("all")

# Live figures
quantised: CNN = live.quantise_weights(cnn)
live_figures: list[live.LiveFigure] = [
    live.channel_sum(
        dog_photo[:9, :9].transpose(2, 0, 1), bank[:3], 0.5, ["r", "g", "b"]
    ),
    live.draw_digit({"CNN": cnn, "MLP": mlp}, images, labels, digit=1, centred=True),
    live.kernel_playground({"dog": dog_photo}, kernel, padding=1, view="coloured"),
    live.kernel_playground(grey, row=1, column=np.argmax(grey[1]), small=True),
    live.learn_kernel(images, learning_rate=0.5, seed=3, steps=100),
    live.pixel_inspector({"dog": dog_photo, "digit": images[0, 0]}, row=3),
    live.receptive_field("conv 3, pool 2", dog_photo),
    live.receptive_field({"CNN": cnn, "pool": "pool 2"}, grey),
    live.training_steps({"CNN": (cnn, history)}, images, labels, filters=4),
]
figure: live.LiveFigure = live.LiveFigure("pixel_inspector", {}, {"at": "0,0"})
figure_name: str = figure.name
figure_settings: dict[str, str] = figure.settings
figure_data: dict[str, Any] = figure.data
figure_folder: Path = figure.folder
tag: str = figure.tag
scripts: list[Path] = figure.scripts
json: str = figure.json()
with TemporaryDirectory() as scratch:
    figure.save(Path(scratch) / "figure.html")
    figure.save_data(f"{scratch}/figure.js")

"""The pixels on which units depend, measured by gradients.

Where all weights are positive, no gradient is lost, and the pixels that have one are
those that the unit depends on.
"""

import copy

import pytest
import torch
from torch import nn


class SumPool(nn.Module):
    """The sum over each of the windows of a max pooling."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, x):
        pool, channels = self.pool, x.shape[1]
        height, width = pool(x).shape[-2:]
        x = nn.functional.pad(x, 2 * [pool.padding, pool.padding + pool.stride])
        ones = torch.ones(
            channels, 1, pool.kernel_size, pool.kernel_size, dtype=x.dtype
        )
        sums = nn.functional.conv2d(
            x, ones, None, pool.stride, 0, pool.dilation, channels
        )
        return sums[:, :, :height, :width]


def positive(model):
    """Return a copy of a network, with positive weights and the same wiring.

    It is linear, but for normalisation and for activations that let everything through.
    A weighted mean of the inputs keeps the outputs of deep networks in range.
    """
    model = copy.deepcopy(model).double().eval()
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, (nn.ReLU, nn.ReLU6)):
                setattr(parent, name, nn.Identity())
            elif isinstance(module, nn.MaxPool2d):
                setattr(parent, name, SumPool(module))
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
    for parameter in model.parameters():
        parameter.data.uniform_(0.1, 1)
        if parameter.ndim > 1:
            parameter.data /= parameter[0].numel()
    return model


class Reached(Exception):  # noqa: N818
    """Raised to end a run, with the output of the layer that was waited for."""


def output_and_pixels(model, shape, layer=""):
    """Run a network on noise up to a layer; return what it gives, and the pixels."""
    pixels = torch.rand(1, *shape, dtype=torch.double, requires_grad=True)

    def stop(module, inputs, output):
        raise Reached(output)

    hook = model.get_submodule(layer).register_forward_hook(stop)
    with hook, pytest.raises(Reached) as reached:
        model(pixels * 1)
    return reached.value.args[0], pixels


def box_seen(output, pixels, row, column):
    """Return top, left, bottom, right of the pixels on which a unit depends."""
    return box_of_all(output[0, :, row, column], pixels)


def box_of_all(values, pixels):
    """Return top, left, bottom, right of the pixels on which some value depends."""
    total = values.flatten() @ torch.linspace(1, 2, values.numel(), dtype=values.dtype)
    (gradient,) = torch.autograd.grad(total, pixels, retain_graph=True)
    rows, columns = gradient[0].abs().sum(0).nonzero(as_tuple=True)
    if not len(rows):
        return None
    return tuple(
        map(int, (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    )


def check_units(field, output, pixels, most=None):
    """Compare the windows of all units, or of some about evenly spread, with theirs.

    There is no field where no unit sees a pixel.
    """
    size = tuple(pixels.shape[-2:])
    units = [(r, c) for r in range(output.shape[2]) for c in range(output.shape[3])]
    chosen = units[:: len(units) // most + 1] + units[-1:] if most else units
    for unit in chosen:
        seen = box_seen(output, pixels, *unit) or (0, 0, 0, 0)
        window = field.window(*unit, image_size=size) if field else (0, 0, 0, 0)
        assert window == seen, unit

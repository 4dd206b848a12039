"""What is said where an argument is unfit, word for word: it is read by people.

Each names the argument, what was expected, and what came. `messages.txt` holds a call
and, below it, what it raises.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz import (  # noqa: F401
    activations,
    architecture,
    datasets,
    geometry,
    kernels,
    live,
    models,
    plotting,
    training,
)


class Deaf(nn.Module):
    def forward(self, x):
        return torch.zeros(1, 1, 2, 2)


class Broken(nn.Module):
    def forward(self, x):
        if x.shape[-1] == 8:
            raise RuntimeError("out of order")
        return "nothing"


K1 = [[1]]
GREY = np.zeros((5, 5))
COLOUR = np.zeros((5, 5, 3))
MAPS, KERNELS = np.zeros((2, 6, 6)), np.zeros((2, 3, 3))
DIGITS, LABELS = torch.arange(2.0).repeat(784).view(2, 1, 28, 28), torch.arange(2)
CONV = nn.Sequential()
CONV.add_module("conv1", nn.Conv2d(1, 1, 3))
ROW = nn.Sequential(*[nn.ReLU() for _ in range(20)])
ALIKE = nn.Sequential()
for number in range(12, 18):
    ALIKE.add_module(f"relu{number}", nn.ReLU())
LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
CLASSIFIER = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(676, 3))
FIELD = geometry.ReceptiveField((3, 3), (1, 1), (0, 0))
HISTORY = training.History([], [], 0.0, {0: LINEAR.state_dict()})
NOTHING_KEPT = training.History([], [], 0.0, {})

LINES = Path(__file__).with_name("messages.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("call", "said"),
    list(zip(LINES[::2], LINES[1::2], strict=True)),
    ids=[str(number) for number in range(1, len(LINES), 2)],
)
def test_messages(call, said):
    with pytest.raises((TypeError, ValueError)) as raised:
        eval(call)
    kind = TypeError if isinstance(raised.value, TypeError) else ValueError
    assert f"{kind.__name__}: {raised.value}" == said.strip()
    assert re.fullmatch(r"\w+: .+ must be .+, got .+", said.strip())

"""The networks that the pages show.

All take batches ``(N, C, H, W)``. Layers carry the names that figures and
`cnnviz.activations.record_activations` show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from cnnviz._photo_network import PhotoNetwork, photo_network
from cnnviz._probing import check_initialized, parameters_of
from cnnviz._validation import as_array, as_integer, describe, invalid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cnnviz._types import Integer

__all__ = [
    "CNN",
    "MLP",
    "FilterBankNet",
    "FilterBankStages",
    "PhotoNetwork",
    "count_parameters",
    "photo_network",
]


class FilterBankStages(NamedTuple):
    """What each stage of a `FilterBankNet` gives: (N, K, H', W') tensors."""

    conv: torch.Tensor
    """Signed responses, one map a kernel."""
    relu: torch.Tensor
    """The same with negative values set to 0."""
    pool: torch.Tensor
    """The largest value of each window."""


class FilterBankNet(nn.Module):
    """Kernels made by hand as a network: convolution, ReLU, max pooling.

    Parameters
    ----------
    kernels : array_like, shape (K, kh, kw)
        Any number of kernels of one size. They become the weights of the
        convolution, which has no bias and no padding.
    pool_size : int, default 2
        Side and stride of the pooling window.

    Raises
    ------
    TypeError, ValueError
        If `kernels` is not a finite stack, or `pool_size` is not a positive integer.

    References
    ----------
    "Understanding CNNs through visualisations in PyTorch", 2019.

    Examples
    --------
    >>> from cnnviz.kernels import edge_bank
    >>> stages = FilterBankNet(edge_bank())(torch.zeros(1, 1, 28, 28))
    >>> tuple(stages.conv.shape), tuple(stages.pool.shape)
    ((1, 4, 25, 25), (1, 4, 12, 12))
    """

    def __init__(self, kernels: ArrayLike, pool_size: Integer = 2) -> None:
        kernels = as_array(kernels, "kernels", 3, "a stack of kernels (K, kh, kw)")
        pool_size = as_integer(pool_size, "pool_size", 1)
        super().__init__()
        weight = torch.tensor(kernels, dtype=torch.float32).unsqueeze(1)
        self.conv = nn.Conv2d(1, len(kernels), weight.shape[2:], bias=False)
        self.conv.weight = nn.Parameter(weight, requires_grad=False)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(pool_size)

    if TYPE_CHECKING:

        def __call__(self, x: torch.Tensor) -> FilterBankStages:
            """Run `forward`; of modules in general, PyTorch gives no type."""

    def forward(self, x: torch.Tensor) -> FilterBankStages:
        """Return all three stages.

        Parameters
        ----------
        x : torch.Tensor, shape (N, 1, H, W), float32
            Grey images, at least as large as the kernels.

        Returns
        -------
        FilterBankStages
            `conv`, `relu` and `pool`.
        """
        x = _check_batch(x, self.conv, "(N, 1, H, W)", (1, None, None))
        height, width = (
            size + self.pool.kernel_size - 1 for size in self.conv.kernel_size
        )
        if x.shape[2] < height or x.shape[3] < width:
            got = f"{x.shape[2]}×{x.shape[3]}"
            raise invalid("x", f"images of at least {height}×{width}", got)
        conv = self.conv(x)
        relu = self.relu(conv)
        return FilterBankStages(conv, relu, self.pool(relu))


class _Digits(nn.Sequential):
    """Layers in a row that take digits and say so when they get something else."""

    if TYPE_CHECKING:

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            """Run `forward`; of modules in general, PyTorch gives no type."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one score (logit) a class.

        Parameters
        ----------
        x : torch.Tensor, shape (N, 1, 28, 28), float32
            Grey digits, 0–1.

        Returns
        -------
        torch.Tensor, shape (N, 10), float32
            Any real numbers; softmax makes probabilities of them.

        Raises
        ------
        TypeError, ValueError
            If `x` is not such a batch.
        """
        return super().forward(_check_batch(x, self, "(N, 1, 28, 28)", (1, 28, 28)))


class MLP(_Digits):
    """A multi-layer perceptron for MNIST: 784-512-512-10 with 669,706 parameters.

    Two hidden layers of 512 with ReLU, each followed by dropout of 0.2. The output
    is one score (logit) a class; softmax is part of the loss.

    References
    ----------
    "Understanding CNNs through visualisations in PyTorch", 2019.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(28 * 28, 512)
        self.relu1 = nn.ReLU()
        self.dropout1 = nn.Dropout(0.2)
        self.fc2 = nn.Linear(512, 512)
        self.relu2 = nn.ReLU()
        self.dropout2 = nn.Dropout(0.2)
        self.fc3 = nn.Linear(512, 10)


class CNN(_Digits):
    """A small convolutional network for MNIST, with 6,018 parameters.

    Two convolutions of 5 × 5, with 8 and 16 filters, each followed by max pooling,
    batch normalisation and ReLU; one fully connected layer for the scores.

    Max pooling comes before normalisation and ReLU, so that the layers behind it have a
    quarter of the work.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to
    document recognition", 1998, for the sizes of kernels and pooling. S. Ioffe and
    C. Szegedy, "Batch normalization", 2015.

    Examples
    --------
    >>> count_parameters(CNN())
    6018
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, bias=False)
        self.pool1 = nn.MaxPool2d(2)
        self.norm1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 16, 5, bias=False)
        self.pool2 = nn.MaxPool2d(2)
        self.norm2 = nn.BatchNorm2d(16)
        self.relu2 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(16 * 4 * 4, 10)


def count_parameters(model: nn.Module, trainable: bool | None = None) -> int:
    """Return how many numbers the parameters of a model hold.

    Parameters
    ----------
    model : torch.nn.Module
        Any model; parameters that are shared count once.
    trainable : bool, optional
        With True, count those alone that require a gradient, which training may change;
        with False those that don't, which are frozen. Default: all of them, as
        `cnnviz.architecture.summarize` does.

    Returns
    -------
    int
        The number of elements of the parameters.

    Raises
    ------
    TypeError
        If `model` is not a module, or `trainable` neither a bool nor None.
    ValueError
        If the model has lazy layers that are not initialised.

    Notes
    -----
    Weights that were quantised by `torch.ao.quantization` are no parameters.

    Examples
    --------
    >>> count_parameters(MLP())
    669706
    >>> model = nn.Sequential(nn.Linear(9, 5), nn.Linear(5, 2)).requires_grad_(False)
    >>> _ = model[1].requires_grad_(True)
    >>> count_parameters(model), count_parameters(model, trainable=True)
    (62, 12)
    """
    check_initialized(model)
    if not isinstance(trainable, bool | None):
        raise invalid(
            "trainable", "True, False or None", describe(trainable), TypeError
        )
    return sum(
        parameter.numel()
        for parameter in parameters_of(model)
        if trainable in (None, parameter.requires_grad)
    )


def _check_batch(x, layer, expected, shape):
    """Return `x`, which must be a batch of the layer's dtype and of a shape."""
    dtype = next(layer.parameters(), torch.empty(0)).dtype  # none are quantised
    if not isinstance(x, torch.Tensor) or x.dtype != dtype:
        raise invalid("x", f"a {dtype} tensor {expected}", describe(x), TypeError)
    fits = x.ndim == 4 and all(
        wanted in (None, size) for wanted, size in zip(shape, x.shape[1:], strict=True)
    )
    if not fits:
        raise invalid("x", f"a batch {expected}", describe(x))
    return x

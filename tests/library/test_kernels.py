"""Kernels and their application, against OpenCV, SciPy and PyTorch."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnviz import kernels
from cnnviz.kernels import KERNELS, apply_kernel, edge_bank, gradient

finite = st.floats(-1e3, 1e3, width=32)
sizes = st.integers(1, 6)


@st.composite
def filterings(draw):
    """An image at least as large as its kernel, of odd or even size, and options."""
    kh, kw = draw(sizes), draw(sizes)
    kernel = draw(arrays(np.float64, (kh, kw), elements=finite))
    dilation = draw(st.integers(1, 2))
    height = draw(st.integers((kh - 1) * dilation + 1, 14))
    width = draw(st.integers((kw - 1) * dilation + 1, 14))
    image = draw(arrays(np.float64, (height, width), elements=finite))
    stride = draw(st.integers(1, 3))
    padding = draw(st.sampled_from(["same", "valid", 0, 1, 3]))
    return image, kernel, stride, padding, dilation


def torch_conv(image, kernel, stride, padding, dilation):
    same = padding == "same"
    if same:
        spans = [(size - 1) * dilation for size in kernel.shape]
        (top, left) = (span // 2 for span in spans)
        image = F.pad(image, (left, spans[1] - left, top, spans[0] - top))
    return F.conv2d(
        image,
        torch.tensor(kernel).view(1, 1, *kernel.shape),
        stride=stride,
        padding=0 if same else padding,
        dilation=dilation,
    )


@given(filterings())
def test_equals_torch(case):
    image, kernel, stride, padding, dilation = case
    expected = torch_conv(torch.tensor(image)[None, None], *case[1:])[0, 0].numpy()
    result = apply_kernel(image, kernel, stride, padding, dilation=dilation)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@given(filterings())
def test_same_padding_equals_torch_itself(case):
    image, kernel, _, _, dilation = case
    expected = F.conv2d(
        torch.tensor(image)[None, None],
        torch.tensor(kernel)[None, None],
        padding="same",
        dilation=dilation,
    )
    result = apply_kernel(image, kernel, dilation=dilation)
    np.testing.assert_allclose(result, expected[0, 0].numpy(), rtol=1e-9, atol=1e-6)


@given(filterings())
def test_equals_opencv_and_scipy(case):
    image, kernel = case[:2]
    result = apply_kernel(image, kernel)
    anchor = tuple((size - 1) // 2 for size in kernel.shape)
    opencv = cv2.filter2D(
        image, cv2.CV_64F, kernel, anchor=anchor[::-1], borderType=cv2.BORDER_CONSTANT
    )
    np.testing.assert_allclose(result, opencv, rtol=1e-9, atol=1e-6)
    origin = tuple(a - size // 2 for a, size in zip(anchor, kernel.shape, strict=True))
    scipy_result = scipy.ndimage.correlate(
        image, kernel, mode="constant", origin=origin
    )
    np.testing.assert_allclose(result, scipy_result, rtol=1e-9, atol=1e-6)


@given(filterings())
def test_convolution_flips_the_kernel(case):
    image, kernel = case[:2]
    result = apply_kernel(image, kernel, padding="valid", convolution=True)
    expected = scipy.signal.convolve2d(image, kernel, mode="valid")
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-6)


@given(filterings())
def test_channels_are_filtered_one_by_one(case):
    image, *rest = case
    stride, padding, dilation = rest[1:]
    colour = np.stack([image, -image, 2 * image], axis=-1)
    result = apply_kernel(colour, rest[0], stride, padding, dilation=dilation)
    single = apply_kernel(image, rest[0], stride, padding, dilation=dilation)
    np.testing.assert_array_equal(result, np.stack([single, -single, 2 * single], -1))


@pytest.mark.parametrize(
    ("padding_mode", "scipy_mode"),
    [("zeros", "constant"), ("reflect", "mirror"), ("replicate", "nearest")],
)
def test_padding_modes(padding_mode, scipy_mode):
    image = np.random.default_rng(0).normal(size=(7, 9))
    result = apply_kernel(image, kernels.SCHARR_X, padding_mode=padding_mode)
    expected = scipy.ndimage.correlate(image, kernels.SCHARR_X, mode=scipy_mode)
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_bytes_are_neither_clipped_nor_wrapped():
    step = np.array([[255, 255, 0, 0, 255, 255]] * 3, dtype=np.uint8)
    response = apply_kernel(step, kernels.SOBEL_X, padding="valid")
    assert response.dtype == np.float64
    assert response.tolist() == [[-1020, -1020, 1020, 1020]]


def test_a_list_a_tensor_and_a_bool_image_are_images():
    rows = [[0, 1], [1, 0]]
    expected = apply_kernel(np.array(rows), [[2.0]])
    for image in (rows, torch.tensor(rows), np.array(rows, dtype=bool)):
        np.testing.assert_array_equal(apply_kernel(image, [[2.0]]), expected)


def test_many_channels():
    image = np.random.default_rng(0).normal(size=(6, 5, 600))
    result = apply_kernel(image, kernels.BOX_BLUR, padding="valid")
    expected = apply_kernel(image[..., 37], kernels.BOX_BLUR, padding="valid")
    np.testing.assert_array_equal(result[..., 37], expected)


@pytest.mark.parametrize(
    ("ours", "dx", "dy", "ksize"),
    [
        (kernels.SOBEL_X, 1, 0, 3),
        (kernels.SOBEL_Y, 0, 1, 3),
        (kernels.SCHARR_X, 1, 0, cv2.FILTER_SCHARR),
        (kernels.SCHARR_Y, 0, 1, cv2.FILTER_SCHARR),
    ],
)
def test_derivatives_are_opencvs(ours, dx, dy, ksize):
    across, down = cv2.getDerivKernels(dx, dy, ksize)
    np.testing.assert_array_equal(ours, np.outer(down, across))


def test_laplacian_and_blurs_are_opencvs():
    image = np.random.default_rng(0).normal(size=(9, 9))
    inner = np.s_[2:-2, 2:-2]
    pairs = [
        (kernels.LAPLACIAN, cv2.Laplacian(image, cv2.CV_64F, ksize=1)),
        (kernels.BOX_BLUR, cv2.blur(image, (3, 3))),
        (kernels.IDENTITY, image),
        (kernels.SHARPEN, image - cv2.Laplacian(image, cv2.CV_64F, ksize=1)),
    ]
    for kernel, expected in pairs:
        np.testing.assert_allclose(apply_kernel(image, kernel)[inner], expected[inner])
    across = cv2.getGaussianKernel(5, -1)
    np.testing.assert_allclose(kernels.GAUSSIAN_BLUR, across @ across.T)


@pytest.mark.parametrize("name", KERNELS)
def test_named_kernels_keep_or_remove_flat_areas(name):
    flat = np.full((7, 7), 40.0)
    inner = apply_kernel(flat, KERNELS[name], padding="valid")
    derivative = name.split()[0] in {"Sobel", "Prewitt", "Scharr", "Laplacian"}
    np.testing.assert_allclose(inner, 0 if derivative else 40, atol=1e-12)


def test_named_kernels_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        kernels.SOBEL_X[0, 0] = 5
    with pytest.raises(ValueError, match="read-only"):
        kernels.SOBEL_Y[0, 0] = 5


def test_edge_bank_is_the_articles():
    left, negative, transposed, both = edge_bank()
    assert left.tolist() == [[-1, -1, 1, 1]] * 4
    np.testing.assert_array_equal(negative, -left)
    np.testing.assert_array_equal(transposed, left.T)
    np.testing.assert_array_equal(both, -left.T)


@pytest.mark.parametrize(
    ("degrees", "slope"), [(0, (0, 1)), (90, (1, 0)), (-90, (-1, 0)), (45, (1, 1))]
)
def test_gradient_of_a_slope(degrees, slope):
    rows, columns = np.mgrid[:6, :8]
    x, y, magnitude, angle = gradient(slope[0] * rows + slope[1] * columns)
    inner = np.s_[1:-1, 1:-1]
    np.testing.assert_allclose(x[inner], 8 * slope[1])
    np.testing.assert_allclose(y[inner], 8 * slope[0])
    np.testing.assert_allclose(magnitude[inner], 8 * np.hypot(*slope))
    np.testing.assert_allclose(angle[inner], degrees)


def test_gradient_equals_opencv_up_to_the_border():
    image = np.random.default_rng(1).integers(0, 256, (12, 10), dtype=np.uint8)
    result = gradient(image)
    np.testing.assert_array_equal(result.x, cv2.Sobel(image, cv2.CV_64F, 1, 0))
    np.testing.assert_array_equal(result.y, cv2.Sobel(image, cv2.CV_64F, 0, 1))
    np.testing.assert_allclose(result.magnitude, np.hypot(result.x, result.y))


def test_gradient_of_a_flat_image_is_zero():
    for values in gradient(np.full((3, 3), 200, dtype=np.uint8)):
        assert not values.any()


GOOD = np.zeros((5, 5))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros(5), [[1]]), ValueError, r"image must be an image .* shape \(5,\)"),
        ((np.zeros((0, 5)), [[1]]), ValueError, "image must be .*not empty"),
        ((np.full((5, 5), np.nan), [[1]]), ValueError, "image .*finite.* 25 NaN"),
        ((np.full((5, 5), 1j), [[1]]), TypeError, "image .*real numbers.*complex"),
        ((np.full((5, 5), "a"), [[1]]), TypeError, "image .*real numbers"),
        (("dog.jpg", [[1]]), TypeError, "image .*real numbers"),
        ((GOOD, [1, 2]), ValueError, r"kernel must be a kernel \(kh, kw\), got"),
        ((GOOD, [[np.inf]]), ValueError, "kernel .*finite"),
        ((GOOD, [[1, 2], [3]]), TypeError, "kernel must be a kernel"),
        (
            (GOOD, [[1]], 0),
            ValueError,
            "stride must be an integer of at least 1, got 0",
        ),
        ((GOOD, [[1]], -2), ValueError, "stride must be .* got -2"),
        ((GOOD, [[1]], 1.5), TypeError, "stride must be an integer, got float 1.5"),
        ((GOOD, [[1]], True), TypeError, "stride must be an integer, got bool"),
        (
            (GOOD, [[1]], 1, "full"),
            ValueError,
            "padding must be one of 'same', 'valid'",
        ),
        ((GOOD, [[1]], 1, -1), ValueError, "padding must be an integer of at least 0"),
        ((GOOD, np.ones((6, 2)), 1, 0), ValueError, "kernel .*5×5, got a span of 6×2"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        apply_kernel(*arguments)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="dilation must be an integer of at least 1"):
        apply_kernel(GOOD, [[1]], dilation=0)
    with pytest.raises(ValueError, match=r"kernel .*5×5, got a span of 1×1000001"):
        apply_kernel(GOOD, [[1, 1]], padding="valid", dilation=10**6)
    with pytest.raises(ValueError, match="padding_mode must be one of 'zeros'"):
        apply_kernel(GOOD, [[1]], padding_mode="mirror")
    with pytest.raises(ValueError, match=r"padding .*smaller than the image.*7.*5×5"):
        apply_kernel(GOOD, [[1]], padding=7, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"image must be a grey image \(H, W\)"):
        gradient(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="image must be at least 2×2, got 1×4"):
        gradient(np.zeros((1, 4)))


grey = arrays(
    np.float64, st.tuples(st.integers(2, 7), st.integers(2, 7)), elements=finite
)


@given(grey)
def test_gradient_turns_with_the_image(image):
    x, y, magnitude, angle = gradient(image)
    expected = scipy.ndimage.sobel(image, axis=1, mode="mirror")
    np.testing.assert_allclose(x, expected, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(magnitude**2, x**2 + y**2, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        magnitude * np.exp(1j * np.radians(angle)), x + 1j * y, atol=1e-6
    )
    turned = gradient(image.T)
    np.testing.assert_allclose(turned.x, y.T, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(turned.y, x.T, rtol=1e-9, atol=1e-6)


@given(grey)
def test_edge_bank_answers_opposite_edges_with_opposite_signs(image):
    right, left, bottom, top = (
        apply_kernel(image, kernel, padding=4) for kernel in edge_bank()
    )
    np.testing.assert_allclose(right, -left, atol=1e-6)
    np.testing.assert_allclose(bottom, -top, atol=1e-6)
    of_transposed = apply_kernel(image.T, edge_bank()[0], padding=4)
    np.testing.assert_allclose(bottom, of_transposed.T, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (5, 2)])
def test_reflection_needs_less_padding_than_the_smaller_side(shape):
    image = np.random.default_rng(0).normal(size=shape)
    result = apply_kernel(image, [[1]], padding=1, padding_mode="reflect")
    np.testing.assert_array_equal(result, np.pad(image, 1, "reflect"))
    single = apply_kernel(image[..., None], [[1]], padding=1, padding_mode="reflect")
    np.testing.assert_array_equal(single[..., 0], result)
    with pytest.raises(ValueError, match=r"padding must be smaller .*, got 2 for"):
        apply_kernel(image, [[1]], padding=2, padding_mode="reflect")
    for kernel in (np.ones((1, 4)), np.ones((4, 1))):
        with pytest.raises(ValueError, match=r"padding must be smaller .*, got 2 for"):
            apply_kernel(image, kernel, padding_mode="reflect")

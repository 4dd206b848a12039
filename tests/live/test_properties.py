"""The core of the live figures, in a browser, against Python, over generated input.

Whole numbers are used where sums of products must be exact: then what is asserted is
equality. Elsewhere float32 results may differ from torch's float64 by rounding, that is
by millionths of the sum of the magnitudes that were added.
"""

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from cnnviz.activations import record_activations
from cnnviz.geometry import output_size, receptive_field
from cnnviz.live import LiveFigure, quantise_weights
from cnnviz.live._packing import (
    pack,
    pack_maps,
    pack_network,
    pack_picture,
    pack_weights,
)

# The same examples in every run.
few, many = (settings(derandomize=True, max_examples=n) for n in (40, 100))

# Typed arrays go to the browser as lists with their types, and come back as lists.
CALL = """([name, given]) => {
    const revive = value => Array.isArray(value) ? value.map(revive)
        : value?.numbers ? globalThis[value.type].from(value.numbers)
        : value?.data ? {...value, data: revive(value.data)}
        : value;
    const plain = value => value instanceof Map ? plain([...value])
        : ArrayBuffer.isView(value) ? Array.from(value)
        : Array.isArray(value) ? value.map(plain)
        : value?.data ? {...value, data: plain(value.data)}
        : value;
    try {
        return {answer: plain(cnnviz[name](...given.map(revive)))};
    } catch (error) {
        if (!(error instanceof cnnviz.InputError)) throw error;
        return {refusal: error.message};
    }
}"""

ARRAYS = {
    "float32": "Float32Array",
    "float64": "Float64Array",
    "int8": "Int8Array",
    "uint8": "Uint8Array",
}


class RefusedError(Exception):
    """The core threw its InputError."""


def to_browser(value):
    """Return arrays as typed arrays, and those of two dimensions as maps."""
    if isinstance(value, (list, tuple)):
        return [to_browser(each) for each in value]
    if not isinstance(value, np.ndarray):
        return value
    numbers = {
        "type": ARRAYS[value.dtype.name],
        "numbers": value.ravel().tolist(),
    }
    if value.ndim != 2:
        return numbers
    height, width = value.shape
    return {"data": numbers, "width": width, "height": height}


def from_browser(value):
    """Return maps as arrays."""
    if isinstance(value, list):
        return [from_browser(each) for each in value]
    if isinstance(value, dict) and {"data", "width", "height"} == set(value):
        return np.reshape(value["data"], (value["height"], value["width"]))
    return value


@pytest.fixture(scope="module")
def page(chromium):
    """One page, with the core on it, for all examples."""
    page = chromium.new_page()
    for name in ("arithmetic", "drawing"):
        page.add_script_tag(path=LiveFigure.folder / f"{name}.js")
    yield page
    page.close()


@pytest.fixture(scope="module")
def core(page):
    """Return a function that calls one of the core's, by its name."""

    def core(name, *arguments):
        said = page.evaluate(CALL, [name, to_browser(arguments)])
        if "refusal" in said:
            raise RefusedError(said["refusal"])
        return from_browser(said.get("answer"))

    return core


def floats(largest, **options):
    return st.floats(-largest, largest, width=32, **options)


def maps(elements, low=1, high=12, dtype=np.float32):
    shapes = st.tuples(st.integers(low, high), st.integers(low, high))
    return arrays(dtype, shapes, elements=elements)


NUMBERS = st.one_of(
    floats(1), floats(2.0**20), st.sampled_from([0, -0.0, 2.0**-99, -(2.0**-23), 1e6])
)
WHOLE = st.integers(-99, 99)
SIZES = st.integers(1, 12)
WINDOWS = st.fixed_dictionaries(
    {},
    optional={
        "stride": st.integers(1, 4),
        "padding": st.integers(0, 4),
        "dilation": st.integers(1, 3),
    },
)


def conv2d(image, kernel, **windows):
    """Return torch's convolution in float64."""
    image, kernel = (
        torch.tensor(a, dtype=torch.float64)[None, None] for a in (image, kernel)
    )
    return F.conv2d(image, kernel, **windows)[0, 0].numpy()


def fits(image, kernel, padding=0, dilation=1, **_):
    spans = dilation * (np.array(kernel.shape) - 1) + 1
    return (spans <= np.array(image.shape) + 2 * padding).all()


# Convolution.


@many
@given(maps(NUMBERS), maps(NUMBERS, high=7), WINDOWS)
def test_convolve_is_torch_s_or_refused(core, image, kernel, windows):
    if not fits(image, kernel, **windows):
        with pytest.raises(RefusedError, match="larger than the picture"):
            core("convolve", image, kernel, windows)
        return
    expected = conv2d(image, kernel, **windows)
    magnitude = conv2d(np.abs(image), np.abs(kernel), **windows)
    found = core("convolve", image, kernel, windows)
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= 1e-6 * magnitude + 1e-44).all()


@many
@given(maps(WHOLE), maps(WHOLE, high=7, dtype=np.float64), WINDOWS)
def test_convolve_is_exact_where_float32_is(core, image, kernel, windows):
    assume(fits(image, kernel, **windows))
    found = core("convolve", image, kernel, windows)
    np.testing.assert_array_equal(found, conv2d(image, kernel, **windows))


@few
@given(st.data(), maps(WHOLE, high=7), WINDOWS, st.integers(-9, 9))
def test_convolve_is_linear(core, data, kernel, windows, factor):
    shape = data.draw(st.tuples(SIZES, SIZES))
    a, b = (data.draw(arrays(np.float32, shape, elements=WHOLE)) for _ in range(2))
    assume(fits(a, kernel, **windows))
    of_a, of_b, of_sum, by_minus = (
        core("convolve", image, weights, windows)
        for image, weights in (
            (a, kernel),
            (b, kernel),
            (factor * a + b, kernel),
            (a, -kernel),
        )
    )
    np.testing.assert_array_equal(of_sum, factor * of_a + of_b)
    np.testing.assert_array_equal(by_minus, -of_a)


@few
@given(
    maps(WHOLE, low=4),
    maps(WHOLE, high=5),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_a_shift_by_whole_strides_shifts_the_output(
    core, image, kernel, shift, stride, dilation
):
    windows = {"stride": stride, "dilation": dilation}
    down, right = shift
    moved = np.ascontiguousarray(image[down * stride :, right * stride :])
    assume(fits(moved, kernel, dilation=dilation) and moved.size)
    whole = core("convolve", image, kernel, windows)
    found = core("convolve", moved, kernel, windows)
    np.testing.assert_array_equal(found, whole[down:, right:])


@many
@given(SIZES, st.integers(1, 7), WINDOWS)
def test_output_size_is_python_s(core, size, kernel, windows):
    found = core("outputSize", size, kernel, windows)
    try:
        assert found == output_size(size, kernel, **windows)
    except ValueError:
        assert found < 1


@many
@given(st.data(), maps(WHOLE), maps(WHOLE, high=5), WINDOWS)
def test_an_output_is_the_weighted_sum_of_its_window(
    core, data, image, kernel, windows
):
    assume(fits(image, kernel, **windows))
    output = conv2d(image, kernel, **windows)
    row, column = (data.draw(st.integers(0, size - 1)) for size in output.shape)
    window = core("windowOf", row, column, to_browser(kernel), windows)
    seen = core("crop", image, window)
    dilation = windows.get("dilation", 1)
    weighted = np.nan_to_num(seen[::dilation, ::dilation])
    assert seen.shape == tuple(dilation * (n - 1) + 1 for n in kernel.shape)
    assert (weighted * kernel).sum() == output[row, column]


# Parts of maps, and numbers about them.


@many
@given(maps(floats(9)), *[st.integers(-5, 14)] * 2, *[st.integers(0, 8)] * 2)
def test_crop_is_numpy_s_slice_with_nan_outside(core, image, top, left, height, width):
    bottom, right = top + height, left + width
    window = {"top": top, "left": left, "bottom": bottom, "right": right}
    wide = np.pad(image, 30, constant_values=np.nan)
    expected = wide[30 + top : 30 + bottom, 30 + left : 30 + right]
    np.testing.assert_array_equal(core("crop", image, window), expected)


@few
@given(maps(floats(9)), st.integers(0, 5))
def test_pad_is_numpy_s(core, image, border):
    np.testing.assert_array_equal(core("pad", image, border), np.pad(image, border))


@few
@given(SIZES, SIZES)
def test_a_plane_is_of_zeros_or_of_what_is_given(core, width, height):
    np.testing.assert_array_equal(
        core("plane", width, height), np.zeros((height, width))
    )
    numbers = np.arange(width * height, dtype=np.float32)
    expected = numbers.reshape(height, width)
    np.testing.assert_array_equal(core("plane", width, height, numbers), expected)


@many
@given(SIZES, SIZES, *[st.integers(0, 14) | st.integers(0, 10**25)] * 2)
def test_a_place_is_the_nearest_within_the_map(core, width, height, row, column):
    found = core("placeIn", {"width": width, "height": height}, f"{row},{column}")
    assert found == [min(row, height - 1), min(column, width - 1)]


@few
@given(maps(st.floats(width=32)))
def test_relu_and_absolute_are_torch_s(core, image):
    np.testing.assert_array_equal(core("relu", image), torch.relu(torch.tensor(image)))
    np.testing.assert_array_equal(core("absolute", image), np.abs(image))


@many
@given(
    maps(NUMBERS | st.just(np.nan)),
    st.integers(1, 5),
    st.none() | st.integers(1, 5),
    st.sampled_from(["max", "average"]),
)
def test_pool_is_torch_s_or_refused(core, image, size, stride, kind):
    arguments = [image, size, kind] + [stride] * (stride is not None)
    if size > min(image.shape):
        with pytest.raises(RefusedError, match="larger than the map"):
            core("pool", *arguments)
        return
    pool = F.max_pool2d if kind == "max" else F.avg_pool2d
    batch = torch.tensor(image, dtype=torch.float64)[None]
    expected = pool(batch, size, stride)[0].numpy()
    # The largest number of each window bounds what rounding can do to its average.
    largest = F.max_pool2d(batch.abs(), size, stride)[0].numpy()
    found = core("pool", *arguments)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    tolerance = 0 if kind == "max" else 1e-6 * largest + 1e-44
    assert (np.abs(found - expected) <= tolerance)[~np.isnan(expected)].all()


TYPES = st.sampled_from(list(ARRAYS))


@few
@given(
    st.lists(
        TYPES.flatmap(
            lambda dtype: arrays(
                dtype,
                array_shapes(min_dims=2, max_dims=2, max_side=6),
                elements=floats(2.0**20) if np.dtype(dtype).kind == "f" else None,
            )
        ),
        min_size=1,
        max_size=3,
    )
)
def test_range_and_limit_are_numpy_s(core, stack):
    numbers = np.concatenate([image.ravel() for image in stack])
    largest = float(np.abs(numbers.astype(float)).max()) or 1
    assert core("range", *stack) == [numbers.min(), numbers.max()]
    assert core("limit", *stack) == largest
    scale = {"kind": "signed", "low": -largest, "high": largest}
    assert core("signedScale", *stack) == scale


def test_range_leaves_nan_out(core):
    assert core("range", np.array([[np.nan, 3], [-1, np.nan]], np.float32)) == [-1, 3]


@many
@given(maps(st.just(0) | st.floats(0, 255, width=32)))
def test_measure_finds_scipy_s_box_and_centre_of_mass(core, ink):
    found = core("measure", ink)
    if not ink.any():
        assert found is None
        return
    ((rows, columns),) = ndimage.find_objects((ink > 0).astype(int))
    y, x = ndimage.center_of_mass(ink.astype(np.float64))
    box = [rows.start, columns.start, rows.stop, columns.stop]
    assert [found[side] for side in ("top", "left", "bottom", "right")] == box
    # A pixel's middle is half a pixel from where it begins.
    assert (found["x"], found["y"]) == pytest.approx((x + 0.5, y + 0.5), rel=1e-9)


def test_every_colour_is_made_the_grey_of_opencv(page):
    colours = np.empty((64, 256, 256, 3), np.uint8)
    colours[..., 1:] = np.moveaxis(np.indices((256, 256)), 0, -1)
    for red in range(0, 256, 64):
        colours[..., 0] = np.arange(red, red + 64)[:, None, None]
        expected = cv2.cvtColor(colours.reshape(-1, 256, 3), cv2.COLOR_RGB2GRAY)
        wrong = page.evaluate(
            """([first, packed]) => {
                const expected = cnnviz.unpack(packed).data;
                const [red, green, blue] = [0, 1, 2].map(() => cnnviz.plane(256, 256));
                for (let i = 0; i < 65536; i++) {
                    green.data[i] = i >> 8;
                    blue.data[i] = i & 255;
                }
                let wrong = 0;
                for (let level = 0; level < 64; level++) {
                    red.data.fill(first + level);
                    const {data} = cnnviz.grey([red, green, blue]);
                    for (let i = 0; i < 65536; i++)
                        if (data[i] !== expected[level * 65536 + i]) wrong++;
                }
                return wrong;
            }""",
            [red, pack(expected)],
        )
        assert wrong == 0


# Layers and networks.


@many
@given(
    st.lists(
        st.one_of(st.floats(-50, 50), st.floats(-1e300, 1e300)), min_size=1, max_size=12
    )
)
def test_softmax_is_torch_s(core, scores):
    shares = core("softmax", np.array(scores))
    expected = torch.tensor(scores, dtype=torch.float64).softmax(0)
    np.testing.assert_allclose(shares, expected, rtol=1e-12, atol=1e-300)
    assert sum(shares) == pytest.approx(1, abs=1e-12)


@few
@given(st.lists(st.integers(-300, 300), min_size=1, max_size=12), st.integers(0, 2**40))
def test_softmax_is_the_same_for_scores_that_are_all_higher(core, scores, shift):
    moved = [score + shift for score in scores]
    assert core("softmax", moved) == core("softmax", scores)


@few
@given(st.data(), SIZES, SIZES)
def test_linear_is_torch_s(core, data, inputs, outputs):
    x, weight, bias = (
        data.draw(arrays(np.float32, shape, elements=WHOLE))
        for shape in (inputs, (outputs, inputs), outputs)
    )
    layer = {
        "columns": weight.T.ravel().tolist(),
        "bias": bias.tolist(),
        "outputs": outputs,
    }
    expected = F.linear(*map(torch.tensor, (x, weight, bias)))
    np.testing.assert_array_equal(core("linear", x, layer), expected)


@st.composite
def networks(draw):
    """A small network that live figures can run, and an image for it.

    Returns the network, the image, and how many of its layers make maps.
    """
    sides = [draw(st.integers(7, 12)) for _ in range(2)]
    image = draw(arrays(np.float32, sides, elements=floats(2)))
    torch.manual_seed(draw(st.integers(0, 999)))
    layers, maps = [], torch.zeros(1, 1, *sides)
    for kind in draw(st.lists(st.sampled_from("ccnrpd"), min_size=1, max_size=5)):
        if kind == "c":
            layer = nn.Conv2d(
                maps.shape[1],
                draw(st.integers(1, 3)),
                draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
                stride=draw(st.integers(1, 3)),
                padding=draw(st.integers(0, 2)),
                dilation=draw(st.integers(1, 2)),
                bias=draw(st.booleans()),
            )
        elif kind == "n":
            layer = nn.BatchNorm2d(maps.shape[1], affine=draw(st.booleans()))
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            if layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
        elif kind == "p":
            layer = nn.MaxPool2d(
                draw(st.integers(1, 3)), draw(st.none() | st.integers(1, 3))
            )
        else:
            layer = draw(st.sampled_from([nn.ReLU(), nn.Dropout(), nn.Identity()]))
        try:
            maps = layer.eval()(maps)
        except RuntimeError:  # its windows are larger than what is left of the image
            continue
        layers.append(layer)
    assume(layers)
    if draw(st.booleans()):
        layers = [nn.Sequential(*layers)]
    first = nn.Linear(maps.numel(), 5, draw(st.booleans()))
    head = [nn.Flatten(), first, nn.ReLU(), nn.Linear(5, 3)]
    network = nn.Sequential(*layers, *head[: draw(st.sampled_from([0, 1, 2, 4]))])
    return network.eval(), image, len(pack_network(nn.Sequential(*layers)))


@many
@given(networks())
def test_a_network_run_is_torch_s_at_every_layer(page, drawn):
    network, image, _ = drawn
    packed = pack_network(network)
    found = page.evaluate(
        """([packed, {data, width, height}]) => {
            const map = cnnviz.plane(width, height, Float32Array.from(data.numbers));
            const outputs = cnnviz.run(cnnviz.readNetwork(packed), map);
            return Array.from(outputs, ([name, maps]) => [name, maps.map(
                ({data, width, height}) => ({data: Array.from(data), width, height}))]);
        }""",
        [packed, to_browser(image)],
    )
    batch = torch.tensor(image, dtype=torch.float64)[None, None]
    expected = record_activations(quantise_weights(network).double(), batch)
    assert [name for name, _ in found] == [layer["name"] for layer in packed]
    for name, planes in from_browser(found):
        truth = expected[name][0].numpy()
        if truth.ndim == 1:
            truth = truth[None, None]
        assert np.shape(planes) == truth.shape
        tolerance = 1e-5 * (1 + np.abs(truth).max())
        np.testing.assert_allclose(planes, truth, rtol=0, atol=tolerance)


def supports(layers, image_size, places):
    """Return which pixels a unit of each layer depends on, by torch's gradients.

    Each layer is replaced by one whose outputs depend on all that they see.
    """
    image = torch.zeros(1, 1, *image_size, dtype=torch.float64, requires_grad=True)
    maps = image
    for layer, (row, column) in zip(layers, places, strict=True):
        if layer["kind"] == "conv":
            ones = torch.ones(layer["weight"]["shape"], dtype=torch.float64)
            windows = (layer[name] for name in ("stride", "padding", "dilation"))
            maps = F.conv2d(maps, ones, None, *windows)
        elif layer["kind"] == "maxpool":
            maps = F.avg_pool2d(maps, layer["size"], layer["stride"])
        unit = maps[0, :, row, column].sum()
        yield torch.autograd.grad(unit, image, retain_graph=True)[0][0, 0].numpy() > 0


@few
@given(networks(), st.tuples(SIZES, SIZES))
def test_a_field_is_python_s_and_what_the_gradient_reaches(page, drawn, place):
    network, image, many = drawn
    layers = pack_network(network)[:many]
    windows = receptive_field(network, (1, *image.shape))
    outputs = record_activations(network, torch.tensor(image)[None, None])
    sizes = [np.array(outputs[layer["name"]].shape[2:]) for layer in layers]
    places = [np.minimum(place, size - 1).tolist() for size in sizes]
    found = page.evaluate(
        """([packed, places]) => {
            const layers = cnnviz.readNetwork(packed);
            return places.map(([row, column], i) =>
                cnnviz.fieldOf(layers.slice(0, i + 1), row, column));
        }""",
        [layers, places],
    )
    reached = supports(layers, image.shape, places)
    for layer, at, field, support in zip(layers, places, found, reached, strict=True):
        field = np.array([field[s] for s in ("top", "left", "bottom", "right")])
        window = windows[layer["name"]]
        for axis in (0, 1):
            # Python ends the window of a single row or column at the image's border.
            if window.stride[axis]:
                assert tuple(field[axis::2]) == window.window(*at)[axis::2]
        if not support.any():
            continue  # the unit sees the padding alone
        ((rows, columns),) = ndimage.find_objects(support.astype(int))
        box = [rows.start, columns.start, rows.stop, columns.stop]
        inside = np.clip(field, 0, np.tile(image.shape, 2))
        if (inside == field).all():
            assert box == field.tolist()
        assert (inside[:2] <= box[:2]).all()
        assert (inside[2:] >= box[2:]).all()


# What Python packs.


ANY = st.floats(width=32)


@many
@given(
    TYPES.flatmap(
        lambda dtype: arrays(
            dtype,
            array_shapes(max_dims=4, max_side=5),
            elements=ANY if np.dtype(dtype).kind == "f" else None,
        )
    )
)
def test_what_is_packed_is_unpacked(core, array):
    found = core("unpack", pack(array))
    assert found["shape"] == list(array.shape)
    np.testing.assert_array_equal(np.reshape(found["data"], array.shape), array)


@few
@given(
    arrays(np.float32, array_shapes(min_dims=2, max_side=5), elements=floats(1e3) | ANY)
)
def test_weights_are_off_by_half_a_step_at_most(core, weights):
    weights = np.clip(np.nan_to_num(weights), -1e30, 1e30)
    found = core("unpack", pack_weights(weights))
    off = np.abs(
        np.reshape(found["data"], (len(weights), -1))
        - weights.reshape(len(weights), -1)
    )
    step = np.abs(weights).reshape(len(weights), -1).max(1, keepdims=True) / 127.0
    assert found["shape"] == list(weights.shape)
    assert (off <= 0.50001 * step + np.finfo(np.float32).tiny).all()


@few
@given(
    arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=6)), st.booleans()
)
def test_stacks_are_unpacked_map_by_map(core, levels, as_bytes):
    stack = levels.astype(np.float32)
    stack = stack / 255 if as_bytes else stack - 99.5
    packed = pack_maps(stack)
    assert packed["dtype"] == ("uint8" if as_bytes else "float32")
    np.testing.assert_allclose(core("unpackMaps", packed), stack, rtol=2e-7)


@many
@given(
    arrays(
        np.uint8,
        st.tuples(SIZES, SIZES) | st.tuples(SIZES, SIZES, st.just(3)),
        elements=st.sampled_from([0, 1, 127, 128, 254, 255]) | st.integers(0, 255),
    )
)
def test_a_packed_picture_is_unpacked_to_the_level(page, pixels):
    planes = page.evaluate(
        """async packed => (await cnnviz.unpackPicture(packed)).map(
            ({data, width, height}) => ({data: Array.from(data), width, height}))""",
        pack_picture(pixels),
    )
    expected = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    np.testing.assert_array_equal(from_browser(planes), expected)


# Drawing.


def colours_of(kind, levels):
    """Return matplotlib's colours of levels from 0 to 255."""
    name = {"grey": "gray", "signed": "RdBu_r"}[kind]
    return matplotlib.colormaps[name](levels, bytes=True)[..., :3].astype(int)


KINDS = st.sampled_from(["grey", "signed"])


@pytest.mark.parametrize("kind", ["grey", "signed"])
def test_the_256_colours_are_matplotlib_s(page, kind):
    found = page.evaluate(
        "kind => Array.from({length: 256}, (_, i) => cnnviz.colorAt(kind, i / 255))",
        kind,
    )
    assert np.abs(found - colours_of(kind, np.arange(256))).max() <= 1


@few
@given(KINDS, st.floats(-2, 3))
def test_places_outside_have_the_colours_of_the_ends(core, kind, place):
    nearest = min(max(place, 0), 1)
    assert core("colorAt", kind, place) == core("colorAt", kind, nearest)


PAINT = """([given, scale]) => {
    const canvas = (globalThis.canvas ??= document.createElement("canvas"));
    const maps = given.map(({data, width, height}) =>
        cnnviz.plane(width, height, Float32Array.from(data.numbers)));
    cnnviz.paint(canvas, maps, scale);
    const {width, height} = canvas;
    const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
    return {width, height, data: Array.from(data)};
}"""


@few
@given(
    st.data(),
    SIZES,
    SIZES,
    KINDS,
    st.integers(-300, 300),
    st.sampled_from([0, 1, 5, 51, 255, 510]),
)
def test_pixels_are_rounded_and_limited_as_numpy_s(page, data, w, h, kind, low, width):
    eighths = st.integers(-4000, 4000).map(lambda value: value / 8)
    shape = (data.draw(st.sampled_from([1, 3])), h, w)
    stack = data.draw(arrays(np.float32, shape, elements=eighths))
    scale = {"kind": kind, "low": low, "high": low + width}
    found = page.evaluate(PAINT, [to_browser(list(stack)), scale])
    assert (found["width"], found["height"]) == (w, h)
    pixels = np.reshape(found["data"], (h, w, 4))
    exact = (stack.astype(float) - low) * (255 / (width or 1))
    levels = np.rint(exact).clip(0, 255).astype(int)
    assert (pixels[..., 3] == 255).all()
    if len(stack) == 3:
        np.testing.assert_array_equal(pixels[..., :3], np.moveaxis(levels, 0, -1))
    else:
        assert np.abs(pixels[..., :3] - colours_of(kind, levels[0])).max() <= 1


@few
@given(
    arrays(
        np.float32, array_shapes(min_dims=3, max_dims=3, max_side=7), elements=WHOLE
    ),
    st.integers(1, 5),
)
def test_tiles_lie_row_by_row(core, stack, across):
    rows = -(-len(stack) // across)
    full = np.pad(stack, [(0, rows * across - len(stack)), (0, 0), (0, 0)])
    expected = np.block([list(full[i * across :][:across]) for i in range(rows)])
    np.testing.assert_array_equal(core("tile", list(stack), across), expected)


POWERS = st.integers(-6, 6)


@many
@given(
    st.one_of(
        st.builds(lambda first, size: first * 10.0**size, st.floats(-10, 10), POWERS),
        st.integers(-(10**7), 10**7),
    ),
    st.integers(1, 6),
)
def test_a_number_keeps_its_first_digits_and_its_sign(core, value, digits):
    text = core("format", value, digits)
    assert "-" not in text
    plain = text.replace("−", "-")
    size = abs(value)
    if value == int(value) and size < 1e6:
        assert plain == str(int(value))
        return
    half = 0.5 * 10.0 ** (np.floor(np.log10(size)) + 1 - digits)
    assert abs(float(plain) - value) <= half * (1 + 1e-9)
    assert np.sign(float(plain)) == np.sign(value)
    assert ("e" in plain) == (size >= 1e5 or size < 1e-3)
    kept = plain.lstrip("-").partition("e")[0].replace(".", "").lstrip("0")
    assert len(kept) <= max(digits, np.ceil(np.log10(size + 1)))


def test_ink_is_read_well_on_every_colour(page):
    """WCAG 2.2 asks for a contrast of 4.5, and defines contrast and luminance."""
    for kind in ("grey", "signed"):
        colours, inks = page.evaluate(
            """kind => {
                const places = Array.from({length: 256}, (_, i) => i / 255);
                const colours = places.map(place => cnnviz.colorAt(kind, place));
                const cell = cnnviz.element("span");
                return [colours, colours.map(color => {
                    cnnviz.tint(cell, color);
                    return cell.style.color;
                })];
            }""",
            kind,
        )
        shares = np.array(colours) / 255
        linear = np.where(
            shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
        )
        luminance = linear @ [0.2126, 0.7152, 0.0722] + 0.05
        black = np.array(inks) == "rgb(0, 0, 0)"
        assert np.where(black, luminance / 0.05, 1.05 / luminance).min() >= 4.5

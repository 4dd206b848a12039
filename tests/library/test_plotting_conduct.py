"""What all figures keep to: no side effects, one width, few sizes of type."""

import inspect
import itertools
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import nn

from cnnviz import plotting
from cnnviz.plotting import _style

PIXELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.dstack([PIXELS, PIXELS.T, 255 - PIXELS])
SIGNED = np.linspace(-2, 3, 12).reshape(3, 4)
STACK = np.linspace(-1, 1, 5 * 6 * 6).reshape(5, 6, 6)
NET = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
NET = NET.requires_grad_(False)

PICTURES = {
    "plot_boxes": (PIXELS, [[0, 0, 3, 3]]),
    "plot_confusion_matrix": ([[9, 1], [0, 8]],),
    "plot_history": ({"a": [3, 2, 1]},),
    "plot_image": (COLOUR,),
    "plot_kernel": (SIGNED,),
    "plot_overlay": (PIXELS, np.ones((4, 4))),
    "plot_pixel_values": (PIXELS,),
    "plot_probabilities": ([0.25, 0.75],),
    "plot_shift_accuracy": (np.full((3, 3), 0.5),),
    "plot_signed": (SIGNED,),
}
GRIDS = {
    "plot_architecture": (NET, (1, 8, 8)),
    "plot_channels": (COLOUR,),
    "plot_digits": (PIXELS[None].repeat(12, 0), list(range(12))),
    "plot_feature_maps": (STACK,),
    "plot_images": ([PIXELS, COLOUR],),
    "plot_kernels": (STACK,),
}


def call(name):
    return getattr(plotting, name)(*(PICTURES | GRIDS)[name])


@pytest.fixture(params=sorted(PICTURES | GRIDS))
def name(request):
    return request.param


def test_all_public_names_are_tried():
    assert sorted(PICTURES | GRIDS) == sorted(plotting.__all__)


def test_one_new_figure_and_no_change_of_settings(name):
    before = dict(mpl.rcParams)
    result = call(name)
    figure = result if name in GRIDS else result.figure
    assert isinstance(result, Figure if name in GRIDS else Axes)
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_pictures_are_drawn_into_the_axes_given(name):
    figure, (left, right) = plt.subplots(1, 2)
    result = getattr(plotting, name)(*PICTURES[name], right, title="title")
    assert result is right
    assert right.get_title() == "title"
    assert not [*left.images, *left.lines, *left.patches]
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_axes_of_a_wrong_type_are_named(name):
    with pytest.raises(TypeError, match="ax must be matplotlib Axes or None, got Fig"):
        getattr(plotting, name)(*PICTURES[name], plt.figure())


def test_figures_fit_the_text_column(name):
    result = call(name)
    figure = result if name in GRIDS else result.figure
    figure.canvas.draw()
    assert figure.get_figwidth() <= 7.2
    room = figure.get_tightbbox()
    assert room.x0 >= -0.05
    assert room.y0 >= -0.05
    assert room.x1 <= figure.get_figwidth() + 0.05
    assert room.y1 <= figure.get_figheight() + 0.05


def test_type_has_the_sizes_of_the_text_beside_it(name):
    result = call(name)
    figure = result if name in GRIDS else result.figure
    figure.canvas.draw()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
    assert {text.get_fontsize() for text in texts} <= {9, 10, 11}


def test_tensors_that_need_gradients_are_taken():
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    image = plotting.plot_signed(weight).images[0]
    np.testing.assert_array_equal(image.get_array(), [[1, -2]])


def test_pictures_have_keyword_arguments_after_ax():
    for name in PICTURES:
        parameters = inspect.signature(getattr(plotting, name)).parameters
        assert parameters["ax"].default is None
        kinds = list(parameters.values())[list(parameters).index("ax") + 1 :]
        assert {p.kind for p in kinds} == {inspect.Parameter.KEYWORD_ONLY}


def contrast(one, other):
    """Contrast ratio of WCAG 2.2."""

    def luminance(color):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in to_rgb(color)
        ]
        return np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05

    ratio = luminance(one) / luminance(other)
    return max(ratio, 1 / ratio)


@pytest.mark.parametrize("color", _style.COLORS)
@pytest.mark.parametrize("ground", ["#ffffff", "#131416"])
def test_accents_are_legible_on_both_grounds(color, ground):
    # 4.29 is the most that one colour can have on both.
    assert contrast(color, ground) > 4.2


@pytest.mark.parametrize("ground", ["#ffffff", "#131416"])
def test_frames_are_visible_on_both_grounds(ground):
    assert contrast(_style.FRAME, ground) > 3


MARKUP = ["$\\frac$", "<img src=x onerror=alert(1)>", "</script>", "a\n\nb", "a\u202eb"]


@pytest.mark.filterwarnings("ignore:Glyph 8238")
@pytest.mark.parametrize("text", MARKUP)
def test_names_and_titles_are_shown_as_they_are(text):
    layer = nn.Sequential(nn.ReLU())
    layer.add_module("x" + text.replace(".", ""), nn.ReLU())
    pair = [0.5, 0.5]
    results = [
        plotting.plot_image(PIXELS, title=text),
        plotting.plot_images([PIXELS], [text], suptitle=text),
        plotting.plot_boxes(PIXELS, [0, 0, 2, 2], labels=[text]),
        plotting.plot_kernels({text: SIGNED}),
        plotting.plot_feature_maps(STACK, titles=[text] * 5),
        plotting.plot_digits(PIXELS[None], [text], predictions=[text]),
        plotting.plot_pixel_values(PIXELS, title=text),
        plotting.plot_history({text: [1, 2], "b": [1, 9]}, title=text, xlabel=text),
        plotting.plot_history({text: [1, 2], "b": [1, 2]}, ylabel=text),
        plotting.plot_confusion_matrix(np.eye(2), labels=[text, "b"]),
        plotting.plot_probabilities({text: pair, "b": pair}, labels=[text, "b"]),
        plotting.plot_architecture(layer, (1, 2, 2), title=text),
    ]
    for result in results:
        figure = result if isinstance(result, Figure) else result.figure
        figure.canvas.draw()
        words = " ".join(text.split())
        shown = [
            t for t in figure.findobj(Text) if words in " ".join(t.get_text().split())
        ]
        assert shown
        assert not any(t.get_parse_math() for t in shown)


UNFIT = [
    *(None, 3, -1, 1.5, np.nan, True, "abc", b"abc", [], (), {}, {"a": 1}, {1}),
    *([[]], [[1], [1, 2]], [None], ["a"], [PIXELS, "a"], "\ud800", object(), iter([1])),
    *(
        np.array(1),
        np.zeros(0),
        np.zeros((0, 3)),
        np.zeros((2,) * 5),
        [[1j]],
        [[10**30]],
    ),
    *(
        np.array([["a"]]),
        np.array([[None]]),
        np.zeros((2, 2), [("a", int)]),
        [[np.nan]],
    ),
    *(np.array([["2020-01-01"]], "M8[D]"), np.ma.masked_equal([[0.5, 0.25]], 0.25)),
    *(torch.tensor(3), torch.zeros(2, 2, device="meta"), torch.zeros(2, 3, 4, 4)),
    *(torch.eye(2).to_sparse(), torch.zeros(2, 2, dtype=torch.complex64)),
    *(torch.eye(2).to(torch.float8_e4m3fn), np.eye(2, dtype=np.longdouble)),
]
OURS = sorted((PICTURES | GRIDS).keys() - {"plot_architecture", "plot_history"})
OURS.remove("plot_shift_accuracy")


@pytest.mark.parametrize("name", OURS)
def test_what_is_unfit_is_named_and_nothing_is_half_done(name):
    function, fit = getattr(plotting, name), (PICTURES | GRIDS)[name]
    parameters = list(inspect.signature(function).parameters)
    refused = []
    for parameter, unfit in itertools.product(parameters, UNFIT):
        arguments = dict(zip(parameters, fit, strict=False)) | {parameter: unfit}
        try:
            result = function(**arguments)
            (result if name in GRIDS else result.figure).canvas.draw()
            plt.close("all")
        except (TypeError, ValueError) as error:
            refused.append((parameter, str(error), plt.get_fignums()))
    assert len(refused) > len(UNFIT)
    for parameter, message, figures in refused:
        named = rf"({parameter}|{parameters[0]}|limit|labels)\b"
        assert re.match(rf"{named}.* must be .+, got ", message)
        assert not figures

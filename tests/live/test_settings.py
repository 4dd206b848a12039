"""Every figure is what Python set, whichever way it comes into a page."""

import numpy as np
import pytest
import torch
from torch import nn

import playing
from cnnviz import live
from cnnviz.training import fit

GREY = np.arange(360, dtype=np.uint8).reshape(20, 18)


def digits_and_networks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 1, 9), nn.Flatten(), nn.Linear(400, 10))
    networks = {"a": model, "__proto__": model}
    return networks, torch.rand(3, 1, 28, 28), torch.tensor([1, 2, 3])


def training_steps():
    torch.manual_seed(0)
    images, labels = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    history = fit(model, images, labels, snapshots=(0, 2), progress=False)
    options = {"filters": 1, "digits": 2, "examples": 1}
    return live.training_steps({"a": (model, history)}, images, labels, **options)


FIGURES = {
    "channel_sum": lambda: live.channel_sum(
        np.stack([GREY, GREY]), np.eye(2)[None].repeat(2, 0), -0.1, ["left", "right"]
    ),
    "draw_digit": lambda: live.draw_digit(
        *digits_and_networks(), digit=2, centred=True
    ),
    "kernel_playground": lambda: live.kernel_playground(
        {"one": GREY, "two": GREY.T},
        [[1, -0.1], [3e-7, 999_999], [1 / 3, 0]],
        stride=2,
        padding=3,
        dilation=4,
        view="absolute",
        row=5,
        column=4,
        small=True,
    ),
    "learn_kernel": lambda: live.learn_kernel(
        GREY[None], np.full((3, 3), 0.1), learning_rate=0.1, seed=3, steps=7
    ),
    "pixel_inspector": lambda: live.pixel_inspector(
        {"one": GREY, "__proto__": GREY.T, '"<&;?': GREY}, row=7, column=9
    ),
    "receptive_field": lambda: live.receptive_field(
        {"one": "conv 5, pool 2", "two": "conv 3"}, GREY
    ),
    "training_steps": training_steps,
}
EXPECTED = {
    "channel_sum": {"bias": -0.1, "added": 2, "at": "9,8"},
    "draw_digit": {"digit": "2", "centred": True},
    "kernel_playground": {
        "kernel": "1,-0.1;3e-07,999999;0.3333333333333333,0",
        **{"rows": 3, "columns": 2, "stride": 2, "padding": 3, "dilation": 4},
        **{"view": "absolute", "at": "5,4", "picture": "one"},
    },
    "learn_kernel": {"target": "your own", "learning_rate": 0.1, "seed": 3},
    "pixel_inspector": {"at": "7,9"},
    "receptive_field": {"net": "one", "list": "conv 5, pool 2", "layer": 2},
    "training_steps": {"checkpoint": 1},
}
CHANGES = {
    "channel_sum": {"added": 1},
    "draw_digit": {"right": 3},
    "kernel_playground": {"stride": 3},
    "learn_kernel": {"seed": 4},
    "pixel_inspector": {"at": "1,2"},
    "receptive_field": {"layer": 1},
    "training_steps": {"checkpoint": 0},
}
SEEN = """(figure) => {
  const pictures = [...figure.shadowRoot.querySelectorAll("canvas")];
  return {
    state: figure.state,
    shape: figure.style.getPropertyValue("--ratio"),
    small: figure.hasAttribute("small"),
    message: figure.find(".message").textContent,
    form: [...figure.form.children].filter((part) => !part.matches("footer, .message"))
      .map((part) => part.innerText),
    pixels: pictures.map((canvas) => canvas.toDataURL()),
  };
}"""


def by_src(open_page, folder, figure, attributes="", scripts_first=True):
    """Open a page of one's own that names the data, and gives attributes."""
    figure.save_data(folder / "data.js")
    element = f'<{figure.tag} src="data.js" {attributes}></{figure.tag}>'
    scripts = "".join(
        f"<script>{script.read_text('utf-8')}</script>" for script in figure.scripts
    )
    parts = (scripts, element) if scripts_first else (element, scripts)
    page = folder / "page.html"
    page.write_text(f"<!doctype html><body>{''.join(parts)}", "utf-8")
    return open_page(page.as_uri())


def in_a_notebook(open_page, folder, figure):
    """Open a page into which the figure comes as Jupyter brings it."""
    shell = folder / "notebook.html"
    shell.write_text("<!doctype html><title>notebook</title>")
    page = open_page(shell.as_uri())
    page.evaluate(
        """(html) => {
          document.body.innerHTML = html;
          for (const old of document.querySelectorAll("script:not([type])")) {
            const script = document.createElement("script");
            script.textContent = old.textContent;
            old.replaceWith(script);
          }
        }""",
        figure._repr_html_(),
    )
    return page


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_what_python_set_in_each_way(
    open_figure, open_page, tmp_path, name
):
    figure = FIGURES[name]()
    saved = playing.ask(open_figure(figure), SEEN)
    assert saved["message"] == ""
    assert saved["state"].items() >= EXPECTED[name].items()
    assert "NaN" not in "".join(saved["form"])
    assert saved["small"] == (name == "kernel_playground")
    for page in (
        by_src(open_page, tmp_path, figure),
        in_a_notebook(open_page, tmp_path, figure),
    ):
        assert playing.ask(page, SEEN) == saved


@pytest.mark.parametrize("name", FIGURES)
def test_attributes_come_before_what_python_set(open_page, tmp_path, name):
    changes = CHANGES[name]
    attributes = " ".join(f'{key}="{value}"' for key, value in changes.items())
    page = by_src(open_page, tmp_path, FIGURES[name](), attributes, False)
    assert playing.message(page) == ""
    state = playing.state(page)
    assert state.items() >= changes.items()
    kept = {k: v for k, v in EXPECTED[name].items() if k not in changes}
    assert state.items() >= kept.items()
    page.get_by_role("button", name="reset").click()
    assert playing.state(page) == state


def test_a_kernel_brings_its_size_and_an_example_its_list(open_page, tmp_path):
    figure = FIGURES["kernel_playground"]()
    page = by_src(open_page, tmp_path, figure, 'kernel="0,1,0;1,-4,1;0,1,0"')
    assert playing.state(page)["rows"] == playing.state(page)["columns"] == 3
    figure = FIGURES["receptive_field"]()
    page = by_src(open_page, tmp_path, figure, 'net="two"')
    assert playing.state(page) == {
        **{"net": "two", "list": "conv 3", "layer": 1, "at": "10,9"}
    }


def test_what_is_set_before_the_data_come_is_kept(open_page, tmp_path):
    figure = FIGURES["kernel_playground"]()
    page = by_src(open_page, tmp_path, figure)
    page.evaluate(
        """(tag) => {
          const figure = document.querySelector(tag);
          const second = Object.assign(figure.cloneNode(), { id: "second" });
          second.state = { stride: 3 };
          second.state = { picture: "two" };
          figure.replaceWith(second);
        }""",
        figure.tag,
    )
    state = playing.state(page)
    assert (state["stride"], state["picture"], state["padding"]) == (3, "two", 3)


# What is refused.

REFUSED = {
    "channel_sum": [
        *("at=46,0", "at=99999999999999999999999,0", "at=-1,0", "at=1.5,0", "at="),
        *("added=6", "added=-1", "added=1.5", "added=", "bias=1e999", "bias=NaN"),
        *("bias=1001", "bias=", "use-0=maybe", "item=1", "namedItem=1", "length=1"),
    ],
    "draw_digit": [
        *(
            "digit=9",
            "digit=-1",
            "digit=0.5",
            "strokes=P",
            "strokes=P1",
            "strokes=Q1 2 ",
        ),
        *("strokes=P1 1e999 ", "strokes=P9999 1 ", "strokes=1 2 ", "unit=9,0,0"),
        *("unit=0,99,0", "unit=0,0,20", "unit=0,0,999", "unit=0,0", "unit=0,-1,0"),
        *("right=9", "right=0.5", "rotate=7", "rotate=1e999", "thicken=-1.1"),
        *("centred=yes", "centred=1", "eraser=null"),
    ],
    "kernel_playground": [
        *("kernel=1,2;3", "kernel=", "kernel=1", "kernel=1,2", "kernel=1;2"),
        *("kernel=1,2;3,1e999", "kernel=1,2;3,1000000", "kernel=1,2;3,NaN"),
        *("kernel=1,2;3,4;", "kernel=,;,", "kernel=1,2;3,0x10", "kernel=1,2;3,1/2"),
        "kernel=" + ";".join(["1,2"] * 8),
        "kernel=" + ";".join([",".join("12345678")] * 2),
        *("rows=1", "rows=8", "rows=2.5", "rows=", "stride=0", "stride=-1"),
        *("stride=true", "stride=0x2", "dilation=10", "padding=1e999"),
        *("at=9999,9999", "at=0,18", "at=-1,0", "at=0.5,0", "at=1", "view=loud"),
        *("picture=three", "rows=7&dilation=9"),
    ],
    "learn_kernel": [
        *("target=Sobel", "learning_rate=-1", "learning_rate=1e999", "batch=2"),
        *("learning_rate=", "batch=0", "batch=0.5", "seed=10", "seed=-1", "step=8"),
        *("step=0.5", "speed=0", "speed=99", "rate=1"),
    ],
    "pixel_inspector": [
        *("at=20,0", "at=0,18", "at=-1,0", "at=0.5,1", "at=1e1,0", "at=1,1e999"),
        *("picture=two", "at=,"),
    ],
    "receptive_field": [
        *("list=", "list=conv", "list=conv 3 stride 1e999", "list=conv 30"),
        *("list=conv 3 stride -1", "list=conv 2.5", "layer=3", "layer=0"),
        *("layer=1.5", "layer=1e999", "at=20,0", "at=0,-1", "at=9999,9999"),
        *("at=1.5,0", "at=--1,0", "net=three"),
    ],
    "training_steps": [
        *("checkpoint=2", "checkpoint=-1", "checkpoint=0.5", "checkpoint=1e999"),
        *("cell=2,0", "cell=0,2", "cell=-1,0", "cell=0.5,0", "cell=", "cell=0,1e999"),
        "doubts=none",
    ],
}


@pytest.mark.parametrize("name", FIGURES)
def test_what_can_t_be_drawn_is_refused_in_words(open_figure, name):
    """In the address, as state, and as an attribute; nothing changes but the words."""
    page = open_figure(FIGURES[name]())
    before = playing.ask(page, SEEN)
    for settings in REFUSED[name]:
        playing.follow(page, settings)
        told = playing.ask(page, SEEN)
        assert told.pop("message").startswith("Not all of the link"), settings
        values = dict(part.split("=") for part in settings.split("&"))
        playing.put(page, **values)
        again = playing.ask(page, SEEN)
        words = again.pop("message")
        assert words.startswith("Left as they were: "), settings
        for seen in (told, again):
            assert seen["form"] == before["form"], settings
            assert seen["state"] == before["state"], settings
            assert seen["pixels"] == before["pixels"], settings
        playing.put(page)
        assert playing.ask(page, SEEN) == before

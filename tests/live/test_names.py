"""Whatever stands in names is shown as text, in all live figures that show names."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz import live
from cnnviz.training import fit

GREY = np.arange(81, dtype=np.uint8).reshape(9, 9)
HARMLESS = "a name"
NAMES = {
    "an image": "<img src=x onerror=alert(1)>",
    "the end of a script": "</script><script>alert(1)</script>",
    "a comment": "<!--<script>",
    "the end of an option": "\"'></option></select></form><b>",
    "an entity": "&lt;b&gt; &amp;amp;",
    "a formula": r"$\frac$ \(x\) ${alert(1)}",
    "lines": " first\n\n  second\t",
    "from right to left": "a\u202eb\u2028c",
    "a number": "7",
    "a word of the language": "__proto__",
    "half a character": "\ud800",
}


def channel_sum(name):
    return live.channel_sum(GREY[None], np.ones((1, 3, 3)), names=[name])


def draw_digit(name):
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(1, 1, 9), nn.Flatten(), nn.Linear(400, 10))
    digits, labels = torch.rand(2, 1, 28, 28), torch.tensor([1, 2])
    return live.draw_digit({name: conv, "b": conv}, digits, labels)


def kernel_playground(name):
    return live.kernel_playground({name: GREY, "b": GREY.T})


def pixel_inspector(name):
    return live.pixel_inspector({name: GREY, "b": GREY.T})


def receptive_field(name):
    return live.receptive_field({name: "conv 3, pool 2", "b": "conv 3"}, GREY)


def training_steps(name):
    torch.manual_seed(0)
    images, labels = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    history = fit(model, images, labels, snapshots=(0, 2), progress=False)
    return live.training_steps({name: (model, history)}, images, labels)


FIGURES = [
    channel_sum,
    draw_digit,
    kernel_playground,
    pixel_inspector,
    receptive_field,
    training_steps,
]


class Structure(HTMLParser):
    """The elements of a page with their attributes, and the JSON in it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.data, self.inside = [], [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        self.elements.append((tag, names))
        self.inside = ("type", "application/json") in attributes

    def handle_endtag(self, tag):
        self.elements.append(tag)
        self.inside = False

    def handle_comment(self, data):
        self.elements.append("comment")

    def handle_data(self, data):
        if self.inside:
            self.data.append(data)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("make", FIGURES, ids=lambda make: make.__name__)
def test_names_change_nothing_of_the_html(make, name, tmp_path):
    structures = []
    for given in (HARMLESS, name):
        figure = make(given)
        figure.save(tmp_path / "saved.html")
        saved = (tmp_path / "saved.html").read_text("utf-8")
        for text in (figure._repr_html_(), saved):
            structure = Structure(text)
            assert json.loads("".join(structure.data)) == figure.data
            assert json.dumps(given)[1:-1] in json.dumps(figure.data)
            structures.append(structure.elements)
    notebook, page, *hostile = structures
    assert hostile == [notebook, page]


LOAD = """async ([tag, html]) => {
  document.body.innerHTML = html;
  const figure = document.querySelector(tag);
  await figure.ready;
  await figure.drawn;
  const parts = [...figure.shadowRoot.querySelectorAll("*")];
  return {
    elements: parts.map((part) => part.localName),
    texts: parts.flatMap((part) => [part.textContent, part.ariaLabel ?? ""]),
    message: figure.shadowRoot.querySelector(".message").textContent,
  };
}"""


@pytest.mark.parametrize("make", FIGURES, ids=lambda make: make.__name__)
def test_names_are_shown_as_text(open_figure, make):
    """One page is filled again and again; its console fails the test, too."""
    page = open_figure(make(HARMLESS))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    right = page.evaluate(
        LOAD, [make(HARMLESS).tag, make(HARMLESS)._element(" embedded")]
    )
    assert right["message"] == ""
    for name in NAMES.values():
        if name == "\ud800":
            continue  # can't be sent to the browser
        figure = make(name)
        html = figure._element(" embedded")
        shown = page.evaluate(LOAD, [figure.tag, html])
        assert shown["elements"] == right["elements"], name
        assert any(name in text for text in shown["texts"]), name
        assert shown["message"] == "", name

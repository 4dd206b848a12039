"""How long a stroke takes in the browser, and how soon a figure can be used.

Measured inside of headless Chromium, with networks of the sizes that the pages show:
both networks with all their maps (at most 4 ms); the whole of a stroke, drawing and
painting included; and the time from the element with its data to a figure that answers
(at most 200 ms).
"""

import pytest
import torch

from cnnviz import live
from cnnviz.datasets import mnist_tensors
from cnnviz.models import CNN, MLP

NETWORKS = """figure => {
    for (const [, layers] of figure.networks) cnnviz.run(layers, figure.picture);
}"""
STROKE = """figure => {
    figure.state = {strokes: ""};
    figure.stroke([[4 + Math.random() * 20, 4], [14, 14 + Math.random() * 10]]);
    figure.draw();
}"""


class Clock:
    """Seconds that pass inside of the page, as a timer."""

    now = 0.0

    def __call__(self):
        return self.now


CLOCK = Clock()


@pytest.fixture
def page(open_figure):
    torch.manual_seed(0)
    images, labels = mnist_tensors(train=False)
    networks = {"CNN": CNN(), "MLP": MLP()}
    page = open_figure(live.draw_digit(networks, images[:40], labels[:40]))
    page.evaluate(
        "() => (globalThis.figure = document.querySelector('cnn-draw-digit'))"
    )
    return page


@pytest.mark.benchmark(group="a stroke: both networks at most 4 ms", timer=CLOCK)
@pytest.mark.parametrize("work", [NETWORKS, STROKE], ids=["both networks", "all of it"])
def bench_stroke(benchmark, page, work):
    def run():
        CLOCK.now += page.evaluate(
            f"""() => {{
                const start = performance.now();
                for (let i = 0; i < 10; i++) ({work})(figure);
                return (performance.now() - start) / 10000;
            }}"""
        )

    benchmark.pedantic(run, rounds=30, warmup_rounds=5)


@pytest.mark.benchmark(group="first interaction: at most 200 ms", timer=CLOCK)
def bench_first_interaction(benchmark, page):
    def run():
        CLOCK.now += page.evaluate(
            """async () => {
                const data = globalThis.figure.querySelector("script").textContent;
                const start = performance.now();
                const figure = document.createElement("cnn-draw-digit");
                document.body.append(figure);
                figure.data = JSON.parse(data);
                await figure.ready;
                const seconds = (performance.now() - start) / 1000;
                figure.remove();
                return seconds;
            }"""
        )

    benchmark.pedantic(run, rounds=15)

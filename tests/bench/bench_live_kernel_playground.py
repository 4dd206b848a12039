"""The kernel playground in Chromium: a kernel over the whole dog, computed and drawn.

What is timed is `draw()` after a weight has changed: the convolution of all channels,
the pixels of the output, the arithmetic and the frames; not the browser's compositing.
"""

import pytest

from cnnviz import live
from cnnviz.datasets import dog

MEASURE = """([tag, side, channel]) => {
  const figure = document.querySelector(tag);
  const times = [];
  for (let round = 0; round < 41; round++) {
    const weights = Array.from({length: side ** 2}, (_, i) => ((i + round) % 9) - 4);
    const rows = Array.from({length: side}, (_, y) =>
      weights.slice(y * side, (y + 1) * side).join());
    const kernel = rows.join(";");
    figure.state = {kernel, rows: side, columns: side, channel};
    const start = performance.now();
    figure.draw();
    times.push(performance.now() - start);
  }
  return times.slice(5).sort((a, b) => a - b);
}"""


@pytest.mark.parametrize(
    ("side", "channel", "bar"),
    [(3, "grey", 8), (3, "red", 16), (7, "grey", 20), (7, "red", None)],
    ids=["3×3 grey", "3×3 colour", "7×7 grey", "7×7 colour"],
)
def bench_kernel_over_the_dog(open_figure, request, side, channel, bar):
    figure = live.kernel_playground(dog())
    times = open_figure(figure).evaluate(MEASURE, [figure.tag, side, channel])
    print(
        f"\n{request.node.callspec.id}: {times[len(times) // 2]:.1f} ms, "
        f"fastest {times[0]:.1f} ms" + (f" (bar: {bar} ms)" if bar else "")
    )

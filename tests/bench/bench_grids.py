"""How long grids of many pictures take, made and drawn.

Run it as a script: ``python tests/bench/bench_grids.py``.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from cnnviz.plotting import plot_digits, plot_feature_maps, plot_images, plot_kernels

RNG = np.random.default_rng(0)
COUNTS = 16, 48, 128, 256, 512, 1000
GRIDS = {
    "plot_feature_maps": lambda n: plot_feature_maps(RNG.normal(size=(n, 14, 14))),
    "with titles": lambda n: plot_feature_maps(
        RNG.normal(size=(n, 14, 14)), titles=[f"map {i}" for i in range(n)]
    ),
    "own scales": lambda n: plot_feature_maps(
        RNG.normal(size=(n, 14, 14)), shared_scale=False
    ),
    "plot_images": lambda n: plot_images(RNG.random((n, 32, 32, 3))),
    "plot_digits": lambda n: plot_digits(RNG.random((n, 28, 28)), range(n)),
    "plot_kernels": lambda n: plot_kernels(RNG.normal(size=(n, 3, 3))),
}


def seconds(plot, count):
    """Return the best of two times."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        figure = plot(count)
        figure.canvas.draw()
        times.append(time.perf_counter() - start)
        plt.close(figure)
    return min(times)


def main():
    plt.switch_backend("agg")
    print("| pictures |", " | ".join(map(str, COUNTS)), "|")
    for name, plot in GRIDS.items():
        times = [f"{seconds(plot, count):.2f} s" for count in COUNTS]
        print(f"| {name} |", " | ".join(times), "|")


if __name__ == "__main__":
    main()

"""What all tests share: no windows, no figures left open, one cache of their own."""

import matplotlib
import matplotlib.pyplot as plt
import pytest

matplotlib.use("agg")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep the tests' unpacked digits and trained networks out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNVIZ_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")

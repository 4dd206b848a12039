"""The examples in docstrings give what they say."""

import doctest
import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages

import pytest

import cnnviz

MODULES = [
    module.name
    for module in walk_packages(cnnviz.__path__, "cnnviz.")
    if not module.name.rsplit(".", 1)[-1].startswith("_")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    assert doctest.testmod(import_module(name)).failed == 0


def test_every_public_name_is_explained():
    for name in MODULES:
        module = import_module(name)
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if callable(value):
                assert value.__doc__, f"{name}.{public}"


def test_modules_are_reached_through_the_package():
    assert {"datasets", "plotting"} <= set(dir(cnnviz))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cnnviz.nothing  # noqa: B018


def test_importing_the_package_loads_neither_torch_nor_pyplot():
    code = "import cnnviz, sys; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"

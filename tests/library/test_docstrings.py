"""Public names have docstrings; imports load little and run one way."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import cnnviz

MODULES = [
    module.name
    for module in walk_packages(cnnviz.__path__, "cnnviz.")
    if not module.name.rsplit(".", 1)[-1].startswith("_")
]


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


def loads(names, code):
    """Return which of the modules are loaded by code."""
    code += f"; import sys; print(*{names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_torch_nor_pyplot():
    assert not loads({"torch", "matplotlib"}, "import cnnviz")


@pytest.mark.parametrize(
    "code",
    [
        "import cnnviz.datasets; cnnviz.datasets.dog()",
        "import cnnviz.kernels; cnnviz.kernels.gradient([[1, 2], [3, 4]])",
        "import cnnviz.plotting as p; p.plot_image([[1]]).figure.canvas.draw()",
    ],
)
def test_torch_is_loaded_only_where_a_tensor_or_a_model_comes(code):
    assert not loads({"torch", "torchvision"}, code)


def imported(module):
    """Yield the names of the modules that the source of a module imports."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(("one", "other"), [("plotting", "live"), ("live", "plotting")])
def test_live_and_plotting_stand_side_by_side(one, other):
    folder = Path(cnnviz.__file__).parent / one
    for path in folder.glob("*.py"):
        module = import_module(f"cnnviz.{one}.{path.stem}")
        assert not any(name.startswith(f"cnnviz.{other}") for name in imported(module))

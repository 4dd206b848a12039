"""The package is typed, as a user's mypy sees it, and the types are true.

mypy runs outside of the repository, so it finds the package where it is installed:
then it needs `py.typed`, and judges the user's programs only, not the package's source.
"""

import ast
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import numpy as np
import pytest

import cnnviz

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "support" / "user_of_types.py"

MISTAKES = {
    "cnnviz.kernles": "attr-defined",
    "cnnviz.kernels.apply_kernle": "attr-defined",
    "cnnviz.kernels.apply_kernel(None, [[1]])": "arg-type",
    "cnnviz.kernels.apply_kernel([[1]], [[1]], stride=1.5)": "arg-type",
    "cnnviz.kernels.apply_kernel([[1]], [[1]], padding='full')": "arg-type",
    "cnnviz.kernels.apply_kernel([[1]], [[1]], padding_mode='wrap')": "arg-type",
    "cnnviz.kernels.apply_kernel([[1]], [[1]], 1, 0, 2)": "call-arg",
    "cnnviz.kernels.gradient([[1]]).direction": "attr-defined",
    "a1: int = cnnviz.geometry.output_size((28, 28), 3)": "assignment",
    "cnnviz.geometry.output_size(28, 3, padding='full')": "call-overload",
    "cnnviz.geometry.receptive_field(cnnviz.models.CNN(), 28)": "arg-type",
    "cnnviz.activations.record_activations(cnnviz.models.CNN, x)": "arg-type",
    "cnnviz.activations.record_activations(cnnviz.models.CNN(), 1)": "arg-type",
    "cnnviz.architecture.summarize(cnnviz.models.CNN(), (1, 2), '1')": "arg-type",
    "cnnviz.architecture.summarize(cnnviz.models.CNN(), (1, 2))[0].shape": (
        "attr-defined"
    ),
    "cnnviz.datasets.read_image(3)": "arg-type",
    "a2: np.ndarray[Any, np.dtype[np.float64]] = cnnviz.datasets.dog()": "assignment",
    "cnnviz.models.FilterBankNet([[[1]]])([[[[1]]]])": "arg-type",
    "cnnviz.models.CNN()([[1]])": "arg-type",
    "cnnviz.training.fit(cnnviz.models.CNN(), x, x, snapshots=3)": "arg-type",
    "cnnviz.training.evaluate(cnnviz.models.CNN(), x, x).accuracy()": "operator",
    "cnnviz.plotting.plot_image([[1]], title=3)": "arg-type",
    "cnnviz.plotting.plot_image([[1]], cnnviz.plotting.plot_channels(x))": "arg-type",
    "cnnviz.plotting.plot_images(3)": "arg-type",
    "cnnviz.plotting.plot_history([1, 2])": "arg-type",
    "cnnviz.plotting.plot_kernels([[[1]]]).set_title('it is a figure')": "attr-defined",
    "cnnviz.live.kernel_playground([[1]], view='colored')": "arg-type",
    "cnnviz.live.draw_digit(cnnviz.models.CNN(), x, x)": "arg-type",
    "cnnviz.live.training_steps({'CNN': cnnviz.models.CNN()}, x, x)": "dict-item",
    "cnnviz.live.LiveFigure('it', {}).save(3)": "arg-type",
}
IMPORTS = ["from typing import Any", "import numpy as np", "import torch"]
IMPORTS += ["import cnnviz", "x = torch.zeros(1)"]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """Return what mypy complains of in both programs, by file and line."""
    folder = tmp_path_factory.mktemp("types")
    mistaken = folder / "mistaken.py"
    mistaken.write_text("\n".join([*IMPORTS, *MISTAKES]), "utf-8")
    options = ("--strict", "--no-error-summary", "--no-pretty", "--hide-error-context")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", *options, "--config-file="),
            *(f"--cache-dir={ROOT / '.mypy_cache'}", str(PROGRAM), str(mistaken)),
        ],
        cwd=folder,
        env={name: v for name, v in os.environ.items() if name != "MYPYPATH"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode < 2, done.stdout + done.stderr
    found = re.findall(r"^(.+):(\d+): error: .*\[(.+)\]$", done.stdout, re.M)
    assert len(found) == done.stdout.count(": error: "), done.stdout
    return {(Path(file).name, int(line)): code for file, line, code in found}


def test_a_program_that_uses_all_of_it_passes_the_strict_mypy(complaints):
    assert {k: v for k, v in complaints.items() if k[0] == PROGRAM.name} == {}


def test_mypy_finds_mistakes(complaints):
    first = len(IMPORTS) + 1
    found = {
        mistake: complaints.get(("mistaken.py", line))
        for line, mistake in enumerate(MISTAKES, first)
    }
    assert found == MISTAKES


def test_the_program_uses_every_public_name_but_each_kernel():
    program = ast.parse(PROGRAM.read_text("utf-8"))
    used = {node.id for node in ast.walk(program) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(program) if isinstance(node, ast.Attribute)}
    public = {
        name for module in cnnviz.__all__ for name in getattr(cnnviz, module).__all__
    }
    assert {name for name in public if not name.isupper()} <= used


def test_modules_that_are_imported_on_first_use_are_known_to_type_checkers():
    stub = ast.parse((files(cnnviz) / "__init__.pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert [node.names[0].asname for node in imports] == cnnviz.__all__


def test_variables_of_the_program_hold_what_their_annotations_say():
    import user_of_types

    wrong = {
        name: kind
        for name, kind in user_of_types.__annotations__.items()
        if not holds(getattr(user_of_types, name), kind)
    }
    assert len(user_of_types.__annotations__) > 60
    assert wrong == {}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, float | str),
        (np.zeros(1, np.float32), np.ndarray[Any, np.dtype[np.float64]]),
        ([1, "a"], list[int]),
        ({"a": 1}, dict[str, str]),
        ((1, 2, 3), tuple[int, int]),
        ((1, "a"), tuple[int, ...]),
    ],
)
def test_what_an_annotation_does_not_say_is_found(value, kind):
    assert not holds(value, kind)


def holds(value, kind):
    """Tell whether a value is what an annotation says, with all that is inside."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is None:
        return type(value) is kind if kind in (int, float) else isinstance(value, kind)
    if origin is UnionType:
        return any(holds(value, each) for each in inner)
    if not isinstance(value, origin):
        return False
    if origin is np.ndarray:
        (scalar,) = get_args(inner[1])
        return scalar is Any or value.dtype == scalar
    if origin is dict:
        return all(holds(k, inner[0]) and holds(v, inner[1]) for k, v in value.items())
    if origin is tuple and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(holds, value, inner))
    return all(holds(each, inner[0]) for each in value)

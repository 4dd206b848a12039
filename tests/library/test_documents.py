"""Every block of code that is shown does what a reader expects of it."""

import ast
import doctest
import re
import shlex
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import cnnviz
from cnnviz.datasets import dog
from documents import blocks
from hosting import run

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *ROOT.glob(".github/*.md")]
DOCUMENTS += [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/*.rst")]
DOCUMENTS += [*ROOT.glob("docs/api/*.rst"), *ROOT.glob("gallery/**/*.rst")]
MODULES = [*ROOT.glob("cnnviz/**/*.py"), *ROOT.glob("docs/_ext/*.py")]
MODULES += [*ROOT.glob("gallery/**/*.py"), ROOT / "noxfile.py"]

# Pictures that readers are said to have; all else is made by the documents' own code.
READERS_OWN = "mine.jpg", "pixels.png"


SESSIONS = [
    node.name
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def having(kind, paths):
    """Return parameters: the paths that have blocks of a kind."""
    found = [
        path for path in paths if any(block.kind == kind for block in blocks(path))
    ]
    assert found, kind
    return [pytest.param(path, id=name_of(path)) for path in found]


def code(path, kind):
    return "\n".join(block.code for block in blocks(path) if block.kind == kind)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_of_documents_are_of_kinds_that_are_tried(path):
    assert {block.kind for block in blocks(path)} <= {"python", "html", "sh", "text"}


def test_blocks_of_docstrings_are_examples_of_the_library():
    for path in MODULES:
        kinds = {block.kind for block in blocks(path)}
        examples = {"doctest_block"} if ROOT / "cnnviz" in path.parents else set()
        assert kinds <= examples, path


@pytest.mark.parametrize("path", having("doctest_block", MODULES))
def test_examples_hold(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = import_module(name.removesuffix(".__init__"))
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    shown = [line for block in blocks(path) for line in block.code.splitlines()]
    examples = sum(line.startswith(">>> ") for line in shown)
    assert sum(len(test.examples) for test in found) == examples
    for test in found:
        assert doctest.DocTestRunner().run(test).failed == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function: the folder in which a document's Python has run, once."""
    folders = {}

    def made(path):
        if path not in folders:
            folders[path] = folder = tmp_path_factory.mktemp(path.stem)
            for name in READERS_OWN:
                Image.fromarray(dog()[:96, :96]).save(folder / name)
            script = ("-W", "error", "-c", code(path, "python"))
            run(sys.executable, *script, cwd=folder)
        return folders[path]

    return made


@pytest.mark.parametrize("path", having("python", DOCUMENTS))
def test_python_runs_in_an_empty_folder_and_saves_what_it_says(made, path):
    files = {file.name for file in made(path).iterdir()}
    said = set(re.findall(r'save\w*\("([\w.]+)"\)', code(path, "python")))
    assert said == files - set(READERS_OWN)


@pytest.mark.parametrize("path", having("html", DOCUMENTS))
def test_html_works_with_the_library_s_scripts(open_page, made, tmp_path, path):
    folder = tmp_path / "page"
    shutil.copytree(made(path), folder)
    for script in Path(cnnviz.__file__).parent.glob("live/*.js"):
        shutil.copy(script, folder)
    page = folder / "page.html"
    page.write_text("<!doctype html>" + code(path, "html"), "utf-8")
    shown = open_page("about:blank")
    shown.add_init_script("console.log = () => null")  # what documents do on purpose
    shown.goto(page.as_uri())
    shown.wait_for_function(
        """Promise.all([...document.querySelectorAll("*")]
          .filter(element => element.localName.startsWith("cnn-"))
          .map(figure => customElements.whenDefined(figure.localName)
            .then(() => figure.ready))).then(({length}) => length > 0)"""
    )


@pytest.mark.parametrize("path", having("sh", DOCUMENTS))
def test_commands_name_what_there_is(path):
    """They are not run: most of them fetch packages, or build the site."""
    for command in re.split(r"&&|\n", code(path, "sh")):
        check(*shlex.split(command))


def check(tool, *arguments):
    """Fail if a command is not one that readers can give."""
    match Path(tool).name, *arguments:
        case "python3" | "python", "-m", "venv", folder:
            assert folder == ".venv"
        case "python3" | "python", "-m", "pip", "install", *options, what:
            told = run(sys.executable, "-m", "pip", "install", "--help")
            assert set(options) <= set(re.findall(r"(?<!\w)--?[\w-]+", told))
            assert what == "nox" or (ROOT / what / "pyproject.toml").exists()
        case "nox", "-s", session:
            assert session in SESSIONS
        case "uv", "run", page:
            assert [*ROOT.glob(f"gallery/*/{page}")]
        case unknown:
            pytest.fail(f"no check for {unknown}")


def test_sessions_that_are_named_exist():
    written = [path.read_text("utf-8") for path in (*DOCUMENTS, *MODULES)]
    written += [path.read_text("utf-8") for path in ROOT.glob(".github/workflows/*")]
    named = set(re.findall(r"nox -s ([\w-]+)", "\n".join(written)))
    assert {"docs", "tests"} <= named <= set(SESSIONS)

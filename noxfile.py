"""Everything that is done with this repository; ``nox -l`` lists it.

Arguments after ``--`` go to the tool that a session runs, for example
``nox -s tests -- -k kernels``.
"""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["docs", "tests"]
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".nox" / "dev"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SITE = ROOT / "docs" / "_build" / "html"
DOCTREES = SITE.with_name("doctrees")
LOCK = ROOT / "docs" / "requirements.txt"
SLOW = ("any_model", "faults", "types")
BUILD = ["-n", "-T", "-W", "--keep-going", "-d", str(DOCTREES), "docs", str(SITE)]


@nox.session
def dev(session):
    """Install the environment that the other sessions share."""
    pyproject = ROOT / "pyproject.toml"
    wanted = hashlib.sha256(pyproject.read_bytes()).hexdigest()
    stamp = ENVIRONMENT / "installed-for"
    if stamp.exists() and stamp.read_text() == wanted:
        session.log("nothing to install: pyproject.toml is as it was")
        return
    groups = nox.project.load_toml(pyproject)
    session.install("-e", ".", *nox.project.dependency_groups(groups, "dev"))
    stamp.write_text(wanted)


def python(session, *arguments, **options):
    """Run a module in the shared environment."""
    session.run(str(PYTHON), *arguments, external=True, **options)


@nox.session(venv_backend="none", requires=["dev"])
def docs(session):
    """Build the site; only pages whose inputs changed run again."""
    python(session, "-m", "sphinx", *BUILD, *session.posargs)
    session.log(f"The site is built. Open {(SITE / 'index.html').as_uri()}")


@nox.session(venv_backend="none", requires=["dev"])
def tests(session):
    """Run all tests: of the library, and of the site, which they build.

    They have no network but loopback, where the system allows that. PyTorch has one
    thread in each process: more of them would wait for each other.
    """
    at_once = ("-n", "logical", "--maxprocesses=4")
    at_once += ("--dist=loadfile", "--no-loadscope-reorder")
    everything = (*at_once, "--cov", "--cov-fail-under=95")
    pytest = ("tests/support/offline.py", "-m", "pytest")
    one = {"OMP_NUM_THREADS": "1"}
    python(session, *pytest, *(session.posargs or everything), env=one)


@nox.session(venv_backend="none", requires=["dev"], default=False)
def serve(session):
    """Build the site, show it in a browser, rebuild on every change."""
    python(
        session,
        *("-m", "sphinx_autobuild", "-T", "-d", str(DOCTREES), "--open-browser"),
        *("--watch", "gallery", "--watch", "cnnviz", "--ignore", "docs/gallery"),
        *("docs", str(SITE), *session.posargs),
    )


@nox.session(venv_backend="none", requires=["dev"], default=False)
def site(session):
    """Build the site, measure it by public tools; needs npm, Java and Chromium."""
    python(session, "-m", "sphinx", *BUILD)
    measure(session)


@nox.session(default=False)
def hosted(session):
    """Build and measure the hosted site: of locked packages, by their hashes."""
    session.install("--require-hashes", "-r", str(LOCK))
    session.run("python", "-m", "sphinx", *BUILD, env={"PYTHONPATH": str(ROOT)})
    measure(session)


def measure(session):
    """Measure the built site by tools from the npm registry."""
    with session.chdir(npm_tools(session, "tests/site/measure")):
        check = ("node", "check.mjs", str(SITE))
        session.run(*check, *session.posargs, external=True)


def npm_tools(session, source):
    """Install what a folder's package.json names; return where, with all its files."""
    if not shutil.which("npm"):
        session.error("npm is missing: install Node.js, 20.19 or later, with it")
    tools = ROOT / ".nox" / Path(source).name
    shutil.copytree(ROOT / source, tools, dirs_exist_ok=True)
    with session.chdir(tools):
        install = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
        session.run(*install, external=True, silent=True)
    return tools


@nox.session(venv_backend="none", requires=["dev"], default=False)
def bench(session):
    """Measure training, values, activations, builds, each against its peer; try claims.

    The pages' claims in words are tried with other threads, processors and seeds.
    """
    python(
        session,
        *("-m", "pytest", "tests/bench", "-s", "--benchmark-columns=median,min,max"),
        *("-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"),
        *session.posargs,
    )


@nox.session(venv_backend="none", requires=["dev"], default=False)
def types(session):
    """Check with mypy that a user's program is typed by the package, and truly."""
    python(session, "-m", "pytest", "tests/library/test_types.py", *session.posargs)


@nox.session(venv_backend="none", requires=["dev"], default=False)
def mutants(session):
    """Change the library in thousands of small ways; the tests must notice 85 %.

    It takes hours. Patterns of names choose among the mutants, for example
    ``nox -s mutants -- "cnnviz.kernels.*"``; ``tests/mutants.md`` explains what lives.
    """
    copy = ROOT / ".nox" / "mutants"
    shutil.rmtree(copy, ignore_errors=True)
    left_out = ("__pycache__", "bench", "site", "test_offline.py")
    left_out += tuple(f"test_{name}.py" for name in SLOW)
    # Docstrings of mutants are copies, whose examples would run as well.
    left_out += ("test_docstrings.py", "test_documents.py")
    for folder in ("cnnviz", "tests"):
        ignore = shutil.ignore_patterns(*left_out)
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", copy)
    # One thread, since mutants run in forks; and only the plugins that are needed.
    env = {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    mutmut = (str(PYTHON), "-m", "mutmut")
    with session.chdir(copy):
        session.run(*mutmut, "run", *session.posargs, env=env, external=True)
        results = (*mutmut, "results", "--all", "true")
        listed = session.run(*results, env=env, external=True, silent=True)
    share = tally(listed)
    if share < 0.85:
        session.error(f"{share:.1%} of the mutants were killed, less than 85 %")


def tally(results):
    """Print what became of the mutants of each module; return the share killed."""
    modules = {"all": Counter()}
    for line in results.splitlines():
        mutant, _, fate = line.strip().partition(": ")
        if mutant.startswith("cnnviz.") and fate != "not checked":
            for name in (mutant.rpartition(".")[0], "all"):
                modules.setdefault(name, Counter())[fate] += 1
    fates = ("killed", "timeout", "survived", "no tests")
    print(f"{'module':32}{'mutants':>9}", *(f"{fate:>9}" for fate in fates))
    for name in sorted(modules):
        counts = (modules[name].total(), *(modules[name][fate] for fate in fates))
        print(f"{name:32}", *(f"{count:9}" for count in counts), sep="")
    found = modules["all"]["killed"] + modules["all"]["timeout"]
    share = found / max(modules["all"].total(), 1)
    print(f"{share:.1%} were killed (by a failure or by taking too long)")
    return share


@nox.session(default=False)
def lint(session):
    """Check style: of Python with ruff, of scripts with ESLint and Prettier.

    ``nox -s lint -- --fix`` mends what can be mended. The last two need npm.
    """
    groups = nox.project.load_toml(ROOT / "pyproject.toml")
    session.install(*nox.project.dependency_groups(groups, "lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if fix else ["--check"]))
    tools = npm_tools(session, "tests/support/javascript")
    eslint = ("eslint/bin/eslint.js", "eslint.config.js", *(["--fix"] if fix else []))
    write = "--write" if fix else "--check"
    prettier = ("prettier/bin/prettier.cjs", "prettier.json", write)
    for script, config, *how in (eslint, prettier):
        command = ("node", tools / "node_modules" / script, "--config", tools / config)
        session.run(*map(str, command), *how, "cnnviz/live/*.js", external=True)


@nox.session(default=False)
def lock(session):
    """Lock what the hosted site is built of; `-- --upgrade` renews it."""
    session.install("uv")
    options = ("--universal", "--generate-hashes", "--no-header", "--no-annotate")
    options += ("--python-version", "3.11", "--group", "docs", "-o", str(LOCK))
    compile_lock = ("uv", "pip", "compile", "-q", *options)
    session.run(*compile_lock, "pyproject.toml", *session.posargs)


@nox.session(default=False)
def audit(session):
    """Look for known vulnerabilities in the locked packages; needs a network."""
    session.install("pip-audit")
    locked = ("--strict", "--disable-pip", "--require-hashes", "-r", str(LOCK))
    session.run("pip-audit", *locked, *session.posargs)


@nox.session(default=False)
def lowest(session):
    """Test the library with the oldest packages that it admits.

    Their warnings of what newer ones deprecate are not ours, nor are their types.
    """
    session.install("uv")
    groups = ("--group", "tests", "--resolution", "lowest-direct")
    python_here = ("--python", str(Path(session.bin) / "python"))
    session.run("uv", "pip", "install", "-q", *python_here, *groups, "-e", ".")
    without = ("--ignore=tests/site", "--ignore=tests/library/test_types.py")
    warn = ("-o", "filterwarnings=")
    session.run("pytest", *warn, *without, *session.posargs)


@nox.session(default=False)
def package(session):
    """Build wheel and sdist, and check what they hold and say."""
    session.install("build", "check-wheel-contents", "twine")
    built = Path(session.create_tmp()).resolve()
    shutil.rmtree(built)
    session.run("python", "-m", "build", "-o", str(built), str(ROOT))
    files = sorted(map(str, built.iterdir()))
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", *[name for name in files if ".whl" in name])

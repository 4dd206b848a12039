"""Kills, full and read-only disks, damaged networks: see the table in `faults.md`."""

import os
import pickle
import re
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz import _kept, training
from cnnviz.training import fit
from victims import run_victim

TESTS = Path(__file__).parents[1]

no_kills = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


def assert_killed(process):
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache that is empty and may be damaged."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CNNVIZ_CACHE", str(folder))
    return folder


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.suffix in (".part", ".tmp")]


DAMAGES = {
    "truncated": lambda content: content[:-1],
    "cut in half": lambda content: content[: len(content) // 2],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "emptied": lambda content: b"",
    "grown": lambda content: content + b"\0",
    "other content": lambda content: b"Dear diary,\n",
}


class Net(nn.Sequential):
    """A small network, made the same each time."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))


def train(cache=True, seed=0):
    """Return a trained network and its history; each time the same."""
    torch.manual_seed(0)
    model = Net()
    images, labels = torch.rand(60, 1, 4, 4), torch.arange(60) % 3
    settings = {"batch_size": 20, "seed": seed, "cache": cache, "snapshots": (0, 4)}
    return model, fit(model, images, labels, **settings, progress=False)


def numbers(result):
    """Return all that training gave but how long it took."""
    model, history = result
    states = [model.state_dict(), *history.snapshots.values()]
    weights = [value.numpy() for state in states for value in state.values()]
    return [*weights, history.loss, history.learning_rate, list(history.snapshots)]


@pytest.fixture(scope="module")
def trained():
    """What training gives without a cache."""
    return numbers(train(cache=False))


def assert_trained_as(trained):
    for ours, right in zip(numbers(train()), trained, strict=True):
        np.testing.assert_array_equal(ours, right)


def assert_read(trained, monkeypatch):
    """The result is right, and read from the cache."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "_train", None)
        assert_trained_as(trained)


def the_file(cache, suffix=".pt"):
    (path,) = cache.glob(f"trained/*{suffix}")
    return path


@no_kills
@pytest.mark.parametrize("moment", ["half written", "written"])
def test_keeping_a_network_is_killed(own_cache, trained, monkeypatch, moment):
    assert_killed(run_victim("train_and_die", own_cache, moment))
    assert list(own_cache.glob("trained/*.pt")) == []
    assert_trained_as(trained)
    assert_read(trained, monkeypatch)


@no_kills
def test_training_is_killed_while_another_process_waits(
    own_cache, trained, monkeypatch
):
    """The one that waits trains; so does one that starts afterwards."""
    process = run_victim("train_and_die", own_cache, "in the middle")
    assert process.stdout.readline() == "in the middle\n"
    results = []
    waiting = threading.Thread(target=lambda: results.append(numbers(train())))
    waiting.start()
    assert not results
    process.kill()
    assert_killed(process)
    waiting.join(600)
    for ours, right in zip(results[0], trained, strict=True):
        np.testing.assert_array_equal(ours, right)
    assert_read(trained, monkeypatch)


def assert_mended(cache, trained, monkeypatch):
    """The damage is told with the file's name; then all is as it was."""
    path = the_file(cache)
    message = re.escape(f"{path} is damaged") + r".*training again"
    with pytest.warns(UserWarning, match=message) as warned:
        assert_trained_as(trained)
    assert len(warned) == 1
    assert_read(trained, monkeypatch)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_network_is_damaged(own_cache, trained, monkeypatch, damage):
    train()
    path = the_file(own_cache)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert_mended(own_cache, trained, monkeypatch)


def test_any_bit_of_a_network_is_flipped(own_cache, trained, monkeypatch):
    """Also in the weights, which PyTorch reads without looking at checksums."""
    train()
    path = the_file(own_cache)
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 30, dtype=int):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        assert_mended(own_cache, trained, monkeypatch)


def test_a_network_is_that_of_another_training(own_cache, trained, monkeypatch):
    train(seed=1)
    other = the_file(own_cache)
    content = other.read_bytes()
    other.unlink()
    train()
    the_file(own_cache).write_bytes(content)
    assert_mended(own_cache, trained, monkeypatch)


class Evil:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("trusted", [False, True], ids=["", "right checksum"])
@pytest.mark.parametrize("place", ["alone", "in the history", "no archive"])
def test_a_network_is_malicious(own_cache, trained, monkeypatch, place, trusted):
    train()
    path, folder = the_file(own_cache), own_cache / "evil"
    evil = Evil(folder)
    if place == "no archive":
        content = pickle.dumps(evil, protocol=2)
    else:
        history = {"model": train()[0].state_dict(), "history": evil}
        torch.save(evil if place == "alone" else history, own_cache / "saved")
        content = (own_cache / "saved").read_bytes()
    if trusted:
        content = _kept._checksum(path, content) + content
    path.write_bytes(content)
    assert_mended(own_cache, trained, monkeypatch)
    assert not folder.exists()
    pickle.loads(pickle.dumps(evil, protocol=2))
    assert folder.is_dir()


def test_weights_of_another_shape_leave_the_model_alone(
    own_cache, trained, monkeypatch
):
    """A file that is whole but for one tensor is not loaded in part."""
    model, _ = train()
    path = the_file(own_cache)
    state = {name: value + 1 for name, value in model.state_dict().items()}
    state["2.bias"] = torch.zeros(7)
    history = {"loss": [], "learning_rate": [], "seconds": 0.0, "snapshots": {}}
    torch.save({"model": state, "history": history}, path)
    content = path.read_bytes()
    path.write_bytes(_kept._checksum(path, content) + content)
    assert_mended(own_cache, trained, monkeypatch)


def test_a_folder_is_in_place_of_a_network(own_cache, trained):
    train()
    path = the_file(own_cache)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    message = re.escape(str(path))
    with pytest.warns(UserWarning, match=f"network cannot be kept: .*{message}"):
        assert_trained_as(trained)
    assert (path / "inside").is_dir()


def test_a_folder_is_in_place_of_a_lock(own_cache, trained, monkeypatch):
    train()
    path = the_file(own_cache)
    lock = path.with_suffix(".lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    path.unlink()
    assert_trained_as(trained)
    assert_read(trained, monkeypatch)


def test_a_lock_holds_something_else(own_cache, trained, monkeypatch):
    train()
    path = the_file(own_cache)
    path.with_suffix(".lock").write_text("mine")
    path.unlink()
    assert_trained_as(trained)
    assert_read(trained, monkeypatch)


def test_a_file_is_in_place_of_the_networks(own_cache, trained):
    own_cache.mkdir()
    (own_cache / "trained").write_text("mine")
    message = f"cannot be kept: .*{own_cache}/trained"
    with pytest.warns(UserWarning, match=message) as warned:
        assert_trained_as(trained)
    assert len(warned) == 1
    assert (own_cache / "trained").read_text() == "mine"


def test_the_disk_is_full_for_a_network(mount, monkeypatch, trained):
    disk = mount("size=4k")
    monkeypatch.setenv("CNNVIZ_CACHE", str(disk))
    with pytest.warns(UserWarning, match="cannot be kept: .*No space left") as warned:
        assert_trained_as(trained)
    assert str(disk) in str(warned[0].message)
    assert list(disk.glob("trained/*.pt")) == leftovers(disk) == []
    mount("remount,size=1M")
    assert_trained_as(trained)
    assert_read(trained, monkeypatch)


@pytest.fixture
def read_only_home(mount, monkeypatch):
    home = mount("ro,size=1M")
    for name in ("CNNVIZ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return home


def test_the_home_is_read_only(read_only_home, trained):
    with pytest.warns(UserWarning, match=f"kept: .*Read-only.*{read_only_home}"):
        assert_trained_as(trained)
    assert list(read_only_home.iterdir()) == []


def test_a_whole_cache_is_read_only(mount, monkeypatch, trained):
    disk = mount("size=1M")
    monkeypatch.setenv("CNNVIZ_CACHE", str(disk))
    assert_trained_as(trained)
    mount("remount,ro")
    assert_read(trained, monkeypatch)


# --- the table ----------------------------------------------------------------------


def test_the_table_names_tests_that_exist():
    rows = re.findall(r"^\|.*\| `([\w/]+\.py)::(\w+)` \|$", table(), re.MULTILINE)
    assert len(rows) == table().count("\n|") - 2 + table().startswith("|")
    for file, name in rows:
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text("utf-8"), re.M)
    own = re.findall(r"^def (test_\w+)", Path(__file__).read_text("utf-8"), re.M)
    missing = set(own) - {name for _, name in rows}
    assert missing == {"test_the_table_names_tests_that_exist"}


def table():
    return (TESTS / "faults.md").read_text("utf-8")

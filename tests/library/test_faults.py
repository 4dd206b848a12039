"""Kills, full and read-only disks, damaged caches: see the table in `faults.md`."""

import os
import pickle
import re
import shutil
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz import datasets, training
from cnnviz.training import fit
from victims import run_victim

TESTS = Path(__file__).parents[1]

no_kills = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


def assert_killed(process):
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache that is empty and may be damaged."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CNNVIZ_CACHE", str(folder))
    return folder


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.suffix in (".part", ".tmp")]


# --- MNIST --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(cache):
    """The test digits, from a cache that nothing has happened to."""
    return datasets.mnist_tensors(train=False)


def assert_right(digits):
    """The digits are read from the cache chosen, and are those of a whole one."""
    for ours, right in zip(datasets.mnist_tensors(train=False), digits, strict=True):
        assert torch.equal(ours, right)


def raw(folder):
    return folder / "MNIST" / "raw"


@no_kills
@pytest.mark.parametrize(
    ("moment", "count"),
    [("half", "1"), ("half", "4"), ("written", "3"), ("moved", "1")],
)
def test_unpacking_is_killed(own_cache, digits, moment, count):
    assert_killed(run_victim("unpack_and_die", own_cache, moment, count))
    assert len(leftovers(own_cache)) == (moment != "moved")
    assert_right(digits)
    assert leftovers(own_cache) == []


@no_kills
def test_unpacking_is_killed_from_outside(own_cache, digits):
    """As soon as a part-file is seen."""
    process = run_victim("unpack", own_cache)
    while not leftovers(own_cache) and process.poll() is None:
        pass
    process.kill()
    process.communicate(timeout=120)
    assert_right(digits)
    assert leftovers(own_cache) == []


@pytest.mark.parametrize("killed", [False, True], ids=["goes on", "killed"])
def test_one_process_unpacks_while_another_waits(own_cache, digits, killed):
    """The faster one removes the slower one's part-file, to no harm."""
    process = run_victim("unpack_slowly", own_cache)
    assert process.stdout.readline() == "in the middle\n"
    assert_right(digits)
    assert leftovers(own_cache) == []
    if killed:
        process.kill()
    process.communicate("go on\n" if not killed else None, timeout=120)
    assert (process.returncode != 0) is killed
    assert_right(digits)
    assert leftovers(own_cache) == []


@pytest.fixture
def unpacked(own_cache, cache, digits):
    """A whole cache of one's own; files are links: replace them, don't write."""
    shutil.copytree(cache / "MNIST", own_cache / "MNIST", copy_function=os.link)
    return own_cache


DAMAGES = {
    "truncated": lambda content: content[:-1],
    "cut in half": lambda content: content[: len(content) // 2],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "emptied": lambda content: b"",
    "grown": lambda content: content + b"\0",
    "other content": lambda content: b"Dear diary,\n",
}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [*(("labels-idx1", damage) for damage in DAMAGES), ("images-idx3", "one bit")],
)
def test_a_digits_file_is_damaged(unpacked, digits, kind, damage):
    path = raw(unpacked) / f"t10k-{kind}-ubyte"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(DAMAGES[damage](content))
    message = re.escape(f"{str(path)!r} was damaged and has been replaced")
    with pytest.warns(RuntimeWarning, match=message) as warned:
        assert_right(digits)
    assert len(warned) == 1
    assert_right(digits)
    assert path.read_bytes() == content


def test_a_digits_file_holds_another_one(unpacked, digits):
    path = raw(unpacked) / "t10k-labels-idx1-ubyte"
    path.unlink()
    os.link(raw(unpacked) / "train-labels-idx1-ubyte", path)
    with pytest.warns(RuntimeWarning, match="was damaged and has been replaced"):
        assert_right(digits)
    assert_right(digits)


@pytest.mark.parametrize("target", ["nowhere", "t10k-labels-idx1-ubyte"])
def test_a_digits_file_is_a_broken_link(unpacked, digits, target):
    path = raw(unpacked) / "t10k-labels-idx1-ubyte"
    path.unlink()
    path.symlink_to(target)
    assert_right(digits)
    assert not path.is_symlink()


@pytest.mark.parametrize("name", ["t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_a_folder_is_in_place_of_a_digits_file(unpacked, digits, name):
    path = raw(unpacked) / name
    path.unlink()
    (path / "inside").mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="cannot be written") as warned:
        assert_right(digits)
    assert str(path) in str(warned[0].message)
    assert (path / "inside").is_dir()


@pytest.mark.parametrize("part", ["MNIST", "MNIST/raw"])
def test_a_file_is_in_place_of_a_folder(own_cache, digits, part):
    path = own_cache / part
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.warns(RuntimeWarning, match="cannot be written") as warned:
        assert_right(digits)
    assert str(own_cache) in str(warned[0].message)
    assert path.read_text() == "mine"


def test_the_disk_is_full_for_the_digits(mount, monkeypatch, digits):
    """And when it has room again, it is used."""
    disk = mount("size=20M")
    monkeypatch.setenv("CNNVIZ_CACHE", str(disk / "cache"))
    with pytest.warns(RuntimeWarning, match="cannot be written .*No space") as warned:
        assert_right(digits)
    assert str(disk) in str(warned[0].message)
    assert leftovers(disk) == []
    mount("remount,size=80M")
    assert_right(digits)
    assert len(list(raw(disk / "cache").iterdir())) == 4


def test_there_is_no_room_anywhere(mount, monkeypatch):
    disk = mount("size=20M")
    monkeypatch.setenv("CNNVIZ_CACHE", str(disk / "cache"))
    monkeypatch.setattr(datasets, "_temporary_folder", lambda: disk / "temporary")
    with (
        pytest.warns(RuntimeWarning, match="cannot be written"),
        pytest.raises(OSError, match="No space left"),
    ):
        datasets.mnist()
    assert leftovers(disk) == []


@pytest.fixture
def read_only_home(mount, monkeypatch):
    home = mount("ro,size=1M")
    for name in ("CNNVIZ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return home


def test_the_home_is_read_only(read_only_home, digits, trained):
    message = re.escape(str(read_only_home)) + ".*cannot be written .*Read-only"
    with pytest.warns(RuntimeWarning, match=message):
        assert_right(digits)
    with pytest.warns(RuntimeWarning, match=message):
        assert_trained_as(trained)
    assert list(read_only_home.iterdir()) == []


def test_a_whole_cache_is_read_only(mount, monkeypatch, digits, trained):
    disk = mount("size=80M")
    monkeypatch.setenv("CNNVIZ_CACHE", str(disk))
    assert_right(digits)
    assert_trained_as(trained)
    mount("remount,ro")
    assert_right(digits)
    with pytest.warns(RuntimeWarning, match="cannot be written .*Read-only"):
        assert_trained_as(trained)


# --- trained networks ---------------------------------------------------------------


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
    assert len(leftovers(own_cache)) == 1
    assert_trained_as(trained)
    assert leftovers(own_cache) == []
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
    waiting.join(120)
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
        content = training._checksum(path, content) + content
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
    path.write_bytes(training._checksum(path, content) + content)
    assert_mended(own_cache, trained, monkeypatch)


def test_a_folder_is_in_place_of_a_network(own_cache, trained):
    train()
    path = the_file(own_cache)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    with pytest.warns(UserWarning, match="is damaged|cannot be kept") as warned:
        assert_trained_as(trained)
    assert str(warned[1].message).startswith(
        f"the trained network cannot be kept as {path}"
    )
    assert (path / "inside").is_dir()


def test_a_folder_is_in_place_of_a_lock(own_cache, trained, monkeypatch):
    train()
    path = the_file(own_cache)
    lock = path.with_suffix(".lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    path.unlink()
    for _ in range(2):
        with pytest.warns(UserWarning, match=re.escape(f"{lock} cannot be locked")):
            assert_trained_as(trained)
    assert path.exists()


def test_a_lock_and_a_part_hold_something_else(own_cache, trained, monkeypatch):
    train()
    path = the_file(own_cache)
    path.with_suffix(".lock").write_text("mine")
    path.with_suffix(".part").write_text("half a network")
    path.unlink()
    assert_trained_as(trained)
    assert leftovers(own_cache) == []
    assert_read(trained, monkeypatch)


def test_a_file_is_in_place_of_the_networks(own_cache, trained):
    own_cache.mkdir()
    (own_cache / "trained").write_text("mine")
    with pytest.warns(UserWarning, match="cannot be locked|be kept") as warned:
        assert_trained_as(trained)
    assert "cannot be kept" in str(warned[1].message)
    assert (own_cache / "trained").read_text() == "mine"


def test_the_disk_is_full_for_a_network(mount, monkeypatch, trained):
    disk = mount("size=4k")
    monkeypatch.setenv("CNNVIZ_CACHE", str(disk))
    with pytest.warns(UserWarning, match="cannot be kept .*No space left") as warned:
        assert_trained_as(trained)
    assert str(disk) in str(warned[0].message)
    assert list(disk.glob("trained/*.pt")) == leftovers(disk) == []
    mount("remount,size=1M")
    assert_trained_as(trained)
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

"""Training and evaluation: reproducible, cached by content, and counted right."""

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from cnnviz import training
from cnnviz.training import evaluate, fit


class Linear(nn.Sequential):
    """The smallest classifier with dropout and state beyond its parameters."""

    def __init__(self):
        super().__init__(
            nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 3)
        )


def make_model(seed=0):
    torch.manual_seed(seed)
    return Linear()


@pytest.fixture(scope="module")
def data():
    """Three classes that differ in which pixels are bright."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=generator)
    images = torch.rand(300, 1, 4, 4, generator=generator)
    images[torch.arange(300), 0, labels, labels] += 2
    return images, labels


def same_state(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns(data):
    model = make_model()
    before = evaluate(model, *data).accuracy
    history = fit(model, *data, epochs=8, batch_size=32, progress=False)
    assert evaluate(model, *data).accuracy > 0.95 > before
    assert len(history.loss) == len(history.learning_rate) == 8 * 10
    assert history.loss[-1] < history.loss[0]
    assert max(history.learning_rate) == pytest.approx(0.02)
    assert not model.training


def test_one_seed_gives_one_result(data):
    first, second, other = make_model(), make_model(), make_model()
    histories = [
        fit(model, *data, batch_size=50, seed=seed, progress=False)
        for model, seed in ((first, 4), (second, 4), (other, 5))
    ]
    assert same_state(first, second)
    assert histories[0].loss == histories[1].loss
    assert not same_state(first, other)


def test_the_callers_random_numbers_are_left_alone(data):
    torch.manual_seed(3)
    expected = torch.rand(4)
    model = make_model()
    torch.manual_seed(3)
    fit(model, *data, progress=False)
    assert torch.equal(torch.rand(4), expected)


def test_first_step_is_adamws(data):
    """One step of one batch, redone with plain torch."""
    images, labels = data
    model, expected = make_model(), make_model()
    expected[2].p = model[2].p = 0.0
    fit(model, images, labels, epochs=1, batch_size=300, progress=False)
    optimizer = torch.optim.AdamW(expected.parameters(), 0.02, weight_decay=0.01)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=1)
    F.cross_entropy(expected(images), labels).backward()
    optimizer.step()
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_snapshots_are_the_model_on_its_way(data):
    model, initial = make_model(), make_model()
    history = fit(
        model, *data, epochs=2, batch_size=100, snapshots=(6, 0, 3), progress=False
    )
    assert list(history.snapshots) == [0, 3, 6]
    shorter = make_model()
    shorter.load_state_dict(history.snapshots[0])
    assert same_state(shorter, initial)
    shorter.load_state_dict(history.snapshots[6])
    assert same_state(shorter, model)


def test_a_kept_result_is_read_and_not_made_again(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    first, second = make_model(), make_model()
    settings = {"snapshots": (0, 2), "cache": True, "progress": False}
    made = fit(first, *data, **settings)
    monkeypatch.setattr(training, "_train", None)
    read = fit(second, *data, **settings)
    assert same_state(first, second)
    assert not second.training
    assert (read.loss, read.learning_rate, read.seconds) == (
        made.loss,
        made.learning_rate,
        made.seconds,
    )
    assert all(
        torch.equal(made.snapshots[step][name], value)
        for step, state in read.snapshots.items()
        for name, value in state.items()
    )


@pytest.mark.parametrize(
    "change", ["weights", "frozen", "image", "label", "epochs", "seed"]
)
def test_another_cause_is_another_result(data, tmp_path, monkeypatch, change):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    fit(make_model(), *data, cache=True, progress=False)
    images, labels = (tensor.clone() for tensor in data)
    model, settings = make_model(), {}
    if change == "weights":
        model = make_model(1)
    elif change == "frozen":
        next(model.parameters()).requires_grad = False
    elif change == "image":
        images[7, 0, 0, 0] += 1e-6
    elif change == "label":
        labels[7] = (labels[7] + 1) % 3
    else:
        settings[change] = 1
    fit(model, images, labels, cache=True, progress=False, **settings)
    assert len(list(tmp_path.glob("trained/*.pt"))) == 2


@pytest.mark.parametrize("damage", [b"", b"not a network", "half"])
def test_a_damaged_result_is_replaced(data, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    expected = make_model()
    fit(expected, *data, cache=True, progress=False)
    (path,) = tmp_path.glob("trained/*.pt")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "half" else damage)
    model = make_model()
    with pytest.warns(UserWarning, match=r"is damaged .*: training again"):
        fit(model, *data, cache=True, progress=False)
    assert same_state(model, expected)
    fit(make_model(), *data, cache=True, progress=False)


@pytest.mark.unmutated
def test_two_at_once_train_once(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    calls = []
    train = training._train
    monkeypatch.setattr(
        training, "_train", lambda *a, **k: (calls.append(1), train(*a, **k))[1]
    )
    models = [make_model(), make_model()]
    threads = [
        threading.Thread(
            target=fit, args=(model, *data), kwargs={"cache": True, "progress": False}
        )
        for model in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert same_state(*models)


def test_evaluation_counts(data):
    model = make_model()
    images, labels = data
    result = evaluate(model, images, labels, batch_size=7)
    assert model.training
    model.eval()
    logits = model(images).detach()
    torch.testing.assert_close(result.logits, logits)
    predictions = logits.numpy().argmax(1)
    np.testing.assert_array_equal(result.predictions, predictions)
    assert result.accuracy == pytest.approx(np.mean(predictions == labels.numpy()))
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item())
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (labels.numpy(), predictions), 1)
    np.testing.assert_array_equal(result.confusion_matrix, expected)
    np.testing.assert_array_equal(
        result.mistakes, np.flatnonzero(predictions != labels.numpy())
    )
    np.testing.assert_allclose(result.probabilities.sum(1), 1, rtol=1e-6)


def test_progress_is_shown_when_asked(data, capsys):
    fit(make_model(), *data, epochs=1)
    assert "training: 100%" in capsys.readouterr().err
    fit(make_model(), *data, epochs=1, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"images": np.zeros((2, 1, 4, 4))},
            TypeError,
            "images must be a torch.Tensor",
        ),
        ({"images": torch.zeros(300)}, ValueError, r"images .*\(N, C, H, W\)"),
        ({"images": torch.zeros(0, 1, 4, 4)}, ValueError, "images must be"),
        ({"images": torch.full((300, 1, 4, 4), torch.nan)}, ValueError, "images .*NaN"),
        ({"labels": torch.zeros(299, dtype=torch.int64)}, ValueError, r"\(300,\)"),
        ({"labels": torch.zeros(300)}, ValueError, "labels must be an int64"),
        ({"labels": torch.full((300,), -1)}, ValueError, "labels .*from 0 on, got -1"),
        ({"model": "CNN"}, TypeError, r"model must be a torch\.nn\.Module, got str"),
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be a finite"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be .* at least 0"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0, got -1"),
        ({"seed": 2**64}, ValueError, "seed must be an integer below"),
        ({"snapshots": None}, TypeError, "snapshots must be an iterable of integers"),
        ({"labels": torch.full((300,), 5)}, ValueError, "labels .*largest label of 5"),
        ({"model": nn.Flatten()}, ValueError, "model must be .*parameters to train"),
        ({"weight_decay": 1e300}, ValueError, "weight_decay, small enough"),
        ({"learning_rate": 10**400}, ValueError, "learning_rate must be a finite"),
        ({"snapshots": [99]}, ValueError, "snapshots must be at most the 4 steps"),
        (
            {"learning_rate": 1e30},
            ValueError,
            "learning_rate must be with weight_decay, small",
        ),
    ],
)
def test_bad_input_is_named(data, change, error, message):
    arguments = {"model": make_model(), "images": data[0], "labels": data[1]} | change
    with pytest.raises(error, match=message):
        fit(**arguments, progress=False)


def test_labels_beyond_the_models_classes_are_named(data):
    with pytest.raises(
        ValueError, match=r"labels must be classes .*largest label of 3"
    ):
        evaluate(make_model(), data[0], data[1] + 1)
    with pytest.raises(ValueError, match="batch_size must be"):
        evaluate(make_model(), *data, batch_size=0)


class Returns(nn.Module):
    """A model that returns whatever it is told to."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: (x, x), "model must be .*one tensor of floats, got tuple"),
        (lambda x: x[:, 0, 0].long(), "model must be .*one tensor of floats"),
        (lambda x: x[:1, 0, 0], r"model must be .*\(300, classes\).*\(1, 4\)"),
        (lambda x: x, r"model must be .*output of shape \(300, 1, 4, 4\)"),
    ],
)
def test_a_model_that_is_no_classifier_is_named(data, make, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Returns(make), *data)


def test_a_failure_leaves_the_model_as_it_was(data):
    model = make_model().eval()
    model[1].train()
    before = make_model()
    with pytest.raises(ValueError, match="small enough"):
        fit(model, *data, learning_rate=1e30, progress=False)
    assert same_state(model, before)
    assert [module.training for module in model] == [False, True, False, False]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_keeps_the_mode_of_every_module(data):
    model = make_model()
    model[1].eval()
    evaluate(model, *data)
    assert [module.training for module in model] == [True, False, True, True]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_evaluation_follows_from_scores(data):
    classes, count = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    scores = data.draw(
        arrays(np.float32, (count, classes), elements=st.floats(-9, 9, width=32))
    )
    labels = data.draw(arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    images = torch.tensor(scores).view(count, classes, 1, 1)
    batch_size = data.draw(st.integers(1, 15))
    result = evaluate(nn.Flatten(), images, torch.tensor(labels), batch_size=batch_size)
    np.testing.assert_array_equal(result.logits, scores)
    np.testing.assert_array_equal(result.labels, labels)
    exponents = np.exp(scores.astype(np.float64))
    chances = exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.probabilities, chances, rtol=1e-4, atol=1e-7)
    of_truth = chances[np.arange(count), labels]
    assert result.loss == pytest.approx(-np.log(of_truth).mean(), rel=1e-4, abs=1e-5)
    answers = scores.argmax(axis=1)
    np.testing.assert_array_equal(result.predictions, answers)
    assert result.accuracy == pytest.approx((answers == labels).mean())
    assert set(result.mistakes.tolist()) == set(np.flatnonzero(answers != labels))
    matrix = result.confusion_matrix.numpy()
    assert matrix.shape == (classes, classes)
    for true in range(classes):
        for said in range(classes):
            assert matrix[true, said] == np.sum((labels == true) & (answers == said))


@given(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**63 - 1)
)
@settings(max_examples=15, deadline=None)
def test_a_history_has_a_loss_and_a_rate_a_step(epochs, count, batch_size, seed):
    generator = torch.Generator().manual_seed(count)
    images = torch.rand(count, 1, 2, 2, generator=generator)
    labels = torch.arange(count) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = epochs * -(-count // batch_size)
    history = fit(
        model,
        images,
        labels,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        learning_rate=0.02,
        snapshots=range(steps + 1),
        progress=False,
    )
    assert len(history.loss) == len(history.learning_rate) == steps
    assert max(history.learning_rate) <= 0.02 + 1e-9
    assert sorted(history.snapshots) == list(range(steps + 1))
    for name, value in model.state_dict().items():
        assert torch.equal(history.snapshots[0][name], before[name])
        assert torch.equal(history.snapshots[steps][name], value)
    assert history.seconds > 0
    if (
        batch_size >= count
    ):  # a step sees all images, so its loss is that of the snapshot
        for step, loss in enumerate(history.loss):
            model.load_state_dict(history.snapshots[step])
            assert evaluate(model, images, labels).loss == pytest.approx(loss, rel=1e-4)


class Viewing(nn.Module):
    """A network as in tutorials: what its convolutions give is seen as one vector."""

    def __init__(self, dimensions=2, size=4):
        super().__init__()
        convolution = getattr(nn, f"Conv{dimensions}d")
        self.conv = convolution(1, 4, 3, padding=1)
        self.pool = getattr(nn, f"MaxPool{dimensions}d")(2)
        self.fc = nn.Linear(4 * (size // 2) ** dimensions, 3)
        self.seen = []

    def forward(self, x):
        x = self.pool(torch.relu(self.conv(x)))
        self.seen.append((x.is_contiguous(), self.conv.weight.is_contiguous()))
        return self.fc(x.view(x.size(0), -1))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_any_network_is_trained_as_it_is(data, dimensions):
    """What it sees lies in memory as without us; plain PyTorch trains it, too."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(300, 1, *[4] * dimensions, generator=generator)
    model = Viewing(dimensions)
    fit(model, images, data[1], progress=False)
    assert set(model.seen) == {(True, True)}


def test_a_user_s_memory_format_stays(data):
    model = Viewing().to(memory_format=torch.channels_last)
    before = {name: p.stride() for name, p in model.named_parameters()}
    model.fc = nn.Sequential(nn.Flatten(), model.fc)
    model.forward = lambda x: model.fc(model.pool(torch.relu(model.conv(x))))
    fit(model, *data, progress=False)
    after = {name.replace("fc.1", "fc"): p for name, p in model.named_parameters()}
    assert {name: p.stride() for name, p in after.items()} == before


def test_inference_mode_changes_nothing(data):
    model, expected = make_model(), make_model()
    fit(expected, *data, progress=False)
    with torch.inference_mode():
        fit(model, *data, progress=False)
        images = data[0].clone()
        made_inside = make_model()
        with pytest.raises(ValueError, match=r"made outside torch\.inference_mode"):
            fit(made_inside, *data, progress=False)
    assert same_state(model, expected)
    again = make_model()
    fit(again, images, data[1], progress=False)
    assert same_state(again, expected)


def test_the_seed_gives_every_network_the_same_batches(data):
    """Whether it has dropout, or draws other random numbers."""

    class Noisy(nn.Sequential):
        def forward(self, x):
            self.seen = [*getattr(self, "seen", []), x.clone()]
            return super().forward(x + 0 * torch.rand(1))

    plain = Noisy(nn.Flatten(), nn.Linear(16, 3))
    dropped = Noisy(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3))
    for model in (plain, dropped):
        fit(model, *data, epochs=3, batch_size=64, progress=False)
    for ours, theirs in zip(plain.seen, dropped.seen, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(plain.seen[1], plain.seen[6])


def test_epochs_and_validation_are_recorded(data):
    """As a loop of plain PyTorch finds them."""
    images, labels = data
    model, expected = make_model(), make_model()
    expected[2].p = model[2].p = 0.0
    rest = images[200:], labels[200:]
    settings = {"epochs": 3, "batch_size": 50, "progress": False, "snapshots": (4, 12)}
    history = fit(model, images[:200], labels[:200], validation=rest, **settings)
    assert len(history.epoch_loss) == len(history.validation_accuracy) == 3
    for epoch, loss in enumerate(history.epoch_loss):
        batches = history.loss[4 * epoch : 4 * epoch + 4]
        assert loss == pytest.approx(sum(batches) / 4)
    for index, step in ((0, 4), (2, 12)):
        expected.load_state_dict(history.snapshots[step])
        scores = expected.eval()(rest[0]).detach()
        loss = F.cross_entropy(scores, rest[1]).item()
        assert history.validation_loss[index] == pytest.approx(loss, abs=1e-6)
        right = (scores.argmax(1) == rest[1]).float().mean().item()
        assert history.validation_accuracy[index] == pytest.approx(right)
    assert 0 < history.epoch_accuracy[0] < history.epoch_accuracy[-1] <= 1
    without = make_model()
    without[2].p = 0.0
    assert fit(without, images[:200], labels[:200], **settings).validation_loss == []
    assert same_state(without, model)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ("images", r"validation must be a pair \(images, labels\), got str"),
        ((torch.zeros(2, 1, 4, 4),) * 2, "validation: labels must be an int64"),
        ((torch.zeros(2, 3, 4, 4), torch.zeros(2).long()), r"images \(N, 1, 4, 4\)"),
        ((torch.zeros(2, 1, 4, 4), torch.full((2,), 7)), "largest label of 7"),
    ],
)
def test_bad_validation_is_named(data, validation, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fit(make_model(), *data, validation=validation, progress=False)


def scaled(k):
    """Return a class whose source is one, and whose scale is another."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.fc = nn.Linear(16, 3)

        def forward(self, x):
            return self.fc(x.flatten(1) * k)

    return Scaled()


class Keeping(nn.Module):
    """Keeps things that no `state_dict` has."""

    def __init__(self, **kept):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(16, 3)
        self.k, self.act, self.table = 1.0, torch.relu, {"k": [1]}
        self.register_buffer("mask", torch.ones(16), persistent=False)
        for name, value in kept.items():
            setattr(self, name, value)

    def forward(self, x):
        x = x.flatten(1) * self.mask * self.k * self.table["k"][0]
        return self.fc(self.act(x))


def changed(name, value):
    return lambda: Keeping(**{name: value})


def patched():
    model = Keeping()
    model.forward = lambda x: Keeping.forward(model, x * 0.1)
    return model


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Keeping, changed("k", 100.0)),
        (Keeping, changed("act", torch.tanh)),
        (Keeping, changed("mask", torch.arange(16.0))),
        (Keeping, changed("table", {"k": [5]})),
        (changed("act", lambda x: x), changed("act", lambda x: -x)),
        (changed("extra", torch.ones(2)), changed("extra", torch.zeros(2))),
        (lambda: scaled(1.0), lambda: scaled(3.0)),
    ],
)
def test_another_network_s_result_is_never_taken(
    data, tmp_path, monkeypatch, one, other
):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    for make in (one, other):
        kept = make()
        fit(kept, *data, cache=True, progress=False)
        again = make()
        with monkeypatch.context() as patch:
            patch.setattr(training, "_train", None)
            fit(again, *data, cache=True, progress=False)
        assert same_state(kept, again)
    assert len(list(tmp_path.glob("trained/*.pt"))) == 2


def hooked():
    model = Keeping()
    model.register_forward_hook(lambda module, inputs, output: 2 * output)
    return model


def parametrised():
    model = Keeping()
    nn.utils.parametrizations.weight_norm(model.fc)
    return model


@pytest.mark.parametrize(
    "make", [hooked, parametrised, patched, changed("rows", iter([]))]
)
def test_what_can_t_be_told_apart_is_trained_and_not_kept(
    data, tmp_path, monkeypatch, make
):
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    model = make()
    before = evaluate(model, *data).loss
    with pytest.warns(UserWarning, match="cannot be kept, since"):
        fit(model, *data, cache=True, progress=False)
    assert evaluate(model, *data).loss < before
    assert list(tmp_path.glob("trained/*.pt")) == []


def test_a_class_without_a_source_is_kept(data, tmp_path, monkeypatch):
    """Such as one of a notebook's cell, or of `python -c`."""
    monkeypatch.setenv("CNNVIZ_CACHE", str(tmp_path))
    source = (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        torch.manual_seed(0)\n"
        "        self.fc = nn.Linear(16, 3)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x.flatten(1) * {})\n"
    )
    for k in (1, 2):
        space = {"nn": nn, "torch": torch, "__name__": "__main__"}
        exec(source.format(k), space)
        fit(space["Net"](), *data, cache=True, progress=False)
    assert len(list(tmp_path.glob("trained/*.pt"))) == 2

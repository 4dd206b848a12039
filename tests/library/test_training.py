"""Training and evaluation: reproducible, as plain PyTorch does it, counted right."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

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
        (
            {"images": torch.zeros(300, 3)},
            ValueError,
            "images .*model takes, .*3 elements",
        ),
        ({"images": torch.ones(300, 16).to_sparse()}, ValueError, "images .*dense"),
        ({"labels": torch.zeros(300, device="meta")}, ValueError, "labels .*values"),
        ({"validation": "no"}, TypeError, r"validation must be a pair \(images, lab"),
        (
            {"validation": (torch.zeros(1, 9), torch.tensor([0]))},
            ValueError,
            "validation's images .*model takes, .*9 elements",
        ),
        (
            {"validation": (torch.zeros(1, 16), torch.tensor([3]))},
            ValueError,
            "validation's labels .*largest label of 3",
        ),
        (
            {"validation": (torch.zeros(2, 16), torch.tensor([3]))},
            ValueError,
            r"validation's labels .*\(2,\)",
        ),
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
@settings(max_examples=30)
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
@settings(max_examples=15)
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


# --- models of all kinds ------------------------------------------------------------


def train_plainly(model, images, labels, *, epochs, batch_size):
    """What `fit` does with its other settings left alone, in plain PyTorch."""
    order = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    batches = [
        batch
        for _ in range(epochs)
        for batch in torch.randperm(len(images), generator=order).split(batch_size)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), 0.02, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.02, total_steps=len(batches)
    )
    model.train()
    for batch in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()


class Then(nn.Module):
    """Layers with a function between them."""

    def __init__(self, first, function, last, **attributes):
        super().__init__()
        self.first, self.function, self.last = first, function, last
        vars(self).update(attributes)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


class Frozen(Linear):
    """A network whose normalisation stays as it is, as its own `train` sees to."""

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(16, 16), nn.Linear(16, 16)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.other(self.one(x.flatten(1)).relu())[:, :3]


def flat(x):
    return x.view(x.size(0), -1)


def partly_frozen():
    model = Linear()
    model[1].requires_grad_(False)
    return model


MODELS = {
    "view after pooling": lambda: Then(
        nn.Sequential(nn.Conv2d(1, 4, 2), nn.MaxPool2d(2)), flat, nn.Linear(4, 3)
    ),
    "Conv1d": lambda: Then(nn.Conv1d(4, 5, 2), flat, nn.Linear(15, 3)),
    "Conv3d": lambda: Then(nn.Conv3d(1, 2, (1, 2, 2)), flat, nn.Linear(18, 3)),
    "flat": lambda: nn.Linear(16, 3),
    "double": lambda: Linear().double(),
    "bfloat16": lambda: Linear().bfloat16(),
    "GRU": lambda: Then(
        nn.GRU(4, 5, batch_first=True), lambda x: x[1][0], nn.Linear(5, 3)
    ),
    "channels last": lambda: Then(
        nn.Conv2d(1, 4, 2), nn.Flatten(), nn.Linear(36, 3)
    ).to(memory_format=torch.channels_last),
    "lazy": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)),
    "tied": Tied,
    "partly frozen": partly_frozen,
    "a train of its own": Frozen,
    "weight norm": lambda: nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(16, 3))
    ),
    "hidden methods": lambda: Then(
        nn.Flatten(),
        F.relu,
        nn.Linear(16, 3),
        parameters={},
        modules=[],
        eval=1,
        train=2,
    ),
    "squeezed": lambda: Then(nn.Conv2d(1, 3, 4), torch.squeeze, nn.Identity()),
}
SHAPES = {"Conv1d": (4, 4), "GRU": (4, 4), "Conv3d": (1, 1, 4, 4), "flat": (16,)}
DTYPES = {"double": torch.float64, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_any_model_is_trained_as_plain_torch_trains_it(data, kind, mode):
    images, labels = data
    images = images.view(300, *SHAPES.get(kind, (1, 4, 4))).to(DTYPES.get(kind))
    torch.manual_seed(0)
    model, expected = MODELS[kind](), None
    evaluate(model, images, labels)  # lazy layers get their weights
    expected = copy.deepcopy(model)
    with mode():
        fit(model, images, labels, epochs=2, batch_size=80, progress=False)
    for name in ("parameters", "modules", "train"):
        vars(expected).pop(name, None)
    train_plainly(expected, images, labels, epochs=2, batch_size=80)
    state, right = model.state_dict(), expected.state_dict()
    assert list(state) == list(right)
    for name, value in state.items():
        assert torch.equal(value, right[name])
        assert value.stride() == right[name].stride()
    assert not any(module.training for module in nn.Module.modules(model))


class Watching(nn.Module):
    """A network that keeps what it is given in training."""

    def __init__(self, dropout):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, 2), nn.Dropout(dropout), nn.Flatten(), nn.Linear(18, 3)
        )
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen.append((x.clone(), x.stride(), self.layers[0].weight.stride()))
        return self.layers(x)


def test_the_same_seed_gives_the_same_batches_to_any_model(data):
    dry, wet = Watching(0), Watching(0.5)
    for model in (dry, wet):
        fit(model, *data, epochs=3, batch_size=70, seed=6, progress=False)
    assert len(dry.seen) == len(wet.seen) == 15
    for (one, *_), (other, *_) in zip(dry.seen, wet.seen, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(dry.seen[0][0], dry.seen[5][0])


def test_a_model_sees_no_other_memory_format_than_its_own(data):
    model = Watching(0)
    weight = model.layers[0].weight.stride()
    fit(model, *data, progress=False)
    assert all(w == weight and x == (16, 16, 4, 1) for _, x, w in model.seen)


def test_weights_made_in_inference_mode_are_refused(data):
    with torch.inference_mode():
        model = make_model()
        with pytest.raises(ValueError, match=r"made outside of torch\.inference_mode"):
            fit(model, *data, progress=False)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Then(nn.Flatten(), lambda x: x.detach(), nn.Linear(16, 3)).requires_grad_(
                False
            ),
            "parameters to train",
        ),
        (
            Then(
                nn.Linear(4, 4), lambda x: x.detach().flatten(1)[:, :3], nn.Identity()
            ),
            "scores depend on its weights, got scores without",
        ),
        (nn.Sequential(nn.Flatten(), nn.GRU(16, 3)), "one tensor of floats, got tuple"),
        (Linear().double(), "images must be what the model takes, .*float32"),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), "model of finite weights"),
    ],
)
def test_a_model_that_cannot_be_trained_is_named(data, model, message):
    if "finite" in message:
        nn.init.constant_(model[1].bias, torch.nan)
    with pytest.raises(ValueError, match=message):
        fit(model, *data, progress=False)


def test_a_last_batch_too_small_for_the_model_is_named(data):
    model, before = make_model(), make_model()
    with pytest.raises(
        ValueError, match=r"images must .*\(1, 1, 4, 4\).*more than 1 val"
    ):
        fit(model, *data, batch_size=299, progress=False)
    assert same_state(model, before)


def test_an_interrupted_training_leaves_the_model_as_it_was(data):
    def interrupt(x):
        if x.requires_grad and len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(x)
        return x

    calls = []
    model = Then(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), interrupt, nn.Identity()
    )
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(KeyboardInterrupt):
        fit(model, *data, batch_size=50, progress=False)
    assert len(calls) == 3
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert model.training


def test_a_learning_rate_of_zero_changes_no_weight(data):
    model, before = make_model(), make_model()
    fit(model, *data, learning_rate=0, progress=False)
    for one, other in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)


def test_images_that_want_a_gradient_get_none(data):
    images = data[0].clone().requires_grad_()
    fit(make_model(), images, data[1], progress=False)
    assert images.grad is None


# --- epochs and validation ----------------------------------------------------------


class Noisy(Linear):
    """A network that draws random numbers in evaluation mode, too."""

    def forward(self, x):
        return super().forward(F.dropout(x, 0.1, training=True))


def test_epochs_are_means_over_all_images(data):
    """Weights that stay as they are give in training what they give afterwards."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    history = fit(
        model, *data, learning_rate=0, batch_size=80, epochs=3, progress=False
    )
    result = evaluate(model, *data)
    assert history.epoch_loss == pytest.approx([result.loss] * 3)
    assert history.epoch_accuracy == pytest.approx([result.accuracy] * 3)
    assert history.validation_loss == history.validation_accuracy == []


def test_validation_is_evaluation_after_each_epoch(data):
    images, labels = data
    validation = (images[:90] + 0.5, labels[:90])
    model = make_model()
    history = fit(
        model,
        *data,
        validation=validation,
        batch_size=100,
        snapshots=(3, 6),
        progress=False,
    )
    for epoch, state in enumerate(history.snapshots.values()):
        model.load_state_dict(state)
        result = evaluate(model, *validation)
        assert history.validation_loss[epoch] == pytest.approx(result.loss)
        assert history.validation_accuracy[epoch] == result.accuracy
    assert len(history.validation_loss) == len(history.epoch_loss) == 2


@pytest.mark.parametrize("make", [Linear, Noisy])
def test_validation_changes_nothing_that_is_learned(data, make):
    models = []
    for validation in (None, data):
        torch.manual_seed(0)
        models.append(make())
        fit(models[-1], *data, validation=validation, progress=False)
    assert same_state(*models)

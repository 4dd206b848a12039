"""Training, step by step, in a browser, against what the weights say in PyTorch."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import playing
from cnnviz import live
from cnnviz.training import History, evaluate, fit

TAG = "cnn-training-steps"
STEPS = (0, 2, 9)
DIGITS = torch.rand(90, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = (DIGITS[:, 0, :3].mean(dim=(1, 2)) * 8).long().clamp(2, 5) - 2


def trained(model, learning_rate):
    history = fit(
        model,
        DIGITS,
        LABELS,
        epochs=3,
        batch_size=30,
        learning_rate=learning_rate,
        snapshots=STEPS,
        progress=False,
    )
    return model, history


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 4))
    conv = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return {"dense": trained(dense, 0.01), "conv": trained(conv, 0.05)}


@pytest.fixture(scope="module")
def figure(models):
    return live.training_steps(models, DIGITS, LABELS, filters=2, digits=5)


def answers(models, name, step):
    model, history = models[name]
    model = copy.deepcopy(model)
    model.load_state_dict(history.snapshots[step])
    return evaluate(model, DIGITS, LABELS)


def test_each_step_shows_what_evaluate_gives(open_figure, models, figure):
    page = open_figure(figure)
    for number, step in enumerate(STEPS):
        playing.put(page, checkpoint=number)
        assert page.locator("b").inner_text() == str(step)
        panels = page.locator(".panels > *")
        assert panels.count() == len(models)
        for name, panel in zip(models, panels.all(), strict=True):
            answer = answers(models, name, step)
            title = panel.locator(".title").inner_text()
            assert title == f"{name}: {answer.accuracy:.2%} right"
            cells = panel.locator(".cell").all_inner_texts()
            table = np.array(cells).reshape(5, 5)
            assert table[0, 1:].tolist() == table[1:, 0].tolist() == list("0123")
            counts = np.where(table[1:, 1:] == "", "0", table[1:, 1:]).astype(int)
            np.testing.assert_array_equal(counts, answer.confusion_matrix)


def test_the_weights_are_those_kept_to_an_eighth_bit(open_figure, models, figure):
    page = open_figure(figure)
    shown = page.evaluate(
        "tag => document.querySelector(tag).nets.map(net => net.weights.map("
        "maps => maps.map(map => Array.from(map.data))))",
        TAG,
    )
    for (name, key), drawn in zip(
        {"dense": "1.weight", "conv": "0.weight"}.items(), shown, strict=True
    ):
        for step, maps in zip(STEPS, drawn, strict=True):
            kept = models[name][1].snapshots[step][key][:2].flatten(1).numpy()
            largest = np.abs(kept).max(axis=1, keepdims=True)
            assert (np.abs(maps - kept) <= largest / 254 * 1.001).all()


def test_examples_are_digits_of_the_cell_in_sixteen_shades(open_figure, models, figure):
    page = open_figure(figure, "#training-steps?checkpoint=0")
    answer = answers(models, "dense", 0)
    errors = answer.confusion_matrix.fill_diagonal_(0)
    true, said = divmod(errors.argmax().item(), 4)
    playing.put(page, cell=f"{true},{said}")
    panel = page.locator(".panels > *").first
    text = f"dense, true {true}, answer {said}: {errors.max()}"
    assert panel.locator("p").inner_text() == text
    pictures = panel.locator(".examples canvas").evaluate_all(
        "all => all.map(c => Array.from(c.getContext('2d').getImageData(0, 0, c.width,"
        " c.height).data).filter((_, i) => i % 4 === 0))"
    )
    assert len(pictures) == min(6, errors.max())
    chosen = (answer.labels == true) & (answer.predictions == said)
    shades = (DIGITS[chosen].flatten(1) * 15).round() * 17
    for picture in pictures:
        assert np.abs(shades.numpy() - picture).max(axis=1).min() < 1


@pytest.mark.parametrize("choice", ["least sure", "most wrong"])
def test_doubtful_digits_are_the_least_of_all(open_figure, models, figure, choice):
    page = open_figure(figure)
    for number, step in enumerate(STEPS):
        playing.put(page, checkpoint=number, doubts=f"{choice} at this step")
        both = [answers(models, name, step) for name in models]
        if choice == "least sure":
            score = sum(answer.probabilities.amax(dim=1) for answer in both)
        else:
            score = sum(a.probabilities[range(90), LABELS] for a in both)
        expected = []
        for index in score.argsort(stable=True)[:5]:
            lines = [f"a {LABELS[index]}"]
            for name, answer in zip(models, both, strict=True):
                said = answer.predictions[index]
                mark = "" if said == LABELS[index] else "✗"
                chance = answer.probabilities[index].max()
                lines.append(f"{name} {said}{mark} {chance:.0%}")
            expected.append("\n".join(lines))
        cards = page.locator(".digits > *").all_inner_texts()
        assert [card.strip() for card in cards] == expected


def test_digits_of_the_end_stay_while_their_answers_change(open_figure, figure):
    page = open_figure(figure)
    cards = []
    for number in range(3):
        playing.put(page, checkpoint=number, doubts="most wrong in the end")
        cards.append(page.locator(".digits > *").all_inner_texts())
    labels = [[card.strip().split("\n")[0] for card in step] for step in cards]
    assert labels[0] == labels[1] == labels[2]
    assert cards[0] != cards[1] != cards[2]


def test_the_slider_goes_by_keyboard(open_figure, figure):
    page = open_figure(figure)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    playing.wait_until(page, "({state}) => state.checkpoint === 1")
    playing.drawn(page)
    assert page.locator("b").inner_text() == "2"
    assert slider.get_attribute("aria-valuetext") == "2"


def test_cells_are_chosen_by_arrow_keys_and_by_touch(open_figure, figure):
    page = open_figure(figure, "#training-steps?cell=1,1", has_touch=True)
    table = page.get_by_role("application").first
    table.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    playing.drawn(page)
    assert playing.state(page)["cell"] == "2,3"
    box = table.bounding_box()
    cell = box["width"] / 5
    table.tap(position={"x": 1.5 * cell, "y": 4.5 * cell})
    assert playing.state(page)["cell"] == "3,0"
    table.tap(position={"x": 0.5 * cell, "y": 0.5 * cell})
    assert playing.state(page)["cell"] == "0,0"


def test_play_starts_again_from_the_end_and_stops_there(open_figure, figure):
    page = open_figure(figure)
    button = page.get_by_role("button", name="play")
    button.click()
    playing.wait_until(page, "({state}) => state.checkpoint === 0")
    playing.wait_until(page, "({state}) => state.checkpoint === 2")
    button.wait_for()
    assert button.get_attribute("aria-pressed") == "false"


def test_with_reduced_motion_play_is_one_step(open_figure, figure):
    page = open_figure(figure, "#training-steps?checkpoint=0", reduced_motion="reduce")
    page.get_by_role("button", name="step", exact=True).click()
    playing.drawn(page)
    assert playing.state(page)["checkpoint"] == 1


def test_the_address_keeps_the_state_and_reset_forgets_it(open_figure, figure):
    page = open_figure(figure, "#training-steps?checkpoint=1&cell=3,2")
    assert page.locator("b").inner_text() == "2"
    assert (
        page.locator(".panels p")
        .first.inner_text()
        .startswith("dense, true 3, answer 2:")
    )
    page.get_by_role("slider").press("ArrowLeft")
    assert "checkpoint=0" in playing.address(page)
    page.get_by_role("button", name="reset").click()
    playing.drawn(page)
    assert page.locator("b").inner_text() == "9"
    assert playing.state(page)["cell"] == figure.settings["cell"]


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("checkpoint=7", "checkpoint can't be 7"),
        ("checkpoint=x", "checkpoint can't be x"),
        ("cell=<b>", "cell must be true class,answer"),
        ("cell=1e9,0", "cell must be true class,answer"),
        ("doubts=none", "doubts can't be none"),
    ],
)
def test_a_damaged_address_is_told_and_the_figure_works(
    open_figure, figure, fragment, message
):
    page = open_figure(figure, f"#training-steps?{fragment}")
    assert message in page.get_by_role("alert").inner_text()
    assert page.locator("b").inner_text() == "9"
    playing.put(page, checkpoint=0)
    assert page.locator(".message").text_content() == ""


def test_nothing_is_cut_off_on_a_narrow_page(open_figure, figure):
    page = open_figure(figure, viewport={"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_models_are_left_as_they_were(models):
    before = {
        name: copy.deepcopy(pair[0].state_dict()) for name, pair in models.items()
    }
    live.training_steps(models, DIGITS, LABELS)
    for name, (model, _) in models.items():
        for key, value in model.state_dict().items():
            assert torch.equal(value, before[name][key])


def test_bad_arguments_are_named(models):
    model, history = models["conv"]
    none = History([], [], 0.0)
    other = History([], [], 0.0, {0: model.state_dict()})
    colour = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    cases = [
        ({}, TypeError, "models must be a mapping"),
        ({"a": model}, TypeError, r"models\['a'\] must be a pair"),
        ({"a": (model, None)}, TypeError, "History"),
        ({"a": (None, history)}, TypeError, "model must be a torch.nn.Module"),
        ({"a": (model, none)}, ValueError, "snapshots of .* got none"),
        ({"a": (model, history), "b": (model, other)}, ValueError, r"\[0, 2, 9\]"),
    ]
    for bad, error, message in cases:
        with pytest.raises(error, match=message):
            live.training_steps(bad, DIGITS, LABELS)
    pooled = nn.Sequential(nn.AvgPool2d(3), nn.Flatten(), nn.Linear(4, 4))
    for model, message in (
        (nn.Flatten(), "with a convolution or a fully connected layer"),
        (pooled, r"takes grey images of \(6, 6\)"),
    ):
        kept = History([], [], 0.0, {0: model.state_dict()})
        with pytest.raises(ValueError, match=message):
            live.training_steps({"a": (model, kept)}, DIGITS, LABELS)
    kept = History([], [], 0.0, {0: colour.state_dict()})
    with pytest.raises(ValueError, match="images"):
        live.training_steps({"a": (colour, kept)}, 2 * DIGITS, LABELS)
    with pytest.raises(ValueError, match="digits must be an integer of at least 1"):
        live.training_steps(models, DIGITS, LABELS, digits=0)

"""Learning a kernel, in a browser, against torch's own gradient descent."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import playing
from cnnviz import live
from cnnviz.datasets import mnist_tensors
from cnnviz.kernels import EMBOSS, KERNELS, SOBEL_X

TAG = "cnn-learn-kernel"


@pytest.fixture(scope="module")
def digits():
    return mnist_tensors(train=True)[0][:20]


def learn(pictures, target, steps, learning_rate=1.0, batch=20, seed=0):
    """Return the kernels and losses that torch arrives at, in float64."""
    torch.manual_seed(seed)
    conv = nn.Conv2d(1, 1, kernel_size=3, bias=False).double()
    pictures = pictures.double()
    answers = F.conv2d(pictures, torch.tensor(target)[None, None])
    optimizer = torch.optim.SGD(conv.parameters(), lr=learning_rate)
    kernels, losses = [], []
    for step in range(steps + 1):
        taken = [(step * batch + i) % len(pictures) for i in range(batch)]
        loss = F.mse_loss(conv(pictures[taken]), answers[taken])
        kernels.append(conv.weight.detach().clone().flatten().numpy())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return kernels, losses


def learned(page, step):
    playing.said(page, f"Step {step}:")
    answer = playing.ask(
        page, "({learned: {kernel, loss}}) => ({kernel: Array.from(kernel.data), loss})"
    )
    return np.array(answer["kernel"]), answer["loss"]


def test_five_hundred_steps_are_torch_s(open_figure, digits):
    page = open_figure(live.learn_kernel(digits))
    kernels, losses = learn(digits, SOBEL_X, 500)
    for step in (0, 1, 3, 10, 30, 100, 500, 30):
        playing.put(page, step=step)
        kernel, loss = learned(page, step)
        np.testing.assert_allclose(kernel, kernels[step], atol=1e-4)
        assert loss == pytest.approx(losses[step], rel=1e-3)


@pytest.mark.parametrize(
    ("target", "rate", "batch", "seed"),
    [("emboss", 1.2, 20, 3), ("Laplacian", 0.5, 7, 9), ("box blur", 0.3, 1, 1)],
)
def test_other_settings_are_torch_s(open_figure, digits, target, rate, batch, seed):
    page = open_figure(live.learn_kernel(digits))
    page.get_by_label("target").first.select_option(target)
    page.get_by_label("learning rate").fill(str(rate))
    page.get_by_label("batch").fill(str(batch))
    page.get_by_label("seed").fill(str(seed))
    playing.put(page, step=60)
    kernels, losses = learn(digits, KERNELS[target], 60, rate, batch, seed)
    kernel, loss = learned(page, 60)
    np.testing.assert_allclose(kernel, kernels[60], atol=1e-4)
    assert loss == pytest.approx(losses[60], rel=1e-3)


def test_the_numbers_and_the_curve_show_what_was_learned(open_figure, digits):
    page = open_figure(live.learn_kernel(digits, EMBOSS), "#learn-kernel?step=40")
    kernel, loss = learned(page, 40)
    tables = page.locator(".kernel")
    for table, expected in ((tables.nth(0), EMBOSS.ravel()), (tables.nth(1), kernel)):
        texts = table.locator(".cell").all_inner_texts()
        numbers = [float(text.replace("−", "-")) for text in texts]
        np.testing.assert_allclose(numbers, expected, atol=6e-3)
    points = page.locator("polyline").get_attribute("points").split()
    assert len(points) == 41
    x, y = (float(number) for number in points[-1].split(","))
    assert x == pytest.approx(8)
    assert 10 ** ((20 - y) / 10) == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize(("rate", "steps"), [(1.5, 75), (1000, 3)])
def test_a_rate_that_is_too_large_is_told_and_stops(open_figure, digits, rate, steps):
    fragment = f"#learn-kernel?learning_rate={rate}&step={steps}"
    page = open_figure(live.learn_kernel(digits), fragment)
    page.get_by_text("has grown without bounds").wait_for()
    shown = playing.ask(page, "(figure) => figure.learned.loss")
    losses = np.array(learn(digits, SOBEL_X, steps, rate)[1])
    stop = np.argmax(losses > 1e6)
    assert shown == pytest.approx(losses[stop], rel=1e-3)
    playing.said(page, f"Step {stop}:")
    assert "NaN" not in page.locator(TAG).inner_text()
    page.get_by_label("learning rate").fill("1")
    learned(page, steps)
    assert page.locator(".message").inner_text() == ""


def test_play_stops_where_the_loss_has_grown(open_figure, digits):
    page = open_figure(
        live.learn_kernel(digits), "#learn-kernel?learning_rate=20&speed=60"
    )
    page.get_by_role("button", name="play").click()
    page.get_by_text("has grown without bounds").wait_for()
    page.get_by_role("button", name="play").wait_for()
    assert playing.state(page)["step"] < 20


def test_play_learns_to_the_last_step_and_starts_again(open_figure, digits):
    page = open_figure(live.learn_kernel(digits, steps=6), "#learn-kernel?speed=60")
    page.get_by_role("button", name="play").click()
    page.get_by_role("button", name="play").wait_for()
    learned(page, 6)
    playing.put(page, speed=1)
    page.get_by_role("button", name="play").click()
    learned(page, 0)


def test_with_reduced_motion_a_button_goes_one_step(open_figure, digits):
    page = open_figure(live.learn_kernel(digits), reduced_motion="reduce")
    for step in (1, 2):
        page.get_by_role("button", name="step").click()
        learned(page, step)


def test_keys_step_and_the_address_and_reset_know_it(open_figure, digits):
    page = open_figure(live.learn_kernel(digits), "#learn-kernel?step=5&seed=2")
    slider = page.get_by_label("step", exact=True)
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    learned(page, 7)
    address = playing.address(page)
    assert "step=7" in address
    assert "seed=2" in address
    page.get_by_role("button", name="reset").click()
    kernel, _ = learned(page, 0)
    np.testing.assert_allclose(kernel, learn(digits, SOBEL_X, 0)[0][0], atol=1e-7)


def test_a_damaged_address_is_told_and_the_figure_works(open_figure, digits):
    page = open_figure(live.learn_kernel(digits))
    for fragment, message in (
        ("target=Sobel", "target can't be Sobel"),
        ("learning_rate=1e300", "from 0 to 1000"),
        ("learning_rate=-1", "from 0 to 1000"),
        ("batch=0", "from 1 to 20"),
        ("batch=2.5", "whole number"),
        ("seed=10", "from 0 to 9"),
        ("step=501", "step can't be 501"),
    ):
        playing.follow(page, fragment)
        assert message in playing.message(page)
    page.get_by_label("step", exact=True).press("ArrowRight")
    learned(page, 1)


def test_pictures_that_say_nothing_teach_nothing(open_figure):
    page = open_figure(live.learn_kernel(np.zeros((2, 5, 5), np.uint8)))
    playing.put(page, step=20)
    kernel, loss = learned(page, 20)
    assert loss == 0
    np.testing.assert_allclose(kernel, learn(torch.zeros(1, 1, 5, 5), SOBEL_X, 0)[0][0])


def test_any_target_can_be_given_and_torch_s_generator_is_left_alone(
    open_figure, digits
):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    figure = live.learn_kernel(
        digits, np.arange(9).reshape(3, 3), learning_rate=0.5, seed=4
    )
    assert torch.rand(1) == expected
    assert figure.settings == {
        "target": "your own",
        "learning_rate": "0.5",
        "seed": "4",
    }
    page = open_figure(figure)
    np.testing.assert_allclose(
        learned(page, 0)[0], learn(digits, SOBEL_X, 0, seed=4)[0][0], atol=1e-7
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((2, 3, 9, 9))}, r"images must be pictures \(N, H, W\)"),
        ({"images": np.full((2, 9, 9), 2.0)}, "float 0–1, got 2 to 2"),
        ({"images": np.zeros((1, 2, 9))}, "at least 3×3"),
        ({"images": np.zeros((9, 200, 200))}, "150,000 pixels"),
        ({"target": np.zeros((5, 5))}, r"target must be a kernel \(3, 3\)"),
        ({"target": np.full((3, 3), 1e6)}, "from −100 to 100"),
        ({"learning_rate": 2000}, "learning_rate must be at most 1000"),
        ({"learning_rate": -1}, "learning_rate must be a number of at least 0"),
        ({"seed": 10}, "seed must be at most 9"),
        ({"steps": 0}, "steps must be an integer of at least 1"),
        ({"steps": 5000}, "steps must be at most 2000"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        live.learn_kernel(**{"images": np.zeros((1, 9, 9)), **arguments})

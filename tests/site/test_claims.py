"""Claims: what a page says in words is true of the numbers beside it.

Training, rounding and seeds decide many of them, so each has a margin. Its words are
looked up in the page: no sentence changes without its claim. `nox -s bench` tries the
same claims with other seeds, threads and instruction sets.

Every page is run for it, once, as a download is: alone, in an empty folder.
"""

import os
import re
import runpy
from contextlib import chdir, redirect_stdout
from functools import cache, lru_cache, partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnnviz import datasets, training

GALLERY = Path(__file__).parents[2] / "gallery"
SEED = int(os.environ.get("CNNVIZ_CLAIMS_SEED", "0"))  # pages seed with 0
CLAIMS = []
mnist_tensors = cache(datasets.mnist_tensors)


def claim(page, words):
    """Add a claim: a page's number, some of its words, and when they are true."""

    def add(holds):
        CLAIMS.append(pytest.param(page, words, holds, id=f"{page}: {words}"))

    return add


def plain(text):
    """Return the words of a script, without the signs of comments and strings."""
    return " ".join(re.sub(r'(?<!\w)f"|["#]', " ", text).split())


@lru_cache(maxsize=1)
def run(script):
    """Run a page in an empty folder; return its variables, and what it left there.

    What it prints is ASCII, which is part of every encoding of redirected output.
    """
    seed = torch.manual_seed
    output = redirect_stdout(TextIOWrapper(BytesIO(), "ascii", write_through=True))
    with (
        TemporaryDirectory() as folder,
        chdir(folder),
        output,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(datasets, "mnist_tensors", mnist_tensors)
        patch.setattr(torch, "manual_seed", lambda number: seed(number + SEED))
        patch.setattr(training, "fit", partial(training.fit, seed=SEED))
        variables = runpy.run_path(str(script))
        return SimpleNamespace(**variables, left_behind=os.listdir(folder))


for script in sorted(GALLERY.glob("*/*.py")):
    claim(script.name[:3], "To take away")(lambda page: page.left_behind == [])


# --- Pixels -------------------------------------------------------------------------


@claim("010", "there are 24% more 1s than 5s")
def _(page):
    counts = page.train.targets.bincount()
    ratio = counts.max() / counts.min()
    return counts.argmax() == 1 and counts.argmin() == 5 and abs(ratio - 1.24) < 0.005


@claim("030", "its frame is much brighter in the red channel than in the two others")
def _(page):
    red, green, blue = page.patch[:, :3].mean(axis=(0, 1))
    return red > 3 * max(green, blue)


@claim("030", "about equally bright in red and green, and darker in blue")
def _(page):
    red, green, blue = page.photo[240:300, 330:375].mean(axis=(0, 1))
    return abs(red - green) < 0.1 * red and blue < 0.7 * red


@claim("030", "red changes little, while green grows most")
def _(page):
    red, green, blue = (page.patch[:, -1] - page.patch[:, 0].astype(int)).mean(axis=0)
    return abs(red) < 15 < blue < 0.7 * green


@claim("030", "makes the yellow wall and the leaves darker than the weighted grey does")
def _(page):
    more = page.grey - page.mean
    wall, leaves = more[240:300, 330:375].mean(), more[10:90, 150:600].mean()
    frame, floor = more[290:297, 380:383].mean(), more[440:560, 450:720].mean()
    return min(wall, leaves) > 8 and frame < -4 and abs(floor) < 1


@claim("030", "The black dog and the grey floor hardly show it")
def _(page):
    change = np.abs(page.photo - page.swapped.astype(int)).max(axis=2)
    dog, floor = change[330:420, 240:300].mean(), change[440:560, 450:720].mean()
    return max(dog, floor) < 0.3 * change[240:300, 330:375].mean()


# --- Filters ------------------------------------------------------------------------


@claim("040", "the left column takes away")
def _(page):
    left, _, right = page.products.sum(axis=0)
    return -left > 100 * right > 0


@claim("040", "nearly the opposite")
def _(page):
    outside, inside = page.edges.angle[80, [194, 189]]
    return abs(abs(outside - inside) - 180) < 10


@claim("040", "Weaker inside its black fur, weakest on the even floor")
def _(page):
    leaves, fur = page.magnitude[10:90, 150:600], page.magnitude[330:420, 240:300]
    floor = page.magnitude[440:560, 450:720]
    return leaves.mean() > 2 * fur.mean() > 4 * floor.mean()


@claim("060", "so they look alike")
def _(page):
    between = np.abs(page.boxed - page.blurred).mean()
    return between < 0.25 * np.abs(page.face - page.blurred).mean()


@claim("060", "Both blurs keep the brightness")
def _(page):
    blurs = np.stack([page.boxed, page.blurred]).mean(axis=(1, 2))
    return np.allclose(blurs, page.face.mean(), atol=0.002)


@claim("070", "left one is mainly in the first map, that of the right one mainly in")
def _(page):
    edge = [page.kept[:2, 30:90, pillar].max(axis=2).mean(axis=1) for pillar in PILLARS]
    return edge[0][0] > 1.5 * edge[0][1] and edge[1][1] > 1.5 * edge[1][0]


PILLARS = (slice(10, 60), slice(340, 381))


@claim("070", "At its upper left and lower right it fades")
def _(page):
    strongest = {
        place: np.abs(page.own[rows, columns]).max()
        for place, (rows, columns) in CORNERS_OF_THE_WHEEL.items()
    }
    along = min(strongest["upper right"], strongest["lower left"])
    return along > 2 * max(strongest["upper left"], strongest["lower right"])


CORNERS_OF_THE_WHEEL = {
    "upper left": (slice(125, 140), slice(198, 213)),
    "upper right": (slice(125, 140), slice(261, 276)),
    "lower left": (slice(188, 203), slice(198, 213)),
    "lower right": (slice(188, 203), slice(261, 276)),
}


# --- Layers -------------------------------------------------------------------------


@claim("090", "twelve pixels deep: half the kernel's width")
def _(page):
    darker = page.padded[1] - page.padded[0] > 1e-9
    rows, columns = darker[:120, 160, 0].sum(), darker[120, :160, 0].sum()
    return rows == columns == len(page.wide) // 2 == 12


@claim("100", "cancels in the sum. The red frame stays: green takes little away there.")
def _(page):
    maps = torch.as_tensor(np.stack([*page.partial, page.output]))
    floor = maps[:, 440:560, 450:720].abs().mean(dim=(1, 2))
    frame = maps[:, 240:420][:, page.output[240:420] > 0.2].abs().mean(dim=1)
    return floor[3] < 0.05 * floor[:2].min() and frame[1] < 0.4 * frame[0] < frame[3]


@claim("100", "Leaves come out negative")
def _(page):
    return page.output[10:90, 150:600].mean() < -0.05


@claim("110", "with bright boards to its left, is in the second map only")
def _(page):
    right, left = page.halves[:, 180:230, 5:35].amax(dim=2).mean(dim=1)
    return left > 5 * right


@claim("120", "Yet nothing reaches 0%")
def _(page):
    return min(page.changes) > 0.01


@claim("130", "comes close to the scores in eval mode")
def _(page):
    alone = (page.many - page.predicting[0]).abs().amax(dim=1).mean()
    return page.distance < 0.4 * alone


@claim("140", "its outline is in the maps for “brighter left” and “brighter above”")
def _(page):
    right, left, below, above = page.stages.relu[0]
    lower = left[400:480, 125:145].amax(dim=1) > 3 * right[400:480, 125:145].amax(dim=1)
    upper = [m[300:340, 160:215].amax(dim=1).mean() for m in (below, above)]
    return lower.double().mean() > 0.9 and upper[1] > 1.5 * upper[0]


# --- Networks -----------------------------------------------------------------------


@claim("150", "The MLP has 111 times the CNN's parameters, but only 2.1 times its")
def _(page):
    work = page.mlp_work / page.cnn_work
    return round(page.ratio) == 111 and round(work, 1) == 2.1


@claim("160", "steep at first, then slower")
def _(page):
    fall = -np.diff(np.log(page.losses))
    return fall[:10].mean() > 3 * fall[100:].mean() > 0


@claim("160", "They are there after a few steps.")
def _(page):
    left, _, right = page.kernels[3][0, 0].T
    return bool((left < -0.2).all() and (right > 0.2).all())


@claim("160", "The middle column and the ratio 1 : 2 : 1 take longer")
def _(page):
    off = [(kernel[0, 0] - page.sobel).abs() for kernel in page.kernels]
    return off[10].max() > 0.2 and off[30].max() > 0.1 and off[500].max() < 0.02


@claim("160", "The output looks right long before the nine weights are right")
def _(page):
    outputs = F.conv2d(page.pictures[:1], page.kernels[100])
    wanted = F.conv2d(page.pictures[:1], page.sobel[None, None])
    share = ((outputs - wanted) ** 2).mean() / (wanted**2).mean()
    return share < 0.002 and (page.kernels[100][0, 0] - page.sobel).abs().max() > 0.03


@claim("160", "each step then overshoots by more than it gains")
def _(page):
    inputs = F.unfold(page.pictures, 3).transpose(1, 2).reshape(-1, 9)
    curvature = 2 * inputs.T @ inputs / len(inputs)
    highest = torch.linalg.eigvalsh(curvature)[-1]
    return 2 / 2 < highest < 2 / 1  # gradient descent needs less than 2 / rate


@claim("160", "came close to zero, as Sobel's are; all else stayed as chance had it")
def _(page):
    before, after = page.before[0, 0], page.blind.weight[0, 0].detach()
    inner = (before - before.mean(1, True)) - (after - after.mean(1, True))
    return after.sum(dim=1).abs().max() < 0.05 and inner.abs().max() < 1e-4


@claim("170", "The CNN's ends lower")
def _(page):
    return page.curves["CNN"][1][-1] < page.curves["MLP"][1][-1]


@claim("170", "With the averages of the test digits themselves, the same weights reach")
def _(page):
    page.cnn.load_state_dict(page.cnn_history.snapshots[100])
    accuracy = training.evaluate(page.cnn, *page.test).accuracy
    page.cnn.load_state_dict(page.cnn_history.snapshots[470])
    return (page.answers_100 == page.test[1]).double().mean() > accuracy + 0.002


@claim("170", "makes far fewer mistakes")
def _(page):
    return page.wrong_cnn.sum() < 0.6 * page.wrong_mlp.sum()


@claim("170", "Many of those are the MLP's as well: these digits are hard")
def _(page):
    shared = page.both.sum()
    return shared > 0.4 * page.wrong_cnn.sum() and shared > 10 * page.expected


@claim("170", "can't tell the digits apart as well")
def _(page):
    return page.accuracy < page.answers["MLP"].accuracy - 0.03


@claim("180", "pushes ink out of the picture for a third of them")
def _(page):
    ink = page.images[:, 0] > 0
    rows, columns = ink.any(dim=2).int(), ink.any(dim=1).int()
    sides = torch.stack([rows, rows.flip(1), columns, columns.flip(1)])
    room = sides.argmax(dim=2).amin(dim=0)
    lost = [(room < shift).double().mean() for shift in (3, 4)]
    return abs(lost[0] - 1 / 3) < 0.03 and 0.7 < lost[1] < 0.75


@claim("180", "The bright spot is wider, but it is a spot")
def _(page):
    mlp, cnn = (page.accuracy > 0.8).flatten(1).sum(dim=1)
    corners = page.accuracy[1, ::12, ::12]
    return cnn > 2 * mlp and corners.max() < 0.5


@claim("180", "out why even the better one fails in the end")
def _(page):
    far = page.accuracy[:, page.distance == 6].mean(dim=1)
    near = page.accuracy[:, page.distance == 3].mean(dim=1)
    return near[1] > near[0] + 0.2 and far[0] + 0.05 < far[1] < 0.35


@claim("180", "nothing is lost but what leaves the picture")
def _(page):
    return page.difference < 1e-4 * page.still["relu2"].max()


@claim("180", "it tolerates small shifts but not large ones")
def _(page):
    near = page.accuracy[1, page.distance == 1].min()
    return near > 0.93 and page.accuracy[1, page.distance == 6].max() < 0.6


@claim("180", "Practice helps both")
def _(page):
    read = partial(training.evaluate, images=page.moved_test, labels=page.labels)
    mlp, cnn, mlp2, cnn2 = (
        read(net).accuracy for net in (page.mlp, page.cnn, page.mlp2, page.cnn2)
    )
    return mlp2 > mlp + 0.4 and cnn2 > cnn + 0.3 and cnn2 > mlp2 + 0.01


@claim("190", "Most are mixtures without a name")
def _(page):
    one = (page.directions @ np.stack([k.ravel() for k in page.bank.values()]).T) ** 2
    return (one.max(axis=1) < 0.7).sum() > 4


@claim("190", "Until step 30 they hardly change; most of the change comes between")
def _(page):
    at = dict(zip(page.SNAPSHOTS, page.weights[:, :4].flatten(1), strict=True))
    early, middle, late = (
        (at[b] - at[a]).norm() for a, b in ((0, 30), (30, 300), (300, 470))
    )
    return early < 0.3 * at[0].norm() and middle > 1.5 * (early + late)


@claim("190", "Training takes the filters towards what people would have made")
def _(page):
    return page.shares.mean() > 0.24 + 0.15


@claim("190", "already reads most digits, although its first filters are still almost")
def _(page):
    network = page.CNN().eval()
    network.load_state_dict(page.history.snapshots[30])
    start, then = page.weights[0].flatten(1), page.weights[2].flatten(1)
    alike = F.cosine_similarity(start, then).min()
    return training.evaluate(network, *page.test).accuracy > 0.8 and alike > 0.9


@claim("190", "is positive on the upper sides of strokes and negative on")
def _(page):
    stroke = np.zeros((9, 5))
    stroke[5:] = 1
    upper = (stroke[2:7] * page.bank["edge y"]).sum()
    return upper > 0 > (stroke[::-1][2:7] * page.bank["edge y"]).sum()


@claim("190", "Most like “edge y” is filter")
def _(page):
    return page.likeness[page.top] > 0.4


@claim("190", "closer to blurs, edges and lines. These are not tidy.")
def _(page):
    return page.shares.mean() < 0.8


@claim("190", "Hand-made edge filters do about as well as learned ones")
def _(page):
    learned, hand, random = (
        training.evaluate(net, *page.test).accuracy
        for net in (page.cnn, page.frozen["hand-made"], page.frozen["random"])
    )
    return abs(learned - hand) < 0.003 and -0.002 < learned - random < 0.01


# --- Inside -------------------------------------------------------------------------


@claim("200", "the dog and the bicycle can be seen in every map")
def _(page):
    grey = page.photo.mean(dim=1, keepdim=True)
    steep = [slopes(F.adaptive_avg_pool2d(grey, (288, 384)))]
    steep += [slopes(page.activations["conv1"][:, [i]]) for i in range(4)]
    return np.corrcoef(np.stack(steep))[0, 1:].min() > 0.4


@claim("200", "Even areas are white; edges are what is left")
def _(page):
    floor = page.edges[0, :4, 220:280, 225:360].abs().mean(dim=(1, 2))
    wheel = page.edges[0, :4, 115:215, 185:290].abs().mean(dim=(1, 2))
    return floor.max() < 0.02 and bool((wheel > 2 * floor).all())


def slopes(image):
    """Return how steep a map is, at each place."""
    return (
        (image.diff(dim=2)[..., 1:] ** 2 + image.diff(dim=3)[:, :, 1:] ** 2)
        .sqrt()[0, 0]
        .flatten()
    )


@claim("200", "The upper maps are paler, but they show the 7, too.")
def _(page):
    untrained, trained = (maps[:4] for maps in page.maps)
    ink = F.avg_pool2d(page.images[:1], 5, stride=1)[0, 0] > 0.1
    shown = untrained.abs()[:, ink].mean() / untrained.abs()[:, ~ink].mean()
    return untrained.abs().mean() < 0.7 * trained.abs().mean() and shown > 5


@claim("200", "negative before the ReLU, zero after it")
def _(page):
    before, after = (page.activations[name].min() for name in ("bn1", "relu"))
    return before < -0.1 and after == 0


@claim("210", "Noise outside of its window changes nothing, sixteen pixels inside do")
def _(page):
    before, outside, inside = page.outputs
    return outside == before and (inside - before).abs() > 0.05 * before


@claim("210", "which digits may share")
def _(page):
    return page.mixed >= 2


@claim("210", "pixels, about the middle")
def _(page):
    count = (page.falling < 0.5).sum()
    most = np.argsort(page.influence, axis=None)[-count:]
    places = np.transpose(np.unravel_index(most, page.influence.shape))
    return np.abs(places.mean(axis=0) - 224).max() < 30


@claim("210", "the unit relies more on the field's centre")
def _(page):
    shares = inner_shares(page)
    return shares["layer4"] > shares["layer1"] + 0.1 > shares["relu2"] + 0.1


@claim("210", "the middle counts more than its share of the area")
def _(page):
    return min(inner_shares(page).values()) > 0.35


def inner_shares(page):
    """Return how much of the influence lies in the inner half of each window."""
    shares = {}
    for name, influence in page.effective.items():
        top, left, bottom, right = page.windows[name]
        size = bottom - top
        inner = np.s_[size // 4 : -(size // 4), size // 4 : -(size // 4)]
        window = influence[top:bottom, left:right]
        shares[name] = window[inner].sum() / window.sum()
    return shares


@claim("210", "The last is nearly twice as wide as the images of 224 × 224")
def _(page):
    return 1.9 < np.subtract(*page.windows["layer4"][2::-2]) / 224 < 2


@claim("220", "both map the pixels that a prediction depends on, and their maps differ")
def _(page):
    chance = (400 / page.ink.sum(dim=1)).mean()
    return chance < page.common < 12


@claim("220", "three digits that the network reads correctly")
def _(page):
    chosen, sure = page.chosen[:3], page.certainty[page.chosen[:3]]
    right = page.result.predictions[chosen] == page.labels[chosen]
    return bool(right.all()) and sure.min() > 0.9


@claim("220", "its most confident mistake")
def _(page):
    return page.certainty[page.worst] > 0.9


@claim("220", "Most of the rest lies close to it")
def _(page):
    close = F.max_pool2d(page.digits, 7, stride=1, padding=3)[:, 0] > 0.5
    ink = page.digits[:, 0] > 0.5
    rest = page.saliency[~ink].sum()
    return page.share < 0.5 and page.saliency[close & ~ink].sum() > 0.6 * rest


@claim("220", "Smoother, and closer to the strokes.")
def _(page):
    near = F.max_pool2d(page.digits, 3, stride=1, padding=1)[:, 0] > 0.5
    covering, gradient = page.importance, page.saliency
    shares = [(heat[near].sum() / heat.sum()).item() for heat in (covering, gradient)]
    rough = [
        (heat.diff(dim=1).abs().sum() / heat.sum()).item()
        for heat in (covering, gradient)
    ]
    return shares[0] > shares[1] + 0.1 and rough[0] < 0.7 * rough[1]


@claim("220", "Both methods beat chance, and covering beats the gradient.")
def _(page):
    at_20 = {name: curve[4] for name, curve in page.curves.items()}
    chance = min(at_20["chance"], at_20["chance, clumps"])
    return chance > at_20["gradient"] + 0.05 > at_20["covering"] + 0.08


@claim("220", "The probability now falls further than by the gradient's size")
def _(page):
    return page.probability < page.curves["gradient"][4] - 0.1


@claim("220", "Some of the largest gradients are negative")
def _(page):
    return 0.1 < page.against.double().mean() < 0.4


@pytest.mark.parametrize(
    ("page", "words", "holds"), sorted(CLAIMS, key=lambda each: each.values[0])
)
def test_words_are_true_of_the_numbers(page, words, holds):
    (script,) = GALLERY.glob(f"*/{page}_*.py")
    assert plain(words) in plain(script.read_text("utf-8"))
    assert holds(run(script))

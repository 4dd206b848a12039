"""What a score rests on, against captum and torchcam; and by hand."""

import captum.attr
import pytest
import torch
import torchvision
from torch import nn
from torchcam.methods import GradCAM

from cnnviz.attribution import grad_cam, gradient_times_input, occlusion, saliency


def small():
    """A network with ReLUs in place, dropout and batch normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 5),
    )


def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=5)


NETWORKS = {"small": (small, "6"), "resnet18": (resnet, "layer3.1.conv2")}


@pytest.fixture(params=NETWORKS)
def case(request):
    """A network, a layer of it, and two images with the classes asked for."""
    make, layer = NETWORKS[request.param]
    x = torch.randn(2, 3, 33, 40, generator=torch.Generator().manual_seed(1))
    return make(), layer, x, torch.tensor([3, 1])


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


def test_saliency_is_captum_s(case):
    model, _, x, target = case
    x.requires_grad_()
    theirs = captum.attr.Saliency(model.eval())
    close(saliency(model, x, target), theirs.attribute(x, target).abs().amax(1))


def test_gradient_times_input_is_captum_s(case):
    model, _, x, target = case
    x.requires_grad_()
    theirs = captum.attr.InputXGradient(model.eval()).attribute(x, target)
    close(gradient_times_input(model, x, target), theirs.sum(dim=1))


@pytest.mark.parametrize(("size", "stride"), [(8, None), (8, 4), (5, 3), (33, 2)])
def test_occlusion_is_captum_s(size, stride):
    model = small().eval()
    x = torch.randn(2, 3, 33, 40, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([3, 1])
    ours = occlusion(model, x, target, size=size, stride=stride, fill=0.3, batch_size=7)
    steps = (3, stride or size, stride or size)
    theirs = captum.attr.Occlusion(model).attribute(
        x,
        sliding_window_shapes=(3, size, size),
        strides=steps,
        target=target,
        baselines=0.3,
    )
    close(ours, theirs[:, 0])


def test_occlusion_of_probabilities_is_that_of_a_softmax():
    model = small().eval()
    x = torch.rand(1, 3, 16, 16)
    ours = occlusion(model, x, 2, size=4, output="probability")
    close(ours, occlusion(nn.Sequential(model, nn.Softmax(1)), x, 2, size=4))


def test_grad_cam_is_torchcam_s(case):
    model, layer, x, target = case
    model.eval()
    with GradCAM(model, target_layer=layer) as extractor:
        scores = model(x.clone().requires_grad_())
        (theirs,) = extractor(target.tolist(), scores, normalized=False)
    close(grad_cam(model, x, layer, target), theirs)


def test_for_global_average_pooling_grad_cam_is_the_class_map():
    """As Zhou and others, 2016, define it: the weights of the class times the maps."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(features, pool, nn.Linear(6, 4))
    x = torch.rand(1, 3, 12, 10)
    maps = features(x)[0]
    expected = torch.einsum("c,chw->hw", model[2].weight[1], maps).relu()
    close(grad_cam(model, x, "0", 1)[0] * maps[0].numel(), expected)


@pytest.mark.parametrize(
    "call",
    [
        saliency,
        gradient_times_input,
        lambda model, x: occlusion(model, x, size=8),
        lambda model, x: grad_cam(model, x, "6"),
    ],
)
def test_the_model_is_left_alone_and_no_mode_matters(call):
    model, x = small(), torch.rand(2, 3, 32, 32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = call(model, x)
    assert model.training
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], v) for name, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert torch.equal(call(model, x), expected)
    predicted = model.eval()(x).argmax(1)
    if call is saliency:
        assert torch.equal(saliency(model, x, predicted), expected)
    frozen = small().requires_grad_(False)
    assert torch.equal(call(frozen, x), expected)


X = torch.rand(2, 3, 16, 16)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: saliency(m, "dog"), TypeError, "x must be a float tensor"),
        (lambda m: saliency(m, X[0]), ValueError, r"x must be .* \(3, 16, 16\)"),
        (lambda m: saliency(m, X, 5), ValueError, "target must be below the 5 classes"),
        (lambda m: saliency(m, X, [1]), ValueError, "target must be one class, or 2"),
        (lambda m: saliency(m, X, 1.5), TypeError, "target must be an integer"),
        (lambda m: saliency(m[0], X), ValueError, r"model must be .*\(N, classes\)"),
        (lambda m: saliency("m", X), TypeError, r"model must be a torch\.nn\.Module"),
        (lambda m: occlusion(m, X, size=17), ValueError, "size must be at most"),
        (lambda m: occlusion(m, X, size=0), ValueError, "size must be an integer of"),
        (lambda m: occlusion(m, X, size=4, output="p"), ValueError, "output must be"),
        (lambda m: grad_cam(m, X, "conv9"), ValueError, "layer must be among"),
        (lambda m: grad_cam(m, X, "9"), ValueError, r"layer must be .*\(N, C, h, w\)"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(small())


def test_scores_that_depend_on_nothing_are_refused():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones(len(x), 3)

    with pytest.raises(ValueError, match="scores depend on x, got constants"):
        saliency(Constant(), X)


def test_a_layer_that_does_not_run_or_runs_twice_is_refused():
    model = small()
    model.spare = nn.Conv2d(3, 3, 1)
    model.forward = lambda x: nn.Sequential.forward(model[:10], x)
    with pytest.raises(ValueError, match="layer must be a layer that is called"):
        grad_cam(model, X, "spare")
    twice = nn.Sequential(model[0], nn.ReLU(), nn.Flatten(), nn.Linear(1536, 2))
    twice.forward = lambda x: twice[3](twice[2](twice[1](twice[1](twice[0](x)))))
    with pytest.raises(ValueError, match="called once"):
        grad_cam(twice, X, "1")

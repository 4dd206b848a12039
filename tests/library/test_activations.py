from collections import Counter, namedtuple

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnnviz.activations import record_activations


def reference(model, *inputs):
    """Record by copying everything at once, the safe and slow way."""
    outputs, calls, handles = {}, Counter(), []

    def hook_for(name):
        def hook(module, inputs, output):
            calls[name] += 1
            count = calls[name]
            outputs[name + f":{count}" * (count > 1)] = output.detach().clone()

        return hook

    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(hook_for(name or "output")))
    with torch.no_grad():
        model(*inputs)
    for handle in handles:
        handle.remove()
    return outputs


def assert_equal(recorded, expected):
    assert list(recorded) == list(expected)
    for name, output in expected.items():
        torch.testing.assert_close(recorded[name], output, rtol=0, atol=0, msg=name)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"]
)
def test_known_networks_with_operations_in_place(name):
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    x = torch.randn(2, 3, 64, 64)
    assert_equal(record_activations(model, x), reference(model, x))


WRITES = {
    "method": lambda x: x.mul_(-2),
    "operator": lambda x: x.__iadd__(1),
    "function": lambda x: nn.functional.relu(x, inplace=True),
    "module": nn.ReLU6(inplace=True),
    "out": lambda x: torch.neg(x, out=x),
    "item": lambda x: x.__setitem__((0, 1), 7),
    "view": lambda x: x.mT[..., ::2].zero_(),
    "copy": lambda x: x.copy_(x.flip(0)),
    "list": lambda x: torch._foreach_add_([x, x[0]], 1),
    "other dtype": lambda x: x.view(torch.int32).bitwise_not_(),
    "shape": lambda x: x.t_(),
    "nothing": lambda x: x + 1,
}


class Step(nn.Module):
    """Writes into its input and returns it."""

    def __init__(self, write):
        super().__init__()
        self.write = write

    def forward(self, x):
        self.write(x)
        return x


@given(st.lists(st.sampled_from(sorted(WRITES)), min_size=1, max_size=5))
@settings(max_examples=100)
def test_later_writes_do_not_change_what_was_recorded(names):
    layers = [nn.Linear(4, 4), *(Step(WRITES[name]) for name in names)]
    for index in (2, 4):
        layers.insert(index, nn.Identity())
    model, x = nn.Sequential(*layers), torch.rand(4, 4)
    recorded, expected = record_activations(model, x), reference(model, x)
    assert list(recorded) == list(expected)
    for name, output in expected.items():
        assert torch.equal(recorded[name].nan_to_num(), output.nan_to_num()), name


def address(tensor):
    """Tell where a tensor's values are; its `data_ptr` would make the copy."""
    return torch._C._data_address(tensor)


def test_outputs_are_copied_only_where_something_writes():
    outputs = []
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.ReLU(inplace=True))
    for layer in model:
        layer.register_forward_hook(lambda *call: outputs.append(call[-1]))
    recorded = record_activations(model, torch.rand(1, 2))
    assert address(recorded["0"]) == address(outputs[0])
    assert address(recorded["1"]) != address(outputs[1])
    assert address(recorded["2"]) == address(outputs[2]) == address(recorded["output"])


@pytest.mark.parametrize("wrap", [torch.clone, lambda x: torch.from_numpy(x.numpy())])
def test_writing_into_what_was_recorded_changes_nothing_else(wrap):
    model, x = nn.Sequential(nn.Identity(), nn.Flatten()), wrap(torch.ones(2, 1, 2))
    recorded = record_activations(model, x)
    recorded["0"].zero_()
    recorded["1"].numpy()[:] = 2
    x += 2
    assert recorded["0"].unique() == 0
    assert recorded["1"].unique() == 2
    assert recorded["output"].unique() == 1
    assert x.unique() == 3


def test_recorded_weights_stay_when_training_goes_on():
    layer = nn.Linear(2, 2)
    model = Function(lambda x: layer.weight)
    before = layer.weight.detach().clone()
    recorded = record_activations(model, torch.rand(1, 2))["output"]
    layer(torch.rand(1, 2)).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=1).step()
    assert torch.equal(recorded, before)
    assert not torch.equal(layer.weight, before)


Pair = namedtuple("Pair", "mean spread")


class Structured(nn.Module):
    """Layers that return more than one tensor."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2)
        self.head = Function(lambda x: {"boxes": x + 1, "count": 3, "more": [x, None]})
        self.moments = Function(lambda x: Pair(x.mean(), x.std()))
        self.text = Function(lambda x: "no tensor")

    def forward(self, x):
        output, (hidden, _) = self.lstm(x)
        self.text(x)
        return self.head(output), self.moments(hidden)


def test_parts_of_structured_outputs_are_named_by_their_place():
    model, x = Structured(), torch.rand(5, 1, 3)
    recorded = record_activations(model, x)
    assert list(recorded) == [
        "lstm[0]",
        "lstm[1][0]",
        "lstm[1][1]",
        "head[boxes]",
        "head[more][0]",
        "moments[mean]",
        "moments[spread]",
        "output[0][boxes]",
        "output[0][more][0]",
        "output[1][mean]",
        "output[1][spread]",
    ]
    output, (hidden, _) = model.lstm(x)
    torch.testing.assert_close(recorded["lstm[0]"], output.detach())
    torch.testing.assert_close(recorded["lstm[1][0]"], hidden.detach())
    torch.testing.assert_close(recorded["head[boxes]"], output.detach() + 1)
    torch.testing.assert_close(recorded["output[1][mean]"], hidden.detach().mean())


class Block(nn.Module):
    """A nested block whose ReLU runs twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.first(self.relu(x)))


def test_names_come_in_the_order_in_which_layers_finish():
    model = nn.Sequential()
    model.block, model.output = Block(), nn.Linear(3, 1)
    recorded = record_activations(model, torch.rand(2, 3))
    assert list(recorded) == [
        "block.relu",
        "block.first",
        "block.relu:2",
        "block",
        "output (layer)",
        "output",
    ]


def test_names_of_layers_that_read_like_ours_are_marked():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.lstm = nn.ReLU(), nn.LSTM(3, 3)
            for name in ("relu:2", "lstm[0]", "relu:2 (layer)", "output", "x:y"):
                self.add_module(name, Function(torch.tanh))

        def forward(self, x):
            for name in self._modules:
                result = self._modules[name](x)
            self._modules["relu:2"](x)
            return self.relu(x), {0: x, "0": result, "n": result}

    model, x = Net(), torch.rand(2, 3)
    recorded = record_activations(model, x)
    names = ["relu:2 (layer)", "lstm[0] (layer)", "relu:2 (layer) (layer)"]
    assert list(recorded) == [
        *["relu", "lstm[0]", "lstm[1][0]", "lstm[1][1]", *names],
        *["output (layer)", "x:y", "relu:2 (layer):2", "relu:2"],
        *["output[0]", "output[1][0]", "output[1]['0']", "output[1]['n']"],
    ]
    torch.testing.assert_close(recorded["relu:2"], x.relu())
    torch.testing.assert_close(recorded["relu:2 (layer):2"], x.tanh())
    assert next(iter(record_activations(model, x, ["relu:2 (layer)"]))) == names[0]
    with pytest.raises(ValueError, match=r"'relu:2' .close: relu, relu:2 .layer."):
        record_activations(model, x, ["relu:2"])


def test_only_chosen_layers_are_recorded():
    model, x = (
        nn.Sequential(Block(), nn.Tanh(), nn.ReLU(inplace=True)),
        torch.rand(2, 3),
    )
    everything = record_activations(model, x)
    chosen = record_activations(model, x, iter(["1", "0.relu"]))
    assert list(chosen) == ["0.relu", "0.relu:2", "1"]
    assert_equal(chosen, {name: everything[name] for name in chosen})
    assert record_activations(model, x, []) == {}


def test_several_inputs_come_as_a_tuple_a_list_or_by_name():
    model = nn.Bilinear(2, 3, 4)
    inputs = torch.rand(5, 2), torch.rand(5, 3)
    named = dict(zip(("input1", "input2"), inputs, strict=True))
    for x in (inputs, [*inputs], named):
        assert torch.equal(record_activations(model, x)["output"], model(*inputs))


def test_what_is_a_list_a_dict_or_a_named_tuple_itself_is_one_input():
    x = torch.rand(5, 2)
    recorded = record_activations(Function(lambda batch: batch["x"]), ({"x": x},))
    assert torch.equal(recorded["output"], x)
    recorded = record_activations(Function(lambda batch: sum(batch)), ([x, x, 1],))
    torch.testing.assert_close(recorded["output"], 2 * x + 1)
    packed = nn.utils.rnn.pack_sequence([x])
    lstm = nn.LSTM(2, 3)
    torch.testing.assert_close(
        record_activations(lstm, packed)["output[0][data]"], lstm(packed)[0].data
    )


@pytest.mark.parametrize(
    "mode", [torch.enable_grad, torch.no_grad, torch.inference_mode]
)
def test_nothing_has_a_gradient_and_the_mode_stays(mode):
    model = nn.Sequential(nn.Linear(2, 2), Function(torch.enable_grad()(torch.exp)))
    with mode():
        before = torch.is_grad_enabled()
        recorded = record_activations(model, torch.rand(1, 2, requires_grad=True))
        assert torch.is_grad_enabled() == before
    recorded["0"].zero_()
    assert not any(output.requires_grad for output in recorded.values())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_the_model_runs_in_its_mode_and_keeps_it(training):
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(100, 2)).train(training)
    model[1].train(not training)
    dropped = record_activations(model, torch.ones(1, 100))["0"] == 0
    assert dropped.any() == training
    assert [m.training for m in model.modules()] == [training, training, not training]


def test_hooks_of_others_stay_and_ours_see_what_they_return():
    model = nn.Sequential(nn.Identity())
    handle = model[0].register_forward_hook(lambda module, inputs, output: output + 1)
    recorded = record_activations(model, torch.zeros(1))
    assert recorded["0"] == 1
    assert list(model[0]._forward_hooks) == [handle.id]
    assert not model._forward_hooks


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_a_model_raises_passes_and_hooks_go(error):
    def fail(x):
        raise error("mine")

    model = nn.Sequential(nn.Linear(2, 2), Function(fail))
    with pytest.raises(error, match="mine"):
        record_activations(model, torch.rand(1, 2))
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.is_grad_enabled()


def test_sparse_and_meta_tensors_are_recorded():
    model = nn.Sequential(
        Function(lambda x: x.to_sparse()), Step(lambda x: x.neg_()), nn.Identity()
    )
    recorded = record_activations(model, torch.tensor([0.0, 2.0]))
    assert recorded["0"].to_dense().tolist() == [0, 2]
    assert recorded["2"].to_dense().tolist() == [0, -2]
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True)).to("meta")
    recorded = record_activations(model, torch.empty(4, 2, device="meta"))
    assert {name: tuple(output.shape) for name, output in recorded.items()} == {
        "0": (4, 3),
        "1": (4, 3),
        "output": (4, 3),
    }


@pytest.mark.parametrize(
    ("model", "x", "layers", "error", "message"),
    [
        ("cnn", torch.rand(1, 3), None, TypeError, "model must be a torch.nn.Module"),
        (Block(), [[1.0]], None, TypeError, "x must be a tensor, or a tuple, list or"),
        (Block(), (), None, TypeError, r"x must .*, got tuple \(\)"),
        (
            Block(),
            torch.rand(3),
            "relu",
            TypeError,
            "layers must be an iterable of names",
        ),
        (Block(), torch.rand(3), 3, TypeError, "layers must be an iterable of names"),
        (Block(), torch.rand(3), ["relu", "fist"], ValueError, "'fist' .close: first"),
        (Block(), torch.rand(3), ["relu:2"], ValueError, "'relu:2' .close: relu"),
        (Block(), torch.rand(3), ["?"], ValueError, "it has output, first, relu"),
    ],
)
def test_bad_arguments_are_named(model, x, layers, error, message):
    with pytest.raises(error, match=message):
        record_activations(model, x, layers)

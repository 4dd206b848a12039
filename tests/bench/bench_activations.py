"""Recording every layer of ResNet-18: ours, plain hooks, torchvision's extractor.

Random weights, images of 224 × 224. Plain hooks and the extractor copy nothing, so what
they give for a layer is changed by the in-place operations after it; copying all would
be the simplest cure. The extractor is timed over the same layers, without and with its
construction, which traces the model.
"""

import pytest
import torch
from torchvision.models import resnet18
from torchvision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)

from cnnviz.activations import record_activations


def hooked(keep):
    """Return a recorder made of forward hooks that keep something of each output."""

    def record(model, x):
        outputs = {}
        handles = [
            module.register_forward_hook(
                lambda module, inputs, output, name=name: outputs.update(
                    {name: keep(output)}
                )
            )
            for name, module in model.named_modules()
        ]
        with torch.no_grad():
            model(x)
        for handle in handles:
            handle.remove()
        return outputs

    return record


def extractor_of(model):
    """Build torchvision's extractor for all nodes of the model's graph."""
    return create_feature_extractor(model, get_graph_node_names(model)[1])


def build_and_extract(model, x):
    with torch.no_grad():
        return extractor_of(model)(x)


def extract_only(model):
    extractor = extractor_of(model)

    def record(model, x):
        with torch.no_grad():
            return extractor(x)

    return record


RECORDERS = {
    "plain hooks": lambda model: hooked(torch.Tensor.detach),
    "record_activations": lambda model: record_activations,
    "hooks that copy all": lambda model: hooked(torch.clone),
    "extractor": extract_only,
    "extractor with construction": lambda model: build_and_extract,
}


@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("batch", [1, 8])
def bench_activations(benchmark, batch, recorder):
    benchmark.group = f"all layers of ResNet-18, batch of {batch}"
    torch.manual_seed(0)
    model = resnet18().eval()
    x = torch.randn(batch, 3, 224, 224)
    record = RECORDERS[recorder](model)
    benchmark.pedantic(record, (model, x), rounds=24 // batch + 9, warmup_rounds=2)

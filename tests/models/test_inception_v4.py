"""Inception-v4, which `keras.applications` does not have, is that of timm."""

import importlib.util
import json

import keras
import numpy as np
import pytest

from keras_swish import models
from keras_swish.models.weights import weighted_layers

PEER = """
import json, sys
from benchmarks import torchvision_stub
torchvision_stub.install()
import numpy, timm, torch
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
model = timm.create_model("inception_v4", pretrained=False)
images = torch.randn(4, 3, 299, 299)
norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
with torch.no_grad():
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 0
        parameter.normal_(0, (2 / fan_in) ** 0.5) if fan_in else parameter.uniform_(0.5, 1.5)
    for norm in norms:
        norm.bias.normal_(0, 0.3)
        norm.momentum = 1.0
    model.train()(images)
    for norm in norms:
        norm.running_mean += 0.01 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= 0.95 + 0.1 * torch.rand_like(norm.running_var)
    model.eval()
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    logits = model(images)
weights = [v.numpy() for k, v in model.state_dict().items() if "num_batches" not in k]
arrays = dict(images=images.numpy(), features=features.numpy(), logits=logits.numpy())
numpy.savez(sys.argv[1], *weights, **arrays)
print(json.dumps(sum(p.numel() for p in model.parameters())))
"""


@pytest.fixture
def _float64():
    for dtype in ("float64", "float32"):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        if dtype == "float64":
            yield


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow" or not importlib.util.find_spec("timm"),
    reason="needs timm, and TensorFlow: Keras normalises in float32 elsewhere",
)
@pytest.mark.usefixtures("_float64")
def test_with_the_weights_of_timm_it_gives_the_outputs_of_timm(python, tmp_path):
    outcome = python("-c", PEER, tmp_path / "timm.npz")
    file = np.load(tmp_path / "timm.npz")
    model = models.create(
        "inception_v4",
        input_shape=(299, 299, 3),
        classifier_activation=None,
        bn_scale=True,  # timm's has a gamma, the authors' has not
    )
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert json.loads(outcome.stdout.splitlines()[-1]) == trainable == 42_679_816

    # timm's modules are listed in the order of the branches, as ours are.
    theirs = iter(file[f"arr_{number}"] for number in range(len(file.files) - 3))
    for layer in weighted_layers(model):
        values = [next(theirs) for _ in layer.weights]
        if isinstance(layer, keras.layers.Conv2D):
            values = [np.transpose(values[0], (2, 3, 1, 0))]
        elif isinstance(layer, keras.layers.Dense):
            values[0] = values[0].T
        layer.set_weights(values)
    assert next(theirs, None) is None

    inner = keras.Model(model.input, [model.get_layer("pool").output, model.output])
    x = np.transpose(file["images"], (0, 2, 3, 1))
    for ours, name in zip(inner(x, training=False), ("features", "logits")):
        ours, other = keras.ops.convert_to_numpy(ours), file[name]
        assert np.linalg.norm(ours - other) / np.linalg.norm(other) < 1e-10
        assert np.std(other) > 0.1
        assert np.std(other, axis=0).mean() > 0.01, "it answers the same to every image"

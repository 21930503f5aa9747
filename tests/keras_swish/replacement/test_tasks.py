"""Models of KerasHub with constructors and methods of their own, which must stay what they are."""

import keras
import numpy as np
import pytest
from carrying import disturbed

import keras_swish
from keras_swish.replacement.sites import locate_activations

hub = pytest.importorskip("keras_hub")

SMALL = {"vocabulary_size": 30, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16}
HEADS = {**SMALL, "num_heads": 2, "max_sequence_length": 8}
TOKENS = {"token_ids": np.arange(8)[None], "padding_mask": np.ones((1, 8), "int32")}
BERT = {**TOKENS, "segment_ids": np.zeros((1, 8), "int32")}
IMAGE = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
PAIRS = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in TOKENS.items()}


def opt():
    return hub.models.OPTBackbone(**HEADS), TOKENS


def bart():
    return hub.models.BartBackbone(**HEADS), PAIRS


def t5():
    arguments = {**SMALL, "num_heads": 2, "key_value_dim": 4}
    return hub.models.T5Backbone(**arguments), PAIRS


def bert_with_its_masked_head():
    head = hub.models.BertMaskedLM(hub.models.BertBackbone(**HEADS))
    return head, {**BERT, "mask_positions": np.array([[1, 2]])}


def llama():
    arguments = {**SMALL, "num_query_heads": 2, "num_key_value_heads": 1}
    return hub.models.LlamaCausalLM(hub.models.LlamaBackbone(**arguments)), TOKENS


def vit():
    backbone = hub.models.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16
    )
    return hub.models.ViTImageClassifier(backbone=backbone, num_classes=3), IMAGE


def outputs(model, x):
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def are_equal(ones, others):
    return all(np.array_equal(one, two) for one, two in zip(ones, others, strict=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "old", "sites"),
    [
        (opt, "relu", 2),
        (bart, "gelu", 4),
        (t5, "relu", 4),
        (bert_with_its_masked_head, "gelu", 1),
        (llama, "silu", 2),
        (vit, "gelu", 2),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_model_keeps_its_class_its_bits_and_its_new_activations(make, old, sites, tmp_path):
    model, x = make()
    disturbed(model)
    own = getattr(keras.activations, old)
    options = {"except_last": False, "return_report": True}
    same, _ = keras_swish.replace_activations(model, {old: own}, **options)
    assert are_equal(outputs(same, x), outputs(model, x))
    assert len(same.weights) == len(model.weights)
    changed, report = keras_swish.replace_activations(model, {old: "swish_beta"}, **options)
    assert len(report.replaced) == sites
    assert len(changed.weights) == len(model.weights) + sites
    assert not report.notes
    assert isinstance(changed, type(model))
    changed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, type(model))
    assert are_equal(outputs(loaded, x), outputs(changed, x))
    assert not are_equal(outputs(loaded, x), outputs(model, x))
    back, report = keras_swish.replace_activations(loaded, {"swish_beta": own}, **options)
    assert len(report.replaced) == sites
    assert are_equal(outputs(back, x), outputs(model, x))


@pytest.mark.filterwarnings("ignore")
def test_a_language_model_generates_with_its_new_activations():
    model = disturbed(hub.models.GPT2CausalLM(hub.models.GPT2Backbone(**HEADS)))
    model.compile(sampler="greedy")
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 0]])
    prompt = {"token_ids": np.array([[1, 2, 3, 0, 0, 0, 0, 0]]), "padding_mask": mask}

    def generated(one):
        return one.generate(prompt, stop_token_ids=None)["token_ids"]

    before = generated(model)
    gelu = next(at.activation for at in locate_activations(model) if "gelu" in at.site.old)
    same = keras_swish.replace_activations(model, {gelu: gelu})
    np.testing.assert_array_equal(generated(same), before)
    # It generates with its own weights, not by what the original compiled.
    for variable in same.weights:
        variable.assign(-variable)
    same.compile(sampler="greedy")
    assert (generated(same) != before).any()
    np.testing.assert_array_equal(generated(model), before)


@pytest.mark.filterwarnings("ignore")
def test_a_preprocessor_stays_attached(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    tokenizer = hub.models.BertTokenizer(vocabulary=words)
    preprocessor = hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
    backbone = hub.models.BertBackbone(**HEADS)
    model = hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=preprocessor)
    disturbed(model)
    changed = keras_swish.replace_activations(model, {"tanh": "swish_beta"})
    changed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    texts = ["a b c"]
    expected = changed.predict(texts, verbose=0)
    assert (expected != model.predict(texts, verbose=0)).any()
    np.testing.assert_array_equal(loaded.predict(texts, verbose=0), expected)

import keras
import numpy as np
import pytest

import keras_swish

numpy = keras.ops.convert_to_numpy

RNG = np.random.default_rng(0)
SCORES, IS_KEPT = RNG.normal(size=(2, 5)).astype("float32"), np.array([[1, 0, 1, 0, 1]] * 2, bool)
TOKENS = RNG.normal(size=(2, 5, 8)).astype("float32")


@keras.saving.register_keras_serializable("reach")
class Scores(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.softmax = keras.layers.Softmax(axis=1)

    def call(self, scores, is_kept):
        return self.softmax(scores, is_kept)


def graph(call):
    inputs = [keras.Input((5,)), keras.Input((5,), dtype="bool")]
    return keras.Model(inputs, call(*inputs)), [SCORES, IS_KEPT]


def attention(**options):
    inputs = keras.Input((5, 8))
    layer = keras.layers.MultiHeadAttention(2, 4, name="attention", **options)
    return keras.Model(inputs, layer(inputs, inputs, use_causal_mask=True)), TOKENS


MASKED = {
    "positional": lambda: graph(lambda x, mask: keras.layers.Softmax(name="soft")(x, mask)),
    "by_name": lambda: graph(lambda x, mask: keras.layers.Softmax(name="soft")(x, mask=mask)),
    "in_code": lambda: graph(lambda x, mask: Scores(name="scores")(x, mask)),
    "attention": lambda: attention(dropout=0.1),
}
masked = pytest.mark.parametrize("build", MASKED.values(), ids=MASKED)


def replaced(model, new, **options):
    return keras_swish.replace_activations(model, {"softmax": new}, except_last=False, **options)


@masked
@pytest.mark.parametrize("new", ["softmax", keras.activations.softmax], ids=["name", "function"])
def test_softmax_by_softmax_obeys_the_mask(build, new, tmp_path):
    model, x = build()
    before = numpy(model(x))
    other = [x[0], ~x[1]] if isinstance(x, list) else x[:, ::-1]
    assert np.ptp(before - numpy(model(other))) > 0
    copy = replaced(model, new)
    np.testing.assert_array_equal(numpy(copy(x)), before)
    copy.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(x)), before)


@masked
@pytest.mark.parametrize("new", ["swish_beta", "sigmoid"])
def test_masked_softmax_by_what_takes_no_mask_is_refused(build, new):
    model, _ = build()
    path = keras_swish.find_activations(model)[0].path
    with pytest.raises(ValueError, match=f"with a mask.*{path} by {new}"):
        replaced(model, new)


@masked
def test_masked_softmax_is_kept_with_its_reason_where_not_strict(build):
    model, _ = build()
    inputs = keras.Input((3,))
    both = keras.Model([*model.inputs, inputs], [model.output, keras.layers.ReLU()(inputs)])
    keys = {"softmax": "sigmoid", "relu": "swish_beta"}
    _, report = keras_swish.replace_activations(
        both, keys, except_last=False, strict=False, return_report=True
    )
    assert [site.old for site in report.replaced] == ["relu"]
    [kept] = report.kept
    assert kept.reason == "is called with a mask, which sigmoid does not take"


def test_softmax_without_a_mask_is_replaced():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Softmax()(inputs))
    expected = 1 / (1 + np.exp(-SCORES))
    np.testing.assert_allclose(numpy(replaced(model, "sigmoid")(SCORES)), expected, rtol=1e-5)


def test_softmax_of_attention_in_one_operation_is_kept():
    model, _ = attention()
    with pytest.raises(ValueError, match="never called: the attention is computed in one"):
        replaced(model, "sigmoid")


@keras.saving.register_keras_serializable("reach")
class OneOfTwo(keras.layers.Layer):
    def __init__(self, built=False, **kwargs):
        super().__init__(**kwargs)
        self.called = keras.layers.Dense(4, "relu", name="called")
        self.spare = keras.layers.Dense(4, "relu", name="spare")
        self.is_built = built

    def build(self, shape):
        self.called.build(shape)
        if self.is_built:
            self.spare.build(shape)
        self.built = True

    def call(self, x):
        return self.called(x)


def test_layer_that_is_never_called_nor_built_is_kept():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, OneOfTwo(name="block")(inputs))
    copy, report = keras_swish.replace_activations(
        model, {"relu": "swish_beta"}, except_last=False, return_report=True
    )
    assert [site.path for site in report.replaced] == ["block/called"]
    assert [(s.path, s.reason) for s in report.kept] == [("block/spare", "is never called")]
    assert copy.count_params() == model.count_params() + 4


@keras.saving.register_keras_serializable("reach")
class ByData(OneOfTwo):
    def call(self, x):
        return self.called(x) if float(keras.ops.mean(x)) > 0 else self.spare(x)


class ByFlag(OneOfTwo):
    is_late = False

    def call(self, x):
        return self.spare(x) if self.is_late else self.called(x)


class Around(keras.Model):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def build(self, shape):
        self.block.build(shape)
        self.built = True

    def call(self, x):
        return self.block(x)


@pytest.mark.parametrize("block", [ByData, ByFlag])
@pytest.mark.filterwarnings("ignore:replace_activations")  # some are registered nowhere
def test_layer_that_data_or_a_flag_may_call_is_replaced(block):
    model = Around(block(built=True, name="block"))
    model(abs(SCORES))
    copy = keras_swish.replace_activations(model, {"relu": "tanh"}, except_last=False)
    copy.block.is_late = True
    copy.block.spare.kernel.assign(np.ones((5, 4)))
    x = -abs(SCORES)
    expected = numpy(keras.ops.tanh(keras.ops.matmul(x, copy.block.spare.kernel)))
    np.testing.assert_allclose(numpy(copy(x)), expected, rtol=1e-5)
    assert np.all(expected < 0)


def test_new_weights_of_a_layer_that_data_may_build_later_are_refused():
    model = Around(ByData(name="block"))
    model(abs(SCORES))
    with pytest.raises(ValueError, match="'spare' is not built, so the weights of its new"):
        keras_swish.replace_activations(model, {"relu": "swish_beta"}, except_last=False)


class TwoPhases(keras.Model):
    def __init__(self):
        super().__init__()
        self.student = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "relu")])
        self.teacher = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "relu")])

    def call(self, x):
        return self.student(x)

    def get_config(self):
        return {}


def test_model_that_another_uses_in_training_alone_is_replaced():
    model = TwoPhases()
    model(SCORES)
    _, report = keras_swish.replace_activations(
        model, {"relu": "swish_beta"}, except_last=False, return_report=True
    )
    assert len(report.replaced) == 2

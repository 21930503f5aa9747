"""Exported models: each format's own runtime computes what Keras computes."""

import dataclasses
import json
import zipfile

import keras
import numpy as np
import pytest

import keras_swish
import reference
from keras_swish.elementwise.operation import plain_operations
from keras_swish.export import formats
from keras_swish.formulas.primitives import BINARY, UNARY
from keras_swish.kernels import portable

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the exporters are TensorFlow's"
)
SUFFIXES = {name: entry.suffix for name, entry in formats.FORMATS.items()}
# Where kernels change from one form to another, where exponentials vanish and overflow, and where
# squares do; 0 for sinc.
X = [0, 1e-30, 1e-6, -0.3, 0.5, 1, -1, -5, -15, -20, 20, 60, -60, -88, -100, 100, 1e4, -1e4]
X = np.float32([*X, 3e5, 1e9, -1e9, 1e20, 1e30, -1e30]).reshape(1, -1)

WAVES = ("sin(x)", "cos(x)", "sinc(x)", "min_sin")


def require(form):
    for package in formats.FORMATS[form].packages:
        pytest.importorskip(package)


def network(activation="swish_beta", **kwargs):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(8, 3),
            keras.layers.BatchNormalization(),
            keras_swish.layer(activation),
            keras.layers.Conv2D(8, 3, strides=2),
            keras_swish.layer(activation),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ],
        **kwargs,
    )


def images(n):
    return np.random.default_rng(1).normal(size=(n, 12, 12, 3)).astype("float32")


def check_everywhere(activation, form, path):
    """Compares a model of one activation with Keras, element by element."""
    # LiteRT's sine and cosine know no larger numbers; ours are those of a million.
    x = X[:, np.abs(X[0]) < 1e6] if form == "litert" and activation in WAVES else X
    model = keras.Sequential([keras.Input(x.shape[1:]), keras_swish.layer(activation)])
    keras_swish.export(model, path, form, representative_data=x)
    (ours,) = formats.FORMATS[form].run(path, x, [model.inputs[0].name])
    expected = np.asarray(model(x))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(np.asarray(ours)[finite], expected[finite], rtol=4e-6, atol=1e-6)


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_network_computes_the_same(form, tmp_path):
    require(form)
    model, path = network(), tmp_path / f"model{SUFFIXES[form]}"
    difference = keras_swish.export(model, path)
    assert 0 <= difference < 1e-5
    x = images(7)
    (ours,) = formats.FORMATS[form].run(path, x, [model.inputs[0].name])
    np.testing.assert_allclose(np.asarray(ours), model.predict(x, verbose=0), atol=1e-6)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["litert", "onnx"])
@pytest.mark.parametrize("name", ["swish_beta", "gelu", "sinc_plus_x"])
def test_an_activation_agrees_everywhere(name, form, tmp_path):
    require(form)
    check_everywhere(name, form, tmp_path / f"model{SUFFIXES[form]}")


FORMULAS = [p.formula for p in UNARY.values() if "x" in p.formula.replace("exp", "")]
FORMULAS += [p.formula.replace("x1", "x").replace("x2", "(x / 2 + 1)") for p in BINARY.values()]


@pytest.mark.slow
@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("activation", [*keras_swish.names(), *FORMULAS])
def test_every_activation_agrees_everywhere(activation, form, tmp_path):
    require(form)
    check_everywhere(activation, form, tmp_path / f"model{SUFFIXES[form]}")


@pytest.mark.parametrize("functions", ["TENSORFLOW", "ONNX", "LITERT"])
def test_what_is_written_computes_every_named_activation(functions):
    x = np.float32([[-90, -30, -6, -2.5, -0.7, -1e-3, 0, 1e-3, 0.7, 2.5, 6, 30, 90]])
    for name in keras_swish.names():
        with plain_operations(getattr(portable, functions)):
            ours = keras.ops.convert_to_numpy(keras_swish.layer(name)(x))
        expected = reference.NAMED[name](x.astype("float64"))
        np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=2e-6, err_msg=name)


def test_choices_do_not_leak_into_onnx(tmp_path):
    require("onnx")
    inputs = keras.Input((3,))
    safe = keras.ops.where(inputs > 0, keras.ops.log(inputs), keras.ops.exp(-inputs))
    x = np.float32([[-1.0, 0.0, 200.0]])
    path = tmp_path / "model.onnx"
    keras_swish.export(keras.Model(inputs, safe), path, representative_data=x)
    (ours,) = formats.run_onnx(path, x, [inputs.name])
    np.testing.assert_allclose(ours, [[np.e, 1.0, np.log(200)]], rtol=1e-6)


@pytest.mark.parametrize("name", ["gelu", "celu"])
def test_keras_own_activations_too(name, tmp_path):
    require("onnx")
    model = keras.Sequential([keras.Input((9,)), keras.layers.Activation(name)])
    assert keras_swish.export(model, tmp_path / "model.onnx") < 1e-6


def test_int8_is_smaller_and_close(tmp_path):
    require("litert")
    from ai_edge_litert.interpreter import Interpreter

    model, data = network("swish"), images(40)
    difference = keras_swish.export(
        model, tmp_path / "int8.tflite", quantize="int8", representative_data=data
    )
    assert 0 < difference < 0.1
    interpreter = Interpreter(str(tmp_path / "int8.tflite"))
    types = [tensor["dtype"] for tensor in interpreter.get_tensor_details()]
    assert types.count(np.int8) > len(types) / 2


def test_hard_swish_is_written_on_request_alone(tmp_path):
    require("litert")
    model = keras.Sequential([keras.Input((5,)), keras_swish.layer("swish")])
    x = np.float32([[-4, -1, 0, 1, 4]])
    keras_swish.export(model, tmp_path / "hard.tflite", hard_swish=True)
    (ours,) = formats.run_litert(tmp_path / "hard.tflite", x, [model.inputs[0].name])
    np.testing.assert_allclose(ours, x * np.clip(x + 3, 0, 6) / 6, atol=1e-6)
    np.testing.assert_allclose(model(x), x / (1 + np.exp(-x)), rtol=1e-6)


def test_hard_swish_is_written_for_keras_s_own_swish_too(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(5, "silu", kernel_initializer="identity"),
            keras.layers.Lambda(keras.ops.silu),
        ]
    )
    x = np.float32([[-4, -1, 0, 1, 4]])
    keras_swish.export(model, tmp_path / "hard", hard_swish=True)
    (hard,) = formats.run_saved_model(tmp_path / "hard", x, [])
    wanted = x * np.clip(x + 3, 0, 6) / 6
    np.testing.assert_allclose(hard, wanted * np.clip(wanted + 3, 0, 6) / 6, atol=1e-6)


@pytest.mark.parametrize("form", SUFFIXES)
def test_several_inputs_and_outputs(form, tmp_path):
    require(form)
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((2,), name="a")}
    joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = [keras_swish.Swish()(joined), keras.layers.Dense(1)(joined)]
    path = tmp_path / f"model{SUFFIXES[form]}"
    assert keras_swish.export(keras.Model(inputs, outputs), path) < 1e-5


def test_a_subclassed_model_needs_data(tmp_path):
    require("onnx")

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.act = keras_swish.Swish()

        def call(self, x):
            return self.act(x)

    model = Net()
    with pytest.raises(ValueError, match="`representative_data` is needed"):
        keras_swish.export(model, tmp_path / "net.onnx")
    x = np.float32([[1, 2]])
    assert keras_swish.export(model, tmp_path / "net.onnx", representative_data=x) < 1e-6


def test_what_differs_is_not_kept(tmp_path, monkeypatch):
    require("onnx")
    wrong = {**formats.portable.ONNX, "gate": lambda a, b: a * 0.5}
    form = formats.dataclasses.replace(formats.FORMATS["onnx"], functions=wrong)
    monkeypatch.setitem(formats.FORMATS, "onnx", form)
    with pytest.raises(ValueError, match=r"was not kept: its outputs differ .* by 0\.\d+ times"):
        keras_swish.export(network("swish"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_run_is_not_kept(tmp_path):
    require("onnx")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.fft((inputs, inputs)))
    with pytest.raises(ValueError, match=r"model\.onnx (could not be written|was not kept)"):
        keras_swish.export(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


NAMES = ["cat", "dög", "eel", "fox", "gnu"]


def preprocessing(dtype="uint8"):
    return keras.Sequential(
        [
            keras.Input((20, 20, 3), dtype=dtype, name="images"),
            keras.layers.Resizing(12, 12),
            keras.layers.Rescaling(1 / 127.5, -1),
        ]
    )


@pytest.mark.parametrize("form", SUFFIXES)
def test_preprocessing_and_names_of_classes_are_in_the_file(form, tmp_path):
    require(form)
    model, path = network("swish"), tmp_path / f"model{SUFFIXES[form]}"
    keras_swish.export(model, path, preprocessing=preprocessing(), class_names=NAMES)
    x = np.random.default_rng(2).integers(0, 256, (4, 20, 20, 3)).astype("uint8")
    expected = model.predict(preprocessing().predict(x, verbose=0), verbose=0)
    outputs = formats.FORMATS[form].run(path, x, ["images"])
    np.testing.assert_allclose(np.asarray(outputs[-1]), expected, atol=1e-5)
    if form == "saved_model":
        names = [name.decode() for name in outputs[0].numpy()]
        assert names == [NAMES[number] for number in expected.argmax(1)]
    elif form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        assert json.loads(metadata["class_names"]) == NAMES
    else:
        with zipfile.ZipFile(path) as archive:
            assert archive.read("labels.txt").decode().splitlines() == NAMES
    assert list(tmp_path.iterdir()) == [path]


def test_logits_become_probabilities(tmp_path):
    layers = [keras.Input((4,)), keras.layers.Dense(3)]
    model, path = keras.Sequential(layers), tmp_path / "model"
    keras_swish.export(model, path, classifier_activation="softmax", class_names=NAMES[:3])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    _, scores = formats.run_saved_model(path, x, [])
    np.testing.assert_allclose(scores, keras.ops.softmax(model(x)), atol=1e-6)


def test_a_saved_model_takes_encoded_images(tmp_path):
    import tensorflow as tf

    def decode(encoded):
        return tf.map_fn(
            lambda one: tf.cast(tf.io.decode_png(one, 3), "float32"),
            encoded,
            fn_output_signature=tf.TensorSpec((None, None, 3)),
        )

    inputs = keras.Input((), dtype="string", name="images")
    decoded = keras.layers.Lambda(decode, output_shape=(12, 12, 3), dtype="float32")(inputs)
    x = np.random.default_rng(2).integers(0, 256, (2, 12, 12, 3)).astype("uint8")
    encoded = np.array([tf.io.encode_png(image).numpy() for image in x], object)
    options = {"preprocessing": keras.Model(inputs, decoded), "class_names": NAMES}
    model, path = network("swish"), tmp_path / "model"
    with pytest.raises(ValueError, match="the model takes strings"):
        keras_swish.export(model, path, **options)
    options["representative_data"] = encoded
    keras_swish.export(model, path, **options)
    _, scores = formats.run_saved_model(path, encoded, [])
    np.testing.assert_allclose(scores, model.predict(x.astype("float32"), verbose=0), atol=1e-5)
    require("onnx")
    with pytest.raises(ValueError, match="Strings can be inputs of a SavedModel alone"):
        keras_swish.export(model, tmp_path / "model.onnx", **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("model.onx", {}, "Unknown format '.onx'. Did you mean"),
        ("model.onnx", {"format": "litert"}, "`path` must end in '.tflite'"),
        (
            "model",
            {"class_names": ["a", "b", "c"]},
            "`class_names` has 3 names, .* gives outputs of",
        ),
        ("model", {"class_names": "abcde"}, "`class_names` must be a list of strings"),
        ("model", {"class_names": 3}, "`class_names` must be a list of strings"),
        ("model", {"class_names": iter("abc")}, "`class_names` has 3 names"),
        ("model", {"tolerance": "1"}, "`tolerance` must be a number, at least 0"),
        ("model", {"tolerance": float("nan")}, "`tolerance` must be a number, at least 0"),
        ("model", {"classifier_activation": "relu"}, "must be None or 'softmax'"),
        ("model.onnx", {"quantize": "int8"}, "`quantize` needs `representative_data`"),
        ("model.tflite", {"quantize": "int4"}, "`quantize` must be None or 'int8'"),
        ("there.onnx", {}, "there.onnx exists"),
        ("no/model.onnx", {}, "is not there"),
    ],
)
def test_mistakes_are_named(name, options, message, tmp_path):
    (tmp_path / "there.onnx").write_text("")
    model = keras.Sequential([keras.Input((2,)), keras_swish.Swish()])
    with pytest.raises(ValueError, match=message):
        keras_swish.export(model, tmp_path / name, **options)


def test_another_backend_is_told_what_to_do(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras_swish.Swish()])
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"need Keras's TensorFlow backend: save the model"):
        keras_swish.export(model, tmp_path / "model.onnx")


def test_a_missing_package_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = keras.Sequential([keras.Input((2,)), keras_swish.Swish()])
    with pytest.raises(ImportError, match=r"pip install 'keras-swish\[export\]'"):
        keras_swish.export(model, tmp_path / "model.onnx")


def test_examples_are_cast_as_predict_casts_them_and_0_tolerates_nothing(tmp_path):
    model = network()
    x = images(2).astype("float64")
    found = keras_swish.export(model, tmp_path / "a", representative_data=x)
    assert 0 < found < 1e-5
    with pytest.raises(ValueError, match="`tolerance` is 0"):
        keras_swish.export(model, tmp_path / "b", representative_data=x, tolerance=0.0)


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 10), ("bfloat16", 7)])
def test_last_bits_of_half_precision_are_tolerated(dtype, bits, tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((4,)), keras_swish.Swish(dtype=dtype)])
    x = np.ones((1, 4), "float32")
    y = np.asarray(keras.ops.cast(model(x), "float64"))
    form = formats.FORMATS["saved_model"]

    def export(outputs, name):
        written = dataclasses.replace(form, run=lambda *_: [outputs])
        monkeypatch.setitem(formats.FORMATS, "saved_model", written)
        return keras_swish.export(model, tmp_path / name, representative_data=x)

    assert export(y * (1 + 2.0**-bits), "a") == pytest.approx(2.0**-bits)
    with pytest.raises(ValueError, match=r"`tolerance` is 0\.0"):
        export(y * (1 + 2.0 ** (4 - bits)), "b")


@pytest.mark.parametrize(
    "end",
    [
        [keras.layers.Dense(3, activation="softmax")],
        [keras.layers.Dense(3), keras.layers.Softmax()],
        [keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])],
        # The end of a network in float16.
        [keras.layers.Dense(3, "softmax"), keras.layers.Activation("linear", dtype="float32")],
        [keras.layers.Dense(3), keras.layers.Lambda(keras.ops.softmax)],
        [keras.layers.Dense(3, activation=keras.layers.Softmax()), keras.layers.Reshape((3,))],
    ],
)
def test_probabilities_are_made_once(end, tmp_path):
    model = keras.Sequential([keras.Input((4,)), *end])
    with pytest.raises(ValueError, match=r"are (of (softmax|sigmoid)|probabilities) already"):
        keras_swish.export(model, tmp_path / "a", classifier_activation="softmax")


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_model_of_a_fixed_batch_size_takes_examples(form, tmp_path):
    require(form)
    model = keras.Sequential([keras.Input(batch_shape=(2, 4)), keras.layers.Dense(3, "relu")])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    suffix = SUFFIXES[form]
    assert keras_swish.export(model, tmp_path / f"a{suffix}", representative_data=x) < 1e-5
    if form == "litert":
        options = {"quantize": "int8", "representative_data": x}
        assert keras_swish.export(model, tmp_path / f"b{suffix}", **options) < 0.1
    with pytest.raises(ValueError, match=r"needs 2 examples at least.*Received: 1"):
        keras_swish.export(model, tmp_path / f"c{suffix}", representative_data=x[:1])


def test_data_are_taken_as_predict_takes_them(tmp_path):
    def model(make):
        inputs = [keras.Input((2,), name="b"), keras.Input((1,), name="a")]
        y = keras.layers.Dense(3, "relu")(keras.layers.Concatenate()(inputs))
        return keras.Model(make(inputs), y)

    b, a = np.random.default_rng(0).normal(size=(5, 2)), np.arange(5)
    named, listed = {"a": a, "b": b, "more": a}, model(list)
    of_names = model(lambda inputs: {x.name: x for x in inputs})
    one = keras.Input((2,))
    of_one = keras.Model({"x": one}, keras.layers.Dense(3)(one))
    cases = [(listed, named), (listed, (b, a)), (of_names, named), (of_one, b)]
    for number, (each, data) in enumerate(cases):
        each.predict(data, verbose=0)
        path = tmp_path / str(number)
        assert keras_swish.export(each, path, representative_data=data) < 1e-5
    for data, message in [
        ({"a": a}, "for each of the inputs .'b', 'a'.. Received: a dict with the keys .'a'."),
        ([a[:, None]], "must be 2 arrays, for the inputs .'b', 'a'.. Received: 1 arrays"),
        ([b[:0], a[:0]], "of at least one example"),
        ([], "of at least one example"),
    ]:
        with pytest.raises(ValueError, match=message):
            keras_swish.export(listed, tmp_path / "none", representative_data=data)
    with pytest.raises(ValueError, match=r"must be a dict .* Received: no dict"):
        keras_swish.export(of_names, tmp_path / "none", representative_data=[b, a])


def test_logits_are_one_output_in_any_structure(tmp_path):
    inputs = keras.Input((4,))
    logits = keras.layers.Dense(3)(inputs)
    model = keras.Model(inputs, {"logits": logits})
    assert keras_swish.export(model, tmp_path / "a", classifier_activation="softmax") < 1e-5
    model = keras.Model(inputs, [logits, keras.layers.Dense(2)(inputs)])
    with pytest.raises(ValueError, match=r"for a model of one output.*which has 2"):
        keras_swish.export(model, tmp_path / "b", classifier_activation="softmax")
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    with pytest.raises(ValueError, match="a softmax of one is always 1"):
        keras_swish.export(model, tmp_path / "b", classifier_activation="softmax")


class Remembers(keras.layers.Layer):
    """Changes with each call what a layer may have: an attribute, a state, a metric."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), trainable=False, initializer="zeros")
        self.mean, self.last = keras.metrics.Mean(), None

    def call(self, x):
        self.calls.assign_add(1.0)
        self.mean.update_state(x)
        self.last = x
        return x * self.calls + self.mean.result()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_names": ["a", "b"]},
        {
            "preprocessing": keras.Sequential(
                [keras.Input(batch_shape=(2, 2, 3)), keras.layers.Rescaling(0.5)]
            ),
            "classifier_activation": "softmax",
        },
    ],
)
def test_a_model_that_changes_when_it_is_called_is_left_as_it_is(options, tmp_path):
    rnn, remembers = keras.layers.SimpleRNN(2, stateful=True), Remembers()
    model = keras.Sequential([keras.Input((2, 3), batch_size=2), rnn, remembers])
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    model(x[:2])
    variables = [*model.variables, *rnn.states, *remembers.mean.variables]
    before, last = [variable.numpy() for variable in variables], remembers.last
    calls = [len(layer._inbound_nodes) for layer in (model, *model.layers)]
    # Each batch is computed from the states that the file has.
    assert keras_swish.export(model, tmp_path / "a", representative_data=x, **options) < 1e-5
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert remembers.last is last
    assert [len(layer._inbound_nodes) for layer in (model, *model.layers)] == calls


@pytest.mark.parametrize("form", SUFFIXES)
def test_augmentation_is_left_out(form, tmp_path):
    require(form)
    layers = [keras.layers.RandomBrightness(0.9, (0, 1)), keras.layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers, keras_swish.Swish()])
    assert keras_swish.export(model, tmp_path / f"model{SUFFIXES[form]}") < 1e-5


def test_a_model_that_was_never_called_is_built(tmp_path):
    model = keras.Sequential([keras.layers.SimpleRNN(4, stateful=True), Remembers()])
    x = np.random.default_rng(0).normal(size=(2, 2, 3)).astype("float32")
    assert keras_swish.export(model, tmp_path / "a", representative_data=x) < 1e-5
    assert model(x).shape == (2, 4)


class Classifier(keras.Model):
    """A model of the user's own, which tells no shapes."""

    def __init__(self):
        super().__init__()
        self.inputs = self.outputs = self.operations = 3
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("make", [Classifier, lambda: keras.Sequential([keras.layers.Dense(3)])])
def test_classes_of_a_model_without_known_shapes_have_names(make, tmp_path):
    model, x = make(), np.ones((2, 4))
    options = {"preprocessing": keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(2)])}
    with pytest.raises(ValueError, match=r"5 names, .* gives outputs of the shape \(None, 3\)"):
        keras_swish.export(model, tmp_path / "a", class_names=NAMES, **options)
    keras_swish.export(model, tmp_path / "a", class_names=NAMES[:3], **options)
    classes, scores = formats.run_saved_model(tmp_path / "a", np.float32(x), [])
    assert [name.decode() for name in classes.numpy()] == [NAMES[i] for i in np.argmax(scores, 1)]
    with pytest.raises(ValueError, match=r"The inputs of .* are unknown: give a `preprocessing`"):
        keras_swish.export(make(), tmp_path / "b", class_names=NAMES[:3], representative_data=x)


def test_names_of_classes_are_counted_where_they_are_no_outputs(tmp_path, monkeypatch):
    # Without the packages that other formats need.
    form = formats.dataclasses.replace(formats.FORMATS["saved_model"], add_class_names=print)
    monkeypatch.setitem(formats.FORMATS, "saved_model", form)
    options = {"representative_data": np.ones((2, 4))}
    for make in (Classifier, lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])):
        with pytest.raises(ValueError, match=r"5 names, .* outputs of the shape \(None, 3\)"):
            keras_swish.export(make(), tmp_path / "a", class_names=NAMES, **options)
    with pytest.raises(ValueError, match="Strings can be inputs of a SavedModel alone"):
        keras_swish.export(Classifier(), tmp_path / "a", representative_data=np.array([["a"]]))


def test_a_model_without_known_inputs_gets_floats_as_predict_casts_them(tmp_path):
    import tensorflow as tf

    keras_swish.export(Classifier(), tmp_path / "a", representative_data=np.ones((2, 4)))
    (spec,) = tf.saved_model.load(str(tmp_path / "a")).serve.input_signature
    assert spec.dtype == "float32"

"""What a search reports is what a user gets who builds and trains the model by hand."""

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish.search import Race

pytest.importorskip("optuna")
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(1, 30, (96, 10))
CLASSES = (TOKENS[:, 0] > 15).astype("int32")
TABLE = RANDOM.normal(size=(96, 5)).astype("float32")
PRICES = (TABLE[:, :1] * TABLE[:, 1:2] + 0.1).astype("float32")


def lstm(activation):
    return keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Embedding(30, 8, mask_zero=True),
            keras.layers.LSTM(6),
            keras.layers.Dense(12),
            activation(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def transformer(activation):
    inputs = keras.Input((10,))
    x = keras.layers.Embedding(30, 8)(inputs)
    attended = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.LayerNormalization()(x + attended)
    # In the order of the graph, as layers draw their seeds when they are made.
    wide = activation()(keras.layers.Dense(16)(x))
    x = x + keras.layers.Dense(8)(wide)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def regression(activation):
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(16),
            activation(),
            keras.layers.Dense(16),
            activation(),
            keras.layers.Dense(1),
        ]
    )


def two_outputs(activation):
    inputs = keras.Input((5,), name="table")
    x = activation()(keras.layers.Dense(16)(inputs))
    kind = keras.layers.Dense(2, activation="softmax", name="kind")(x)
    price = keras.layers.Dense(1, name="price")(x)
    return keras.Model({"table": inputs}, {"kind": kind, "price": price})


def mixed(activation):
    policy = keras.DTypePolicy("mixed_float16")
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(16, dtype=policy),
            keras.layers.Activation(activation(), dtype=policy),
            keras.layers.Dense(1, dtype="float32"),
        ]
    )


def adam(rate=0.02):
    return keras.optimizers.Adam(rate)


def decaying():
    return keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.02, 5, 0.9))


def dataset(*arrays):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(arrays).batch(16)


CLASSIFIED = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
BOTH = {"kind": CLASSES, "price": PRICES}
# By name: how it is built and compiled, its optimizer, data, what a step of `fit` takes, objective.
CASES = {
    "lstm": (lstm, CLASSIFIED, adam, (TOKENS, CLASSES), "val_accuracy"),
    "transformer": (transformer, CLASSIFIED, decaying, (TOKENS, CLASSES), "val_loss"),
    "tf.data": (
        regression,
        {"loss": "mse", "metrics": ["mae"]},
        decaying,
        (TABLE, PRICES, np.linspace(0.5, 2, 96).astype("float32")),
        "val_mae",
    ),
    "two outputs": (
        two_outputs,
        {
            "loss": {"kind": "sparse_categorical_crossentropy", "price": "mse"},
            "loss_weights": {"kind": 0.2, "price": 3.0},
        },
        adam,
        ({"table": TABLE}, BOTH),
        "val_loss",
    ),
    "mixed precision": (
        mixed,
        {"loss": "mse"},
        lambda: keras.optimizers.LossScaleOptimizer(adam()),
        (TABLE, PRICES),
        "val_loss",
    ),
}


def rows_of(data, rows):
    return keras.tree.map_structure(lambda array: array[rows], data)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_best_model_trained_by_hand_gets_the_reward_that_is_reported(name):
    build, compiled, optimizer, data, objective = CASES[name]
    model = build(lambda: keras.layers.Activation("relu"))
    model.compile(optimizer(), **compiled)
    train, validation = rows_of(data, slice(0, 64)), rows_of(data, slice(64, 96))
    given = {"x": train[0], "y": train[1], "batch_size": 16}
    if name == "tf.data":
        given = {"x": dataset(*train)}
    result = keras_swish.search_activations(
        model,
        **given,
        validation_data=validation,
        objective=objective,
        max_trials=4,
        epochs=3,
        start=["swish", "gelu"],
        algorithm="random",
        race=Race(seeds=1),
        verbose=0,
    )
    best = result.best
    sign = result.child.objective.sign
    for entry in (best, *result.references()):
        keras.utils.set_random_seed(0)
        by_hand = build(lambda formula=entry.formula: keras_swish.layer(formula))
        by_hand.compile(optimizer(), **compiled)
        for epoch in range(3):
            batch = rows_of(train, result.child.order(0, epoch))
            by_hand.fit(*batch[:2], 16, 1, 0, sample_weight=(*batch, None)[2], shuffle=False)
        logs = by_hand.evaluate(
            *validation[:2], 16, 0, sample_weight=(*validation, None)[2], return_dict=True
        )
        wanted = logs[objective.removeprefix("val_")]
        assert sign * entry.rewards[0] == pytest.approx(wanted, rel=2e-3, abs=1e-4)

import keras
import numpy as np
import pytest

from keras_swish.search.children import compiling, objectives, rewards
from keras_swish.search.children.objectives import MetricReward, Objective, direction_of, read

LARGER = "AUC Accuracy BinaryIoU CosineSimilarity F1Score FBetaScore Precision R2Score Recall"
LARGER += " SparseTopKCategoricalAccuracy TruePositives OneHotMeanIoU SpecificityAtSensitivity"
SMALLER = "BinaryCrossentropy CategoricalHinge FalsePositives Hinge KLDivergence LogCoshError"
SMALLER += " MeanAbsolutePercentageError MeanSquaredLogarithmicError Poisson RootMeanSquaredError"
ARGUMENTS = {
    "BinaryIoU": {"target_class_ids": (0, 1), "threshold": 0.5},
    "OneHotMeanIoU": {"num_classes": 2},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}


@pytest.mark.parametrize(
    ("names", "direction"), [(LARGER, "max"), (SMALLER, "min")], ids=["larger", "smaller"]
)
def test_the_direction_of_keras_metrics_is_known(names, direction):
    for name in names.split():
        metric = getattr(keras.metrics, name)(**ARGUMENTS.get(name, {}))
        assert direction_of(metric) == direction, name
    for function in (keras.losses.mean_squared_error, keras.losses.huber):
        assert direction_of(keras.metrics.MeanMetricWrapper(function, name="mine")) == "min"
    assert direction_of(keras.metrics.Mean()) is None


def test_losses_are_small_whatever_they_are_called():
    for loss in (keras.losses.dice, keras.losses.tversky, keras.losses.Dice()):
        assert direction_of(keras.metrics.MeanMetricWrapper(loss)) == "min"
    # Of Keras's the negative of the metric.
    wrapped = keras.metrics.MeanMetricWrapper(keras.losses.cosine_similarity)
    assert direction_of(wrapped) == "min"


@pytest.mark.parametrize(
    "name",
    [
        "dice_coef",
        "dice_score",
        "tversky_index",
        "huber_acc",
        "hinge_accuracy",
        "error_free_share",
        "neg_mse",
        "neg_loss",
        "inaccuracy",
        "dissimilarity",
        "accuracy_gap",
        "recall_drop",
        "loss_reduction",
        "auc_ratio",
        "precision_std",
        "error_improvement",
    ],
)
def test_a_metric_of_the_users_is_not_judged_by_a_word_of_its_name(name):
    def function(y, outputs):
        return 0 * outputs

    function.__name__ = name
    metric = keras.metrics.MeanMetricWrapper(function, name=name)
    assert direction_of(metric) is None
    with pytest.raises(ValueError, match="should be large or small is not known"):
        objectives.complete(Objective(f"val_{name}"), [name], compiled([metric]))


def test_objectives_are_named_in_the_ways_of_keras_tuner():
    class Theirs:
        name, direction = "val_mae", "min"

    wanted = Objective("val_mae", "min")
    assert read(("val_mae", "min")) == read(["val_mae", "min"]) == read(Theirs()) == wanted
    assert read("val_mae") == Objective("val_mae", None)
    for bad in (3, ("val_mae", "down"), ("a", "min", 2), {"a": 1}):
        with pytest.raises(ValueError, match="Received"):
            read(bad)


def compiled(metrics):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=metrics)
    return model


def test_a_metric_that_ends_in_the_name_of_another_has_no_direction_of_its():
    def neg_mse(y, outputs):
        return -keras.losses.mean_squared_error(y, outputs)

    model = compiled(["mse", neg_mse])
    model.train_on_batch(np.zeros((2, 2)), np.array([[0.0], [1.0]]))
    for logged in (["mse", "neg_mse"], ["mse", "minus_mse"]):  # that of a step of the user's
        with pytest.raises(ValueError, match="should be large or small is not known"):
            objectives.complete(Objective(f"val_{logged[1]}"), logged, model)


def test_what_an_output_is_called_says_nothing_of_its_metrics():
    inputs = keras.Input((2,))
    names = ("gap", "accuracy")
    model = keras.Model(inputs, [keras.layers.Dense(1, name=name)(inputs) for name in names])
    own = keras.metrics.MeanMetricWrapper(lambda y, outputs: 0 * outputs, name="own")
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], [own]])
    zeros = np.zeros((2, 1))
    model.train_on_batch(np.zeros((2, 2)), [zeros, zeros])
    logged = ["loss", "gap_loss", "gap_mae", "accuracy_own"]
    for name in ("gap_loss", "gap_mae"):
        assert objectives.complete(Objective(f"val_{name}"), logged, model).direction == "min"
    with pytest.raises(ValueError, match="should be large or small is not known"):
        objectives.complete(Objective("val_accuracy_own"), logged, model)


def test_an_objective_gets_its_direction_from_the_compiled_metric():
    own = keras.metrics.MeanMetricWrapper(lambda y, outputs: 0 * outputs, name="own")
    model = compiled([keras.metrics.AUC(name="ranks"), "mae", own])
    model.train_on_batch(np.zeros((2, 2)), np.array([[0.0], [1.0]]))
    logged = ["loss", "ranks", "mae", "own"]

    def complete(*objective):
        return objectives.complete(Objective(*objective), logged, model)

    assert complete("val_ranks").direction == "max"
    assert complete("val_mae").direction == complete("val_loss").direction == "min"
    assert complete("val_own", "max").direction == "max"
    for name, message in [
        ("val_own", r"not known: pass objective=\(\"val_own\", \"max\"\)"),
        ("mae", "That of the validation data is 'val_mae'"),
        ("val_acc", r"Unknown objective 'val_acc'.* have to be in `metrics`"),
    ]:
        with pytest.raises(ValueError, match=message):
            complete(name)


def test_a_metric_is_reset_between_children_and_errors_are_minimised():
    y, outputs = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    users = keras.metrics.AUC()
    users.update_state(y, 1 - outputs)
    before = float(users.result())
    auc = MetricReward(users)
    assert auc(y, outputs) == auc(y, outputs) == pytest.approx(0.75, abs=0.01)
    assert auc(y, 1 - outputs) == pytest.approx(0.25, abs=0.01)
    assert float(users.result()) == before
    error = MetricReward(keras.metrics.MeanAbsoluteError())
    assert error(y, y + 1.0) == error(y, y + 1.0) == -1
    with pytest.raises(ValueError, match="'mean' should be large or small is not known"):
        MetricReward(keras.metrics.Mean())


class Hits(keras.metrics.Mean):
    def __init__(self, threshold=0.5, name="hits", **others):
        super().__init__(name, **others)
        self.threshold = threshold

    def update_state(self, y, outputs, sample_weight=None):
        super().update_state(keras.ops.cast(outputs > self.threshold, "float32"))


class Untyped(Hits):
    def __init__(self):
        super().__init__(name="untyped")


class Configured(Hits):
    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


def test_a_metric_is_made_again_with_its_arguments_or_refused(child_config):
    assert objectives.remade(Configured(0.0)).threshold == 0.0
    assert objectives.remade(Hits()).threshold == 0.5
    for metric in (Hits(0.0), Untyped()):
        message = f"{metric.name!r} cannot be made again .*: give {type(metric).__name__} a `get_co"
        with pytest.raises(ValueError, match=message):
            objectives.remade(metric)
        with pytest.raises(ValueError, match=message):
            compiling.Compiler(compiled([metric]), None, child_config).compile(compiled([]), 1)


def test_the_mean_of_a_function_of_the_users_is_made_again():
    def near(y, outputs, within):
        return abs(y - outputs) < within

    metric = keras.metrics.MeanMetricWrapper(near, "near", within=0.2)
    y, outputs = np.array([0.0, 1.0]), np.array([0.1, 0.5])
    new = objectives.remade(metric)
    new.update_state(y, outputs)
    assert (new.name, float(new.result()), float(metric.result())) == ("near", 0.5, 0.0)


class BinaryF1Score(keras.metrics.F1Score):
    """Builds itself when it is updated, as its base does, and notes that it was."""

    def __init__(self, name="f1", dtype=None, **ignored):
        super().__init__("micro", 0.5, name, dtype)
        self.ready = False

    def update_state(self, y, outputs, sample_weight=None):
        super().update_state(y, outputs, sample_weight)
        self.ready = True


def test_a_metric_that_was_updated_is_the_same_metric():
    metric, y = BinaryF1Score(), np.array([[0.0], [1.0]])
    name = rewards.name_of(metric)
    metric.update_state(y, y)
    assert rewards.name_of(metric) == name
    assert not objectives.remade(metric).ready
    reward = MetricReward(metric)
    assert reward(y, y) == pytest.approx(1.0)
    maker, arguments = reward.__reduce__()
    assert maker(*arguments)(y, y) == pytest.approx(1.0)


def test_an_argument_that_is_kept_under_another_name_is_missed():
    class AtThreshold(keras.metrics.F1Score):
        def __init__(self, at=0.5, name="f1", dtype=None, **ignored):
            super().__init__("micro", None, name, dtype)
            self.border = at

    assert rewards.name_of(AtThreshold(0.5)) != rewards.name_of(AtThreshold(0.7))
    objectives.remade(AtThreshold(0.5))
    with pytest.raises(ValueError, match="cannot be made again for each child"):
        objectives.remade(AtThreshold(0.7))


def test_rewards_that_are_none_are_refused(model):
    with pytest.raises(ValueError, match="such as objective='val_mae'"):
        objectives.reward_of("val_mae", model)
    with pytest.raises(ValueError, match="must be a function"):
        objectives.reward_of(3, model)
    for value in ("0.5", None, [1, 2], np.ones(2)):
        with pytest.raises(ValueError, match="must be a number"):
            objectives.number(value, len)
    assert objectives.number(np.float32(0.5), len) == 0.5

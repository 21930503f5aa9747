import dataclasses
import re

import keras
import numpy as np
import pytest
from fake_child import Fake, search

import keras_swish
from keras_swish.search import (
    ChildConfig,
    Objective,
    Race,
    Search,
    SearchSpace,
    Study,
    algorithms,
)

pytestmark = pytest.mark.usefixtures("without_graph_optimizer")

pytest.importorskip("optuna")
QUICK = {"max_trials": 2, "epochs": 1, "batch_size": 32, "algorithm": "random", "verbose": 0}
QUICK["race"] = Race(seeds=1)
# The paper's 25 unary and 10 binary functions take a child seconds to compile.
QUICK["space"] = SearchSpace(
    unary=["x", "x^3", "sin(x)", "tanh(x)"], binary=["x1+x2", "x1*x2", "max(x1,x2)"]
)


def found(model, data, **arguments):
    (x, y), validation = data
    return keras_swish.search_activations(
        model, x, y, validation_data=validation, **{**QUICK, **arguments}
    )


def fresh(metrics=None, loss="sparse_categorical_crossentropy", outputs=2):
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(4, "relu"),
            keras.layers.Dense(outputs, "softmax" if outputs > 1 else "sigmoid"),
        ]
    )
    model.compile("adam", loss, metrics=metrics)
    return model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_trials": 2.5}, "Received: max_trials=2.5"),
        ({"max_trials": -1}, "Received: max_trials=-1"),
        ({"max_trials": True}, "Received: max_trials=True"),
        ({"max_trials": 0}, "there are none"),
        ({"epochs": 0}, "Received: epochs=0"),
        ({"epochs": 1.5}, "Received: epochs=1.5"),
        ({"batch_size": "32"}, "Received: batch_size='32'"),
        ({"child_config": {"epochs": 3}}, r"must be a keras_swish.search.ChildConfig"),
        ({"timeout": -1}, "Received: timeout=-1"),
        ({"verbose": 7}, "Received: verbose=7"),
        ({"callbacks": ["stop"]}, "Received: 'stop'"),
        ({"race": 3}, "Received: race=3"),
        ({"storage": "nowhere/mine.log"}, "does not exist: make it first"),
        ({"activations": "relu"}, r"such as \['relu'\]"),
        ({"activations": ["rleu"]}, "Did you mean 'relu'"),
        ({"objective": "accuracy"}, "That of the validation data is 'val_accuracy'"),
        ({"objective": "val_auc"}, "Unknown objective 'val_auc'"),
        ({"objective": 3}, "Received: 3"),
        ({"objective": "val_loss", "reward": len}, "not both"),
        ({"reward": "val_mae"}, "such as objective='val_mae'"),
        ({"reward": lambda y, outputs: "good"}, "must be a number, larger being better"),
        ({"reward": lambda y: 1.0}, "fails on the labels and outputs"),
        ({"class_weight": [1, 2]}, "must be a dictionary"),
        ({"start": ["swsh"]}, "Unknown activation 'swsh'"),
        ({"start": ["x**3", "glu"]}, r"keep the shape.*Received: 'glu'.*from \(2, 4\) to"),
        ({"algorithm": "luck"}, "Unknown algorithm 'luck'"),
        ({"executor": "rey"}, "Did you mean 'ray'"),
        ({"executor": 2}, "Received: 2"),
        ({"seed": -1}, r"from 0 to 4294967295\. Received: seed=-1"),
        ({"seed": "1"}, "Received: seed='1'"),
        ({"seed": None}, "Received: seed=None"),
        ({"seed": 2**32}, "`seed` must be a whole number from 0"),
        ({"space": 2}, r"such as SearchSpace\(2\) of two core units\. Received: space=2"),
        ({"algorithm": None}, "`algorithm` must be one of .*Received: algorithm=None"),
        ({"algorithm": SearchSpace}, "`algorithm` must be one of"),
        ({"race": (4, 0.1)}, r"Received: race=\(4, 0.1\)"),
        ({"storage": "."}, r"must be the path of a file.*Received: storage='\.'"),
        ({"storage": 3}, "Received: storage=3"),
        ({"timeout": True}, "Received: timeout=True"),
        ({"on_child": "print"}, "a function of candidate, seed and outcome"),
        ({"on_child": lambda: 0}, "a function of candidate, seed and outcome"),
        ({"activations": []}, r"such as \['relu'\]\. Received: \[\]"),
        ({"activations": 3}, r"such as \['relu'\]\. Received: 3"),
        ({"loss": "sparse_categorical_crosentropy"}, "Did you mean 'sparse_categorical_cross"),
        ({"class_weight": {"0": 1.0}}, "from classes to numbers"),
        ({"class_weight": {0: "heavy"}}, "from classes to numbers"),
        ({"class_weight": {5: 1.0}}, "none of the classes in the training data, 0 to 1"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(
    arguments, message, data, monkeypatch
):
    monkeypatch.setattr("keras_swish.search.child.Child.evaluate", None)
    with pytest.raises(ValueError, match=message) as error:
        found(fresh(["accuracy"]), data, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y + 5), r"lie between 5 and 6, .* classes 0 to 1: number the classes"),
        (lambda x, y: (x, y.astype(str)), "are text, '[01]': number the classes from 0"),
        (
            lambda x, y: (x[:, :1], y),
            r"does not take the inputs of the training data, of shape \(32, 1\)",
        ),
        (lambda x, y: (x, np.stack([y] * 3, 1)), "labels of the training data, of shape"),
        (lambda x, y: (x, y[:9]), "as many inputs as labels"),
        (lambda x, y: (x, None), "Pass the labels as `y`"),
        (lambda x, y: (iter(x), y), "pass arrays, as"),
        (lambda x, y: (x[:, :1], y), r"expected axis -1 of input shape to have value 2"),
        (lambda x, y: (x, y * np.nan), "not finite, in its labels"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused(change, message, data):
    train = change(*data[0])
    with pytest.raises(ValueError, match=message) as error:
        found(fresh(), (train, data[1]))
    assert "\n" not in str(error.value)


def test_a_model_without_weights_to_train_is_refused(data):
    model = fresh()
    model.trainable = False
    with pytest.raises(ValueError, match="no weights to train: set its `trainable` to True"):
        found(model, data)


def test_a_pair_of_validation_data_may_be_a_list_and_one_callback_no_list(data):
    stop = keras.callbacks.EarlyStopping("val_loss")
    result = found(fresh(), (data[0], list(data[1])), callbacks=stop, epochs=2)
    # Callbacks have the validation data measured after each epoch.
    assert all(len(by[0].curve) == 2 for by in result.study.outcomes.values())


def test_a_model_that_is_made_again_in_the_same_process_resumes(data, tmp_path):
    """Keras counts its optimizers and metrics: adam, adam_1, ...."""

    def made():
        model = fresh()
        metrics = [keras.metrics.SparseCategoricalAccuracy()]
        model.compile(keras.optimizers.Adam(0.01), model.loss, metrics=metrics)
        return model

    arguments = {"storage": tmp_path / "study.log", "objective": "val_loss"}
    first, again = (found(made(), data, **arguments) for _ in range(2))
    assert again.progress.tried == first.progress.tried == len(again.study)


def test_metrics_that_do_not_fit_are_refused(data):
    with pytest.raises(ValueError, match="metrics cannot be computed from labels of shape"):
        found(fresh(["mae"]), data, objective="val_loss")


def test_numbers_of_classes_need_a_sparse_loss(data):
    with pytest.raises(ValueError, match="need sparse_categorical_crossentropy"):
        found(fresh(loss="categorical_crossentropy"), data, objective="val_loss")


def test_a_model_is_built_and_a_model(data):
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        found("resnet", data)
    with pytest.raises(ValueError, match="is not built"):
        found(keras.Sequential([keras.layers.Dense(2)]), data)


@pytest.mark.parametrize(
    "value", [float("nan"), -1, 0, float("inf"), "0.1", True, (), (0.1, 0.0), [0.1, 0.1], ["0.1"]]
)
def test_a_learning_rate_is_a_positive_number(value):
    with pytest.raises(ValueError, match=re.escape(f"Received: learning_rate={value!r}")):
        ChildConfig(learning_rate=value)


def test_several_learning_rates_are_kept_as_numbers():
    assert ChildConfig(learning_rate=[1, np.float64(0.5)]) == ChildConfig(learning_rate=(1.0, 0.5))
    assert ChildConfig(learning_rate=[0.5]) == ChildConfig(learning_rate=0.5)
    rates = [ChildConfig(learning_rate=rate).rates for rate in (None, 0.5, (1.0, 0.5))]
    assert rates == [(0.1,), (0.5,), (1.0, 0.5)]


def test_an_objective_is_reported_as_the_model_measures_it(data):
    result = found(fresh(["accuracy"]), data, objective=Objective("val_loss"))
    loss = float(result.table(1).splitlines()[2].split("|")[2])
    assert loss == pytest.approx(-result.best.mean, abs=1e-4)
    assert result.table().startswith("| formula | val_loss |")
    assert f"best: {result.best.formula}, val_loss {loss:.4f}, one seed" in result.summary()
    assert "relu: val_loss" in result.summary()
    assert "swish: val_loss" in result.summary()
    html = result._repr_html_()
    assert html.count("<tr>") == 1 + len(result.study)
    assert "val_loss" in html


@pytest.mark.parametrize("verbose", [0, pytest.param(1, marks=pytest.mark.slow), 2])
def test_progress_is_shown_as_asked_for(verbose, data, capsys):
    result = found(fresh(), data, verbose=verbose, max_trials=3)
    printed = capsys.readouterr().out
    if not verbose:
        assert not printed
        return
    assert "searching for dense" in printed
    assert "to compare with: relu 0." in printed
    assert result.summary() in printed
    if verbose == 1:
        assert "3/3 functions  [====================]  0:00 left  best 0." in printed
    else:
        assert printed.count("(seed 0)") == 3


def test_what_is_no_candidate_is_trained_without_being_counted(data, capsys):
    told = []

    def on_child(candidate, seed, outcome):
        told.append(candidate)

    start = ["gelu", "x**3"]
    result = found(
        fresh(), data, verbose=1, start=start, max_trials=0, race=Race(seeds=1), on_child=on_child
    )
    assert set(result.study.references) == {"relu", "swish", "gelu"}
    assert told == list(result.study.outcomes)
    assert "1/1 functions to begin with" in capsys.readouterr().out


def test_numbers_of_numpy_are_stored(data, tmp_path):
    class Numpy(algorithms.Algorithm):
        def ask(self):
            return algorithms.Proposal(tuple(self.random.integers(self.space.sizes)))

    one = np.int64(1)
    config = ChildConfig(batch_size=np.int32(4), learning_rate=np.float32(0.5), epochs=one)
    race = Race(seeds=one, top=np.float32(0.5))
    numbers = {"max_trials": one, "timeout": np.int64(99), "seed": one, "epochs": one}
    for _ in range(2):  # and known again
        numbers |= {"race": race, "child_config": config, "storage": tmp_path / "study.log"}
        result = found(fresh(), data, **numbers, algorithm=Numpy(QUICK["space"]))
    assert len(result.study) == 1


def test_a_study_takes_a_seed_of_numpy(space, tmp_path):
    algorithm = algorithms.create("random", space)
    study = Study(space, {}, tmp_path / "study.log")
    Search(Fake(space), study, algorithm, "random", np.int64(3)).explore(1)
    assert len(Study(space, {}, tmp_path / "study.log")) == 1


def test_after_its_time_a_search_begins_no_more_children(space):
    late = search(Fake(space), None, timeout=1e-9)
    late.explore(5)
    late.race(Race(seeds=3, top=1))
    assert not len(late.study)
    assert search(Fake(space), None, timeout=1e9).is_late is False


def test_a_search_in_which_all_diverged_has_no_best(data):
    config = ChildConfig(learning_rate=1e30)
    result = found(fresh(), data, child_config=config, start=["x**3"], max_trials=0)
    with pytest.raises(ValueError, match="No function was trained to the end: of 1, all diverged"):
        _ = result.best
    assert "No function was trained" in result.summary()


def test_primitives_of_the_users_are_searched(data, tmp_path):
    space = SearchSpace(unary=["x", "x * sigmoid(x)", "beta*x"], binary=["x1+x2", "x1 * tanh(x2)"])
    path = tmp_path / "mine.log"
    result = found(fresh(), data, space=space, storage=path, max_trials=5, algorithm="surrogate")
    again = keras_swish.search.Study.load(path)
    assert again.space.config() == space.config()
    assert [e.formula for e in again.entries()] == [e.formula for e in result.study.entries()]
    assert dataclasses.asdict(result.child.given_config) == again.child["config"]

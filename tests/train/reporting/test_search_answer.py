"""What a search's report says first."""

import made_up_search
import pytest

from keras_swish import io
from keras_swish.search import Outcome, Study
from keras_swish.train.reporting import paper_claims, runs, search_answer, search_report
from keras_swish.train.reporting.shapes import shapes

pytest.importorskip("optuna")

CONFIG = {"program": "compare", "dataset": "digits", "baselines": 2, "recipe": {"epochs": 1}}


def outcome(reward):
    return Outcome(reward, "ok", 1, 1.0)


@pytest.fixture
def disguised(space):
    """A study with ReLU, Swish, and the same written in other ways."""
    study = Study(space, {})
    choices = {
        "relu": ("max(x,0)", "max(x,0)", "max(x1,x2)"),
        "swish": ("x", "x", "sigmoid(x1)*x2"),
        "twice": ("-x", "|x|", "x1+x2"),
        "by beta": ("x", "beta*x", "sigmoid(x1)*x2"),
        "sine": ("sin(x)", "x", "x1+x2"),
    }
    made = {name: space.candidate(u1=u1, u2=u2, b=b) for name, (u1, u2, b) in choices.items()}
    for number, candidate in enumerate(made.values()):
        study.add(candidate, 0, outcome(0.5 + 0.01 * number), "random")
    return study, {name: str(space.formula(candidate)) for name, candidate in made.items()}


def test_relu_and_swish_in_disguise_are_named(disguised):
    study, formulas = disguised
    entries = study.entries()
    found = search_answer.disguises(study, entries, paper_claims.rank_functions(study, entries))
    assert found == {
        formulas["twice"]: "ReLU in disguise",
        formulas["by beta"]: "Swish in disguise",
    }


def test_references_are_called_references(disguised):
    study, _ = disguised
    study.add_reference("relu", "max(x, 0)", 0, outcome(0.7))
    study.add_reference("x * cos(x) + 3", "x * cos(x) + 3", 0, outcome(0.6))
    study.add(study.space.candidate(**made_up_search.SWISH), 0, outcome(0.9), "start")
    entries = study.entries()
    ranked = paper_claims.rank_functions(study, entries)
    text = search_report.text(study, entries, ranked, None)
    assert "| relu             | reference " in text
    assert "| given to start with, not in the space |" in text
    assert "formulas to start with" in text  # among what had candidates trained
    assert search_answer.references(study, ranked)["ReLU"].mean == 0.7
    observed = text[text.index("## Observations") :]
    assert "proposed what is like the best so far" not in observed  # random alone did


@pytest.mark.parametrize(("reward", "is_ahead"), [(0.95, True), (0.5, False)])
def test_a_given_function_ahead_of_all_candidates_is_named_first(space, reward, is_ahead):
    study = searched(space)
    study.add_reference("gelu", "gelu", 0, outcome(reward), "start")
    text = search_report.text(study, study.entries(), {}, None)
    _, shape, second, *_ = text.split("\n\n")
    assert shape.startswith("**The best shape is that of cos_minus_x: mean reward 0.9000;")
    ahead = "gelu, which the search was given to start with, is ahead of all candidates"
    assert " ".join(second.split()).startswith(ahead) == is_ahead


def confirm(folder, accuracies, rate=0.1):
    out = folder / "confirm"
    starts = [{"command": "keras-swish confirm", "environment": {}}]
    for name, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            result = {"model": "resnet8", "learning_rate": rate, "activation": name, "seed": seed}
            run = out / "runs" / runs._folder_name(CONFIG, result)
            run.mkdir(parents=True)
            result |= {"test_accuracy": accuracy, "validation_accuracy": accuracy, "status": "ok"}
            io.write_json(run / "result.json", {**result, "steps": 1, "epochs": 1, "seconds": 1.0})
    order = [{"model": "resnet8", "activation": name} for name in accuracies]
    io.write_csv(out / "results.csv", order)  # the baselines first
    io.write_json(out / "config.json", {"config": CONFIG, "starts": starts})
    return folder


def searched(space):
    """A study whose best are cos(x) - x, ReLU and min(x, sin(x)), and Swish with beta the last."""
    study = Study(space, {})
    for place, (u1, u2, b) in enumerate(
        [
            ("cos(x)", "x", "x1-x2"),
            ("max(x,0)", "max(x,0)", "max(x1,x2)"),
            ("x", "sin(x)", "min(x1,x2)"),
            ("exp(x)", "x", "x1+x2"),
            ("beta*x", "x", "sigmoid(x1)*x2"),
        ]
    ):
        candidate = space.canonical(space.candidate(u1=u1, u2=u2, b=b))
        study.add(candidate, 0, outcome(0.9 - 0.1 * place), "random")
    return study


def test_what_confirm_found_is_said(space, tmp_path):
    study = searched(space)
    assert search_answer.confirmed(tmp_path, study) is None
    found = [0.9 + 0.001 * seed for seed in range(10)]
    base = [0.8 + 0.0011 * seed for seed in range(10)]
    names = {"relu": base, "swish": [a - 0.01 for a in base], "cos_minus_x": found}
    confirmed = search_answer.confirmed(confirm(tmp_path, names), study)
    assert confirmed.text == (
        "Confirmed: `keras-swish confirm` trained the best 1 again, in resnet8 with 10 new seeds: "
        "cos_minus_x reaches 90.45%, 9.96 points better than relu (80.50%): 95% interval +9.93 to "
        "+9.98 points, p (Holm) = 0.00586, statistically significant; and 10.96 points better than "
        "swish (79.50%): 95% interval +10.93 to +10.98 points, p (Holm) = 0.00586, statistically "
        "significant."
    )
    assert confirmed.cells["cos_minus_x"].startswith("+9.96 (+9.93 to")
    assert confirmed.baseline == "relu"


def test_what_confirm_did_not_find_is_said_too(space, tmp_path):
    values = [0.9, 0.8, 0.85]
    names = {"relu": values, "swish": values, "cos_minus_x": [0.9, 0.81, 0.84]}
    confirmed = search_answer.confirmed(confirm(tmp_path, names), searched(space))
    assert confirmed.text.startswith("Not confirmed: ")


def test_the_seed_that_chose_the_learning_rates_says_nothing(space, tmp_path):
    base = [0.8, *[0.8 + 0.0011 * seed for seed in range(10)]]
    found = [0.9, *base[1:]]
    names = {"relu": base, "swish": base, "cos_minus_x": found}
    confirm(tmp_path, names)
    confirm(tmp_path, {name: [0.7] for name in names}, rate=0.03)
    confirmed = search_answer.confirmed(tmp_path, searched(space))
    assert "with 10 new seeds: cos_minus_x reaches 80.50%, as good as relu" in confirmed.text
    assert confirmed.cells["cos_minus_x"] == "+0.00 (+0.00 to +0.00)"


def test_what_the_best_are_compared_with_is_not_called_found(space, tmp_path):
    base = [0.8 + 0.0011 * seed for seed in range(10)]
    best = [0.9 + 0.001 * seed for seed in range(10)]
    names = {"relu": base, "swish": base, "swish_beta": best, "cos_minus_x": base, "min_sin": base}
    confirmed = search_answer.confirmed(confirm(tmp_path, names), searched(space))
    assert confirmed.text.startswith(
        "Not confirmed: `keras-swish confirm` trained the best 2 again, in resnet8 with 10 new "
        "seeds: cos_minus_x reaches 80.50%, as good as relu (80.50%): 95% interval "
    )
    assert "swish_beta" in confirmed.cells


def test_the_best_that_were_not_trained_again_are_not_confirmed(space, tmp_path):
    values = [0.9, 0.8, 0.85]
    names = dict.fromkeys(("relu", "swish", "swish_beta", "min_sin"), values)
    study = searched(space)
    confirmed = search_answer.confirmed(confirm(tmp_path, names), study)
    assert not confirmed.text
    marked = search_answer.references(study, {})
    text = search_answer.answer(shapes(study, study.entries()), 5, marked, confirmed)
    assert "It is not confirmed: the best of 5 candidates" in text

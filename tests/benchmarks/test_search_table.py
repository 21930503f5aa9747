import json

import pytest

from keras_swish import io
from keras_swish.search import Outcome, SearchSpace, Study, benchmark

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def maker(benchmark_module):
    return benchmark_module("search_table")


@pytest.fixture(scope="module")
def space():
    return SearchSpace(unary=["x", "sigmoid(x)", "-x", "sin(x)"], binary=["x1 * x2", "x1 + x2"])


def test_a_table_is_made_of_a_finished_search(maker, space, monkeypatch, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    study = Study(space, {"config": {"epochs": 2}}, results / "study.log")
    candidates = space.survey().candidates
    for number, candidate in enumerate(candidates):
        curve = (0.1, 0.01 * number)
        study.add(candidate, 7, Outcome(curve[-1], "ok", 3, 2.0, curve), "exhaustive")
    start = {"command": "keras-swish search", "environment": {"git": "abc"}}
    config = {"dataset": "digits", "child": {"model": "resnet8"}}
    io.write_json(results / "config.json", {"config": config, "starts": [start]})
    out = tmp_path / "tables"
    monkeypatch.setattr(
        "sys.argv", ["search_table.py", str(results), "--name=small", f"--out={out}"]
    )
    maker.main()
    table = benchmark.Benchmark("small", out / "small")
    assert (table.seeds, table.epochs, len(table.functions)) == ([7], 2, len(candidates))
    for number, candidate in enumerate(candidates):
        assert table.query(candidate, 7, 1).reward == 0.1
        assert table.query(candidate).reward == 0.01 * number
    assert table.card["licence"] == "CC BY 4.0"
    assert json.loads((out / "small/card.json").read_text()) == table.card


def test_what_diverged_has_its_reward_alone(maker, space):
    study = Study(space, {"config": {"epochs": 3}})
    outcomes = [Outcome(-9.0, "diverged", 5, 2.0, (-3.0, -4.0)), Outcome(-1.0, "ok", 5, 2.0)]
    for number, candidate in enumerate(space.survey().candidates):
        study.add(candidate, 7, outcomes[number > 0], "exhaustive")
    first, second, *_ = maker.tables(study)["trainings.csv"]
    for row, reward, status in ((first, -9.0, "diverged"), (second, -1.0, "ok")):
        assert (row["epoch"], row["reward"], row["status"]) == (3, reward, status)
    assert (first["function"], second["function"]) == (0, 1)


def test_an_unfinished_search_is_refused(maker, space):
    with pytest.raises(ValueError, match="functions are not trained"):
        maker.tables(Study(space, {"config": {"epochs": 2}}))

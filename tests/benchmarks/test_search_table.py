import dataclasses
import json
import pickle

import pytest

from keras_swish import io
from keras_swish.search import Outcome, SearchSpace, Study, algorithms, benchmark

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
    starts = [
        {"command": "keras-swish search", "environment": {"git": git}} for git in ("abc", None)
    ]
    config = {"dataset": "digits", "child": {"model": "resnet8"}}
    io.write_json(results / "config.json", {"config": config, "starts": starts})
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
    assert table.card["commits"] == ["abc"]
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


def test_a_part_of_the_functions_is_a_table_of_these_alone(maker, space, monkeypatch, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    study = Study(
        space, {"config": {"epochs": 2, "learning_rate": [0.1, 0.03]}}, results / "study.log"
    )
    swish = space.canonical(space.candidate(u1="x", u2="sigmoid(x)", b="x1*x2"))
    first, second, left, *_ = (one for one in space.survey().candidates if one != swish)
    rates = (
        Outcome(0.0, "diverged", 1, 0.5),
        Outcome(0.7, "ok", 4, 2.0, (0.4, 0.7), {"loss": 0.25, "test_accuracy": 0.6}),
    )
    study.add(first, 7, Outcome.best_of(rates), "surrogate")
    better = dataclasses.replace(rates[1], reward=0.75, curve=(0.3, 0.75))
    study.add(second, 7, Outcome.best_of([better, rates[1]]), "surrogate")
    for seed in (7, 8):
        study.add_reference("swish", "swish", seed, Outcome.best_of([rates[1], rates[1]]))
    study.add_reference("gelu", "gelu", 7, rates[1])  # outside the space: no function of it
    start = {"command": "study_table.py", "environment": {"git": "abc"}}
    config = {"dataset": "digits", "child": {"model": "resnet8"}}
    io.write_json(results / "config.json", {"config": config, "starts": [start]})
    out = tmp_path / "tables"
    monkeypatch.setattr(
        "sys.argv",
        ["search_table.py", str(results), "--name=small", f"--out={out}", "--partial"],
    )
    maker.main()
    table = benchmark.Benchmark("small", out / "small")
    assert len(table.functions) == 3
    assert set(table.space.survey().candidates) == {first, second, swish}
    training = table.query(first)
    assert (training.reward, training.status, training.seconds) == (0.7, "ok", 2.5)
    assert (training.test_accuracy, training.loss) == (0.6, 0.25)
    assert [training.rates[rate].status for rate in (0.1, 0.03)] == ["diverged", "ok"]
    # Half of the time is over after the first of two epochs, but of what diverged.
    after_one = table.query(first, 7, 1)
    assert (after_one.reward, after_one.seconds) == (0.4, 0.5 + 2.0 / 2)
    assert after_one.rates.keys() == {0.1, 0.03}
    # After the first epoch the other rate was ahead.
    assert table.query(second, 7, 1).reward == 0.4
    assert table.query(second, 7).rates.keys() == {0.1, 0.03}
    assert table.query("swish", 8).reward == 0.7
    with pytest.raises(ValueError, match="was not trained"):
        table.find(left)
    session = table.session(0)
    assert session.train(left) is None
    assert session.train(first) == pytest.approx(0.7)
    assert len(pickle.loads(pickle.dumps(table.space)).survey().candidates) == 3
    assert f"{len(space.survey().candidates) - 3} left out, 3 different" in str(
        table.space.survey()
    )
    for name in algorithms.ALGORITHMS:
        session = table.session(1)
        options = {"population": 2, "sample": 1} if name == "evolution" else {}
        session.run(algorithms.create(name, table.space, 0, **options), 3)
        assert {function.number for function in session.trained} == {0, 1, 2}, name
    # What the table lacks is proposed for longer than what repeats.
    monkeypatch.setattr(benchmark, "PATIENCE", 3)
    monkeypatch.setattr(benchmark, "PATIENCE_WITH_TABLE", 10)
    for lacking, trained in ((9, 1), (10, 0)):
        algorithm = algorithms.create("random", table.space, 0)
        proposed = iter([*[left] * lacking, first])
        monkeypatch.setattr(algorithm, "ask", lambda it=proposed: algorithms.Proposal(next(it)))
        session = table.session(0)
        session.run(algorithm, 1)
        assert len(session.trained) == trained

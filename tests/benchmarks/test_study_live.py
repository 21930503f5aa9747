"""What live searches came to, on made-up rewards."""

import pytest

from keras_swish import io
from keras_swish.search import Outcome, SearchSpace, Study, functions

# Nine, of as many shapes, none of them Swish's.
OTHERS = ["x * x", "cos(x)", "sin(x)", "tanh(x)", "erf(x)", "x**3", "exp(x)", "sinh(x)", "relu"]
SWISH, TWIN = "x * sigmoid(x)", "sigmoid(-x) * x"


@pytest.fixture(scope="module")
def live(benchmark_module):
    return benchmark_module("study_live")


def _add(study, text, reward):
    candidate = functions.find(text, study.space).candidate
    study.add(candidate, 500, Outcome(reward, "ok", 1, 1.0), "surrogate")


@pytest.fixture
def study(tmp_path):
    """Nine functions with a reward of 0.8; the references count for nothing."""
    (tmp_path / "live/500").mkdir(parents=True)
    made = Study(SearchSpace(), {}, tmp_path / "live/500/study.log")
    made.add_reference("relu", "max(x, 0)", 500, Outcome(0.7, "ok", 1, 1.0))
    made.add_reference("swish", "x * sigmoid(x)", 500, Outcome(0.99, "ok", 1, 1.0))
    for text in OTHERS:
        _add(made, text, 0.8)
    return made


def test_a_search_without_swishs_shape_has_not_rediscovered_it(live, study):
    row = live.rows(study)[0]
    assert (row["functions"], row["reward"], row["reward of relu"]) == (9, 0.8, 0.7)
    assert (row["function"], row["among the best"]) == ("", False)


def test_the_best_of_swishs_shape_counts_whichever_it_is(live, study):
    _add(study, TWIN, 0.3)
    _add(study, SWISH, 0.8)
    row = live.rows(study)[0]
    assert (row["its reward"], row["its place"], row["found after"]) == (0.8, 10, 10)
    assert row["function"] == str(study.space.formula(functions.find(SWISH, study.space).candidate))
    assert row["among the best"]


def test_an_equal_reward_counts_as_better_and_the_eleventh_place_is_none(live, study):
    _add(study, "softplus(x)", 0.8)
    _add(study, SWISH, 0.8)
    row = live.rows(study)[0]
    assert (row["its place"], row["among the best"]) == (11, False)
    _add(study, "x * cos(x)", 0.9)
    _add(study, "-x * cos(x)", 0.9)
    row = live.rows(study)[0]
    assert (row["its place"], row["shapes ahead"]) == (13, 11)


def test_the_shape_of_the_best_finalist_has_a_row_of_its_own(live, study):
    _add(study, SWISH, 0.9)
    _add(study, "min(x, tanh(x))", 0.85)
    of_swish, of_finalist = live.rows(study)
    assert (of_swish["shape of"], of_swish["its place"]) == ("swish", 1)
    assert (of_finalist["shape of"], of_finalist["its place"]) == ("max(beta * x, tanh(x))", 2)
    assert of_finalist["function"] == "min(x, tanh(x))"


def test_the_table_is_written(live, study, tmp_path, monkeypatch, capsys):
    _add(study, SWISH, 0.9)
    folder = tmp_path / "live"
    monkeypatch.setattr("sys.argv", ["study_live.py", str(folder), f"--out={folder}"])
    live.main()
    assert "rediscovered in 1 of 1;" in capsys.readouterr().out
    row, _ = io.read_csv(folder / "live.csv")
    assert (row["search"], row["its place"], row["among the best"]) == ("500", "1", "True")


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_folder_without_trained_functions_ends_with_one_line(
    live, tmp_path, monkeypatch, capsys, is_begun
):
    if is_begun:
        (tmp_path / "500").mkdir()
        Study(SearchSpace(), {}, tmp_path / "500/study.log")
    monkeypatch.setattr("sys.argv", ["study_live.py", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        live.main()
    assert ended.value.code == 2
    wanted = "no function has been trained" if is_begun else "no SEED/study.log of a search"
    assert wanted in capsys.readouterr().err

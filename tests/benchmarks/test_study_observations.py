import numpy as np
import pytest
from scipy import stats

from keras_swish import io
from keras_swish.search import SearchSpace


@pytest.fixture(scope="module")
def study(benchmark_module):
    return benchmark_module("study_observations")


@pytest.fixture
def folder(tmp_path):
    """Forty functions, of which those that divide are worse."""
    space, random = SearchSpace(), np.random.default_rng(3)
    rows = []
    for place in random.permutation(len(space.survey().candidates))[:40]:
        choices = space.choices(space.survey().candidates[place])
        reward = 0.8 - 0.1 * (choices["b"] == "x1/(x2+eps)") + 0.03 * random.normal()
        kind = "drawn" if len(rows) < 30 else "led"
        rows.append({"formula": "f", "kind": kind, **choices, "reward": reward})
    rows.append({**rows[0], "kind": "reference"})
    io.write_csv(tmp_path / "functions.csv", rows)
    return tmp_path


def test_what_divides_is_worse_where_it_is(study, folder, monkeypatch):
    monkeypatch.setattr("sys.argv", ["study_observations.py", str(folder), f"--out={folder}"])
    study.main()
    rows = io.read_csv(folder / "observations.csv")
    assert [row["functions"] for row in rows] == ["drawn"] * 3 + ["all"] * 3
    drawn = {row["property"]: row for row in rows[:3]}
    divides = drawn["divides"]
    assert int(divides["with"]) + int(divides["without"]) == 30
    assert float(divides["mean rank with"]) > float(divides["mean rank without"])
    # Of ranks the test is Wilcoxon's, but for what is drawn.
    read = [row for row in io.read_csv(folder / "functions.csv") if row["kind"] == "drawn"]
    flags = study.has(SearchSpace(), read)["divides"]
    rewards = np.array([float(row["reward"]) for row in read])
    wanted = stats.mannwhitneyu(rewards[flags], rewards[~flags], method="exact").pvalue
    assert float(divides["p"]) == pytest.approx(wanted, rel=0.2, abs=1e-4)
    assert float(divides["p (Holm)"]) >= float(divides["p"])


def test_a_property_that_none_has_is_said_without_a_p(study):
    space = SearchSpace()
    choices = space.choices(space.candidate(u1="x", u2="sigmoid(x)", b="x1*x2"))
    made = study.observations([{**choices, "reward": "0.5"}] * 3, space)
    assert [(row["property"], row["with"], row["p"]) for row in made] == [
        ("divides", 0, ""),
        ("has sin or cos", 0, ""),
        ("the last binary function has the raw x as an input", 3, ""),
    ]

import shlex

import numpy as np
import pytest
from scipy import stats

from keras_swish import io
from keras_swish.search import SearchSpace

# The best of each shape: Swish's twin and its form with a beta come after it.
TABLE = [
    ("min(x,0)", "x", "x1*x2", 0.84),  # its square
    ("x", "sigmoid(x)", "x1*x2", 0.88),
    ("beta*x", "x", "sigmoid(x1)*x2", 0.87),
    ("sin(x)", "x", "min(x1,x2)", 0.86),
    ("cos(x)", "x", "x1-x2", 0.85),
]


@pytest.fixture(scope="module")
def finalists(benchmark_module):
    return benchmark_module("study_finalists")


@pytest.fixture
def table(tmp_path):
    space = SearchSpace()
    rows = []
    for u1, u2, b, judged in TABLE:
        choices = {"u1": u1, "u2": u2, "b": b}
        formula = str(space.formula(space.candidate(**choices)))
        rows.append(
            {"formula": formula, "kind": "led", **choices, "judged": judged, "judging seeds": 3}
        )
    rows.append({**dict.fromkeys(rows[0], ""), "formula": "gelu", "kind": "reference", "judged": 1})
    rows.append({**rows[0], "judged": "", "judging seeds": 0})
    (tmp_path / "table").mkdir()
    io.write_csv(tmp_path / "table" / "functions.csv", rows)
    return tmp_path / "table"


def write_runs(folder, rate, names, seeds, level):
    random = np.random.default_rng(0)
    rows = [
        {
            "model": "resnet56",
            "learning_rate": rate,
            "activation": name,
            "seed": seed,
            "test_accuracy": level(name, rate) + 0.004 * random.normal(),
            "validation_accuracy": level(name, rate),
            "status": "ok",
        }
        for name in names
        for seed in seeds
    ]
    path = folder / str(rate)
    path.mkdir(parents=True)
    io.write_csv(path / "results.csv", rows)
    return rows


def test_one_function_of_each_of_the_best_shapes(finalists, table):
    space = SearchSpace()
    chosen = finalists.choose(io.read_csv(table / "functions.csv"), space, 3)
    assert chosen == ["x * sigmoid(x)", "min(sin(x), x)", "cos(x) - x"]
    assert finalists.has_swishs_shape("x * sigmoid(beta * x)", space)
    assert finalists.has_swishs_shape("swish_beta", space)
    assert not finalists.has_swishs_shape("cos(x) - x", space)
    assert finalists.with_references(chosen, space) == [*chosen, "swish_beta", "relu"]
    references = ["swish", "swish_beta", "relu"]
    assert finalists.with_references(chosen[1:], space) == [*chosen[1:], *references]
    # All are compared with ReLU, also where it was found.
    found = ["max(x, max(x, 0))", "cos(x) - x"]
    wanted = ["relu", "cos(x) - x", "swish", "swish_beta"]
    assert finalists.with_references(found, space) == wanted


def test_nothing_is_chosen_before_all_are_judged(finalists, table):
    rows = io.read_csv(table / "functions.csv")
    with pytest.raises(ValueError, match="4 shapes are judged, and --count=5"):
        finalists.choose(rows, SearchSpace(), 5)
    with pytest.raises(ValueError, match="1 functions lack judging seeds"):
        finalists.choose([*rows, {**rows[0], "judging seeds": "2"}], SearchSpace(), 3)
    with pytest.raises(ValueError, match="no function is judged"):
        finalists.choose([{**rows[0], "judging seeds": "0"}], SearchSpace(), 3)


def run(finalists, monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["study_finalists.py", *map(str, arguments)])
    finalists.main()
    printed = capsys.readouterr().out.splitlines()
    return [shlex.split(line) for line in printed if line.startswith("keras-swish")]


def test_from_a_table_to_the_verdicts(finalists, table, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "finalists"
    folder.mkdir()
    given = [folder, f"--table={table}", "--count=4", f"--out={folder}"]
    commands = run(finalists, monkeypatch, capsys, *given)
    names = (folder / "finalists.txt").read_text().splitlines()
    # Swish is among the found ones.
    assert names[-2:] == ["swish_beta", "relu"]
    assert len(names) == 4 + 2
    with pytest.raises(SystemExit):
        run(finalists, monkeypatch, capsys, *given, "--count=3")
    assert "chosen otherwise before" in capsys.readouterr().err
    assert (folder / "finalists.txt").read_text().splitlines() == names
    outs = [f"--out={folder / 'rates' / str(rate)}" for rate in (0.1, 0.05, 0.03)]
    assert [command[-1] for command in commands] == outs
    assert all(f"--activations={', '.join(names)}" in command for command in commands)

    def level(name, rate):
        better_high = 0.02 * (rate == 0.1) if name != "relu" else 0.02 * (rate == 0.03)
        return 0.84 + better_high + 0.01 * ("sigmoid" in name)

    for rate in (0.1, 0.05, 0.03):
        write_runs(folder / "rates", rate, names, range(600, 604), level)
    commands = run(finalists, monkeypatch, capsys, *given)
    trained = [(c[-1].split("/")[-1], c[-4]) for c in commands]
    others = ", ".join(names[:-1])
    assert trained == [("0.03", "--activations=relu"), ("0.1", f"--activations={others}")]
    assert all("--seed=700" in command and "--seeds=12" in command for command in commands)
    low = write_runs(folder / "judged", 0.03, ["relu"], range(700, 712), level)
    high = write_runs(folder / "judged", 0.1, names[:-1], range(700, 712), level)
    assert not run(finalists, monkeypatch, capsys, *given)
    rows = {row["function"]: row for row in io.read_csv(folder / "finalists.csv")}
    assert rows.keys() == set(names)
    ours = [row["test_accuracy"] for row in high if row["activation"] == "x * sigmoid(x)"]
    theirs = [row["test_accuracy"] for row in low]
    welch = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    row = rows["x * sigmoid(x)"]
    assert (row["rate"], row["found"], row["Swish's shape"]) == ("0.1", "True", "True")
    assert float(row["low"]) == pytest.approx(welch.low, abs=1e-4)
    # Of all splits of 24 into halves at most two are as far apart.
    assert float(row["p"]) < 1e-5
    smallest = min(float(row["p"]) for name, row in rows.items() if name != "relu")
    assert min(float(r["p (Holm)"]) for n, r in rows.items() if n != "relu") == pytest.approx(
        5 * smallest, rel=0.01
    )
    assert rows["relu"]["p"] == ""

"""The choice of a proxy, on made-up trainings."""

import shutil

import numpy as np
import pytest
from scipy import stats

from keras_swish import io
from keras_swish.search import SearchSpace

NAMES = ["relu", "swish", "gelu", "elu", "max(x, tanh(x))", "cos(x) - x"]
# As a search writes them.
FORMULAS = ["max(x, max(x, 0))", "sigmoid(x) * x", "gelu", "elu", "max(tanh(x), x)", "-x + cos(x)"]


@pytest.fixture(scope="module")
def proxy(benchmark_module):
    return benchmark_module("study_proxy")


@pytest.fixture
def folder(tmp_path):
    """A target at two rates, a child that agrees and one that does not, with three seeds."""
    random = np.random.default_rng(0)
    for rate, offset in (("0.03", 0.0), ("0.1", -0.02)):
        rows = [
            {
                "activation": name,
                "status": "diverged" if (name, rate) == ("elu", "0.1") else "ok",
                "validation_accuracy": 0.8 + 0.01 * place + offset,
                "seconds": 100,
            }
            for place, name in enumerate(NAMES)
            for _ in range(3)
        ]
        io.write_csv(_made(tmp_path / "target" / rate) / "results.csv", rows)
        for name, slope, seconds in (("deep", 0.01, 60), ("cheap", 0.01, 6), ("wrong", -0.01, 3)):
            rows = [
                {
                    "formula": formula,
                    "status": "ok",
                    "algorithm": "start",
                    "seconds": 3 * seconds,
                    **{
                        f"seed {s}": 0.7 + slope * place + 0.001 * random.normal() for s in range(3)
                    },
                }
                for place, formula in enumerate(FORMULAS)
            ]
            rows.append({**rows[0], "formula": "swish", "algorithm": "reference", "seed 0": 0.1})
            io.write_csv(_made(tmp_path / name / rate) / "results.csv", rows)
    return tmp_path


def _made(path):
    path.mkdir(parents=True)
    return path


def test_the_cheapest_child_that_agrees_is_chosen(proxy, folder):
    rows = {(row["child"], row["rate"]): row for row in proxy.rows(folder)}
    assert len(rows) == 9
    assert rows["deep", "0.1"]["rank correlation"] == 1
    assert rows["wrong", "better"]["rank correlation"] == -1
    assert {row["functions"] for row in rows.values()} == {6}
    assert [name for name, row in rows.items() if row["chosen"]] == [("cheap", "0.03")]
    assert rows["cheap", "0.03"]["seconds"] == 6
    assert rows["cheap", "0.03"]["part of the target's"] == pytest.approx(6 / 100)
    assert rows["cheap", "better"]["part of the target's"] == pytest.approx(12 / 200)


def test_what_was_trained_when_the_child_had_been_chosen_is_not_chosen(proxy, folder):
    shutil.copytree(folder / "cheap", folder / "narrow32_half")
    path = folder / "narrow32_half/0.03/results.csv"
    io.write_csv(path, [{**row, "seconds": 3} for row in io.read_csv(path)])
    rows = proxy.rows(folder)
    assert len(rows) == 12
    (chosen,) = [row["child"] for row in rows if row["chosen"]]
    assert chosen == "cheap"


def test_a_diverged_seed_counts_as_chance_and_one_rate_is_not_the_better(proxy, folder):
    path = folder / "cheap" / "0.1" / "results.csv"
    rows = io.read_csv(path)
    rows[1] |= {"seed 0": "0.0"}
    io.write_csv(path, rows)
    shutil.rmtree(folder / "cheap" / "0.03")
    means, _ = proxy.child(path.parent, SearchSpace())
    others = [float(rows[1][f"seed {seed}"]) for seed in (1, 2)]
    key = proxy.identity("swish", SearchSpace())
    assert means[key] == pytest.approx((proxy.CHANCE + sum(others)) / 3)
    assert [row["rate"] for row in proxy.rows(folder) if row["child"] == "cheap"] == ["0.1"]


def test_the_interval_is_that_of_resampled_functions(proxy):
    random = np.random.default_rng(1)
    a = random.normal(size=12)
    b = a + random.normal(size=12)
    found, low, high = proxy.correlation(a, b)
    wanted = stats.bootstrap(
        (a, b),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    assert found == pytest.approx(stats.spearmanr(a, b).statistic)
    assert (low, high) == pytest.approx(tuple(wanted.confidence_interval), abs=0.05)


def test_a_table_is_written(proxy, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["study_proxy.py", str(folder), f"--out={tmp_path / 'out'}"])
    proxy.main()
    assert "child: cheap  rate: 0.03" in capsys.readouterr().out
    assert len(io.read_csv(tmp_path / "out/proxy.csv")) == 9
    monkeypatch.setattr("sys.argv", ["study_proxy.py", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        proxy.main()


def test_a_target_without_a_child_ends_with_one_line(proxy, folder, monkeypatch, capsys):
    for name in ("deep", "cheap", "wrong"):
        shutil.rmtree(folder / name)
    monkeypatch.setattr("sys.argv", ["study_proxy.py", str(folder)])
    with pytest.raises(SystemExit) as ended:
        proxy.main()
    assert ended.value.code == 2
    assert f"{folder}: no CHILD/RATE/results.csv of a child yet" in capsys.readouterr().err

"""The look-up benchmark: what it says is what the search wrote; sessions keep halves apart."""

import collections
import csv
import math
import shutil

import numpy as np
import pytest

from keras_swish.search import SearchSpace, algorithms, benchmark

NAME = "fashion_mnist_resnet8"


@pytest.fixture(scope="module")
def table():
    return benchmark.load(NAME)


@pytest.fixture(scope="module")
def space():
    return SearchSpace()


@pytest.fixture
def copy(root, tmp_path):
    source = root / "keras_swish/search/tables" / NAME
    return shutil.copytree(source, tmp_path / NAME)


def test_its_rewards_are_those_of_the_exhaustive_search(table, root):
    with open(root / "results/search/results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table.functions) == 3358
    for row in rows:
        candidate = table.space.candidate(u1=row["u1"], u2=row["u2"], b=row["b"])
        function = table.find(candidate)
        assert function.formula == row["formula"]
        wanted = {seed: float(row[f"seed {seed}"]) for seed in range(4) if row[f"seed {seed}"]}
        assert function.seeds == list(wanted)
        for seed, reward in wanted.items():
            assert table.query(candidate, seed).reward == reward


def test_the_deep_childs_rewards_are_those_of_its_study(root):
    table = benchmark.load("fashion_mnist_resnet56")
    with open(root / "results/study/table/trainings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    by_rate = collections.defaultdict(dict)
    for row in rows:
        by_rate[row["formula"], int(row["seed"])][float(row["learning_rate"])] = row
    assert len({formula for formula, _ in by_rate}) == len(table.functions) == 82
    for (formula, seed), rates in by_rate.items():
        training = table.query(formula, seed)
        assert training.rates.keys() == rates.keys() == {0.1, 0.03}
        for rate, row in rates.items():
            # Five digits of it are written there.
            assert training.rates[rate].reward == pytest.approx(float(row["reward"]), abs=1e-5)
            assert training.rates[rate].status == row["status"]
        assert training.reward == max(one.reward for one in training.rates.values())
    with pytest.raises(ValueError, match="has a part of all functions"):
        table.query("cos(x) - x")


def test_every_spelling_is_that_of_the_space(table, space):
    for index in range(len(space)):
        candidate = space.from_index(index)
        reason = space.reason(candidate)
        if reason:
            with pytest.raises(ValueError, match=reason):
                table.find(candidate)
        else:
            assert table.find(candidate) is table.find(space.canonical(candidate))
    spelt = [candidate for function in table.functions for candidate in function.spellings]
    assert len(spelt) == len(set(spelt)) == 6250 - 490 - 229


def test_functions_are_found_by_formula_and_by_name(table):
    swish = table.find("swish")
    assert swish is table.find("x / (1 + exp(-x))")
    assert swish.trainings[0, 3] is table.query("x * sigmoid(x)")
    with pytest.raises(ValueError, match=r"no such function.*'gelu'"):
        table.find("gelu")
    with pytest.raises(ValueError, match="swihs"):
        table.find("swihs")


@pytest.mark.parametrize("arguments", [{"seed": 4}, {"epochs": 2}, {"seed": -1, "epochs": 3}])
def test_what_was_not_trained_is_refused(table, arguments):
    with pytest.raises(ValueError, match=r"seeds \[0, 1, 2, 3\].*epochs \[3\]"):
        table.query("swish", **arguments)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'fashion_mnist_resnet8'"):
        benchmark.load("fashion_mnist_resnet9")


@pytest.mark.parametrize("file", benchmark.FILES)
def test_a_changed_table_is_refused(copy, file):
    assert len(benchmark.Benchmark(NAME, copy).functions) == 3358
    path = copy / file
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ValueError, match=f"damaged: .*{file} has changed"):
        benchmark.Benchmark(NAME, copy)


def test_line_ends_of_windows_are_no_change(copy):
    path = copy / "trainings.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert benchmark.Benchmark(NAME, copy).query("swish").reward > 0.8


def test_shapes_are_equal_up_to_a_factor_and_mirroring(table):
    shape = table.find("swish").shape
    for same in ("-x * sigmoid(x)", "x * sigmoid(-x)", "beta * x * sigmoid(x)"):
        assert table.find(same).shape == shape
    assert table.find("relu").shape == table.find("min(x, 0)").shape != shape
    x = np.linspace(-5, 5, 101)
    by_shape = {}
    for function in table.functions:
        by_shape.setdefault(function.shape, []).append(function.spellings[0])
    several = [members for members in by_shape.values() if len(members) > 1]
    assert len(several) > 100
    for members in several:
        values, _ = table.space.values_at(members, x)
        values /= np.abs(values).max(axis=1, keepdims=True)
        one = values[0]
        for other in values[1:]:
            variants = [other, -other, other[::-1], -other[::-1]]
            # Relative to the largest magnitude of more points than these.
            assert min(np.abs(one - v).max() for v in variants) < 1e-5


def test_mirrors_are_mirrors(table):
    x = np.linspace(-5, 5, 101)
    values, _ = table.space.values_at([one.spellings[0] for one in table.functions], x)
    twins = [one for one in table.functions if one.mirror is not None]
    assert len(twins) > 1000
    for one in twins:
        scale = np.abs(values[one.number]).max()
        difference = values[one.mirror] + values[one.number, ::-1]
        assert np.abs(difference).max() <= 1e-5 * scale
        assert table.functions[one.mirror].betas == one.betas
    assert table.find("tanh(x)").mirror == table.find("tanh(x)").number


def test_a_session_tells_one_half_and_judges_by_the_other(table):
    swish, splits = table.find("swish"), set()
    for repetition in range(20):
        session = table.session(repetition)
        assert sorted(session.told + session.judging) == table.seeds
        rewards = {seed: table.query("swish", seed).reward for seed in table.seeds}
        told = session.train(swish.spellings[-1])
        assert told == pytest.approx(np.mean([rewards[seed] for seed in session.told]))
        splits.add(tuple(sorted(session.told)))
    assert len(splits) == 6
    single = next(one for one in table.functions if one.seeds == [0])
    assert session.train(single.spellings[0]) == single.trainings[0, 3].reward


def test_the_clock_counts_what_was_told_and_repeats_are_free(table):
    session = table.session(0)
    swish = table.find("swish")
    for candidate in swish.spellings:
        session.train(candidate)
    seconds = sum(swish.trainings[seed, 3].seconds for seed in session.told)
    assert session.seconds == pytest.approx(seconds)
    assert (session.proposals, session.repeats) == (3, 2)
    assert session.trained == [swish]
    # Constant: refused before it is trained.
    assert session.train(table.space.candidate(u1="x", u2="x", b="x1-x2")) == 0
    assert session.seconds == pytest.approx(seconds)


def test_sampling_without_replacement_finds_as_many_as_chance(table):
    found = []
    for repetition in range(20):
        session = table.session(repetition)
        session.run(algorithms.create("exhaustive", table.space, repetition), 500)
        assert (len(session.trained), session.repeats) == (500, 0)
        found.append(session.found(0.01))
    # Hypergeometric: 34 of 3358, 500 drawn, twenty times.
    assert abs(np.mean(found) - 34 * 500 / 3358) < 4 * math.sqrt(34 * 0.149 * 0.851 / 20)


def test_a_session_ends_where_nothing_is_left(table):
    session = table.session(0)
    session.run(algorithms.create("exhaustive", table.space, 0), 10_000)
    assert len(session.trained) == 3358
    assert session.found(0.01) == 34
    assert session.first(session.ranked[:1]) <= 3358
    assert math.isinf(table.session(0).first(session.ranked[:1]))


def test_an_algorithm_is_of_one_session(table):
    session, algorithm = table.session(0), algorithms.create("exhaustive", table.space, 0)
    session.run(algorithm, 3)
    session.run(algorithm, 5)
    assert len(session.trained) == 5
    with pytest.raises(ValueError, match="This Exhaustive is of another search"):
        table.session(0).run(algorithm, 5)


class ProposesBare(algorithms.Algorithm):
    def ask(self):
        return self.space.sample(self.random)


def test_an_algorithm_that_proposes_no_proposal_is_refused(table):
    with pytest.raises(ValueError, match="'ProposesBare' must propose a `Proposal` of a candidate"):
        table.session(0).run(ProposesBare(table.space), 1)


def test_what_is_of_another_space_is_refused(table):
    session = table.session(0)
    for space in (SearchSpace(2), SearchSpace(unary=["x", "sin(x)"])):
        with pytest.raises(ValueError, match=r"another space: make it for that of <Benchmark"):
            session.run(algorithms.create("random", space), 1)
    for candidate in ((0, 0), (0, 0, 99), [0, -1, 0]):
        with pytest.raises(ValueError, match="The search space has no such function"):
            session.train(candidate)
    assert session.proposals == 0
    assert table.query([0, 0, 6]) is table.query((0, 0, 6))

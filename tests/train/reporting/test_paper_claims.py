"""The paper's observations, looked for in a study in which what is true was made up."""

import made_up_search
import numpy as np
import pytest
from scipy import stats

from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.search.study import ranking_key
from keras_swish.train.reporting import paper_claims, search_report

pytest.importorskip("optuna")


def test_division_and_the_raw_x_are_what_they_were_made(study, space):
    entries = study.entries()
    divides = [space.choices(entry.candidate)["b"] == "x1/(x2+eps)" for entry in entries]
    found = paper_claims.division(space, entries)
    keys = [ranking_key(entry) for entry in entries]
    own, others = ([s for s, d in zip(keys, divides) if d == wanted] for wanted in (1, 0))
    assert np.mean([[a > b for b in others] for a in own]) > 0.9
    assert found.rank - found.other_rank > 0.3
    assert found.rank_p < 1e-4
    dividing = filter(made_up_search.divides, entries)
    assert found.diverged == pytest.approx(np.mean([e.status != "ok" for e in dividing]))
    assert found.other_diverged == 0

    # The effect that was made up is found where there is enough of it, and no other.
    many = sorted(entries * 5, key=ranking_key)
    seen = paper_claims.observations(space, many)
    expected, raw = seen["the last binary function has the raw x as an input"]
    assert (expected, raw.side) == (1, 1)
    assert seen["divides"][1].side == -1


def test_a_function_has_what_any_of_its_spellings_has(space):
    study = Study(space, {})
    # Stands for cos(x) - x, spelled -x + cos(x).
    stands = space.canonical(space.candidate(u1="cos(x)", u2="x", b="x1-x2"))
    assert "x" not in list(space.choices(stands).values())[:2]
    study.add(stands, 0, Outcome(0.9, "ok", 1, 1.0), "random")
    for number, candidate in enumerate(space.survey().candidates[100:110]):
        study.add(candidate, 0, Outcome(0.01 * number, "ok", 1, 1.0), "random")
    _, share = paper_claims.observations(space, study.entries())[
        "the last binary function has the raw x as an input"
    ]
    assert share.best >= 1
    assert study.entries()[0].candidate == stands


def test_shares_are_those_of_scipy_and_corrected():
    flags = {"in all": [True] * 40, "in the best": [True] * 4 + [False] * 36}
    found = paper_claims.shares(flags, best=4)
    assert found["in all"].p == 1
    p = 1 / 91390  # one of the ways to choose 4 of 40
    assert found["in the best"].p == pytest.approx(p)
    assert found["in the best"].holm_p == pytest.approx(2 * p)
    assert [share.side for share in found.values()] == [0, 1]
    turned = paper_claims.shares({"it": [False] * 10 + [True] * 30}, best=10)["it"]
    assert turned.side == -1
    table = [[0, 10], [30, 0]]
    assert turned.p == pytest.approx(stats.chi2_contingency(table).pvalue, abs=1e-3)


def test_primitives_count_in_how_many_candidates_they_are(study, space):
    entries = study.entries()
    found = paper_claims.primitives(space, entries)
    assert set(found["unary"]) == set(made_up_search.UNARY)
    for name in made_up_search.UNARY:
        own = [name in list(space.choices(entry.candidate).values())[:2] for entry in entries]
        share = found["unary"][name]
        assert (share.best, share.others) == (sum(own[:6]), sum(own[6:]))
        assert (share.of_best, share.of_others) == (6, 54)
    share = found["binary"]["x1/(x2+eps)"]
    assert share.best == 0
    assert share.others == sum(map(made_up_search.divides, entries))


def test_the_papers_functions_are_found_in_a_larger_space():
    space = SearchSpace(core_units=2)
    study = Study(space, {})

    def add(reward, **choices):
        study.add(space.candidate(**choices), 0, Outcome(reward, "ok", 1, 1.0), "random")

    square = {"u1": "arctan(x)", "u2": "arctan(x)", "b": "x1*x2"}
    add(0.9, **square, input1_2=1, u1_2="x", input2_2=0, u2_2="x", b_2="x1-x2")
    # Swish-1, whose first unit is not used.
    add(0.8, **square, input1_2=0, u1_2="x", input2_2=0, u2_2="x", b_2="sigmoid(x1)*x2")
    # ReLU, written in another way.
    relu = {"u1": "max(x,0)", "u2": "x", "b": "max(x1,x2)"}
    add(0.7, **relu, input1_2=1, u1_2="max(x,0)", input2_2=1, u2_2="max(x,0)", b_2="max(x1,x2)")
    before = dict(space._identities.by_candidate)
    entries = study.entries()
    found = paper_claims.rank_functions(study, entries)
    ranks = {name: ranked.rank for name, ranked in found.items() if ranked}
    assert ranks == {"arctan_squared_minus_x": 1, "swish": 2, "relu": 3}
    assert space._identities.by_candidate == before  # a resumed search proposes the same
    expected, share = paper_claims.observations(space, entries)["one core unit"]
    assert (expected, share.best, share.others) == (0, 0, 1)
    text = search_report.text(study, entries, found, None)
    assert "one core unit" in text
    assert "holds only candidates of at most 2 core units" in " ".join(text.split())

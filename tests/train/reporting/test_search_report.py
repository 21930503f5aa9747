"""The report of a search: what it says of a made-up study, and that a real browser shows it."""

import csv
import re
import shutil

import numpy as np
import pages
import pytest
from scipy import stats

from keras_swish import io
from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.search.study import Proposed, ranking_key
from keras_swish.train.reporting import paper_claims, search_report

pytest.importorskip("optuna")
HOSTILE = "`<script>document.title='pwned'</script>|<img src=x onerror=alert(1)>$\\x$"
UNARY = ("x", "x^2", "beta*x", "sin(x)", "tanh(x)", "sigmoid(x)", "exp(x)", "max(x,0)")
BINARY = ("x1+x2", "x1*x2", "x1/(x2+eps)", "max(x1,x2)", "sigmoid(x1)*x2")
SWISH = {"u1": "beta*x", "u2": "x", "b": "sigmoid(x1)*x2"}


def rewards(space, candidate, random):
    """Returns a made-up reward: division is bad, and the raw x good."""
    choices = space.choices(candidate)
    reward = 0.5 + 0.005 * random.normal()
    if "x" in (choices["u1"], choices["u2"]):
        reward += 0.1
    return reward - 0.3 * (choices["b"] == "x1/(x2+eps)")


@pytest.fixture(scope="module")
def space():
    return SearchSpace()


@pytest.fixture(scope="module")
def made(tmp_path_factory, space):
    """The folder of a search of 60 candidates by two algorithms, as if trained."""
    out = tmp_path_factory.mktemp("search")
    study, random = Study(space, {"config": {"epochs": 3}}, out / "study.log"), _random()
    chosen = [c for c in space.survey().candidates if _is_simple(space.choices(c))]
    swish = space.candidate(**SWISH)
    places = random.permutation([i for i, c in enumerate(chosen) if c != swish])[:59]
    for number, candidate in enumerate([swish, *(chosen[i] for i in places)]):
        reward = rewards(space, candidate, random) + 0.2 * (candidate == swish)
        algorithm = HOSTILE if number % 2 else "random"
        diverged = space.choices(candidate)["b"] == "x1/(x2+eps)" and number % 3 > 0
        outcome = Outcome(0.0, "diverged", 3, 0.1) if diverged else Outcome(reward, "ok", 10, 2.0)
        repeats = 4 * [Proposed(candidate, None, candidate, 0.5)] if number == 0 else []
        rejected = 3 * [Proposed(candidate, "not finite", candidate, 0.0)] if number == 2 else []
        proposals = [Proposed(candidate, None, candidate, None), *repeats, *rejected]
        study.add(candidate, 0, outcome, algorithm, proposals=() if number % 2 else proposals)
        if candidate == swish or (number < 12 and not diverged):
            again = Outcome(reward + 0.005 * random.normal(), "ok", 10, 2.0)
            study.add(candidate, 1, again, algorithm)
    child = {"model": "<b>resnet8</b>", "filters": [8, 16, 32], "config": {"epochs": 3}}
    config = {"program": "search", "dataset": "<b>digits</b>", "child": child}
    starts = [{"command": HOSTILE, "environment": {"system": "<b>Linux</b>"}}]
    io.write_json(out / "config.json", {"config": config, "starts": starts})
    return out


def _random():
    return np.random.default_rng(5)


def _is_simple(choices):
    return {choices["u1"], choices["u2"]} <= set(UNARY) and choices["b"] in BINARY


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "found")


@pytest.fixture(scope="module")
def study(made):
    return Study.load(made / "study.log")


def section(text, title):
    return re.search(rf"## {title}\n(.*?)(\n## |\Z)", text, re.DOTALL).group(1)


def test_the_page_says_what_was_made_up(folder, call, study):
    code, printed, err = call("report", folder)
    assert code == 0, err
    assert printed.strip() == f"report: {folder / 'report.html'}"
    text = (folder / "table.md").read_text()
    (_, best), *_ = pages.tables(text)
    entry = study.entries()[0]
    interval = f"{entry.low:.4f} to {entry.high:.4f}"
    assert best["`sigmoid(beta * x) * x`"] == ["1", f"{entry.mean:.4f}", interval, "2"]
    assert len(best) == search_report.LISTED

    ((_, known),) = pages.tables(section(text, "Functions of the paper"))
    assert known["swish_beta"][1] == "1"
    assert known["cos_minus_x"][1] == "not tried"
    assert known["x_arcsinh_squared"][1] == "not here: has 2 core units"

    ((_, algorithms),) = pages.tables(section(text, "The best reward over the candidates tried"))
    assert algorithms["random"][0] == "30"
    assert algorithms["random"][2] == "1"  # Swish came first

    observed = section(text, "What the paper observed")
    ((_, found),) = pages.tables(observed)
    assert found["the last binary function has the raw x as an input"][1] == "100% (6 of 6)"
    assert found["divides"][1] == "0% (0 of 6)"
    diverged, others = re.search(r"([0-9]+)% of\s+them\s+diverged.*?([0-9]+)%", observed).groups()
    share = np.mean([entry.status == "diverged" for entry in study.entries() if _d(entry)])
    assert int(diverged) == round(100 * share) >= 50
    assert others == "0"
    assert "holds only candidates of one core unit" in " ".join(observed.split())
    assert "Proposals of random: 30 candidates, 4 repeated, 3 rejected untried." in text
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 61)]
    assert rows[0]["seed 1"]


def test_division_and_the_raw_x_are_what_they_were_made(study, space):
    entries = study.entries()
    divides = [space.choices(entry.candidate)["b"] == "x1/(x2+eps)" for entry in entries]
    found = paper_claims.division(space, entries)
    keys = [ranking_key(entry) for entry in entries]
    own, others = ([s for s, d in zip(keys, divides) if d == wanted] for wanted in (1, 0))
    assert np.mean([[a > b for b in others] for a in own]) > 0.9
    assert found.rank - found.other_rank > 0.3
    assert found.rank_p < 1e-4
    assert found.diverged == pytest.approx(np.mean([e.status != "ok" for e in entries if _d(e)]))
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


def test_an_algorithm_that_learns_gives_no_sample(space, made):
    study = Study(space, {})
    for number, candidate in enumerate(space.survey().candidates[:40]):
        study.add(candidate, 0, Outcome(0.01 * number, "ok", 1, 1.0), "rl")
    entries = study.entries()
    text = search_report.text(study, entries, paper_claims.known(study, entries), None)
    observed = section(text, "What the paper observed")
    assert "rl proposed what is like the best so far" in " ".join(observed.split())
    ((_, found),) = pages.tables(observed)
    assert {row[-1] for row in found.values()} == {"no sample"}


def test_another_programs_folder_is_left_alone(made, call, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(made, other)
    (other / "report.html").write_text("mine")
    journal = tmp_path / "mine.log"
    shutil.copy(made / "study.log", journal)
    code, _, err = call("report", journal, f"--out={other}")
    assert code == 2
    assert "holds other files" in err
    assert (other / "report.html").read_text() == "mine"
    # Nor does a file of that name beside a journal tell of it.
    (tmp_path / "config.json").write_text("[1]")
    assert call("report", journal, f"--out={tmp_path / 'out'}")[0] == 0


def _d(entry):
    return "/" in entry.formula


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
    assert set(found["unary"]) == set(UNARY)
    for name in UNARY:
        own = [name in list(space.choices(entry.candidate).values())[:2] for entry in entries]
        share = found["unary"][name]
        assert (share.best, share.others) == (sum(own[:6]), sum(own[6:]))
        assert (share.of_best, share.of_others) == (6, 54)
    share = found["binary"]["x1/(x2+eps)"]
    assert share.best == 0
    assert share.others == sum(map(_d, entries))


def test_known_functions_are_known_in_a_larger_space():
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
    found = paper_claims.known(study, entries)
    ranks = {name: one[0] for name, one in found.items() if one}
    assert ranks == {"arctan_squared_minus_x": 1, "swish": 2, "relu": 3}
    assert (
        space._identities.by_candidate == before
    )  # the search that resumes proposes what it would have
    expected, share = paper_claims.observations(space, entries)["one core unit"]
    assert (expected, share.best, share.others) == (0, 0, 1)
    text = search_report.text(study, entries, found, None)
    assert "one core unit" in text
    assert "holds only candidates of at most 2 core units" in " ".join(text.split())


def test_what_comes_from_outside_is_escaped_and_nothing_is_loaded(folder, call):
    assert call("report", folder)[0] == 0
    pages.check((folder / "report.html").read_text(), pictures=3)


def test_a_journal_alone_is_reported_on_and_other_things_are_refused(made, call, tmp_path):
    journal = tmp_path / "mine.log"
    shutil.copy(made / "study.log", journal)
    out = tmp_path / "out"
    code, _, err = call("report", journal, f"--out={out}")
    assert code == 0, err
    assert (out / "table.md").read_text().startswith("# Search, core units: 1\n")
    assert call("report", journal, f"--out={out}")[0] == 0  # once more into the same folder
    (tmp_path / "empty.log").touch()
    (tmp_path / "other.log").write_text("no journal\n")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(made / "config.json", unfinished)
    Study(SearchSpace(), {}, tmp_path / "none.log")
    for arguments, message in (
        ([journal], "--out: "),
        ([journal, f"--out={tmp_path}"], "holds other files"),
        ([journal, f"--out={journal}"], "is no folder"),
        ([tmp_path / "missing.log", f"--out={out}"], "not a folder of results"),
        ([tmp_path / "empty.log", f"--out={out}"], "no search is stored there"),
        ([tmp_path / "other.log", f"--out={out}"], "no search is stored there"),
        ([tmp_path / "none.log", f"--out={out}"], "no child of this search is trained"),
        ([f"sqlite:///{tmp_path}/missing.db", f"--out={out}"], "no search is stored there"),
        ([unfinished], "no search is stored there (there is no such file)"),
    ):
        code, _, err = call("report", *arguments)
        assert code == 2
        assert len(err.strip().splitlines()) == 1
        assert message in err
    assert not (tmp_path / "missing.log").exists()
    assert not (unfinished / "study.log").exists()


def test_a_database_is_reported_on(space, call, tmp_path):
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = Study(space, {}, url)
    study.add(space.candidate(**SWISH), 0, Outcome(0.9, "ok", 1, 1.0), "random")
    code, _, err = call("report", url, f"--out={tmp_path / 'out'}")
    assert code == 0, err
    assert "`sigmoid(beta * x) * x`" in (tmp_path / "out/table.md").read_text()


@pytest.mark.slow
def test_a_browser_shows_the_page_and_sorts_its_tables(folder, call, browse):
    assert call("report", folder)[0] == 0
    document = browse(
        folder / "report.html",
        "document.body.dataset.pictures = "
        "[...document.images].filter(image => image.naturalWidth > 400).length;"
        "const rank = document.querySelectorAll('th button')[1]; rank.click(); rank.click()",
    )
    assert 'data-pictures="3"' in document
    # No script was let in.
    assert "<title>Search on &lt;b&gt;digits&lt;/b&gt;, core units: 1</title>" in document
    body = re.search(r"<tbody>(.*?)</tbody>", document, re.DOTALL).group(1)
    ranks = [int(rank) for rank in re.findall(r"</code></td>\s*<td>([0-9]+)</td>", body)]
    assert ranks == list(range(30, 0, -1))

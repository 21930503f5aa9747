"""The report of a search: its text on a made-up study, and that a real browser shows it."""

import csv
import re
import shutil

import made_up_search
import numpy as np
import pages
import pytest

from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.train.reporting import paper_claims, search_report

pytest.importorskip("optuna")


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "found")


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
    formula = "`sigmoid(beta * x) * x`"
    assert best["swish_beta"] == [formula, "1", "1 to 1", f"{entry.mean:.4f}", interval, "2"]
    _, answer, second, *_ = text.split("\n\n")
    shape = (
        "**The best shape is that of swish_beta (with 1 more formula of this shape): mean reward "
    )
    assert answer.startswith(shape)
    assert "ReLU" in answer
    assert "`keras-swish confirm` trains them again." in " ".join(second.split())
    assert len(best) == search_report.LISTED

    ((_, known),) = pages.tables(section(text, "Functions of the paper"))
    assert known["swish_beta"][1] == "1"
    assert known["cos_minus_x"][1] == "not tried"
    assert known["x_arcsinh_squared"][1] == "not here: has 2 core units"

    ((_, algorithms),) = pages.tables(section(text, "The best reward over the candidates tried"))
    assert algorithms["random"][0] == "30"
    assert algorithms["random"][2] == "1"  # Swish came first

    observed = section(text, "Observations of the paper")
    ((_, found),) = pages.tables(observed)
    assert found["the last binary function has the raw x as an input"][1] == "100% (6 of 6)"
    assert found["divides"][1] == "0% (0 of 6)"
    diverged, others = re.search(r"([0-9]+)% of\s+them\s+diverged.*?([0-9]+)%", observed).groups()
    share = np.mean(
        [entry.status == "diverged" for entry in study.entries() if made_up_search.divides(entry)]
    )
    assert int(diverged) == round(100 * share) >= 50
    assert others == "0"
    assert "holds only candidates of one core unit" in " ".join(observed.split())
    assert "Proposals of random: 30 candidates, 4 repeated, 3 rejected untried." in text
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 61)]
    assert rows[0]["seed 1"]
    assert (rows[0]["function"], rows[0]["formula"]) == ("swish_beta", "sigmoid(beta * x) * x")
    assert (rows[0]["rank low"], rows[0]["rank high"]) == ("1", "1")
    believed = section(text, "What a surrogate believes")
    ((_, untrained),) = pages.tables(believed)
    assert len(untrained) == 10
    assert not set(untrained) & set(best)
    assert re.search(r"with what was found is\s+-?[01]\.\d\d", believed)
    assert "shape" in section(text, "Functions of one shape")


def test_a_search_from_python_is_not_told_to_confirm(space, call, tmp_path):
    child = {"config": {"epochs": 3, "optimizer": None}}
    child["reward"] = "Objective(name='val_auc', direction='max')"
    study = Study(space, child, tmp_path / "study.log")
    for number, candidate in enumerate(space.survey().candidates[:3]):
        study.add(candidate, 0, Outcome(0.1 * number, "ok", 1, 1.0), "random")
    code, _, err = call("report", tmp_path / "study.log", f"--out={tmp_path / 'out'}")
    assert code == 0, err
    text = (tmp_path / "out/table.md").read_text()
    answer = " ".join(text.split())
    assert "only data that the search has not seen tells how good they are" in answer
    assert "keras-swish confirm" not in answer
    assert "Reward: val_auc, larger being better." in answer
    assert "Child: `epochs 3`." in text


def test_an_algorithm_that_learns_gives_no_sample(space, made):
    study = Study(space, {})
    for number, candidate in enumerate(space.survey().candidates[:40]):
        study.add(candidate, 0, Outcome(0.01 * number, "ok", 1, 1.0), "rl")
    entries = study.entries()
    text = search_report.text(study, entries, paper_claims.rank_functions(study, entries), None)
    observed = section(text, "Observations of the paper")
    for tested in (observed, section(text, "Primitives of the best")):
        assert "rl proposed what is like the best so far" in " ".join(tested.split())
    ((_, found),) = pages.tables(observed)
    assert {row[-1] for row in found.values()} == {"no sample"}


@pytest.mark.parametrize("statuses", [["diverged"], ["ok"], ["ok", "diverged"], 12 * ["diverged"]])
def test_a_search_stopped_early_is_reported_on(space, call, tmp_path, statuses):
    """As SIGTERM leaves it: of what was trained nothing may have come to its end."""
    study = Study(space, {"config": {"epochs": 3}}, tmp_path / "study.log")
    for candidate, status in zip(space.survey().candidates[::50], statuses, strict=False):
        study.add(candidate, 0, Outcome(0.5 * (status == "ok"), status, 1, 1.0), "random")
    code, _, err = call("report", tmp_path / "study.log", f"--out={tmp_path / 'out'}")
    assert code == 0, err
    shape = section((tmp_path / "out/table.md").read_text(), "Functions of one shape")
    assert ("No function was trained to the end." in shape) == ("ok" not in statuses)


@pytest.mark.slow
def test_a_journal_cut_short_does_not_replace_a_whole_report(folder, call, tmp_path):
    assert call("report", folder)[0] == 0
    files = ("results.csv", "table.md", "report.html")
    before = [(folder / name).read_bytes() for name in files]
    journal = folder / "study.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    code, _, err = call("report", folder)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert re.search(r"has \d+ trained children of 60 candidates, the storage only \d+ of \d+", err)
    assert [(folder / name).read_bytes() for name in files] == before
    (folder / "results.csv").rename(tmp_path / "whole.csv")  # as the message says
    assert call("report", folder)[0] == 0


@pytest.mark.parametrize(
    "damaged", ["{", "[]", '{"config": {"program": "search"}}', '{"config": 3}']
)
def test_a_damaged_description_is_refused_in_one_line(folder, call, damaged):
    (folder / "config.json").write_text(damaged)
    code, _, err = call("report", folder)
    assert code == 2
    assert len(err.strip().splitlines()) == 1


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
    # Nor is a file of that name next to a journal read.
    (tmp_path / "config.json").write_text("[1]")
    assert call("report", journal, f"--out={tmp_path / 'out'}")[0] == 0


def test_what_comes_from_outside_is_escaped_and_nothing_is_loaded(folder, call):
    assert call("report", folder)[0] == 0
    pages.check((folder / "report.html").read_text(), figures=4)


@pytest.mark.slow
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
    study.add(space.candidate(**made_up_search.SWISH), 0, Outcome(0.9, "ok", 1, 1.0), "random")
    code, _, err = call("report", url, f"--out={tmp_path / 'out'}")
    assert code == 0, err
    assert "`sigmoid(beta * x) * x`" in (tmp_path / "out/table.md").read_text()


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_shows_the_page_and_sorts_its_tables(folder, call, browse):
    assert call("report", folder)[0] == 0
    document = browse(
        folder / "report.html",
        "document.body.dataset.figures = "
        "[...document.images].filter(image => image.naturalWidth > 400).length;"
        "const rank = document.querySelectorAll('th button')[2]; rank.click(); rank.click()",
    )
    assert 'data-figures="4"' in document
    # No script was let in.
    assert "<title>Search on &lt;b&gt;digits&lt;/b&gt;, core units: 1</title>" in document
    body = re.search(r"<tbody>(.*?)</tbody>", document, re.DOTALL).group(1)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.split("</tr>")[:-1]]
    assert [int(cells[2]) for cells in rows] == list(range(30, 0, -1))

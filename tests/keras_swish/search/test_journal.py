import subprocess
import sys

import pytest
from fake_child import Fake, search

from keras_swish import io
from keras_swish.search import SearchSpace, Study

pytest.importorskip("optuna")


@pytest.mark.parametrize(
    "text",
    ["not a journal\nat all\n", "no journal at all", "one line that Optuna forgives\n", "{}"],
)
def test_what_is_no_storage_is_refused_in_one_line_and_left_alone(tmp_path, text):
    notes = tmp_path / "notes.txt"
    notes.write_text(text)
    with pytest.raises(ValueError, match=r"notes.txt' is no journal of Optuna"):
        search(Fake(SearchSpace()), notes)
    assert notes.read_text() == text


@pytest.mark.slow
def test_a_lock_left_by_a_kill_is_taken_over(tmp_path, space, monkeypatch):
    search(Fake(space), tmp_path / "study.log").explore(5)
    whole = (tmp_path / "study.log").read_bytes()
    (tmp_path / "study.log").write_bytes(whole[:-10])
    (tmp_path / "study.log.lock").symlink_to(tmp_path / "study.log")
    monkeypatch.chdir(tmp_path.parent)
    # After the half minute that Optuna waits for who has it.
    assert len(Study.load(f"{tmp_path.name}/study.log")) == 4


def test_a_journal_is_known_from_the_root(tmp_path, space, monkeypatch):
    """A lock is a link to it, and is read from another folder."""
    monkeypatch.chdir(tmp_path)
    assert Study(space, {}, "study.log").path == tmp_path / "study.log"


# The module by itself: it needs no Keras.
HOLD = """
import pathlib, runpy, sys
held = runpy.run_path(sys.argv[1])["lock"](pathlib.Path(sys.argv[2]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_kept_from_the_same_journal(tmp_path, space):
    path = tmp_path / "study.log"
    command = [sys.executable, "-c", HOLD, io.__file__, tmp_path / ".study.log.lock"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ValueError, match=r"Another process searches with .*study.log'"):
            search(Fake(space), path)
        assert len(Study.load(path)) == 0
        other.stdin.close()
    # And once it has ended, the search resumes, in this process as often as one likes.
    first, second = (search(Fake(space), path) for _ in range(2))
    first.explore(3)
    assert second.progress.tried == 0

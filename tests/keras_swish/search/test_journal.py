import os
import subprocess
import sys

import numpy as np
import pytest
from fake_child import Fake, rewards, search

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


NEW_RECORD = b'{"op_code":4,"worker_id":"one","study_id":0'


@pytest.mark.parametrize(
    "tail",
    [b"\0", 5000 * b"\0", NEW_RECORD, NEW_RECORD + 4096 * b"\0", NEW_RECORD + b"\0\0\n", b"\0\n"],
)
def test_what_a_crash_left_at_the_end_is_cut_off(tmp_path, space, tail):
    path = tmp_path / "study.log"
    before = search(Fake(space), path)
    before.explore(4)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert rewards(Study.load(path)) == rewards(before.study)
    assert path.read_bytes() == whole
    again = search(Fake(space), path)
    again.explore(6)
    assert len(Study.load(path)) == 6


@pytest.mark.parametrize("damage", [b"\0\0\0\0\n", b"{}}\n", b"\xff\xfe\n"])
def test_damage_amid_a_journal_is_refused_with_its_line_and_left_alone(tmp_path, space, damage):
    path = tmp_path / "study.log"
    search(Fake(space), path).explore(4)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:3], damage, *lines[3:]])
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"study.log' is damaged in line 4\. Take a copy"):
        search(Fake(space), path)
    with pytest.raises(ValueError, match=r"no search is stored there .*damaged in line 4"):
        Study.load(path)
    assert path.read_bytes() == damaged
    path.write_bytes(b"".join(lines[:3]))  # the remedy
    search(Fake(space), path).explore(4)


def test_a_damaged_byte_is_refused_in_words_or_changes_a_value(tmp_path, space):
    path, random = tmp_path / "study.log", np.random.default_rng(0)
    search(Fake(space), path).explore(6)
    whole, refusals = path.read_bytes(), []
    for _ in range(120):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            assert len(Study.load(path).entries()) <= 6
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert {len(refusal.splitlines()) for refusal in refusals} == {1}


def test_a_damaged_database_is_refused_in_words(tmp_path, space):
    pytest.importorskip("sqlalchemy")
    path, random = tmp_path / "study.db", np.random.default_rng(0)
    url = f"sqlite:///{path}"
    search(Fake(space), url).explore(3)
    whole, refusals = path.read_bytes(), []
    for trial in range(12):
        damaged = bytearray(whole if trial else whole[: len(whole) // 2])
        start = random.integers(len(damaged) - 4096)
        damaged[start : start + 4096] = random.bytes(4096)
        path.write_bytes(damaged)
        try:
            assert len(Study.load(url).entries()) <= 3
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 3
    assert {len(refusal.splitlines()) for refusal in refusals} == {1}


def test_a_database_that_is_not_there_is_not_made(tmp_path, space):
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(ValueError, match=r"no search is stored there \(there is no such file\)"):
        Study.load(url)
    assert not list(tmp_path.iterdir())
    search(Fake(space), url).explore(1)
    assert len(Study.load(url)) == len(Study.load(url.replace("sqlite:", "sqlite+pysqlite:"))) == 1


@pytest.mark.parametrize(
    ("good", "damaged", "message"),
    [
        (b'"core_units":1', b'"core_units":1000000000', "whole number from 1 to 32"),
        (b'"core_units":1', b'"core_units":1.0', "whole number from 1 to 32"),
        (b'"interval":[-6.0,6.0]', b'"interval":[6.0,-6.0]', "`interval` must be"),
        (b'"child":{"fake":true', b'"child":[{"fake":true', "no search is stored|is damaged"),
        (b'"candidate":[', b'"candidate":[77,', "is no candidate of the space"),
        (b'"status":"ok"', b'"status":"of"', "its status is 'of'"),
        (b'"seed":0', b'"seed":null', "its seed is None"),
        (b'"steps":10', b'"steps":"a"', "trial 0 is damaged"),
        (b'"proposals":[[', b'"proposals":[[-', "is the number of no candidate"),
    ],
)
def test_a_description_that_cannot_be_is_refused_at_once(tmp_path, space, good, damaged, message):
    path = tmp_path / "study.log"
    search(Fake(space), path).explore(1)
    assert good in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(good, damaged))
    with pytest.raises(ValueError, match=message):
        Study.load(path)


def test_a_journal_needs_no_symbolic_links(tmp_path, space, monkeypatch):
    def refuse(*_, **__):
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    search(Fake(space), tmp_path / "study.log").explore(2)
    path = tmp_path / "study.log"
    path.write_bytes(path.read_bytes()[:-4])
    assert len(Study.load(path)) == 1


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

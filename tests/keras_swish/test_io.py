import os

import pytest

from keras_swish import io


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.json"
    io.write_json(path, {"a": 1})

    def fail():
        with io.atomic(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert io.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_what_is_synced_is_open_for_writing(tmp_path, monkeypatch):
    """Windows refuses to sync a file that is open for reading."""
    modes = []

    def sync(descriptor):
        modes.append(os.write(descriptor, b""))

    monkeypatch.setattr(os, "fsync", sync)
    io.write_text(tmp_path / "a.txt", "all")
    assert modes == [0]
    assert (tmp_path / "a.txt").read_text() == "all"


def test_the_temporary_name_keeps_the_suffixes(tmp_path):
    with io.atomic(tmp_path / "checkpoint.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.touch()
    assert (tmp_path / "checkpoint.weights.h5").exists()


def test_reading_what_is_not_there_gives_none(tmp_path):
    assert io.read_json(tmp_path / "nothing.json") is None


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\x00", b'{"a": ', b"3", b"[" * 10**5])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(io.DamagedFileError, match=r"result\.json is damaged \("):
        io.read_json(path)


def test_a_row_that_may_be_cut_inside_its_last_number_is_left_out(tmp_path):
    path = tmp_path / "log.csv"
    io.write_csv(path, [{"x": 1, "y": 0.125}, {"x": 2, "y": 0.25}])
    path.write_bytes(path.read_bytes()[:-2])
    assert io.read_csv(path) == [{"x": "1", "y": "0.125"}]
    path.write_bytes(b"\x00\xff")
    with pytest.raises(io.DamagedFileError, match=r"log\.csv is damaged"):
        io.read_csv(path)


def test_what_a_kill_left_behind_is_removed(tmp_path):
    with io.atomic(tmp_path / "a.weights.h5") as temporary:
        temporary.touch()
        left = tmp_path / temporary.name.replace("a.", "b.")
        left.touch()
    # Somebody else's, and an export into the folder, of which the program knows nothing.
    (tmp_path / ".own.tmp").touch()
    (tmp_path / ".model.12.tmp").mkdir()
    io.remove_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.weights.h5",
        ".own.tmp",
        ".model.12.tmp",
    }

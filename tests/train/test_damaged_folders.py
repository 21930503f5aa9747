"""Folders with a damaged file: one line, the rest is reported, the damaged run repeated."""

import json
import shutil

import pytest

QUICK = ["--epochs=2", "--train_split=train[:100]", "--batch_size=32", "--model=resnet8"]
COMPARE = ["compare", *QUICK, "--activations=relu,swish", "--seeds=2"]
DAMAGED = "resnet8-lr0.1-swish-seed1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("finished") / "compare"


@pytest.fixture
def folder(call, finished, tmp_path):
    if not finished.exists():
        code, _, err = call(*COMPARE, f"--out={finished}")
        assert code == 0, err
    return shutil.copytree(finished, tmp_path / "compare")


def cut(path, end):
    path.write_bytes(path.read_bytes()[:end])


CONTENTS = {
    "empty": b"",
    "garbage": b"\x00\xff\xfe garbage",
    "a list": b"[1, 2]",
    "an empty object": b"{}",
    "cut": b'{"model": "resnet8", "act',
    "a number": b"17",
}


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS)
def test_a_damaged_result_is_left_out_and_trained_again(call, folder, content):
    path = folder / "runs" / DAMAGED / "result.json"
    before = json.loads(path.read_text())
    path.write_bytes(CONTENTS[content])
    code, _, err = call("report", folder)
    assert code == 0
    assert f"{path} is damaged" in err
    assert err.count("\n") == 1
    table = (folder / "results.csv").read_text()
    assert table.count("\n") == 4
    code, _, err = call(*COMPARE, f"--out={folder}")
    assert code == 0, err
    assert "the run is trained again" in err
    again = json.loads(path.read_text())
    assert {**again, "seconds": 0, "images_per_second": 0} == {
        **before,
        "seconds": 0,
        "images_per_second": 0,
    }
    assert (folder / "results.csv").read_text().count("\n") == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"runs/{DAMAGED}/log.csv", "results.csv"])
@pytest.mark.parametrize("damage", ["binary", "cut", "words", "a folder"])
def test_a_damaged_table_stops_no_report(call, folder, name, damage):
    path = folder / name
    if damage == "cut":
        cut(path, -5)
    elif damage == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"binary": b"\x00\xff\xfe", "words": b"epoch,loss\n0,much\n"}[damage])
    code, _, err = call("report", folder)
    is_in_the_way = damage == "a folder" and name == "results.csv"
    assert code == is_in_the_way
    assert err.count("\n") <= 1
    if name != "results.csv" and damage != "cut":
        assert f"{path} is damaged" in err
    if is_in_the_way:
        assert "results.csv: Is a directory" in err
        path.rmdir()
    code, _, err = call(*COMPARE, f"--out={folder}")
    assert code == 0, err
    assert (folder / "results.csv").read_text().count("\n") == 5


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS)
def test_damaged_settings_are_one_line(call, folder, content):
    path = folder / "config.json"
    path.write_bytes(CONTENTS[content])
    for command in (["report", folder], [*COMPARE, f"--out={folder}"]):
        code, _, err = call(*command)
        assert code == 2
        assert "config.json" in err or "not a folder of results" in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_an_interrupted_run_with_a_torn_log_resumes_with_all_of_it(call, folder, tmp_path):
    """The rows of the epochs that a checkpoint has seen are in it."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    one = ["cifar", *QUICK, "--checkpoint_seconds=0"]
    assert call(*one, f"--out={whole}")[0] == 0
    shutil.copytree(whole, torn)
    (torn / "result.json").unlink()
    expected = (whole / "log.csv").read_text()
    cut(torn / "log.csv", -9)
    code, _, err = call(*one, f"--out={torn}")
    assert code == 0, err

    def without_seconds(text):
        header, *rows = [line.split(",") for line in text.splitlines()]
        timed = header.index("seconds")
        return [row[:timed] + row[timed + 1 :] for row in rows]

    assert without_seconds((torn / "log.csv").read_text()) == without_seconds(expected)


@pytest.mark.slow
def test_a_start_that_failed_before_its_settings_is_no_obstacle(call, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".config.json.17.tmp.json").write_text("{")
    code, _, err = call("cifar", *QUICK, f"--out={out}")
    assert code == 0, err
    assert json.loads((out / "config.json").read_text())["starts"]


@pytest.mark.slow
def test_a_pipe_that_closes_early_is_no_error(python):
    """As in `keras-swish models | head -1`."""
    code = """
import subprocess, sys
command = [sys.executable, "-m", "keras_swish.train.cli", "plot", "--help"]
process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
process.stdout.close()
error = process.stderr.read().decode()
print([line for line in error.splitlines() if "Error" in line or "Traceback" in line])
print(process.wait())
"""
    assert python("-c", code).stdout.splitlines()[-2:] == ["[]", "141"]

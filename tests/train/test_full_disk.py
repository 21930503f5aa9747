"""A disk that is full at any moment ends a program with one line; with room again it resumes."""

import os
import shutil
import subprocess

import outcomes
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None,
        reason="mounts small disks, as root",
    ),
    # Of files that are closed for want of a reference.
    pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"),
]
COMMAND = ["cifar", "--epochs=2", "--train_split=train[:160]", "--test_split=test[:60]"]
COMMAND += ["--batch_size=32", "--activation=swish_beta"]
# Of what a run needs at its height, in tenths of it.
TENTHS = range(10)


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk of so many bytes, or gives it another size; returns its folder."""
    folder = tmp_path / "disk"

    def resize(size):
        options = f"remount,size={size}" if folder.exists() else f"size={size}"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this machine lets nobody mount")
        return folder

    yield resize
    subprocess.run(["umount", folder], capture_output=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture
def whole(call, finished):
    """A run that had room."""
    if not finished.exists():
        code, _, err = call(*COMMAND, f"--out={finished}")
        assert code == 0, err
    return finished


@pytest.mark.parametrize("tenth", TENTHS)
def test_a_full_disk_is_one_line_and_the_command_resumes(call, tenth, whole, disk):
    # At its height there are two checkpoints and a third that is written.
    (checkpoint,) = (whole / "checkpoints").iterdir()
    most = 3 * checkpoint.stat().st_size
    out = disk(4096 + tenth * most // 10) / "run"
    code, _, err = call(*COMMAND, f"--out={out}")
    *checkpoints, last = err.splitlines() if code else [*err.splitlines(), ""]
    assert all(" not written (No space left on device); " in line for line in checkpoints)
    if code:
        assert "No space left on device" in last
        assert last.startswith("keras-swish cifar: ")
    disk(64 * 2**20)
    code, _, err = call(*COMMAND, f"--out={out}")
    assert (code, err) == (0, "")
    assert outcomes.read(out) == outcomes.read(whole)
    assert outcomes.temporaries(out) == []

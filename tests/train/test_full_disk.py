"""A disk that is full at any moment ends a program with one line; with room again it resumes."""

import os
import shutil
import subprocess
import sys

import outcomes
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None,
        reason="mounts small disks, as root",
    ),
]
COMMAND = ["--epochs=3", "--train_split=train[:320]", "--batch_size=32", "--activation=swish_beta"]
# Of what a run needs at its height, in tenths of it.
TENTHS = range(10)


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk of so many bytes, or gives it another size; returns its folder."""
    folder = tmp_path / "disk"

    def resize(size):
        options = f"size={size}" if not folder.exists() else f"remount,size={size}"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this machine lets nobody mount")
        return folder

    yield resize
    subprocess.run(["umount", folder], capture_output=True)


def trained(out, root):
    command = [sys.executable, "-m", "keras_swish.train.cifar", *COMMAND, f"--out={out}"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, root):
    out = tmp_path_factory.mktemp("whole") / "run"
    outcome = trained(out, root)
    assert outcome.returncode == 0, outcome.stderr
    return out


@pytest.mark.parametrize("tenth", TENTHS)
def test_a_full_disk_is_one_line_and_the_command_resumes(tenth, whole, disk, root):
    # At the end there are one checkpoint and the network; before, two checkpoints and a third.
    (checkpoint,) = (whole / "checkpoints").iterdir()
    most = 3 * checkpoint.stat().st_size
    out = disk(4096 + tenth * most // 10) / "run"
    outcome = trained(out, root)
    lines = [line for line in outcome.stderr.splitlines() if "keras_swish" in line]
    assert "Traceback" not in outcome.stderr
    assert "Exception ignored" not in outcome.stderr
    if outcome.returncode:
        assert len(lines) == 1
        assert outcome.stderr.splitlines()[-1] == lines[0]
        assert "No space left on device" in lines[0]
    else:  # at most a checkpoint had no room
        assert lines == []
    disk(64 * 2**20)
    again = trained(out, root)
    assert again.returncode == 0, again.stderr
    assert outcomes.read(out) == outcomes.read(whole)
    assert outcomes.temporaries(out) == []

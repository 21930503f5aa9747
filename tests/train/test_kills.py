"""Every program, killed ten times at random moments, ends with the results of one that was not."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import image_files
import numpy as np
import outcomes
import pytest

pytestmark = pytest.mark.slow

KILLS = 10
TINY = ["--epochs=2", "--train_split=train[:320]", "--batch_size=32", "--checkpoint_seconds=0"]
SEARCH = ["search", "--algorithm=random", "--epochs=1", "--images=256", "--batch_size=64"]
SEARCH += ["--top=0.5", "--top_seeds=2", "--seed=3"]


def start(arguments, root):
    command = [sys.executable, "-m", "keras_swish.train.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def finish(process):
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    assert "is broken" not in printed
    return printed


class Killer:
    """Kills a program while it starts, while it works, and while it writes.

    Args:
        out: Folder that it writes to.
        seed: Seed of the moments.
    """

    def __init__(self, out, seed):
        self.out = out
        self.random = np.random.default_rng(seed)
        self.startup = 10.0

    def kill(self, process, number):
        """Kills it in one of three ways; returns whether it was in time."""
        began, present, moment = time.time(), self._files(), None
        while process.poll() is None:
            now = time.time() - began
            if number % 3 == 0:  # at any moment
                moment = moment or self.random.uniform(0.1, 1.5 * self.startup)
            elif self._files() != present:  # while it works
                self.startup = min(self.startup, now)
                moment = moment or now + self.random.uniform(0, 0.5)
            is_writing = number % 3 == 2 and outcomes.temporaries(self.out)
            if (is_writing and now > 0.9 * self.startup) or (moment and now >= moment):
                process.send_signal(signal.SIGKILL)
                process.communicate()
                return True
            time.sleep(0.001)
        return False

    def _files(self):
        found = set()
        for pattern in ("step-*.npz", "log.csv", "stages.json", "study.log"):
            for path in self.out.rglob(pattern):
                try:
                    found.add((path, path.stat().st_size))
                except FileNotFoundError:
                    continue
        return found


def killed(arguments, out, root, seed=0):
    """Kills a command ten times, and lets it end; returns what it printed at last, and how often.

    A program may be quicker than its last kills.
    """
    killer, kills = Killer(out, seed), 0
    for number in range(KILLS):
        process = start(arguments, root)
        if not killer.kill(process, number):
            finish(process)
            break
        kills += 1
    return finish(start(arguments, root)), kills


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    for split, per_class in (("train", 8), ("validation", 2)):
        image_files.make_folder(path / split, classes=3, per_class=per_class)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory, root):
    """A trained network to fine-tune and to test."""
    out = tmp_path_factory.mktemp("base") / "run"
    finish(start(["cifar", *TINY, "--activation=relu", f"--out={out}"], root))
    return out


@pytest.fixture(scope="module")
def found(tmp_path_factory, root):
    """A search to confirm."""
    out = tmp_path_factory.mktemp("found") / "search"
    finish(start([*SEARCH, "--max_trials=2", f"--out={out}"], root))
    return out


OF_IMAGES = ["--model=resnet8", "--recipe=mobilenet", "--dropout=0", "--image_size=32"]
OF_IMAGES += ["--batch_size=4", "--steps=14", "--steps_per_epoch=4", "--checkpoint_seconds=0"]
PROGRAMS = {
    "cifar": ["cifar", *TINY, "--epochs=12"],
    "imagenet": ["imagenet", *OF_IMAGES, "--dataset={images}"],
    "compare": ["compare", *TINY, "--activations=relu,swish_beta", "--seeds=3"],
    "finetune": ["finetune", "{network}", *TINY, "--epochs=8"],
    "search": [*SEARCH, "--max_trials=6"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_ten_kills_change_no_result(program, request, tmp_path, root):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = list(PROGRAMS[program])
    for number, part in enumerate(command):
        for fixture in re.findall(r"\{(\w+)\}", part):
            command[number] = part.format(**{fixture: request.getfixturevalue(fixture)})
    finish(start([*command, f"--out={whole}"], root))
    _, kills = killed([*command, f"--out={cut}"], cut, root)
    assert kills >= KILLS / 2
    assert_same(whole, cut)


def test_ten_kills_of_a_confirmation_change_no_result(found, tmp_path, root):
    whole, cut = (shutil.copytree(found, tmp_path / name) for name in ("whole", "cut"))
    flags = [*TINY, "--best=1", "--seeds=3", "--activations=relu,swish"]
    finish(start(["confirm", whole, *flags], root))
    _, kills = killed(["confirm", cut, *flags], cut / "confirm", root)
    assert kills >= KILLS / 2
    assert_same(whole, cut)


def test_a_killed_test_leaves_the_run_as_it_was(network, tmp_path, root):
    before = {path: path.read_bytes() for path in network.rglob("*") if path.is_file()}
    printed = finish(start(["evaluate", network], root))
    random = np.random.default_rng(0)
    for _ in range(3):
        process = start(["evaluate", network], root)
        time.sleep(random.uniform(0.1, 5))
        process.kill()
        process.communicate()
    assert re.findall("accuracy .*", finish(start(["evaluate", network], root))) == re.findall(
        "accuracy .*", printed
    )
    assert {path: path.read_bytes() for path in network.rglob("*") if path.is_file()} == before


def assert_same(whole, cut):
    expected, ours = outcomes.read(whole), outcomes.read(cut)
    assert ours.keys() == expected.keys()
    assert "results.csv" in expected or "result.json" in expected
    for name, content in expected.items():
        assert ours[name] == content, name
    assert outcomes.temporaries(cut) == []

"""A browser for the reports, a network of seconds, and a training that takes no time."""

import shutil
import subprocess

import pytest
import small_run

from keras_swish import models
from keras_swish.train.trainer import trainer


@pytest.fixture(scope="module", autouse=True)
def _without_graph_optimizer(without_graph_optimizer):
    """All tests of programs train a few steps; those in a process of their own have it."""


@pytest.fixture
def browse(tmp_path):
    """Opens a page in Chromium, after a script of the test's own; returns the document."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    flags += ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"]

    def run(path, script=""):
        opened = tmp_path / "opened.html"
        opened.write_text(path.read_text() + f"<script>{script}</script>")
        command = [chromium, *flags, opened.as_uri()]
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert "CONSOLE" not in outcome.stderr, outcome.stderr
        return outcome.stdout

    return run


@pytest.fixture
def trained(monkeypatch):
    """Stands in for the training: validation is best at the learning rate 0.02."""
    made = []

    def train(run, dataset, directory, **options):
        made.append((run.model, run.activation, run.recipe.learning_rate, run.seed))
        accuracy = 0.5 + 0.1 * (run.activation == "swish") + 0.01 * run.seed
        return small_run.finish(run, directory, accuracy, best_rate=0.02)

    monkeypatch.setattr(trainer, "train", train)
    return made


@pytest.fixture
def small(monkeypatch):
    """Makes the small network known by name."""
    monkeypatch.setitem(models.BUILDERS, "small", small_run.small_network)

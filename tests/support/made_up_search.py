"""The folder of a search, as if trained: what makes a candidate good is made up."""

import pathlib

import numpy as np

from keras_swish import io
from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.search.study import Proposed

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


def is_simple(choices):
    return {choices["u1"], choices["u2"]} <= set(UNARY) and choices["b"] in BINARY


def divides(entry):
    return "/" in entry.formula


def write(out: pathlib.Path, space: SearchSpace) -> None:
    """Writes a search of 60 candidates by two algorithms."""
    study = Study(space, {"config": {"epochs": 3}}, out / "study.log")
    random = np.random.default_rng(5)
    chosen = [c for c in space.survey().candidates if is_simple(space.choices(c))]
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

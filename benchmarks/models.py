r"""Times the networks and their peers in `keras.applications` and timm, on this machine.

Examples:
  python benchmarks/models.py
      every network that has a peer, batches of 16: half an hour on two quiet cores.
  python benchmarks/models.py --networks=mobilenet --steps=1 --xla= --out=/tmp/benchmark
      one small network, in a minute.
  python benchmarks/models.py --timm_python=/path/to/env/bin/python
      timm from another environment.

First steps and memory are those of a separate process for each contender. Keras's network, ours,
and ours with Swish and with trainable betas then take steps in turn within one process, so that a
load of the machine that comes and goes slows all of them. Each measurement is written to
results.json at once, and table.md from it; the same command resumes an interrupted one.
"""

import json
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from absl import app, flags

# Run from a checkout as well as with the package installed.
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Ours, that of keras.applications, that of timm.
NETWORKS = {
    "mobilenet": ("MobileNet", "mobilenetv1_100"),
    "nasnet_mobile": ("NASNetMobile", None),
    "resnet50": ("ResNet50", "resnet50"),
    "densenet121": ("DenseNet121", "densenet121"),
    "inception_v3": ("InceptionV3", "inception_v3"),
    "inception_v4": (None, "inception_v4"),
    "inception_resnet_v2": ("InceptionResNetV2", "inception_resnet_v2"),
}

_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "Networks to time.")
_XLA = flags.DEFINE_list("xla", ["mobilenet"], "Networks to time with XLA too, which is slow.")
_BATCH = flags.DEFINE_integer("batch_size", 16, "Images a step.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 5, "Steps after the first; their median counts.")
_OUT = flags.DEFINE_string("out", str(ROOT / "results" / "models_benchmark"), "Folder.")
_TIMM = flags.DEFINE_string("timm_python", sys.executable, "Python that has timm.")
_NOTE = flags.DEFINE_string("note", None, "Note next to the machine, on its other load.")
_WORKER = flags.DEFINE_list("worker", None, "A network and contenders to time in this process.")


# A training step, an inference step, and the seconds that building took.
Contender = tuple[Callable[[], object], Callable[[], object], float]


def measure(
    network: str, contenders: list[str], batch_size: int, steps: int
) -> list[dict[str, Any]]:
    """Times contenders of one network in this process; returns a row for each.

    One alone: its first step and its memory. Several: their throughput, step by step in turn.
    """
    build = _timm if contenders == ["timm"] else _keras_or_ours
    built = [build(network, contender, batch_size) for contender in contenders]
    rows = [{"network": network, "contender": contender} for contender in contenders]
    firsts = [_seconds(train) for train, _, _ in built]
    if len(contenders) == 1:
        train, _, building = built[0]
        train()  # the first step's memory is not yet all that training takes
        rows[0]["first_step_s"] = building + firsts[0]
        # In kilobytes on Linux.
        rows[0]["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if len(contenders) > 1 or contenders[0] in ("timm", "xla"):
        for field, which in (("training_images_per_s", 0), ("inference_images_per_s", 1)):
            rounds = [[_seconds(functions[which]) for functions in built] for _ in range(steps + 1)]
            # Not the first one, which may compile.
            for row, seconds in zip(rows, zip(*rounds[1:], strict=True), strict=True):
                row[field] = batch_size / statistics.median(seconds)
    return rows


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _keras_or_ours(network: str, contender: str, batch_size: int) -> Contender:
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_swish import models

    if contender == "unoptimised":
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    start = time.perf_counter()
    if contender == "keras":
        application = getattr(keras.applications, NETWORKS[network][0])
        model = application(weights=None, classifier_activation=None)
    else:
        activation = contender if contender in ("swish", "swish_beta") else None
        model = models.create(network, activation=activation, classifier_activation=None)
    building = time.perf_counter() - start
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, loss, jit_compile=contender == "xla")
    random = np.random.default_rng(0)
    images = random.normal(size=(batch_size, *model.input_shape[1:])).astype("float32")
    labels = random.integers(0, 1000, batch_size)
    return (
        lambda: model.train_on_batch(images, labels),
        lambda: model.predict_on_batch(images),
        building,
    )


def _timm(network: str, contender: str, batch_size: int) -> Contender:
    from benchmarks import torchvision_stub

    torchvision_stub.install()
    import timm
    import torch

    start = time.perf_counter()
    model = timm.create_model(NETWORKS[network][1], pretrained=False)
    building = time.perf_counter() - start
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    size = 299 if network.startswith("inception") else 224
    images = torch.randn(batch_size, 3, size, size)
    labels = torch.randint(0, 1000, (batch_size,))

    def train():
        model.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    def infer():
        model.eval()
        with torch.inference_mode():
            model(images)

    return train, infer, building


def _wanted() -> Iterator[tuple[str, list[str]]]:
    """The processes to start: a network and its contenders."""
    for network in _NETWORKS.value:
        in_keras, in_timm = NETWORKS[network]
        keras = ["keras"] * bool(in_keras)
        for contender in [*keras, "ours", "unoptimised"]:
            yield network, [contender]
        yield network, [*keras, "ours", "swish", "swish_beta"]
        if in_timm:
            yield network, ["timm"]
        if network in _XLA.value:
            yield network, ["xla"]


def _in_a_process(network: str, contenders: list[str]) -> list[dict[str, Any]]:
    python = _TIMM.value if contenders == ["timm"] else sys.executable
    command = [python, __file__, f"--worker={','.join([network, *contenders])}"]
    command += [f"--batch_size={_BATCH.value}", f"--steps={_STEPS.value}"]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode:
        reason = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{network}, {', '.join(contenders)}: failed ({reason})", flush=True)
        return []
    return json.loads(outcome.stdout.splitlines()[-1])


# Heading, and its figure; a pair is a ratio.
_FIRST, _TRAIN, _INFER = "first_step_s", "training_images_per_s", "inference_images_per_s"
_MEMORY = "peak_memory_gb"
COLUMNS = {
    "first step: Keras": ("keras", _FIRST),
    "timm": ("timm", _FIRST),
    "ours": ("ours", _FIRST),
    "unoptimised": ("unoptimised", _FIRST),
    "Keras / ours": (("keras", _FIRST), ("ours", _FIRST)),
    "Keras / unoptimised": (("keras", _FIRST), ("unoptimised", _FIRST)),
    "training: Keras": ("keras", _TRAIN),
    "timm ": ("timm", _TRAIN),
    "XLA": ("xla", _TRAIN),
    "ours ": ("ours", _TRAIN),
    "ours / Keras": (("ours", _TRAIN), ("keras", _TRAIN)),
    "Swish / ours": (("swish", _TRAIN), ("ours", _TRAIN)),
    "Swish with trainable betas / ours": (("swish_beta", _TRAIN), ("ours", _TRAIN)),
    "inference: Keras": ("keras", _INFER),
    "timm  ": ("timm", _INFER),
    "ours  ": ("ours", _INFER),
    "memory: Keras": ("keras", _MEMORY),
    "timm   ": ("timm", _MEMORY),
    "ours   ": ("ours", _MEMORY),
}


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the table: a row a network, with the peers' numbers and ours."""
    measured = {
        (row["network"], row["contender"], field): value
        for row in rows
        for field, value in row.items()
    }
    lines = [["network", *map(str.strip, COLUMNS)], ["---"] * (len(COLUMNS) + 1)]
    networks = {row["network"] for row in rows}
    for network in filter(networks.__contains__, NETWORKS):
        line = [network]
        for what in COLUMNS.values():
            is_ratio = isinstance(what[0], tuple)
            values = [measured.get((network, *key)) for key in (what if is_ratio else [what])]
            if None in values:
                line.append("")
            else:
                line.append(f"{values[0] / values[1]:.2f}" if is_ratio else f"{values[0]:.1f}")
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _report(rows: list[dict[str, Any]]) -> str:
    from keras_swish.train.trainer.environment import environment

    machine = ", ".join(f"{key} {value}" for key, value in environment().items() if value)
    return f"""# The networks compared with keras.applications and timm

First step: seconds for building the network and its first training step; "unoptimised" is ours
with TensorFlow's graph optimiser off. Training and inference: images a second in batches of
{_BATCH.value}, the median of {_STEPS.value} steps; Keras's network, ours, and ours with Swish and
with trainable betas took them in turn. Memory: the training process's peak, in GB. Without XLA
(`jit_compile=False`), but for the column of that name. All networks with their published
activation, but for the columns that say Swish.

{table(rows)}

* Command: `{shlex.join(["python", *sys.argv])}`; every number is in results.json.
* Machine: {machine}.{f" {_NOTE.value}" if _NOTE.value else ""}
"""


def main(argv: list[str]) -> None:
    """Runs the program."""
    if _WORKER.value:
        network, *contenders = _WORKER.value
        print(json.dumps(measure(network, contenders, _BATCH.value, _STEPS.value)))
        return
    from keras_swish import io

    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    done = io.read_json(out / "results.json") or {}
    for network, contenders in _wanted():
        name = f"{network}: {', '.join(contenders)}"
        if name in done:
            continue
        rows = _in_a_process(network, contenders)
        if rows:
            print(name, *rows, sep="\n  ", flush=True)
            done[name] = rows
            io.write_json(out / "results.json", done)
            rows = [row for measured in done.values() for row in measured]
            io.write_text(out / "table.md", _report(rows))


if __name__ == "__main__":
    app.run(main)

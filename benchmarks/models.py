r"""Times the networks beside `keras.applications` and timm, on the machine that it runs on.

Examples:
  python benchmarks/models.py
      every network that has a peer, batches of 16: half an hour on two quiet cores.
  python benchmarks/models.py --networks=mobilenet --steps=1 --out=/tmp/benchmark
      one small network.
  python benchmarks/models.py --timm_python=/path/to/env/bin/python
      timm from an environment of its own.

Each measurement is a process of its own, so that its first step and its memory are its own.
The contenders take turns network by network. A measurement is written to results.json
as soon as it is done, and table.md from these; the same command goes on where it was cut off.
"""

import json
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import time

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
# Library, activation, jit_compile, whether TensorFlow's graph optimiser runs.
CONTENDERS = {
    "keras": ("keras", None, False, True),
    "ours": ("ours", None, False, True),
    "swish": ("ours", "swish", False, True),
    "unoptimised": ("ours", None, False, False),
    "timm": ("timm", None, False, True),
    "xla": ("ours", None, True, True),
}

FIELDS = ("training_images_per_s", "inference_images_per_s", "peak_memory_gb")

_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "Networks to time.")
_XLA = flags.DEFINE_list("xla", ["mobilenet"], "Networks to time with XLA too, which is slow.")
_BATCH = flags.DEFINE_integer("batch_size", 16, "Images a step.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 4, "Steps after the first; their median counts.")
_OUT = flags.DEFINE_string("out", str(ROOT / "results" / "models_benchmark"), "Folder.")
_TIMM = flags.DEFINE_string("timm_python", sys.executable, "Python that has timm.")
_NOTE = flags.DEFINE_string("note", None, "What to say beside the machine, of its other load.")
_WORKER = flags.DEFINE_list("worker", None, "A network and a contender to time in this process.")


def measure(network: str, contender: str, batch_size: int, steps: int) -> dict:
    """Times one network in this process."""
    library, activation, jit_compile, optimised = CONTENDERS[contender]
    if library == "timm":
        # Imports are not what is timed.
        from benchmarks import torchvision_stub

        torchvision_stub.install()
        import timm  # noqa: F401

        start = time.perf_counter()
        train, infer = _timm(network, batch_size)
    else:
        import keras
        import tensorflow as tf

        from keras_swish import models

        if not optimised:
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        start = time.perf_counter()
        if library == "keras":
            application = getattr(keras.applications, NETWORKS[network][0])
            model = application(weights=None, classifier_activation=None)
        else:
            model = models.create(network, activation=activation, classifier_activation=None)
        train, infer = _steps_of_keras(model, jit_compile, batch_size)
    built = time.perf_counter()
    train()
    first = time.perf_counter()
    training = _images_per_second(train, batch_size, steps)
    # In kilobytes on Linux; inference takes less.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    infer()
    return {
        "network": network,
        "contender": contender,
        "batch_size": batch_size,
        "build_s": round(built - start, 2),
        "first_step_s": round(first - built, 2),
        "training_images_per_s": round(training, 2),
        "inference_images_per_s": round(_images_per_second(infer, batch_size, steps), 2),
        "peak_memory_gb": round(peak, 2),
    }


def _images_per_second(step, batch_size, steps):
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return batch_size / statistics.median(seconds)


def _steps_of_keras(model, jit_compile, batch_size):
    import keras
    import numpy as np

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=jit_compile)
    random = np.random.default_rng(0)
    images = random.normal(size=(batch_size, *model.input_shape[1:])).astype("float32")
    labels = random.integers(0, 1000, batch_size)
    return (
        lambda: model.train_on_batch(images, labels),
        lambda: model.predict_on_batch(images),
    )


def _timm(network, batch_size):
    import timm
    import torch

    model = timm.create_model(NETWORKS[network][1], pretrained=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    size = {"inception": 299}.get(network.split("_")[0], 224)
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

    return train, infer


def _in_a_process(network, contender):
    python = _TIMM.value if contender == "timm" else sys.executable
    command = [python, __file__, f"--worker={network},{contender}"]
    command += [f"--batch_size={_BATCH.value}", f"--steps={_STEPS.value}"]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode:
        reason = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{network}, {contender}: failed ({reason})", flush=True)
        return None
    return json.loads(outcome.stdout.splitlines()[-1])


def _wanted():
    for network in _NETWORKS.value:
        in_keras, in_timm = NETWORKS[network]
        for contender in CONTENDERS:
            is_there = {"keras": in_keras, "timm": in_timm, "xla": network in _XLA.value}
            if is_there.get(contender, True):
                yield network, contender


def table(rows: list[dict]) -> str:
    """Returns the table: a row a network, each with the peers' figures beside ours."""
    by_network = {}
    for row in rows:
        by_network.setdefault(row["network"], {})[row["contender"]] = row
    header = ["network", "first step: Keras", "ours", "times faster", "unoptimised", "timm"]
    header += ["training: Keras", "ours", "ratio", "timm", "Swish / ReLU", "XLA"]
    header += ["inference: Keras", "ours", "timm", "memory: Keras", "ours", "timm"]
    lines = [header, ["---"] * len(header)]
    for network, found in by_network.items():

        def cell(contender, field, found=found):
            return found[contender][field] if contender in found else None

        def first(contender, found=found):
            row = found.get(contender)
            return row and row["build_s"] + row["first_step_s"]

        def ratio(a, b):
            return f"{a / b:.2f}" if a and b else ""

        train, infer, memory = FIELDS
        values = [first("keras"), first("ours"), ratio(first("keras"), first("ours"))]
        values += [first("unoptimised"), first("timm"), cell("keras", train), cell("ours", train)]
        values += [ratio(cell("ours", train), cell("keras", train)), cell("timm", train)]
        values += [ratio(cell("swish", train), cell("ours", train)), cell("xla", train)]
        values += [cell(contender, infer) for contender in ("keras", "ours", "timm")]
        values += [cell(contender, memory) for contender in ("keras", "ours", "timm")]
        lines.append([network, *("" if v is None else _short(v) for v in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(value):
    return value if isinstance(value, str) else f"{value:.1f}"


def _report(rows):
    from keras_swish.train.environment import environment

    machine = ", ".join(f"{key} {value}" for key, value in environment().items() if value)
    machine = f"{machine}. {_NOTE.value}" if _NOTE.value else machine
    return f"""# The networks beside keras.applications and timm

First step: seconds for building the network and its first training step; "unoptimised" is ours
with TensorFlow's graph optimiser off. Training and inference: images a second in batches of
{_BATCH.value}, the median of {_STEPS.value} steps. Memory: the training process's peak, in GB.
Without XLA (`jit_compile=False`), but for the column of that name. All networks with their
published activation, but for the column that says Swish.

{table(rows)}

* Command: `{shlex.join(["python", *sys.argv])}`; every measurement is in results.json.
* Machine: {machine}.
"""


def main(argv):
    """Runs the program."""
    if _WORKER.value:
        print(json.dumps(measure(*_WORKER.value, _BATCH.value, _STEPS.value)))
        return
    from keras_swish.train import files

    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    rows = files.read_json(out / "results.json") or []
    done = {(row["network"], row["contender"]) for row in rows}
    for network, contender in _wanted():
        if (network, contender) in done:
            continue
        row = _in_a_process(network, contender)
        if row:
            print(*row.values(), flush=True)
            rows.append(row)
            files.write_json(out / "results.json", rows)
            files.write_text(out / "table.md", _report(rows))


if __name__ == "__main__":
    app.run(main)

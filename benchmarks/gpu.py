r"""Speed on a GPU: activations, training steps, a search. One command, on every backend there.

Examples:
  python benchmarks/gpu.py
      every installed one of JAX, PyTorch and TensorFlow, each in a process of its own.
  python benchmarks/gpu.py --backend=jax --parts=networks
      a part on one of them.
  python benchmarks/gpu.py --small
      tiny tensors and networks, in minutes on a CPU too: shows that the program runs.

Activations: forward and backward pass of a tensor that no cache holds, with the floor of five
passes over memory (y = -x forward, g * x backward) and the framework's own function, in turn.
Networks: training steps of keras.applications' network, ours with ReLU, Swish and Swish with
trainable betas, and on PyTorch timm's, in turn. Search: candidates on random images, one
network for all. Times are medians; the first step, which compiles, is not counted.

Writes BACKEND.json to --out: rows, device, versions, command.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

# Run from a checkout as well as with the package installed.
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
PARTS = ("activations", "networks", "search")
# Ours, that of keras.applications, that of timm.
PEERS = {
    "mobilenet": ("MobileNet", "mobilenetv1_100"),
    "nasnet_mobile": ("NASNetMobile", None),
    "resnet50": ("ResNet50", "resnet50"),
}
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    shape: tuple[int, ...] = (64, 112, 112, 128)
    functions: tuple[str, ...] = ("relu", "swish", "swish_beta", "gelu", "cos_minus_x")
    networks: tuple[str, ...] = ("nasnet_mobile", "resnet50")
    image_size: int = 224
    batch_size: int = 64
    repeats: int = 30
    search_model: str = "resnet20"
    search_images: int = 10_240
    children: int = 500


SMALL = Sizes((2, 4, 4, 8), ("relu", "swish_beta"), ("mobilenet",), 32, 2, 2, "resnet8", 64, 2)


def measure_activations(sizes: Sizes) -> list[Row]:
    """Returns a row for each function and version."""
    import activations
    import numpy as np

    gigabytes = 5 * 4 * float(np.prod(sizes.shape)) / 1e9  # the floor's five passes
    rows = []
    for name in sizes.functions:
        arguments, upstream = activations.tensors(name, sizes.shape)
        mode = "eager" if _backend() == "torch" else "xla"
        functions = {"floor": activations.floor_function(), **activations.versions(name)}
        steps = {
            version: activations.stepper(
                function, mode, arguments[:1] if version == "floor" else arguments, upstream
            )
            for version, function in functions.items()
        }
        times = activations.milliseconds(steps, sizes.repeats)
        for version, taken in times.items():
            rows.append(
                {
                    "function": name,
                    "version": version,
                    "milliseconds": taken,
                    "floors": taken / times["floor"],
                    "gigabytes_per_s": 1000 * gigabytes / taken,
                }
            )
            _print(rows[-1])
    return rows


def measure_networks(sizes: Sizes) -> list[Row]:
    """Returns a row for each network and contender."""
    rows = []
    for network in sizes.networks:
        steps = _contenders(network, sizes)
        for step in steps.values():
            step()
        times: dict[str, list[float]] = {contender: [] for contender in steps}
        for _ in range(sizes.repeats):
            for contender, step in steps.items():
                start = time.perf_counter()
                step()
                times[contender].append(time.perf_counter() - start)
        medians = {contender: statistics.median(taken) for contender, taken in times.items()}
        for contender, seconds in medians.items():
            rows.append(
                {
                    "network": network,
                    "contender": contender,
                    "milliseconds": 1000 * seconds,
                    "images_per_s": sizes.batch_size / seconds,
                    "speed_next_to_relu": medians["relu"] / seconds,
                }
            )
            _print(rows[-1])
    return rows


def _contenders(network: str, sizes: Sizes) -> dict[str, Callable[[], object]]:
    import keras
    import numpy as np

    from keras_swish import models

    shape = (sizes.image_size, sizes.image_size, 3)
    random = np.random.default_rng(0)
    images = random.normal(size=(sizes.batch_size, *shape)).astype("float32")
    labels = random.integers(0, 1000, sizes.batch_size)
    in_keras, in_timm = PEERS[network]
    application = getattr(keras.applications, in_keras)
    built = {"keras": application(weights=None, classifier_activation=None, input_shape=shape)}
    for activation in ("relu", "swish", "swish_beta"):
        built[activation] = models.create(
            network, input_shape=shape, activation=activation, classifier_activation=None
        )
    steps: dict[str, Callable[[], object]] = {}
    for contender, model in built.items():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        # JAX compiles in any case; on TensorFlow this takes minutes a network, and gains little.
        model.compile(optimizer, loss, jit_compile=_backend() == "jax")
        # Returns the loss as a number: it waits for the device.
        steps[contender] = lambda model=model: model.train_on_batch(images, labels)
    if _backend() == "torch" and in_timm and importlib.util.find_spec("timm"):
        steps["timm"] = _timm_step(in_timm, images, labels)
    return steps


def _timm_step(name: str, images: Any, labels: Any) -> Callable[[], object]:
    import torch
    import torchvision_stub

    torchvision_stub.install()
    import timm

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = timm.create_model(name, pretrained=False).to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    channels_first = torch.tensor(images).movedim(-1, 1).contiguous()

    def step():
        # From the host each time, as Keras's.
        x, y = channels_first.to(device), torch.tensor(labels).to(device)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure_search(sizes: Sizes) -> list[Row]:
    """Returns one row: the search's children and their times."""
    import keras
    import numpy as np

    import keras_swish
    from keras_swish import models

    random = np.random.default_rng(0)

    def split(count):
        x = random.normal(size=(count, 32, 32, 3)).astype("float32")
        return x, random.integers(0, 10, count)

    model = models.create(
        sizes.search_model, input_shape=(32, 32, 3), classes=10, classifier_activation=None
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    seconds: list[float] = []
    start = time.perf_counter()
    keras_swish.search_activations(
        model,
        *split(sizes.search_images),
        validation_data=split(sizes.search_images // 4),
        max_trials=sizes.children,
        epochs=1,
        batch_size=min(128, sizes.search_images),
        verbose=0,
        race=keras_swish.search.Race(seeds=1),
        on_child=lambda candidate, seed, outcome: seconds.append(outcome.seconds),
    )
    total = time.perf_counter() - start
    row = {
        "children": len(seconds),
        "seconds": total,
        "seconds_a_child": statistics.median(seconds),
        "children_an_hour": 3600 * len(seconds) / total,
    }
    _print(row)
    return [row]


MEASURE = dict(zip(PARTS, (measure_activations, measure_networks, measure_search), strict=True))


def accelerator() -> str:
    """Returns the name of the device that the backend computes on."""
    if _backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    if _backend() == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_device_details(device).get("device_name", "gpu")
    return "cpu"


def measure(backend: str, sizes: Sizes, parts: list[str], out: pathlib.Path) -> None:
    """Measures on one backend; writes its file after each part."""
    os.environ["KERAS_BACKEND"] = backend
    from keras_swish import io
    from keras_swish.train.trainer.environment import environment

    print(f"{backend} on {accelerator()}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "command": ["python", *sys.argv],
        "accelerator": accelerator(),
        "sizes": dataclasses.asdict(sizes),
        "environment": environment(),
    }
    for part in parts:
        record[part] = MEASURE[part](sizes)
        io.write_json(out / f"{backend}.json", record)


def _backend() -> str:
    import keras

    return keras.config.backend()


def _print(row: Row) -> None:
    shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
    print(json.dumps(shown), flush=True)


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"unknown part {part!r}; valid: {', '.join(PARTS)}")
    return parts


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=BACKENDS, help="by default all that are installed")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--small", action="store_true", help="tiny, to see that it runs")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "results" / "gpu")
    arguments = parser.parse_args(argv)
    if arguments.backend:
        sizes = SMALL if arguments.small else Sizes()
        measure(arguments.backend, sizes, arguments.parts, arguments.out)
        return 0
    installed = [b for b, module in BACKENDS.items() if importlib.util.find_spec(module)]
    if not installed:
        parser.error(f"none of {', '.join(BACKENDS)} is installed")
    given = sys.argv[1:] if argv is None else argv
    # A process each: Keras has one backend.
    commands = [[sys.executable, __file__, *given, f"--backend={b}"] for b in installed]
    return max(subprocess.run(command).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main())

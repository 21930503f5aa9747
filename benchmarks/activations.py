"""Time and peak memory of the named activations and their peers, forward and backward.

    KERAS_BACKEND=jax python benchmarks/activations.py

measures one backend (TensorFlow by default) and writes `results/activations/<backend>.csv`;
`--table` writes `results/activations/table.md` from all that are there.

In one run, turn by turn: the floor (five passes over memory, y = -x forward and g * x
backward), the framework's own function, the naive formula, and ours. Medians. The goal for
ours is 1.5 times the floor or 0.8 times the best peer, whichever is larger.
"""

import argparse
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OUT = ROOT / "results" / "activations"
MODES = {"tensorflow": ("graph", "xla"), "jax": ("xla",), "torch": ("eager",)}
SHAPE = (64, 56, 56, 64)
OWN = ("relu", "relu6", "leaky_relu", "softplus", "elu", "selu", "swish", "hard_swish", "mish")
# One after the other, for the memory: what each keeps for its gradient adds up.
CHAIN = 8
# The memory takes a process for each version; these stand for the rest.
MEMORY = ("swish", "swish_beta", "cos_minus_x", "x_arcsinh_squared")


def naive() -> dict[str, Callable[..., Any]]:
    """The formulas as anyone would write them, with `keras.ops`."""
    from keras import ops

    def sinc(x):
        nonzero = ops.where(x == 0, ops.ones_like(x), x)
        return ops.where(x == 0, ops.ones_like(x), ops.sin(nonzero) / nonzero)

    return {
        "leaky_relu": lambda x: ops.where(x > 0, x, 0.01 * x),
        "prelu": lambda x, beta: ops.where(x > 0, x, beta * x),
        "softplus": lambda x: ops.log(1 + ops.exp(x)),
        "elu": lambda x: ops.where(x > 0, x, ops.expm1(x)),
        "selu": lambda x: 1.05070098 * ops.where(x > 0, x, 1.67326324 * ops.expm1(x)),
        "gelu": lambda x: x * (1 + ops.erf(x * 0.70710678)) / 2,
        "swish": lambda x: x * ops.sigmoid(x),
        "swish_beta": lambda x, beta: x * ops.sigmoid(beta * x),
        "quick_gelu": lambda x: x * ops.sigmoid(1.702 * x),
        "hard_swish": lambda x: x * ops.clip(x + 3, 0, 6) / 6,
        "mish": lambda x: x * ops.tanh(ops.softplus(x)),
        "telu": lambda x: x * ops.tanh(ops.exp(x)),
        "squared_relu": lambda x: ops.relu(x) ** 2,
        "snake": lambda x, beta: x + ops.sin(beta * x) ** 2 / beta,
        "max_sigmoid": lambda x: ops.maximum(x, ops.sigmoid(x)),
        "cos_minus_x": lambda x: ops.cos(x) - x,
        "min_sin": lambda x: ops.minimum(x, ops.sin(x)),
        "arctan_squared_minus_x": lambda x: ops.arctan(x) ** 2 - x,
        "max_tanh": lambda x: ops.maximum(x, ops.tanh(x)),
        "sinc_plus_x": lambda x: sinc(x) + x,
        "x_arcsinh_squared": lambda x: x * ops.arcsinh(x) ** 2,
    }


def versions(name: str) -> dict[str, Callable[..., Any]]:
    """Returns the functions to compare, by version."""
    import keras

    from keras_swish import activations, catalogue
    from keras_swish.elementwise.operation import apply_formula

    entry = catalogue.ENTRIES[name]
    if entry.beta is None:
        functions = {"ours": getattr(activations, name)}
    else:
        functions = {"ours": lambda x, beta: apply_formula(entry.formula, x, beta=beta)}
    if name in naive():
        functions["naive"] = naive()[name]
    own = getattr(keras.activations, name, None)
    if name == "gelu":
        functions["own"] = lambda x: keras.activations.gelu(x, approximate=False)
    elif own and name in OWN:
        functions["own"] = own
    return functions


def stepper(
    function: Callable[..., Any], mode: str, arguments: tuple[Any, ...], upstream: Any
) -> Callable[[], Any]:
    """Returns a function that runs forward and backward pass once, and waits for them."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=mode == "xla", autograph=False)
        def run(*arguments):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                y = function(*arguments)
            return y, tape.gradient(y, arguments, upstream)

        def step():
            outputs = run(*arguments)
            tf.test.experimental.sync_devices()
            return outputs

        return step
    if backend == "jax":
        import jax

        @jax.jit
        def run(arguments, upstream):
            y, pull = jax.vjp(function, *arguments)
            return y, pull(upstream)

        return lambda: jax.block_until_ready(run(arguments, upstream))
    import torch

    leaves = [tensor.detach().requires_grad_() for tensor in arguments]

    def step():
        gradients = torch.autograd.grad(function(*leaves), leaves, upstream)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return gradients

    return step


def floor_function() -> Callable[..., Any]:
    """Returns y = -x with the gradient g * x: two passes over memory forward, three backward."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.custom_gradient
        def floor(x):
            return -x, lambda g: g * x

        return floor
    if backend == "jax":
        import jax

        @jax.custom_vjp
        def floor(x):
            return -x

        floor.defvjp(lambda x: (-x, x), lambda x, g: (g * x,))
        return floor
    import torch

    class Floor(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return -x

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    return Floor.apply


def tensors(name: str, shape: tuple[int, ...] = SHAPE) -> tuple[tuple[Any, ...], Any]:
    """Returns the inputs of a named activation, and an upstream gradient."""
    import keras
    import numpy as np

    from keras_swish import catalogue

    random = np.random.default_rng(0)
    arrays = [random.standard_normal(shape, dtype="float32") for _ in range(2)]
    x, g = (keras.ops.convert_to_tensor(array) for array in arrays)
    if name in catalogue.ENTRIES and catalogue.ENTRIES[name].beta is not None:
        return (x, keras.ops.full((1, 1, 1, shape[-1]), 1.3)), g
    return (x,), g


def milliseconds(steps: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Returns each step's median time, all taken in turn."""
    times = {version: [] for version in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for version, step in steps.items():
            start = time.perf_counter()
            step()
            times[version].append(1000 * (time.perf_counter() - start))
    return {version: statistics.median(taken) for version, taken in times.items()}


def measure_memory(name: str, version: str, mode: str) -> None:
    """Prints by how much a chain of activations raises the process's peak memory, in MiB."""
    function = versions(name)[version]
    # With little data first: what tracing and compiling need is not counted.
    for shape in ((2, 4, 4, SHAPE[-1]), SHAPE):
        arguments, upstream = tensors(name, shape)

        def chain(x, *betas):
            for _ in range(CHAIN):
                x = function(x, *betas)
            return x

        step = stepper(chain, mode, arguments, upstream)
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
        before = _kibibytes("VmRSS")
        step()
    print((_kibibytes("VmHWM") - before) / 1024)


def _kibibytes(field: str) -> int:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def memory(name: str, version: str, mode: str) -> float:
    """Returns what `measure_memory` prints in a new process."""
    command = [sys.executable, __file__, "--memory_of", name, version, mode]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(outcome.stdout.split()[-1])


def measure(names: list[str], repeats: int) -> None:
    """Writes the CSV of this backend."""
    import keras

    from keras_swish import catalogue, io

    backend = keras.backend.backend()
    modes = MODES[backend]
    rows = []
    software = f"keras {keras.__version__}, {backend} {_version(backend)}, {platform.machine()}, "
    software += f"{os.cpu_count()} cores"
    for mode in modes:
        for name in names or catalogue.ENTRIES:
            arguments, upstream = tensors(name)
            functions = versions(name)
            steps = {v: stepper(f, mode, arguments, upstream) for v, f in functions.items()}
            # At the memory's speed whatever the mode.
            steps["floor"] = stepper(
                floor_function(), "xla" if mode != "eager" else mode, arguments[:1], upstream
            )
            times = milliseconds(steps, repeats)
            del steps
            for version, taken in times.items():
                kept = ""
                if name in MEMORY and version != "floor" and mode != "eager":
                    kept = f"{memory(name, version, mode):.0f}"
                row = {
                    "backend": backend,
                    "mode": mode,
                    "function": name,
                    "version": version,
                    "milliseconds": f"{taken:.1f}",
                    "memory_mib": kept,
                }
                print(*row.values(), flush=True)
                rows.append({**row, "versions": software})
    OUT.mkdir(parents=True, exist_ok=True)
    others = io.read_csv(OUT / f"{backend}.csv") if names else []
    rows += [row for row in others if row["function"] not in names]
    order = [*modes], [*catalogue.ENTRIES]
    rows.sort(key=lambda row: (order[0].index(row["mode"]), order[1].index(row["function"])))
    io.write_csv(OUT / f"{backend}.csv", rows)


def _version(backend: str) -> str:
    from importlib import metadata

    return metadata.version(backend)


def write_table() -> None:
    """Writes the table of all measured backends, as ratios."""
    from keras_swish import io

    rows = [row for backend in sorted(MODES) for row in io.read_csv(OUT / f"{backend}.csv")]
    groups: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
    for row in rows:
        key = (row["backend"], row["mode"], row["function"])
        groups.setdefault(key, {})[row["version"]] = row
    lines = [
        "# Activations compared with their peers",
        "",
        f"Forward and backward pass of {SHAPE} float32. The floor is five passes over memory, in",
        "milliseconds; the other times are multiples of it. Best peer: the faster of the",
        "framework's own function and the naive formula. Goal: 1.5 floors or 0.8 times the best",
        f"peer, whichever is larger. Memory: what a chain of {CHAIN} adds to the peak, in MiB.",
        "Written by `python benchmarks/activations.py --table` from the CSV files next to it;",
        "each comes from `KERAS_BACKEND=NAME python benchmarks/activations.py`.",
        "",
        *sorted({f"* {row['versions']}" for row in rows}),
        "",
        "| backend | mode | function | floor, ms | own | naive | ours | ours / best peer | goal "
        "| memory own | naive | ours |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (backend, mode, name), group in groups.items():
        ms = {version: float(row["milliseconds"]) for version, row in group.items()}
        floor, ours = ms["floor"], ms["ours"]
        best = min(ms[peer] for peer in ("own", "naive") if peer in ms)
        met = ours <= max(1.5 * floor, 0.8 * best)
        shown = [f"{ms[v] / floor:.2f}" if v in ms else "" for v in ("own", "naive", "ours")]
        kept = [group[v]["memory_mib"] if v in group else "" for v in ("own", "naive", "ours")]
        cells = [backend, mode, name, f"{floor:.1f}", *shown, f"{ours / best:.2f}"]
        lines.append("| " + " | ".join([*cells, "met" if met else "not met", *kept]) + " |")
    io.write_text(OUT / "table.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--memory_of", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="only these; the others of the file stay")
    arguments = parser.parse_args()
    if arguments.memory_of:
        measure_memory(*arguments.memory_of)
    elif arguments.table:
        write_table()
    else:
        measure(arguments.names, arguments.repeats)

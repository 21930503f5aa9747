r"""Memory that each new formula takes: its value and gradient, compiled.

    python benchmarks/memory.py --out results/memory
    KERAS_BACKEND=jax python benchmarks/memory.py --out results/memory

One process computes --formulas different functions of the search space and their gradients, with
TensorFlow or JAX, and notes its memory (without that of files) after every --step of them, and
"MB in use": what is left when the C library has given back what it holds free (Linux with glibc;
elsewhere the same). "plain" is 40 compiled functions of plain operations.

Needs four minutes on two cores.
"""

import ctypes
import gc
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
import recording

from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.language import Formula, weights
from keras_swish.search import SearchSpace

BACKEND = keras.backend.backend()


def memory() -> float:
    """Returns the memory of this process in MB, without that of files."""
    gc.collect()
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("RssAnon"))
    return int(kilobytes) / 1024


def memory_in_use() -> float:
    """Returns the memory that is left when the C library gives back what it holds free, in MB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
    return memory()


def formulas(count: int) -> list[Formula]:
    """Returns different formulas of the search space."""
    space, random = SearchSpace(), np.random.default_rng(0)
    found: dict[Formula, None] = {}
    while len(found) < count:
        found[space.formula(space.sample(random))] = None
    return list(found)


def differentiate(function: Callable, x) -> None:
    """Computes a function and its gradient."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        tape.gradient(y, x)
    else:
        import jax

        jax.block_until_ready(jax.grad(lambda x: function(x).sum())(x))


def ours(formula: Formula, x) -> None:
    """Computes a formula and its gradient."""
    betas = dict.fromkeys(weights(formula), 1.0)
    differentiate(lambda x: apply_formula(formula, x, **betas), x)


def plain(number: int, x) -> None:
    """Computes one of many plain compiled functions and its gradient."""
    factor = 1 + number / 64

    def function(x):
        sine = keras.ops.sin(x)
        return keras.ops.maximum(sine, keras.ops.exp(-x * x)) + factor * x * keras.ops.tanh(x)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        differentiate(tf.function(function, jit_compile=True, autograph=False), x)
    else:
        import jax

        differentiate(jax.jit(function), x)


def measure(name: str, calls: list[Callable[[], None]], step: int) -> list[dict]:
    """Calls one after the other, and returns the memory and time of each so far."""
    first, *others = calls
    first()  # with all that the backend loads once
    start, began, rows = memory_in_use(), time.perf_counter(), []
    for done, call in enumerate(others, 1):
        call()
        if done % step == 0 or done == len(others):
            taken, in_use = memory() - start, memory_in_use() - start
            rows.append(
                {
                    "backend": BACKEND,
                    "functions": name,
                    "number": done,
                    "MB": round(taken, 1),
                    "MB each": round(taken / done, 2),
                    "MB in use": round(in_use, 1),
                    "MB in use each": round(in_use / done, 2),
                    "seconds each": round((time.perf_counter() - began) / done, 2),
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measures, prints and writes."""
    parser = recording.parser(__doc__ or "")
    parser.add_argument("--formulas", type=int, default=200)
    parser.add_argument("--step", type=int, default=20)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(random.normal(size=(64, 32)).astype("float32"))
    count = args.formulas + 1
    rows = measure("plain", [lambda i=i: plain(i, x) for i in range(41)], args.step)
    rows += measure("formulas", [lambda f=f: ours(f, x) for f in formulas(count)], args.step)
    recording.write(args.out, f"memory_{BACKEND}", rows)


if __name__ == "__main__":
    main()

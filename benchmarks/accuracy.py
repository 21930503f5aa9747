"""Errors of every primitive and named activation, in units in the last place.

    KERAS_BACKEND=jax python benchmarks/accuracy.py

measures one backend (TensorFlow by default) and writes `results/accuracy/<backend>.csv`; with
`--table` it writes `results/accuracy/table.md` from all that are there.

Values and derivatives are compared with mpmath, in 50 digits: at every float16 and every
bfloat16, and at a stratified sample of float32 (each exponent with both signs, a dense grid,
subnormals, +-0, +-inf, NaN). An error is counted in units in the last place of the largest
term: at a root of cos(x) - x each term has one, and the sine of a product beyond 10^4 counts as 1.
Subnormal inputs, terms and results may be flushed to 0. At +-inf the limit is expected, NaN where
there is none; a wrong NaN, inf or finite value is counted apart, as a miss. The references take ten
minutes to compute and are kept in the temporary folder.
"""

import argparse
import collections
import functools
import hashlib
import multiprocessing
import multiprocessing.pool
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import ml_dtypes
import mpmath
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
OUT = ROOT / "results" / "accuracy"
DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
# A second beta, so that no factor of 1 hides a mistake.
BETA = 1.7

Case = collections.namedtuple("Case", "name formula variables quantity")


def cases() -> Iterator[Case]:
    """Yields every function with each quantity: its value, and the derivative by each variable."""
    from keras_swish import catalogue
    from keras_swish.formulas import language, primitives

    table = {name: (p.formula, ("x",)) for name, p in primitives.UNARY.items()}
    table |= {name: (p.formula, ("x1", "x2")) for name, p in primitives.BINARY.items()}
    table |= {name: (entry.formula, ("x",)) for name, entry in catalogue.ENTRIES.items()}
    for name, (text, variables) in table.items():
        names = language.names(language.parse(text, variables))
        betas = tuple(sorted(names - set(variables)))
        for quantity in ("value", *(v for v in variables if v in names), *betas):
            yield Case(name, text, variables + betas, quantity)


def inputs(dtype: str, count: int, seed: int = 0) -> list[np.ndarray]:
    """Returns `count` arrays of the sample, the second one in another order than the first."""
    if dtype == "float32":
        x = _stratified(np.random.default_rng(seed))
    else:
        x = np.arange(2**16, dtype=np.uint16).view(DTYPES[dtype])
    arrays = [x]
    for i in range(1, count):
        # Not alone with numbers of its own size: near, far and special ones.
        other = np.random.default_rng(seed + i).permutation(x)
        close = (x.astype("float64") * 1.01).astype(x.dtype)
        arrays.append(np.where(np.arange(x.size) % 3 == 0, close, other).astype(x.dtype))
    return arrays


def _stratified(random: np.random.Generator) -> np.ndarray:
    exponents = np.repeat(np.arange(0, 255, dtype=np.uint32), 24)
    bits = exponents << 23 | random.integers(0, 2**23, exponents.size, dtype=np.uint32)
    strata = bits.view(np.float32)
    dense = random.uniform(-20, 20, 6000)
    wide = random.uniform(-110, 110, 3000)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 3.4028235e38, -3.4028235e38]
    ordered = np.concatenate([strata, -strata, dense, wide, special])
    return random.permutation(ordered.astype(np.float32))


def reference(
    job: tuple[str, tuple[str, ...], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns true values and the size of their largest terms at the points, in 50 digits."""
    text, variables, points = job
    import reference as independent

    code = compile(text, text, "eval")
    terms = [compile(term, term, "eval") for term in _terms(text, variables)]
    true, largest = np.empty(len(points)), np.empty(len(points))
    with mpmath.workdps(50):
        for i, point in enumerate(points):
            names = dict(zip(variables, map(mpmath.mpf, map(float, point)), strict=True))
            true[i] = _number(code, independent.NAMES, names)
            largest[i] = max(
                (abs(_number(term, independent.NAMES, names)) for term in terms), default=0
            )
    return true, np.fmax(largest, np.abs(true))


def _number(code: CodeType, functions: dict[str, Any], names: dict[str, Any]) -> float:
    used = {name: value for name, value in names.items() if name in code.co_names}
    if any(mpmath.isnan(value) for value in used.values()):
        return np.nan
    infinite = [name for name, value in used.items() if mpmath.isinf(value)]
    if not infinite:
        return _evaluated(code, functions, names)
    # The limit, by going very far in several ways.
    name, sign = infinite[0], mpmath.sign(names[infinite[0]])
    a, b, c = (
        _evaluated(code, functions, {**names, name: sign * far})
        for far in (mpmath.mpf(10) ** 60, mpmath.mpf(10) ** 160 * 1.3, mpmath.mpf(10) ** 160 * 2.1)
    )
    if np.isnan([a, b, c]).any():
        return np.nan
    if abs(b) > 1.5 * abs(a) and abs(c) >= abs(b) and a * b > 0:
        return np.sign(b) * np.inf
    return b if np.isinf(b) or max(abs(a - b), abs(b - c)) < 1e-9 else np.nan


def _evaluated(code: CodeType, functions: dict[str, Any], names: dict[str, Any]) -> float:
    try:
        value = eval(code, functions, dict(names))
    except ZeroDivisionError:
        return np.inf
    if isinstance(value, mpmath.mpc):
        return np.nan
    # Beyond 10^400 mpmath's numbers do not turn into a float's inf by themselves.
    if mpmath.isfinite(value) and abs(value) > mpmath.mpf(10) ** 308:
        return float(mpmath.sign(value)) * np.inf
    return float(value)


def _terms(text: str, variables: tuple[str, ...]) -> list[str]:
    """Returns the summands of a formula as texts, each multiplied by the factors of the sum."""
    from keras_swish.formulas.language import Call, parse, substitute

    def of(tree):
        if isinstance(tree, Call):
            if tree.function in ("+", "-"):
                return [t for side in tree.arguments for t in of(side)]
            if tree.function == "neg":
                return of(tree.arguments[0])
            if tree.function == "*":
                a, b = map(of, tree.arguments)
                return [Call("*", (s, t)) for s in a for t in b]
            if tree.function == "/":
                return [Call("/", (t, tree.arguments[1])) for t in of(tree.arguments[0])]
            if tree.function == "where":
                condition, a, b = tree.arguments
                return [Call("where", (condition, t, t)) for side in (a, b) for t in of(side)]
            if tree.function == "dsinc":
                far = (parse(text, ("x",)) for text in ("cos(x) / x", "sin(x) / x**2"))
                beyond_1 = parse("abs(x) - 1")
                terms = [Call("where", (beyond_1, term, parse("dsinc(x)"))) for term in far]
                return [substitute(term, {"x": tree.arguments[0]}) for term in terms]
            if (
                tree.function in ("sin", "cos")
                and getattr(tree.arguments[0], "function", "") == "*"
            ):
                # So far out the product has to be two floats, and the sine of their sum two terms.
                far = substitute(parse("abs(x) - 10000"), {"x": tree.arguments[0]})
                return [tree, Call("where", (far, parse("1"), tree))]
        return [tree]

    terms = of(parse(text, variables))
    return [str(term) for term in terms] if len(terms) > 1 else []


@functools.cache
def _pool() -> multiprocessing.pool.Pool:
    return multiprocessing.get_context("spawn").Pool()


def references(dtype: str, case: Case) -> np.ndarray:
    """Returns the references of a case, from the temporary folder if they are there already."""
    from keras_swish.formulas.derivative import derivative
    from keras_swish.formulas.language import parse

    text = case.formula
    if case.quantity != "value":
        text = str(derivative(parse(text, case.variables), case.quantity))
    points = np.stack(points_of(dtype, case), 1)
    key = hashlib.sha256(repr((text, dtype, points.shape)).encode() + points.tobytes())
    key.update(pathlib.Path(__file__).read_bytes().split(b"def references")[0])
    file = pathlib.Path(tempfile.gettempdir()) / f"keras_swish_{key.hexdigest()[:16]}.npy"
    if not file.exists():
        chunks = np.array_split(points, 16)
        parts = _pool().map(reference, [(text, case.variables, chunk) for chunk in chunks])
        temporary = file.with_suffix(f".{os.getpid()}.npy")
        np.save(temporary, np.concatenate(parts, axis=1))
        temporary.replace(file)
    return np.load(file)


def points_of(dtype: str, case: Case) -> list[np.ndarray]:
    """Returns the values of each variable, in float64."""
    free = [name for name in case.variables if not name.startswith("beta")]
    arrays = dict(zip(free, inputs(dtype, len(free)), strict=True))
    size = arrays[free[0]].size
    return [
        arrays[name].astype("float64") if name in arrays else np.full(size, np.float32(BETA), "d")
        for name in case.variables
    ]


def ours(case: Case) -> Callable[..., Any]:
    """Returns a function from tensors to the case's value."""
    from keras_swish.elementwise.operation import Operation
    from keras_swish.formulas.language import parse
    from keras_swish.formulas.lowering import lowered

    tree = lowered(parse(case.formula, case.variables))
    operation = Operation(case.variables, (tree,), case.variables[:1])
    return lambda *tensors: operation(*tensors)[0]


def frameworks() -> dict[str, Callable[..., Any]]:
    """Returns the backend's own versions of named activations."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        own = {
            "swish": tf.nn.silu,
            "gelu": tf.nn.gelu,
            "softplus": tf.nn.softplus,
            "elu": tf.nn.elu,
        }
    elif backend == "jax":
        import jax

        gelu = functools.partial(jax.nn.gelu, approximate=False)
        own = {"swish": jax.nn.silu, "gelu": gelu, "softplus": jax.nn.softplus, "elu": jax.nn.elu}
    else:
        from torch.nn import functional

        own = {name: getattr(functional, name) for name in ("gelu", "softplus", "elu")}
        own["swish"] = functional.silu
    return own


def computed(function: Callable[..., Any], dtype: str, case: Case) -> np.ndarray:
    """Returns the case's quantity as the backend computes it, in float64."""
    from keras import ops

    tensors = [
        ops.convert_to_tensor(points.astype(np.float32), "float32" if name[0] == "b" else dtype)
        for name, points in zip(case.variables, points_of(dtype, case), strict=True)
    ]
    if case.quantity == "value":
        result = function(*tensors)
    else:
        result = gradient(function, tensors, case.variables.index(case.quantity))
    return ops.convert_to_numpy(ops.cast(result, "float32")).astype("float64")


def gradient(function: Callable[..., Any], tensors: list[Any], place: int) -> Any:
    """Returns the gradient by one argument, for an upstream gradient of ones."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
        return tape.gradient(y, tensors[place], unconnected_gradients="zero")
    if backend == "jax":
        import jax

        y, pull = jax.vjp(function, *tensors)
        return pull(jax.numpy.ones_like(y))[place]
    import torch

    tensors = [tensor.requires_grad_() for tensor in tensors]
    return torch.autograd.grad(function(*tensors).sum(), tensors[place], allow_unused=True)[0]


def errors(
    result: np.ndarray, true: np.ndarray, largest: np.ndarray, dtype: str
) -> tuple[float, int, np.ndarray]:
    """Returns the largest error in units in the last place, its place, and the misses."""
    info = ml_dtypes.finfo(DTYPES[dtype])
    tiny, most = float(info.tiny), float(info.max)
    with np.errstate(all="ignore"):
        size = np.clip(np.fmax(largest, np.abs(true)), tiny, most)
        ulp = 2.0 ** (np.floor(np.log2(size)) - info.nmant)
        error = np.abs(result - true) / ulp
        # A finite value beyond the format's largest is rounded to inf.
        beyond = np.abs(true) > most
        error = np.where(beyond & (result == np.sign(true) * np.inf), 0, error)
        # The loss of a subnormal term.
        error = np.where(np.abs(result - true) <= tiny, 0, error)
        error = np.where(np.isnan(true) & np.isnan(result), 0, error)
        error = np.where(result == true, 0, error)
    missed = ~np.isfinite(error)
    error[missed] = 0
    place = int(error.argmax())
    return float(error[place]), place, np.flatnonzero(missed)


def _unjudged(points: list[np.ndarray], dtype: str) -> np.ndarray:
    """Returns where a subnormal input, or difference of inputs, may be taken as 0.

    And where both of two variables are infinite.
    """
    tiny = float(ml_dtypes.finfo(DTYPES[dtype]).tiny)
    with np.errstate(invalid="ignore"):
        sizes = [np.abs(p) for p in points]
        if len(points) > 1:
            sizes.append(np.abs(points[0] - points[1]))
        unjudged = np.any([(size > 0) & (size < tiny) for size in sizes], axis=0)
    if len(points) > 1:
        unjudged |= np.isinf(points[0]) & np.isinf(points[1])
    return unjudged


def measure(functions: list[str] | None = None) -> None:
    """Writes the CSV of this backend; with names, prints those only."""
    import keras

    from keras_swish import io

    backend = keras.backend.backend()
    rows = []
    for case in cases():
        if functions and case.name not in functions:
            continue
        versions = {"keras_swish": ours(case)}
        if case.name in frameworks():
            versions[backend] = frameworks()[case.name]
        for dtype in DTYPES:
            true, largest = references(dtype, case)
            points = points_of(dtype, case)
            unjudged = _unjudged(points, dtype)
            for version, function in versions.items():
                result = computed(function, dtype, case)
                result[unjudged] = true[unjudged]
                error, place, missed = errors(result, true, largest, dtype)
                at = " ".join(f"{p[place]:.6g}" for p in points)
                row = {
                    "function": case.name,
                    "quantity": case.quantity,
                    "version": version,
                    "dtype": dtype,
                    "ulp": f"{error:.2f}",
                    "at": at,
                    "missed": len(missed),
                }
                rows.append(row)
                note = ""
                if len(missed):
                    i = missed[0]
                    note = f"missed at {[p[i] for p in points]}: {result[i]}, true {true[i]}"
                print(*row.values(), note, flush=True)
    if not functions:
        OUT.mkdir(parents=True, exist_ok=True)
        io.write_csv(OUT / f"{backend}.csv", rows)


def write_table() -> None:
    """Writes the table of all measured backends."""
    from keras_swish import io

    rows = []
    for file in sorted(OUT.glob("*.csv")):
        rows += [{"backend": file.stem, **row} for row in io.read_csv(file)]
    backends = sorted({row["backend"] for row in rows})
    columns = [(backend, dtype) for backend in backends for dtype in DTYPES]
    head = [f"{backend} {dtype}" for backend, dtype in columns]
    lines = [
        "# Errors in units in the last place",
        "",
        "The largest error of each function and derivative, in units in the last place of its",
        "largest term, against mpmath in 50 digits: at every float16 and bfloat16, and at a",
        f"stratified sample of float32; beta is {BETA}. `benchmarks/accuracy.py` says",
        "how errors are counted. A number in brackets counts misses: a wrong NaN, inf or finite",
        "value. Written by `python benchmarks/accuracy.py --table` from the CSV files next to it,",
        "each from `KERAS_BACKEND=NAME python benchmarks/accuracy.py`.",
    ]
    for title, is_framework in (("keras_swish", False), ("The frameworks' own functions", True)):
        cells = collections.defaultdict(dict)
        for row in rows:
            if (row["version"] != "keras_swish") == is_framework:
                missed = f" ({row['missed']})" if row["missed"] != "0" else ""
                error = float(row["ulp"])
                shown = f"{error:.2f}" if error < 1e4 else f"{error:.0e}"
                place = (row["backend"], row["dtype"])
                cells[row["function"], row["quantity"]][place] = shown + missed
        lines += ["", f"## {title}", "", "| function | quantity | " + " | ".join(head) + " |"]
        lines.append("|---|---" + "|---" * len(columns) + "|")
        for (name, quantity), values in cells.items():
            name = name.replace("|", "\\|")
            quantity = "value" if quantity == "value" else f"slope by {quantity}"
            row = [name, quantity, *(values.get(column, "") for column in columns)]
            lines.append(f"| {' | '.join(row)} |")
    io.write_text(OUT / "table.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("functions", nargs="*", help="only these, and only printed")
    arguments = parser.parse_args()
    if arguments.table:
        write_table()
    else:
        measure(arguments.functions)

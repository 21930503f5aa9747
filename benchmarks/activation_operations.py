"""How many arithmetic operations an activation takes for each element, value and gradient.

    python benchmarks/activation_operations.py --out results/activations

Counted in what XLA compiles of TensorFlow for this machine, in the loops of the forward and the
backward pass. Exponential functions, logarithms and error functions of XLA's own count as one and
are polynomials of their own; ours are made of the other operations, for their last digits. It says
what bounds a function that takes longer than memory does (results/activations/table.md); nothing
is timed.
"""

import collections
import re

import recording
import tensorflow as tf

import keras_swish

FUNCTIONS = ("relu", "elu", "swish", "softplus", "gelu")
OPERATIONS = (
    *("add", "subtract", "multiply", "divide", "negate", "abs", "maximum", "minimum", "clamp"),
    *("compare", "select", "and", "or", "convert", "bitcast-convert", "shift-left"),
    *("floor", "round-nearest-even", "sqrt", "rsqrt", "tanh", "logistic", "erf"),
    *("exponential", "exponential-minus-one", "log", "log-plus-one"),
)
_OPERATION = re.compile(rf"\s*(?:ROOT )?\S+ = \S+ ({'|'.join(OPERATIONS)})\(")


def count(name: str) -> collections.Counter[str]:
    """Returns the operations of an activation's value and gradient by kind."""
    function = getattr(keras_swish.activations, name)
    x = tf.ones((64, 56, 56, 64))

    @tf.function(jit_compile=True)
    def both(x: tf.Tensor, upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, upstream)

    compiled = both.experimental_get_compiler_ir(x, x)(stage="optimized_hlo")
    return collections.Counter(
        found[1] for line in compiled.splitlines() if (found := _OPERATION.match(line))
    )


def main() -> None:
    """Counts, prints and writes the table."""
    arguments = recording.parser(__doc__).parse_args()
    rows = []
    for name in FUNCTIONS:
        operations = count(name)
        rows.append({"function": name, "operations": operations.total(), **operations})
        print(rows[-1])
    recording.write(arguments.out, "operations", rows)


if __name__ == "__main__":
    main()

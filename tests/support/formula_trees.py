"""Random formulas for hypothesis."""

from hypothesis import strategies

from keras_swish.formulas import language, primitives

LEAVES = strategies.one_of(
    strategies.sampled_from(["x", "beta", "beta1"]).map(language.Name),
    strategies.floats(0, 1e300, allow_nan=False).map(lambda v: language.Number(abs(v))),
    strategies.integers(0, 20).map(lambda v: language.Number(float(v))),
)


def calls(children):
    def with_arity(name, arity):
        return strategies.tuples(*[children] * arity).map(lambda a: language.Call(name, a))

    operators = [with_arity(name, 2) for name in ("+", "-", "*", "/", "**")]
    functions = [with_arity(n, f.arity) for n, f in primitives.FUNCTIONS.items()]
    return strategies.one_of(*operators, with_arity("neg", 1), *functions)


TREES = strategies.recursive(LEAVES, calls, max_leaves=12)

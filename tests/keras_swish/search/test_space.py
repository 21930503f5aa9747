import pickle

import numpy as np
import pytest

import reference
from keras_swish.formulas import language, primitives
from keras_swish.formulas.numeric import evaluate
from keras_swish.search.space import SearchSpace

# A grid of its own, not the space's.
X = np.linspace(-5.9, 5.9, 83)


@pytest.fixture(scope="module")
def space():
    space = SearchSpace()
    space.survey()
    return space


def plainly(space, candidate, x, betas):
    """A candidate of one unit in the paper's own words."""
    u1, u2, b = space.choices(candidate).values()
    first, second = reference.UNARY[u1](x, betas[0]), reference.UNARY[u2](x, betas[1])
    return reference.BINARY[b](first, second, betas[2])


def random_candidates(space, n, seed=0):
    random = np.random.default_rng(seed)
    return [space.sample(random) for _ in range(n)]


def test_sizes_are_those_of_the_paper():
    assert len(SearchSpace(1)) == 25 * 25 * 10
    assert len(SearchSpace(2)) == 6250 * 4 * 6250


@pytest.mark.parametrize("units", [1, 2, 3])
def test_index_and_candidate_are_one_to_one(units):
    space = SearchSpace(units)
    for candidate in random_candidates(space, 50):
        assert candidate in space
        assert space.from_index(space.index(candidate)) == candidate
        assert space.from_units(space.units(candidate)) == candidate
        assert space.candidate(**space.choices(candidate)) == candidate
    assert space.index(space.from_index(len(space) - 1)) == len(space) - 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_formula_computes_the_candidate(space):
    for candidate in random_candidates(space, 300):
        tree = space.formula(candidate)
        betas = np.array([0.4, 0.7, 1.3])
        used = dict(zip(language.weights(tree), betas[list(space.betas(candidate))]))
        got = evaluate(tree, {"x": X, **used})
        wanted = plainly(space, candidate, X, betas)
        np.testing.assert_allclose(got + 0 * X, wanted, rtol=1e-9, atol=1e-9, err_msg=str(tree))


@pytest.mark.parametrize("units", [1, 2])
def test_slopes_are_those_of_the_values(units):
    space = SearchSpace(units)
    smooth = [name for name in reference.UNARY if not any(c in name for c in "|q/")]
    random = np.random.default_rng(1)
    pick = {"u": smooth, "b": ["x1+x2", "x1*x2", "sigmoid(x1)*x2"]}
    candidates = [
        space.candidate(
            **{
                name: int(random.integers(size)) if kind == "input" else random.choice(pick[kind])
                for name, kind, size in zip(space.names, space.roles, space.sizes)
            }
        )
        for _ in range(60)
    ]
    step, grid = 1e-6, space.grid
    _, slopes = space.values_and_slopes(candidates)
    space.grid = grid + step
    above = space.values(candidates)
    space.grid = grid - step
    below = space.values(candidates)
    kink = np.abs(grid) < 1e-3
    with np.errstate(all="ignore"):
        wanted = (above - below) / (2 * step)
        far = np.abs(slopes) > 1e4
    good = np.isfinite(wanted) & ~far & ~kink
    np.testing.assert_allclose(slopes[good], wanted[good], rtol=1e-3, atol=1e-3)


def test_the_space_of_one_unit_counted(space):
    survey = space.survey()
    assert survey.choices == 6250
    # 49 pairs with sqrt(x), which has no value below 0, under 10 binary functions.
    assert survey.rejected["not finite"] == 490
    assert survey.rejected["constant or affine"] == 229
    assert len(survey.candidates) == 3358
    assert sum(survey.rejected.values()) + survey.repeated + len(survey.candidates) == 6250


def test_the_same_function_in_another_unit_is_one_candidate():
    space = SearchSpace(2)
    swish = {"u1": "beta*x", "u2": "x", "b": "sigmoid(x1)*x2"}
    second = {f"{name}_2": choice for name, choice in swish.items()}
    first = space.candidate(**swish, input1_2=1, u1_2="x", input2_2=1, u2_2="x", b_2="max(x1,x2)")
    other = space.candidate(u1="x", u2="x", b="x1*x2", input1_2=0, input2_2=0, **second)
    assert space.canonical(first) == space.canonical(other)


def test_every_function_that_the_paper_found_is_in_it(space):
    kept = set(space.survey().candidates)
    found = [
        ("beta*x", "x", "sigmoid(x1)*x2"),
        ("x", "sigmoid(x)", "max(x1,x2)"),
        ("cos(x)", "x", "x1-x2"),
        ("x", "sin(x)", "min(x1,x2)"),
        ("x", "tanh(x)", "max(x1,x2)"),
        ("sinc(x)", "x", "x1+x2"),
        ("max(x,0)", "max(x,0)", "max(x1,x2)"),
    ]
    for u1, u2, b in found:
        candidate = space.candidate(u1=u1, u2=u2, b=b)
        assert space.reason(candidate) is None
        assert space.canonical(candidate) in kept


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_rejected_is_not_finite_or_a_straight_line(space):
    survey = space.survey()
    for candidate in random_candidates(space, 400):
        betas = [space.betas(candidate).get(slot, 1.0) for slot in range(3)]
        y = plainly(space, candidate, X, betas)
        reason = space.reason(candidate)
        assert (reason == "not finite") == (not np.isfinite(y).all())
        if reason is None:
            assert space.canonical(candidate) in survey.candidates
        elif reason == "constant or affine":
            assert np.polyfit(X, y, 1, full=True)[1] < 1e-6


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_representative_for_one_function(space):
    def values(candidate):
        betas = [space.betas(candidate).get(slot, 1.0) for slot in range(3)]
        return plainly(space, candidate, X, betas)

    kept = [c for c in random_candidates(space, 500) if space.reason(c) is None]
    assert any(space.canonical(c) != c for c in kept)
    for candidate in kept:
        same = space.canonical(candidate)
        np.testing.assert_allclose(values(candidate), values(same), rtol=1e-4, atol=1e-4)
    different = list(dict.fromkeys(map(space.canonical, kept)))
    rows = np.arcsinh(np.stack([values(candidate) for candidate in different]))
    without = [not space.betas(candidate) for candidate in different]
    rows = rows[without]
    distances = np.abs(rows[:, None] - rows[None]).max(-1) + np.eye(len(rows))
    assert distances.min() > 1e-9


def test_what_stands_for_a_function_does_not_depend_on_who_is_asked_about_first(space):
    everything = map(space.from_index, range(len(space)))
    # Not only commuted.
    last = [c for c in everything if space.canonical(c) != c == space.ordered(c)][-1]
    fresh = SearchSpace()
    assert fresh.reason(last) is None
    assert fresh.canonical(last) == space.canonical(last)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("x", "sin(x)", "x1+x2"), ("sin(x)", "x", "x1+x2")),
        (("|x|", "x^3", "x1*x2"), ("x^3", "|x|", "x1*x2")),
        (("x", "x", "x1*x2"), ("x^2", "x^2", "max(x1,x2)")),
        (("x", "beta*x", "max(x1,x2)"), ("beta*x", "x", "max(x1,x2)")),
        (("sinh(x)", "cosh(x)", "x1+x2"), ("exp(x)", "exp(x)", "min(x1,x2)")),
    ],
)
def test_the_same_function_is_one_candidate(space, one, other):
    one, other = (space.candidate(u1=u1, u2=u2, b=b) for u1, u2, b in (one, other))
    assert space.canonical(one) == space.canonical(other)


def test_functions_that_differ_in_their_betas_alone_are_two(space):
    one = space.candidate(u1="beta*x", u2="x", b="max(x1,x2)")
    other = space.candidate(u1="beta*x", u2="x", b="min(x1,x2)")
    assert space.canonical(one) != space.canonical(other)


def test_larger_spaces_hold_the_smaller_ones():
    space = SearchSpace(2)
    unit = {"u1": "x", "u2": "x", "b": "x1*x2"}
    second = {"input1_2": 1, "u1_2": "sin(x)", "input2_2": 0, "u2_2": "x", "b_2": "x1+x2"}
    candidate = space.candidate(**unit, **second)
    assert str(space.formula(candidate)) == "sin(x * x) + x"
    swapped = {"input1_2": 0, "u1_2": "x", "input2_2": 1, "u2_2": "sin(x)", "b_2": "x1+x2"}
    squared = {"u1": "x^2", "u2": "x^2", "b": "max(x1,x2)"}
    assert space.canonical(space.candidate(**squared, **swapped)) == space.canonical(candidate)
    with pytest.raises(ValueError, match="156,250,000 candidates"):
        space.survey()


def test_the_interval_decides_what_is_finite():
    choices = {"u1": "exp(x)", "u2": "cosh(x)", "b": "x1*x2"}
    for interval, reason in [((-6, 6), None), ((-60, 60), "not finite")]:
        space = SearchSpace(interval=interval)
        assert space.reason(space.candidate(**choices)) == reason
    space = SearchSpace(interval=(0.1, 6))
    assert space.reason(space.candidate(u1="sqrt(x)", u2="sqrt(x)", b="max(x1,x2)")) is None


def test_mutation_changes_one_choice_to_any_other():
    space, random = SearchSpace(2), np.random.default_rng(0)
    start = space.sample(random)
    seen = set()
    for _ in range(3000):
        mutant = space.mutate(start, random)
        (place,) = (i for i, (a, b) in enumerate(zip(start, mutant)) if a != b)
        assert mutant in space
        seen.add((place, mutant[place]))
    assert len(seen) == sum(size - 1 for size in space.sizes)


def test_bad_spaces_say_what_came():
    with pytest.raises(ValueError, match="Received: core_units=0"):
        SearchSpace(0)
    with pytest.raises(ValueError, match=r"Received: interval=\(3, -3\)"):
        SearchSpace(interval=(3, -3))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"u1": "max(x, 0)"}, r"Unknown unary primitive 'max\(x, 0\)'. Did you mean 'max\(x,0\)'"),
        ({"b": "x1 * x2"}, r"Unknown binary primitive 'x1 \* x2'. Did you mean 'x1\*x2'"),
        ({"u3": "x"}, r"a choice for each of u1, u2, b\. Received: .*'u3'"),
    ],
)
def test_choices_that_make_no_candidate_are_named(space, choices, message):
    with pytest.raises(ValueError, match=message):
        space.candidate(**{"u1": "x", "u2": "x", "b": "x1*x2", **choices})
    with pytest.raises(ValueError, match=r"each of u1, u2, b\. Received: \{'u1': 'x'\}"):
        space.candidate(u1="x")


def test_primitives_may_be_chosen_and_made():
    space = SearchSpace(unary=["x", "beta*x", "x * sigmoid(x)", "x**2"], binary=["x1*tanh(x2)"])
    assert space.primitives == {
        "u": ["x", "beta*x", "x * sigmoid(x)", "x^2"],
        "b": ["x1 * tanh(x2)"],
    }
    assert len(space) == len(space.survey().candidates) + space.survey().repeated + sum(
        space.survey().rejected.values()
    )
    candidate = space.candidate(u1="x * sigmoid(x)", u2="beta*x", b="x1 * tanh(x2)")
    assert str(space.formula(candidate)) == "x * sigmoid(x) * tanh(beta * x)"
    copied = pickle.loads(pickle.dumps(space))
    assert copied.config() == space.config() == SearchSpace(**space.config()).config()


def test_the_papers_primitives_are_the_default():
    space = SearchSpace()
    assert SearchSpace(**space.config()).primitives == space.primitives
    assert space.config()["unary"] == [one.formula for one in primitives.UNARY.values()]
    assert space.config()["binary"] == [one.formula for one in primitives.BINARY.values()]
    swapped = {space.primitives["b"][number] for number in space.commutative}
    assert swapped == {
        "x1+x2",
        "x1*x2",
        "max(x1,x2)",
        "min(x1,x2)",
        "exp(-beta*(x1-x2)^2)",
        "exp(-beta*|x1-x2|)",
        "beta*x1+(1-beta)*x2",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unary": "x"}, "must be a list of primitives"),
        ({"unary": []}, "must be a list of primitives"),
        ({"unary": ["x", "x"]}, "a primitive twice"),
        ({"unary": ["x^2", "x**2"]}, "a primitive twice"),
        ({"unary": ["x +"]}, "one of the paper's or a formula of x, beta: Not a formula"),
        ({"unary": ["beta1 * x"]}, r"one weight, beta. Received: 'beta1 \* x'"),
        ({"unary": ["1"]}, "is a function of x"),
        ({"binary": ["x1"]}, "is a function of x1 and x2"),
        ({"binary": ["x1 * x3"]}, "Not a formula"),
    ],
)
def test_primitives_that_are_none_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**arguments)


def test_a_space_of_one_function_has_no_other_mutant():
    space = SearchSpace(unary=["x"], binary=["x1*x2"])
    assert space.mutate((0, 0, 0), np.random.default_rng(0)) == (0, 0, 0)

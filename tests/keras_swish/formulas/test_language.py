"""The language of formulas: reading, printing, LaTeX, and what is refused."""

import re
import time

import hypothesis
import pytest
from formula_trees import TREES
from matplotlib.mathtext import MathTextParser

from keras_swish.formulas import language


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=500, deadline=None)
def test_printing_and_parsing_gives_the_same_tree(tree):
    assert language.parse(str(tree)) == tree


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=200, deadline=None)
@pytest.mark.slow
def test_latex_is_read_by_a_renderer(tree):
    MathTextParser("path").parse(f"${language.to_latex(tree)}$")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("x*sigmoid( beta*x )", "x * sigmoid(beta * x)"),
        ("((x))", "x"),
        ("(-x)**2", "(-x)**2"),
        ("-(x**2)", "-x**2"),
        ("x-(x-1)", "x - (x - 1)"),
        ("(x-x)-1.0", "x - x - 1"),
        ("2**(x**2)", "2**x**2"),
        ("(2**x)**2", "(2**x)**2"),
        ("+x", "x"),
        ("1e-7", "1e-07"),
        ("  x\n", "x"),
    ],
)
def test_printing_is_tidy(text, printed):
    assert str(language.parse(text)) == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at position 1"),
        ("x +", "Not a formula"),
        ("x; x", "position 2: invalid syntax"),
        ("2 * foo(x)", "position 5: unknown name 'foo'"),
        ("x + sigmoyd(x)", "position 5: unknown name 'sigmoyd', did you mean 'sigmoid'"),
        ("bta * x", "did you mean 'beta'"),
        ("y", "unknown name 'y'"),
        ("__import__('os').system('true')", "only a named function can be called"),
        ("__import__('os')", "unknown name '__import__'"),
        ("x.__class__", "attribute is not part of the language"),
        ("x[0]", "subscript is not part"),
        ("(lambda: x)()", "only a named function"),
        ("lambda: x", "lambda is not part"),
        ("[x for x in x]", "list comp is not part"),
        ("x if x else x", "if exp is not part"),
        ("x @ x", "mat mult is not part"),
        ("~x", "invert is not part"),
        ("x < 1", "compare is not part"),
        ("x and x", "bool op is not part"),
        ("(y := x)", "named expr is not part"),
        ("f'{x}'", "joined str is not part"),
        ("sin(x=x)", "plain arguments only"),
        ("sin(*x)", "plain arguments only"),
        ("sin(x, x)", "sin takes 1 argument, not 2"),
        ("max(x)", "max takes 2 arguments, not 1"),
        ("sin", "is a function and needs arguments"),
        ("True", "'True' is not a number"),
        ("1j", "is not a number"),
        ("'x'", "is not a number"),
        ("1" + "0" * 400, "too large"),
        ("1e999", "too large"),
        ("x\x00", "Not a formula"),
        ("-" * 900 + "x", "nested"),
        ("(" * 250 + "x" + ")" * 250, "nested|too many"),
        ("sin(" * 150 + "x" + ")" * 150, "nested|too many"),
        ("+".join("x" * 300), "nested more than"),
        ("(" * 1000 + "x" + ")" * 1000, "at most 2000 characters"),
        ("x + " * 250_000 + "x", "at most 2000 characters. Received: 1000001"),
    ],
)
def test_what_is_no_formula_is_refused_at_once(text, message):
    began = time.process_time()
    with pytest.raises(ValueError, match=message):
        language.parse(text)
    assert time.process_time() - began < 1


def test_only_text_is_parsed():
    with pytest.raises(TypeError, match="Received: 3"):
        language.parse(3)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x * sigmoid(beta * x)", r"x \sigma\left(\beta x\right)"),
        ("exp(-x**2)", r"\exp\left(-x^{2}\right)"),
        ("x / (x + 1e-7)", r"\frac{x}{x + 1 \cdot 10^{-7}}"),
        ("beta1 * x + 2 * 3", r"\beta_{1} x + 2 \cdot 3"),
        ("x - (x - 1)", r"x - \left(x - 1\right)"),
        ("x * -x", r"x \left(-x\right)"),
        ("--x", r"-\left(-x\right)"),
        ("1e-7**x", r"\left(1 \cdot 10^{-7}\right)^{x}"),
        ("(x / 2)**2", r"\left(\frac{x}{2}\right)^{2}"),
        ("2 * (1 / 2)", r"2 \cdot \frac{1}{2}"),
        ("sin(2 * pi)", r"\sin\left(2 \pi\right)"),
    ],
)
def test_latex(text, latex):
    assert language.to_latex(text) == latex


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("beta * x", "beta", 1),
        ("x + beta", "beta", 0),
        ("beta", "beta", 1),
        ("beta * x + (1 - beta) * sin(x)", "beta", 0.5),
        ("exp(-beta * x**2)", "beta", 1),
        ("x * (1 - beta)", "beta", 0),
        ("x + -beta", "beta", 0),
        ("x / (beta + 1e-07)", "beta", 1),
        ("x * (beta + 1)", "beta", 0),
        ("beta * x + beta", "beta", 1),
        ("(1 - beta1) * x + beta1 * sin(x)", "beta1", 0.5),
        ("x * sigmoid(beta1 * x) + beta2", "beta2", 0),
    ],
)
def test_initial_values_follow_the_table_of_primitives(text, name, value):
    # Beside the eps of a division, 0 would divide by next to nothing.
    assert language.initial_value(text, name) == value


def test_what_is_saved_can_be_read_again():
    text = "*".join("(" + "+".join("x" * 45) + ")" for _ in range(20))
    with pytest.raises(ValueError, match=r"at most 2000 characters\. Received: 3"):
        language.parse(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [("   x + y", 5), ("(x +\n  yy)", 5), ("beta\u0663 + x", 5), ("sin(x) * (x + foo(x))", 15)],
)
def test_positions_count_characters(text, position):
    with pytest.raises(ValueError, match=f"at position {position}:"):
        language.parse(text)


@pytest.mark.parametrize("text", ["x", "beta", "pi", "beta12", "-x", "x+x", "sin(x)"])
def test_formulas_are_told_from_names(text):
    assert language.is_formula(text)
    assert not language.is_formula("swish")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x^2", "a power is written x**2"),
        ("x\N{SUPERSCRIPT TWO} + 1", "a power is written x**2"),
        ("max(|x|, 1)", "an absolute value is written abs(x)"),
        ("|x|^2", "an absolute value is written abs(x); a power is written x**2"),
        ("x | 1", "an absolute value is written abs(x)"),
        ("2 \N{MIDDLE DOT} x", "a product is written a * b"),
        ("\N{GREEK SMALL LETTER SIGMA}(x)", "the sigmoid is written sigmoid(x)"),
        ("\N{GREEK SMALL LETTER BETA} * x", "a weight is written beta"),
        ("Sigmoid(x)", "did you mean 'sigmoid'"),
        ("TANH(x)", "did you mean 'tanh'"),
    ],
)
def test_how_it_is_written_elsewhere_is_answered_with_how_it_is_written_here(text, hint):
    with pytest.raises(language.FormulaError, match=re.escape(hint)):
        language.parse(text)

"""The tests of the networks on the other backends, each in a process of its own."""

import pytest


@pytest.fixture
def tests(python, root):
    """Runs tests of the networks on a backend."""

    def run(backend, *arguments):
        pytest.importorskip(backend)
        files = ("applications", "batch_normalization", "drop_path", "training")
        paths = [root / "tests" / "models" / f"test_{name}.py" for name in files]
        outcome = python(
            *("-m", "pytest", "-q", *paths, *arguments),
            cwd=root,
            KERAS_BACKEND=backend,
            JAX_ENABLE_X64="1",
        )
        assert " passed" in outcome.stdout

    return run


@pytest.mark.jax
def test_a_network_on_jax(tests):
    chosen = "(drop_path or normalization or formula and wide_resnet) and not bfloat16"
    tests("jax", "-n", "0", "-k", chosen)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=getattr(pytest.mark, b)) for b in ("jax", "torch")]
)
def test_a_network_of_each_family(tests, backend):
    tests(backend)

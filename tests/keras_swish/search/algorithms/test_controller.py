import numpy as np
import pytest

from keras_swish.search.algorithms.controller import Controller


@pytest.fixture
def controller():
    controller = Controller((4, 3, 5), units=6, embedding=3, random=np.random.default_rng(0))
    for weight in controller.weights.values():
        weight += np.random.default_rng(1).normal(size=weight.shape)
    return controller


def test_the_controller_is_a_distribution_over_candidates(controller):
    everything = np.stack(np.meshgrid(*map(range, (4, 3, 5)), indexing="ij"), -1).reshape(-1, 3)
    p = np.exp(controller.log_probability(everything))
    assert p.sum() == pytest.approx(1)
    random = np.random.default_rng(0)
    drawn = [controller.sample(random) for _ in range(4000)]
    counts = np.zeros((4, 3, 5))
    for candidate, log_probability in drawn:
        counts[candidate] += 1
        assert log_probability == pytest.approx(
            controller.log_probability(np.array([candidate]))[0]
        )
    np.testing.assert_allclose(counts.ravel() / 4000, p, atol=0.03)


def test_the_controllers_gradients_are_those_of_its_objective(controller):
    random = np.random.default_rng(2)
    candidates = np.stack([random.integers(size, size=7) for size in (4, 3, 5)], axis=1)
    factors = random.normal(size=7)

    def objective():
        total, entropy = controller.log_probability(candidates), 0.0
        _, tape = controller._forward(candidates)
        for log_p, *_ in tape:
            entropy -= (np.exp(log_p) * log_p).sum(1).mean()
        return (factors * total**2).sum() + 0.3 * entropy

    found = controller.gradients(candidates, lambda log: 2 * factors * log, 0.3)
    for name, weight in controller.weights.items():
        for _ in range(3):
            index = tuple(random.integers(size) for size in weight.shape)
            kept, values = weight[index], []
            for step in (1e-5, -1e-5):
                weight[index] = kept + step
                values.append(objective())
            weight[index] = kept
            wanted = (values[0] - values[1]) / 2e-5
            assert found[name][index] == pytest.approx(wanted, rel=1e-4, abs=1e-6), name

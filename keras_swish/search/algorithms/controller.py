"""An LSTM over the components of a candidate, with its gradients and Adam, in NumPy."""

import base64
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special


class Controller:
    """A distribution over candidates: each component given those before it.

    Args:
        sizes: How many choices each component has.
        units: Size of the LSTM.
        embedding: Size of the vector that stands for a choice.
        random: Where the initial weights are drawn from.
    """

    def __init__(
        self, sizes: Sequence[int], units: int, embedding: int, random: np.random.Generator
    ):
        self.sizes, self.units = tuple(sizes), units

        def draw(*shape):
            return random.uniform(-0.1, 0.1, shape)

        self.weights = {
            "start": draw(1, embedding),
            "kernel": draw(embedding + units, 4 * units),
            "bias": np.zeros(4 * units),
        }
        for component, size in enumerate(self.sizes):
            self.weights[f"embedding{component}"] = draw(size, embedding)
            self.weights[f"head{component}"] = draw(units, size)
            self.weights[f"head_bias{component}"] = np.zeros(size)
        self.first = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.second = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.steps = 0

    def sample(self, random: np.random.Generator) -> tuple[tuple[int, ...], float]:
        """Draws a candidate; returns it and its log-probability."""
        chosen, total = [], 0.0
        state = self._zeros(1)
        for component in range(len(self.sizes)):
            state, _ = self._cell(self._input(component, np.array([chosen], int)), state)
            log_p = self._log_probabilities(component, state[0])[0]
            p = np.exp(log_p)
            choice = int(random.choice(len(p), p=p / p.sum()))
            chosen.append(choice)
            total += float(log_p[choice])
        return tuple(chosen), total

    def log_probability(self, candidates: np.ndarray) -> np.ndarray:
        """Returns the log-probability of each candidate."""
        return self._forward(candidates)[0]

    def gradients(
        self,
        candidates: np.ndarray,
        slope: Callable[[np.ndarray], np.ndarray],
        entropy: float,
    ) -> dict[str, np.ndarray]:
        """Returns the gradients of an objective plus the mean entropy times a factor.

        Args:
            candidates: Whole numbers, `(n, components)`.
            slope: From the log-probabilities, `(n,)`, to the objective's derivatives by them.
            entropy: The factor.
        """
        log_probability, tape = self._forward(candidates)
        dlog = slope(log_probability)
        n, gradients = len(candidates), {name: np.zeros_like(w) for name, w in self.weights.items()}
        dh, dc = self._zeros(n)
        for component in reversed(range(len(self.sizes))):
            log_p, h, cell = tape[component]
            p = np.exp(log_p)
            dlogits = -p * dlog[:, None]
            dlogits[np.arange(n), candidates[:, component]] += dlog
            entropies = -(p * log_p).sum(1, keepdims=True)
            dlogits -= entropy / n * p * (log_p + entropies)
            gradients[f"head{component}"] += h.T @ dlogits
            gradients[f"head_bias{component}"] += dlogits.sum(0)
            dx, dh, dc = self._cell_gradients(
                cell, dh + dlogits @ self.weights[f"head{component}"].T, dc, gradients
            )
            if component:
                np.add.at(gradients[f"embedding{component - 1}"], candidates[:, component - 1], dx)
            else:
                gradients["start"] += dx.sum(0)
        return gradients

    def step(self, gradients: dict[str, np.ndarray], learning_rate: float) -> None:
        """Climbs along the gradients with Adam (Kingma and Ba 2015)."""
        self.steps += 1
        for name, gradient in gradients.items():
            first, second = self.first[name], self.second[name]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            mean, square = first / (1 - 0.9**self.steps), second / (1 - 0.999**self.steps)
            self.weights[name] += learning_rate * mean / (np.sqrt(square) + 1e-8)

    def state(self) -> dict:
        """Returns weights and optimizer as text, which gives back the same numbers."""
        return {
            "steps": self.steps,
            **{
                name: base64.b64encode(_joined(arrays)).decode()
                for name, arrays in self._arrays().items()
            },
        }

    def restore(self, state: dict) -> None:
        """Takes these weights.

        Raises:
            ValueError: If they are those of a controller of another size.
        """
        size = sum(weight.size for weight in self.weights.values())
        self.steps = state["steps"]
        for name, arrays in self._arrays().items():
            values = np.frombuffer(base64.b64decode(state[name]))
            if len(values) != size:
                raise ValueError("The snapshot is of a controller of another size.")
            for array in arrays.values():
                array[...] = values[: array.size].reshape(array.shape)
                values = values[array.size :]

    def _arrays(self) -> dict[str, dict[str, np.ndarray]]:
        return {"weights": self.weights, "first": self.first, "second": self.second}

    def _zeros(self, n):
        return np.zeros((n, self.units)), np.zeros((n, self.units))

    def _input(self, component, candidates):
        if component == 0:
            return np.repeat(self.weights["start"], len(candidates), axis=0)
        return self.weights[f"embedding{component - 1}"][candidates[:, component - 1]]

    def _log_probabilities(self, component, h):
        logits = h @ self.weights[f"head{component}"] + self.weights[f"head_bias{component}"]
        return special.log_softmax(logits, axis=1)

    def _forward(self, candidates):
        n, total, tape = len(candidates), np.zeros(len(candidates)), []
        state = self._zeros(n)
        for component in range(len(self.sizes)):
            state, cell = self._cell(self._input(component, candidates), state)
            log_p = self._log_probabilities(component, state[0])
            total += log_p[np.arange(n), candidates[:, component]]
            tape.append((log_p, state[0], cell))
        return total, tape

    def _cell(self, x, state):
        h, c = state
        joined = np.concatenate([x, h], axis=1)
        gates = joined @ self.weights["kernel"] + self.weights["bias"]
        i, f, o, g = np.split(gates, 4, axis=1)
        # A forget gate near 1 at first (Jozefowicz et al. 2015).
        i, f, o, g = special.expit(i), special.expit(f + 1), special.expit(o), np.tanh(g)
        new = f * c + i * g
        t = np.tanh(new)
        return (o * t, new), (joined, c, i, f, o, g, t)

    def _cell_gradients(self, cell, dh, dc, gradients):
        joined, c, i, f, o, g, t = cell
        dc = dc + dh * o * (1 - t**2)
        di, df, do, dg = dc * g, dc * c, dh * t, dc * i
        dgates = np.concatenate(
            [di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)], axis=1
        )
        gradients["kernel"] += joined.T @ dgates
        gradients["bias"] += dgates.sum(0)
        djoined = dgates @ self.weights["kernel"].T
        width = joined.shape[1] - self.units
        return djoined[:, :width], djoined[:, width:], dc * f


def _joined(arrays: dict[str, np.ndarray]) -> bytes:
    return np.concatenate([*map(np.ravel, arrays.values())]).tobytes()

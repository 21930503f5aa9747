"""The paper's search: a recurrent controller that learns what to propose.

An LSTM predicts one component of the candidate at a time, each prediction fed back for the
next, and is trained with proximal policy optimisation on the rewards of its proposals.

Written in NumPy: it is the same on every backend, and its state is plain numbers.

Sources: Ramachandran et al. 2017, section 2; Bello et al., "Neural Optimizer Search with
Reinforcement Learning", 2017, section 3; Schulman et al., "Proximal Policy Optimization
Algorithms", 2017, equation 7.
"""

import bisect
from typing import Any

import numpy as np

from keras_swish.search.algorithms import Algorithm, Proposal
from keras_swish.search.algorithms.controller import Controller
from keras_swish.search.space import Candidate, SearchSpace


class ReinforcementLearning(Algorithm):
    """The LSTM controller, trained with PPO.

    Args:
        space: The search space.
        seed: Seed of the controller's weights and of what it draws.
        batch: How many proposals make an update.
        epochs: Steps of gradient descent an update.
        clip: How far the ratio of new to old probability counts, from 1.
        entropy: Coefficient of the entropy bonus, which keeps the controller curious.
        baseline_decay: Decay of the moving average of rewards that is the baseline. A reward
            counts by its distance from it, divided by the usual distance.
        by_rank: Whether a reward counts as the share of the rewards so far that it beats, which
            does not depend on how far apart good children lie, nor on those that diverged.
        learning_rate: That of the controller's Adam.
        units: Size of the LSTM.
        embedding: Size of what is fed back for each prediction.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        batch: int = 16,
        epochs: int = 4,
        clip: float = 0.2,
        entropy: float = 0.2,
        baseline_decay: float = 0.9,
        by_rank: bool = True,
        learning_rate: float = 0.01,
        units: int = 64,
        embedding: int = 16,
    ):
        super().__init__(space, seed)
        self.batch, self.epochs, self.clip, self.entropy = batch, epochs, clip, entropy
        self.baseline_decay, self.by_rank = baseline_decay, by_rank
        self.learning_rate = learning_rate
        self.controller = Controller(space.sizes, units, embedding, self.random)
        self.baseline: float | None = None
        # A moving average of the squared distance from the baseline.
        self.spread = 0.0
        self.finished: list[tuple[Candidate, Any, float]] = []
        # The rewards of all proposals so far, each candidate once: by candidate, and in order.
        self.rewards: dict[Candidate, float] = {}
        self.ordered: list[float] = []

    def ask(self) -> Proposal:
        """Draws a candidate; the note is the log-probability that it had."""
        candidate, log_probability = self.controller.sample(self.random)
        return Proposal(candidate, log_probability)

    def tell(self, proposal: Proposal, reward: float) -> None:
        """Keeps the reward, and updates the controller when a batch is full."""
        if not self._is_news(proposal.candidate):
            return
        self.finished.append((proposal.candidate, proposal.note, reward))
        self._know(self._key(proposal.candidate), reward)
        if len(self.finished) >= self.batch:
            self._update()
            self.finished = []

    def _key(self, candidate: Candidate) -> Candidate:
        """Returns what a candidate's reward is kept by."""
        return candidate

    def _is_news(self, candidate: Candidate) -> bool:
        """Says whether the controller learns from the candidate's reward."""
        return True

    def _know(self, candidate: Candidate, reward: float) -> None:
        if candidate in self.rewards:
            del self.ordered[bisect.bisect_left(self.ordered, self.rewards[candidate])]
        bisect.insort(self.ordered, reward)
        self.rewards[candidate] = reward

    def _rank(self, reward: float) -> float:
        """Returns the share of the rewards so far that this one beats, ties counting half."""
        below = bisect.bisect_left(self.ordered, reward) + bisect.bisect_right(self.ordered, reward)
        return below / (2 * len(self.ordered))

    def _update(self) -> None:
        candidates, old, rewards = map(np.array, zip(*self.finished, strict=True))
        if self.by_rank:
            rewards = np.array([self._rank(reward) for reward in rewards])
        baseline = rewards.mean() if self.baseline is None else self.baseline
        distances = rewards - baseline
        # Until rewards differ, and not by rounding, there is no usual distance.
        if self.spread < 1e-12:
            self.spread = (distances**2).mean()
        advantages = distances / (np.sqrt(self.spread) + 1e-8)
        for _ in range(self.epochs):
            gradients = self.controller.gradients(
                candidates, lambda new: self._slope(new, old, advantages), self.entropy
            )
            self.controller.step(gradients, self.learning_rate)
        keep = self.baseline_decay
        self.spread = keep * self.spread + (1 - keep) * (distances**2).mean()
        self.baseline = keep * baseline + (1 - keep) * rewards.mean()

    def _slope(self, new: np.ndarray, old: np.ndarray, advantages: np.ndarray) -> np.ndarray:
        """Returns the derivative of mean(min(r A, clip(r) A)) by the new log-probabilities."""
        ratio = np.exp(new - old)
        counts = np.where(advantages > 0, ratio < 1 + self.clip, ratio > 1 - self.clip)
        return counts * ratio * advantages / len(ratio)

    def state(self) -> dict:
        """Returns the controller, its optimizer, the baseline, the batch and the random state."""
        return {
            "random": self.random.bit_generator.state,
            "controller": self.controller.state(),
            "baseline": None if self.baseline is None else float(self.baseline),
            "spread": float(self.spread),
            "finished": [[list(c), float(note), float(r)] for c, note, r in self.finished],
        }

    def restore(self, state: dict, told: list[tuple[Candidate, float]]) -> None:
        """Resumes with these."""
        self.random.bit_generator.state = state["random"]
        self.controller.restore(state["controller"])
        self.baseline, self.spread = state["baseline"], state["spread"]
        self.rewards = {}
        for candidate, reward in told:
            if self._is_news(candidate):
                self.rewards[self._key(candidate)] = reward
        self.ordered = sorted(self.rewards.values())
        self.finished = [(tuple(c), note, reward) for c, note, reward in state["finished"]]

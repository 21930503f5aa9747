"""The paper's controller, which also learns the best functions so far by heart.

The paper's objective is the mean reward of what is proposed; a search wants the best. After each
update the controller raises the likelihood of an elite, and it learns nothing from a function that
it proposes again, which would draw it to what it has seen.

Source: Abolafia et al., "Neural Program Synthesis with Priority Queue Training", 2018, section 3.
"""

import heapq
from typing import Any

import numpy as np

from keras_swish.search.algorithms.rl import ReinforcementLearning
from keras_swish.search.space import Candidate, SearchSpace

# How many functions an elite has at least.
_FEWEST = 4


class PriorityQueueTraining(ReinforcementLearning):
    """The LSTM controller, trained with PPO and on the best functions so far.

    Args:
        space: The search space.
        seed: Seed of the controller's weights and of what it draws.
        elite: Which part of the functions so far is the elite, which the controller imitates. It
            grows with their number: a few functions lead fast to the very best, many to more of
            the good.
        **options: Those of `ReinforcementLearning`.

    Raises:
        ValueError: If the elite is no part.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, elite: float = 0.08, **options: Any):
        super().__init__(space, seed, **options)
        if not 0 < elite <= 1:
            raise ValueError(f"`elite` must be a part in (0, 1]. Received: elite={elite}")
        self.elite = elite

    def _key(self, candidate: Candidate) -> Candidate:
        return self.space.canonical(candidate)

    def _is_news(self, candidate: Candidate) -> bool:
        return self._key(candidate) not in self.rewards

    def _update(self) -> None:
        super()._update()
        # The best of fewer are no elite.
        if len(self.rewards) >= 3 * _FEWEST:
            self._imitate()

    def _imitate(self) -> None:
        """Raises the likelihood of the best functions so far."""
        # Equal ones in their order, which is the same after a restart.
        count = max(_FEWEST, round(self.elite * len(self.rewards)))
        best = heapq.nlargest(count, self.rewards, key=lambda c: (self.rewards[c], c))
        candidates, slope = np.array(best), np.full(len(best), 1 / len(best))
        for _ in range(self.epochs):
            gradients = self.controller.gradients(candidates, lambda new: slope, self.entropy)
            self.controller.step(gradients, self.learning_rate)

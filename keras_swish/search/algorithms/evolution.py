"""Regularised evolution: the best of a few is mutated, and the oldest dies.

Source: Real, Aggarwal, Huang, Le, "Regularized Evolution for Image Classifier Architecture
Search", 2019, algorithm 1.
"""

import collections

from keras_swish.search.algorithms import Algorithm, Proposal
from keras_swish.search.space import Candidate, SearchSpace


class RegularisedEvolution(Algorithm):
    """Evolution in which age, not reward, decides who dies.

    Args:
        space: The search space.
        seed: Seed of all that is random in it.
        population: How many live, drawn at random at first.
        sample: Of how many, drawn from them, the best becomes the parent.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, population: int = 64, sample: int = 16):
        super().__init__(space, seed)
        if not 1 <= sample <= population:
            raise ValueError(
                "`sample` must lie between 1 and `population`. "
                f"Received: sample={sample}, population={population}"
            )
        self.population, self.sample = population, sample
        self.living: collections.deque[tuple[Candidate, float]] = collections.deque(
            maxlen=population
        )

    def ask(self) -> Proposal:
        """Returns a mutant of the best of a sample, or a random one while there are few."""
        if len(self.living) < self.population:
            return Proposal(self.space.sample(self.random))
        drawn = self.random.choice(len(self.living), self.sample, replace=False)
        parent, _ = max((self.living[i] for i in drawn), key=lambda entry: entry[1])
        return Proposal(self.space.mutate(parent, self.random))

    def tell(self, proposal: Proposal, reward: float) -> None:
        """Lets the candidate live, and the oldest die."""
        self.living.append((proposal.candidate, reward))

"""Every function of a space once."""

from keras_swish.search.algorithms import Algorithm, Proposal
from keras_swish.search.space import SearchSpace


class Exhaustive(Algorithm):
    """All different functions of a space of one unit, in an order drawn from the seed.

    In a random order, so that an unfinished search is a fair sample of the space.
    """

    def __init__(self, space: SearchSpace, seed: int = 0):
        super().__init__(space, seed)
        candidates = space.survey().candidates
        self.order = [candidates[i] for i in self.random.permutation(len(candidates))]
        self.asked = 0

    def ask(self) -> Proposal | None:
        """Returns the next one."""
        if self.asked == len(self.order):
            return None
        self.asked += 1
        return Proposal(self.order[self.asked - 1])

import numpy as np
import pytest

from keras_swish.search import SearchSpace, algorithms


@pytest.fixture(scope="module")
def lookup(benchmark_module):
    return benchmark_module("search_lookup")


@pytest.fixture(scope="module")
def candidates(space):
    return space.survey().candidates


@pytest.fixture(scope="module")
def space():
    return SearchSpace()


def row(space, candidate, rewards):
    choices = space.choices(candidate)
    return {**choices, **{f"seed {seed}": str(reward) for seed, reward in rewards.items()}}


def test_the_halves_are_halves_of_the_seeds_for_all_candidates(lookup, space, candidates):
    # The reward says with which seed it was reached, but for what has one seed.
    rows = [row(space, c, {s: 10.0**s for s in range(4)}) for c in candidates[:5]]
    rows.append({**row(space, candidates[5], {0: 7.0}), "seed 1": "", "seed 2": "", "seed 3": ""})
    table = lookup.Table(rows, space)
    splits = set()
    for number in range(20):
        told, judged = table.halves(np.random.default_rng(number))
        assert told.pop(candidates[5]) == judged.pop(candidates[5]) == 7.0
        assert len(set(told.values())) == len(set(judged.values())) == 1
        (one,), (other,) = set(told.values()), set(judged.values())
        assert one + other == pytest.approx(1111 / 2)
        splits.add(one)
    assert len(splits) == 6


def test_what_a_seed_does_to_all_is_no_agreement_and_no_disagreement(lookup, space, candidates):
    random = np.random.default_rng(0)
    own, of_seed = random.normal(size=200), random.normal(size=4)
    rows = [
        row(space, c, {s: own[i] + 10 * of_seed[s] for s in range(4)})
        for i, c in enumerate(candidates[:200])
    ]
    table = lookup.Table(rows, space)
    assert table.rank_correlation(random, 5) == pytest.approx(1)


def test_a_table_of_one_seed_is_refused(lookup, space, candidates):
    with pytest.raises(ValueError, match="one seed"):
        lookup.Table([row(space, candidates[0], {0: 0.5})], space)


def test_exhaustive_is_sampling_without_replacement(lookup, space, candidates):
    told = {candidate: 0.5 for candidate in candidates}
    algorithm = algorithms.create("exhaustive", space, 3)
    seen, repeats, proposals, _ = lookup.run(algorithm, space, told, lambda seen: len(seen) == 50)
    assert (len(seen), repeats, proposals) == (50, 0, 50)


def test_repeats_and_what_is_not_in_the_table_are_no_evaluations(lookup, space, candidates):
    told = {candidate: 0.5 for candidate in candidates[::40]}
    algorithm = algorithms.create("random", space, 0)
    seen, repeats, proposals, _ = lookup.run(algorithm, space, told, lambda seen: len(seen) == 60)
    assert len(seen) == len(set(seen)) == 60
    assert set(seen) <= set(told)
    assert 0 < repeats < proposals - 60

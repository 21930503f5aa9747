import argparse

import pytest

from keras_swish.search import benchmark


@pytest.fixture(scope="module")
def lookup(benchmark_module):
    return benchmark_module("search_lookup")


@pytest.fixture(scope="module")
def table():
    return benchmark.load("fashion_mnist_resnet8")


def test_the_halves_agree_as_much_as_before(lookup, table):
    assert 0.75 < lookup.rank_correlation(table, 3) < 0.9


def test_repetitions_are_added_up(lookup, table):
    arguments = argparse.Namespace(
        first=3, repetitions=2, evaluations=60, until=80, share=0.01, few=4
    )
    summary, rows = lookup.measure("random", {}, table, arguments)
    assert [row["repetition"] for row in rows] == [3, 4]
    mean = sum(row["found"] for row in rows) / 2
    assert summary["of the best 34 among 60"] == pytest.approx(mean)
    assert summary["never found"] == sum(row["first"] > 80 for row in rows)
    again, _ = lookup.measure("random", {}, table, arguments)
    timed = "ms a proposal"
    assert {**summary, timed: 0} == {**again, timed: 0}

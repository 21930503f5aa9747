r"""How long does the surrogate think about its next proposal?

    OPENBLAS_NUM_THREADS=1 python benchmarks/search_ask.py --out results/search_benchmarks/surrogate

With rewards drawn at random, in spaces of one and two core units: the time of `ask` with so many
known functions, as the least and the median of twenty in a row; that of all `ask` until then, which
is what a search that resumes takes to replay them; and the memory of the Gaussian process. Times
are those of the processor, whatever else the machine does. With `MOST` functions the process keeps
a part of its observations, which is the slowest `ask` of the last row.

Takes some minutes.
"""

import time

import numpy as np
import recording

from keras_swish.search import algorithms
from keras_swish.search.algorithms.surrogate import MOST, GaussianProcess
from keras_swish.search.space import SearchSpace

KNOWN, IN_A_ROW = (100, 1000, 2000, MOST + 100), 20


def process_bytes(process: GaussianProcess) -> int:
    """Returns how much memory the arrays of a process take."""
    return sum(value.nbytes for value in vars(process).values() if isinstance(value, np.ndarray))


def measure(core_units: int) -> list[dict]:
    """Returns a row for each number of known functions."""
    random = np.random.default_rng(0)
    algorithm = algorithms.create("surrogate", SearchSpace(core_units))
    seconds, rows = [], []
    for number in range(1, max(KNOWN) + IN_A_ROW + 1):
        start = time.process_time()
        proposal = algorithm.ask()
        seconds.append(time.process_time() - start)
        algorithm.tell(proposal, random.normal())
        if number - IN_A_ROW in KNOWN:
            last = np.array(seconds[-IN_A_ROW:])
            rows.append(
                {
                    "core units": core_units,
                    "known": number - IN_A_ROW,
                    "ms, least": round(1000 * float(last.min()), 1),
                    "ms, median": round(1000 * float(np.median(last)), 1),
                    "ms, most until then": round(1000 * max(seconds), 1),
                    "seconds of all until then": round(sum(seconds), 1),
                    "MB of the process": round(process_bytes(algorithm._process) / 1e6, 1),
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measures, prints and writes the table."""
    arguments = recording.parser(__doc__).parse_args()
    recording.write(arguments.out, "ask", [row for units in (1, 2) for row in measure(units)])


if __name__ == "__main__":
    main()

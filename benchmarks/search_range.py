r"""What flows into the activations of a search's child?

    python benchmarks/search_range.py --out results/search_benchmarks

A candidate must be finite on `SearchSpace.interval`, by default [-6, 6], and is compared with
others there. Whether the child's pre-activations lie within is measured here: the shallow child of
Fashion-MNIST (ResNet-8) is trained with each activation, and called with a thousand images of the
validation data. An untrained network would not do: its batch normalisation has no statistics yet.
Takes minutes.
"""

import numpy as np
import recording

from keras_swish.callbacks import pre_activations
from keras_swish.search import SearchSpace
from keras_swish.train.reporting import paper_claims

IMAGES = 1000
PARTS = (0.001, 0.01, 0.5, 0.99, 0.999)


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data_dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = [name for name, units in paper_claims.FUNCTIONS.items() if len(units) == 1]
    space = SearchSpace()
    child = recording.fashion_mnist_child(space, arguments.data_dir)
    images = child.validation[0][:IMAGES]
    rows = []
    for name in names:
        candidate = paper_claims.candidate(space, name)
        network = child.plain(candidate, arguments.seed)
        child.compile(network)
        reward = round(child.train(network, arguments.seed).reward, 4)
        values = np.concatenate(list(pre_activations(network, images).values()))
        rows.append({"activation": name, "reward": reward, **spread(values, space.interval)})
        print(rows[-1], flush=True)
    recording.write(arguments.out, "range", rows, interval=space.interval)


def spread(values: np.ndarray, interval: tuple[float, float]) -> dict[str, float]:
    """Returns quantiles of the values, and which part lies within the interval."""
    low, high = interval
    quantiles = {
        f"{part:.1%}": round(float(q), 2)
        for part, q in zip(PARTS, np.quantile(values, PARTS), strict=True)
    }
    within = float(np.mean((values >= low) & (values <= high)))
    return {
        "least": round(float(values.min()), 2),
        **quantiles,
        "greatest": round(float(values.max()), 2),
        "within the interval": round(within, 5),
    }


if __name__ == "__main__":
    main()

r"""How many children an hour: one compiled network for all, against one for each.

    python benchmarks/search_throughput.py --images 2560,10240,40960 --out results/search_benchmarks

The plain way is what one would write without this package's search: for each candidate the network
is built, compiled, and trained and tested by `fit` and `predict`, each called once. The same
candidates are trained with the same weights and batches in both ways, in turns, so that whatever
else the machine does meets both. The bound is what could be gained at most: the time of the plain
way over the same without building, tracing and compiling, which is measured by training each plain
network a second time. Times and ratios are medians over the candidates. What the shared network
compiles once, itself and each primitive when it is first met, is reported, too.

The child is the shallow one (ResNet-8), with --images images of Fashion-MNIST. Equal networks end
with equal rewards but for rounding, which the two ways do not share: "largest difference in reward"
is to be compared with the noise between seeds, 0.0054 with 10,240 images.

Needs a quarter of an hour, most of it for the largest.
"""

import dataclasses
import functools
import time

import keras
import numpy as np
import recording

from keras_swish import models
from keras_swish.search import Child, SearchSpace
from keras_swish.search.child import OK
from keras_swish.train import search


def measure(images: int, candidates: int, data_dir: str | None) -> dict:
    """Measures both ways with children of so many images."""
    random = np.random.default_rng(0)
    settings = dataclasses.replace(search.DEFAULT_CHILD, images=images)
    space = SearchSpace()
    child = recording.fashion_mnist_child(space, data_dir, settings)
    build = functools.partial(
        models.create,
        settings.model,
        input_shape=child.train_data[0].shape[1:],
        classes=10,
        filters=settings.filters,
        classifier_activation=None,
    )
    tame = [
        ("x", function, binary)
        for function in ("sigmoid(x)", "tanh(x)", "sin(x)", "erf(x)", "arctan(x)", "max(x,0)")
        for binary in ("x1*x2", "x1-x2", "max(x1,x2)", "min(x1,x2)")
    ]
    found, once = [], 0.0
    for place in random.permutation(len(tame)):
        u1, u2, b = tame[place]
        candidate = space.candidate(u1=u1, u2=u2, b=b)
        # The first candidate compiles the network, and each new primitive itself.
        first = child.evaluate(candidate, 0)
        # One that diverges is stopped by the search, and trained on by the plain way.
        if first.status == OK:
            found.append(candidate)
            once += first.seconds
        if len(found) == candidates:
            break
    weights = [child.plain(candidate, 0).get_weights() for candidate in found]
    # Untimed: that set TensorFlow's seed, which makes it forget what it prepared.
    child.evaluate(found[0], 0)
    shared, plain, bare, rewards = [], [], [], []
    for candidate, initial in zip(found, weights, strict=True):
        ours = child.evaluate(candidate, 0)
        shared.append(ours.seconds)
        start = time.perf_counter()
        network = build(activation=str(space.formula(candidate)))
        network.set_weights(initial)
        child.compile(network)
        theirs = fitted(child, network)
        plain.append(time.perf_counter() - start)
        start = time.perf_counter()
        fitted(child, network)
        bare.append(time.perf_counter() - start)
        rewards.append((ours.reward, theirs))
    shared, plain, bare = map(np.array, (shared, plain, bare))
    return {
        "images": images,
        "candidates": candidates,
        "shared, s": round(float(np.median(shared)), 2),
        "plain, s": round(float(np.median(plain)), 2),
        "plain without compiling, s": round(float(np.median(bare)), 2),
        "gain": round(float(np.median(plain / shared)), 2),
        "bound": round(float(np.median(plain / bare)), 2),
        "share of the bound": round(float(np.median(bare / shared)), 3),
        "once, s": round(once - float(np.sum(shared)), 1),
        "an hour": round(3600 / float(np.median(shared))),
        "largest difference in reward": round(max(abs(a - b) for a, b in rewards), 4),
    }


def fitted(child: Child, network: keras.Model) -> float:
    """Trains a network with the batches of a child's seed 0; returns its reward."""
    (x, y), size = child.train_data, child.config.batch_size
    rows = np.concatenate([child.order(0, epoch) for epoch in range(child.config.epochs)])
    network.fit(x[rows], y[rows], batch_size=size, shuffle=False, verbose=0)
    inputs, labels = child.validation
    return child.reward(labels, network.predict(inputs, batch_size=size, verbose=0))


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--images", default="2560,10240,40960", help="sizes of the children")
    parser.add_argument("--data_dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--candidates", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for images in map(int, arguments.images.split(",")):
        rows.append(measure(images, arguments.candidates, arguments.data_dir))
        print(rows[-1], flush=True)
        recording.write(arguments.out, "throughput", rows)


if __name__ == "__main__":
    main()

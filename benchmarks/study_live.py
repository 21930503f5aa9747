"""Do live searches rediscover Swish? "Rediscovery" of docs/study.md.

    python benchmarks/study_live.py results/study/live --out results/study/live

Reads FOLDER/SEED/study.log of each `keras-swish search --top_seeds=1`, and trains nothing. A search
rediscovers Swish if a function of Swish's shape is among its ten best; those with an equal reward
count as better. live.csv has two rows for each search, one for Swish's shape and one, which is not
the plan's, for that of the best finalist: the place of the best function of that shape, how many
other shapes are before it, how many functions were trained until the first, and the rewards beside
those of the best and of ReLU.
"""

import pathlib
from typing import Any

import recording
import search_table

from keras_swish import io
from keras_swish.search import Study, functions

BEST = 10
# In as many searches it has to be among the best.
SEARCHES = 2
SWISH = "swish"
# What is said of the best function of a shape, where there is one.
OF_SHAPE = ("function", "its reward", "its place", "shapes ahead", "found after")
# The finalist that is furthest ahead of ReLU in the target network.
FINALIST = "max(beta * x, tanh(x))"


def rows(study: Study) -> list[dict[str, Any]]:
    """Returns what a search came to, without its references: a row for each shape.

    Raises:
        ValueError: If no function has been trained.
    """
    space = study.space
    # In the order of their training.
    rewards = {candidate: _reward(found) for candidate, found in study.outcomes.items()}
    if not rewards:
        raise ValueError("no function has been trained")
    best = max(rewards, key=rewards.__getitem__)
    known = [functions.find(text, space).candidate for text in (SWISH, FINALIST)]
    first, second, *shapes = search_table.shapes(space, [*known, *rewards])
    shape_of = dict(zip(rewards, shapes, strict=True))
    made = []
    for text, shape in ((SWISH, first), (FINALIST, second)):
        row = {
            "functions": len(rewards),
            "best": str(space.formula(best)),
            "reward": round(rewards[best], 4),
            "reward of relu": round(_reward(study.references["relu"]), 4),
            "shape of": text,
            **dict.fromkeys(OF_SHAPE, ""),
            "among the best": False,
        }
        alike = [c for c in rewards if shape_of[c] == shape]
        if alike:
            its_best = max(alike, key=rewards.__getitem__)
            not_better = [c for c in rewards if rewards[c] >= rewards[its_best] and c not in alike]
            row |= {
                "function": str(space.formula(its_best)),
                "its reward": round(rewards[its_best], 4),
                "its place": 1 + len(not_better),
                "shapes ahead": len({shape_of[c] for c in not_better}),
                "found after": 1 + list(rewards).index(alike[0]),
                "among the best": len(not_better) < BEST,
            }
        made.append(row)
    return made


def _reward(outcomes: dict[int, Any]) -> float:
    """Returns the reward with the first seed, which every function has."""
    return outcomes[min(outcomes)].reward


def main() -> None:
    """Prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="has a folder for each search")
    arguments = parser.parse_args()
    made = []
    for path in sorted(arguments.folder.glob("*/study.log")):
        try:
            made += [{"search": path.parent.name, **row} for row in rows(Study.load(path))]
        except ValueError as error:
            parser.error(f"{path}: {error}")
    if not made:
        parser.error(f"{arguments.folder}: no SEED/study.log of a search")
    for row in made:
        recording.show(row)
    of_swish = [row["among the best"] for row in made if row["shape of"] == SWISH]
    print(f"rediscovered in {sum(of_swish)} of {len(of_swish)}; success: in {SEARCHES} of 3")
    if arguments.out:
        io.write_csv(arguments.out / "live.csv", made)


if __name__ == "__main__":
    main()

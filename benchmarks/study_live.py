"""Do live searches rediscover Swish? "Rediscovery" of docs/study.md.

    python benchmarks/study_live.py results/study/live --out results/study/live

Reads FOLDER/SEED/study.log of each `keras-swish search --top_seeds=1`, and trains nothing. A search
rediscovers Swish if a function of Swish's shape is among its ten best; those with an equal reward
count as better. live.csv has a row for each search: the place of that function, how many functions
were trained until the first of Swish's shape, and the rewards beside those of the best and of ReLU.
"""

import pathlib
from typing import Any

import recording
import study_finalists

from keras_swish import io
from keras_swish.search import Study

BEST = 10
# In as many searches it has to be among the best.
SEARCHES = 2


def row(study: Study) -> dict[str, Any]:
    """Returns what a search came to, without its references.

    Raises:
        ValueError: If no function has been trained.
    """
    space = study.space
    # In the order of their training.
    rewards = {candidate: _reward(found) for candidate, found in study.outcomes.items()}
    if not rewards:
        raise ValueError("no function has been trained")
    formulas = {candidate: str(space.formula(candidate)) for candidate in rewards}
    best = max(rewards, key=rewards.__getitem__)
    made = {
        "functions": len(rewards),
        "best": formulas[best],
        "reward": round(rewards[best], 4),
        "reward of relu": round(_reward(study.references["relu"]), 4),
        **dict.fromkeys(("Swish's shape", "its reward", "its place", "found after"), ""),
        "rediscovered": False,
    }
    swish = [c for c in rewards if study_finalists.has_swishs_shape(formulas[c], space)]
    if swish:
        its_best = max(swish, key=rewards.__getitem__)
        not_better = [c for c in rewards if rewards[c] >= rewards[its_best] and c not in swish]
        made |= {
            "Swish's shape": formulas[its_best],
            "its reward": round(rewards[its_best], 4),
            "its place": 1 + len(not_better),
            "found after": 1 + list(rewards).index(swish[0]),
            "rediscovered": len(not_better) < BEST,
        }
    return made


def _reward(outcomes: dict[int, Any]) -> float:
    """Returns the reward with the first seed, which every function has."""
    return outcomes[min(outcomes)].reward


def main() -> None:
    """Prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="has a folder for each search")
    arguments = parser.parse_args()
    rows = []
    for path in sorted(arguments.folder.glob("*/study.log")):
        try:
            rows.append({"search": path.parent.name, **row(Study.load(path))})
        except ValueError as error:
            parser.error(f"{path}: {error}")
    if not rows:
        parser.error(f"{arguments.folder}: no SEED/study.log of a search")
    for one in rows:
        print(*(f"{key}: {value}" for key, value in one.items()), sep="  ")
    found = sum(one["rediscovered"] for one in rows)
    print(f"rediscovered in {found} of {len(rows)} searches; success: in {SEARCHES} of 3")
    if arguments.out:
        io.write_csv(arguments.out / "live.csv", rows)


if __name__ == "__main__":
    main()

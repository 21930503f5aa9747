"""Where the numbers of a comparison are from: commands, data, recipes, machines."""

from typing import Any

from ..datasets.base import held_out_share
from ..trainer.recipes import RECIPES, Recipe, applied_bn_momentum
from . import html, runs
from .runs import Row

# What the files of ImageNet's form tell.
COUNTS = ("classes", "training", "test")


def section(record: dict[str, Any], rows: list[Row]) -> str:
    """Returns the section of the page.

    Args:
        record: The content of the folder's config.json.
        rows: All its runs.
    """
    minutes = sum(row["seconds"] for row in rows) / 60
    command, machine = html.origin(record)
    short, complete = _recipes(record["config"], rows)
    facts = [
        *[command] * bool(record["starts"]),
        _data(record["config"]),
        *short,
        f"Budget: {minutes:.1f} minutes of training for all {len(rows)} runs.",
        *[machine] * bool(record["starts"]),
    ]
    return "\n\n".join(
        [
            "\n".join(f"* {fact}" for fact in facts),
            html.fold("Every setting", "\n".join(f"* {fact}" for fact in complete)),
        ]
    )


def _data(config: dict[str, Any]) -> str:
    dataset, *splits = (html.code(config[k]) for k in ("dataset", "train_split", "test_split"))
    mirrored = "half of them" if config["flip"] else "not"
    validation = config.get("validation_split")
    if "image_files" in config:
        facts = config["image_files"]
        classes, training, test = (f"{facts[k]:,}" for k in COUNTS)
        purposes = f"{test} of the split {splits[1]} for validation and test"
        if validation:
            held_out = held_out_share(validation) is not None
            origin = "held out of it" if held_out else f"of the split {html.code(str(validation))}"
            purposes = f"{facts['validation']:,} {origin} for validation, {test} of the split "
            purposes += f"{splits[1]} for the test"
        return (
            f"Data: {dataset}, {classes} classes; {training} images of the split {splits[0]} for "
            f"training, cropped at random, distorted, {mirrored} mirrored; {purposes}, the single "
            "central crop."
        )
    size = f", scaled to {config['image_size']} pixels" if config["image_size"] else ""
    share = held_out_share(validation or 0.1)
    part = "a tenth" if share == 0.1 else share
    origin = f"of which {part} is held out for validation"
    if share is None:
        origin = f"validation split {html.code(str(validation))}"
    return (
        f"Data: {dataset}{size}, training split {splits[0]} {origin}, test split {splits[1]}; "
        f"random crops after padding with {config['pad']} pixels on each side, {mirrored} mirrored."
    )


def _recipes(config: dict[str, Any], rows: list[Row]) -> tuple[list[str], list[str]]:
    """Returns sentences on each recipe, short and complete, with the networks that have it."""
    networks: dict[tuple[str, str], list[str]] = {}
    for model, model_rows in runs.group(rows, "model").items():
        network = config.get("networks", {}).get(model, config)
        recipe = dict(network["recipe"])
        rates = sorted({row["learning_rate"] for row in model_rows})
        recipe["learning_rate"] = " and ".join(f"{rate:g}" for rate in rates)
        steps = max(row["steps"] for row in model_rows)
        momentum = recipe["bn_momentum"]
        if steps:  # none where every run diverged at once
            parts = recipe.get("accumulation_steps", 1)
            own, applied = (
                applied_bn_momentum(steps * parts, momentum, converges, parts)
                for converges in (False, recipe.get("bn_converges", False))
            )
            if momentum is None or applied != own:
                recipe["bn_momentum"] = f"{applied:.4g} (from the number of steps)"
        if "image_files" in config:
            recipe["image_size"] = network["image_size"]
        source = recipe.pop("source")
        settings = ", ".join(f"{k} {v}" for k, v in recipe.items())
        texts = _differences({**recipe, "bn_momentum": momentum}, source), f"{settings} ({source})."
        networks.setdefault(texts, []).append(html.code(model))
    several = len(networks) > 1
    named = [
        (f"Recipe{' of ' + ', '.join(names) if several else ''}: ", texts)
        for texts, names in networks.items()
    ]
    return [start + texts[0] for start, texts in named], [
        start + texts[1] for start, texts in named
    ]


def _differences(settings: dict[str, Any], source: str) -> str:
    """Returns a recipe as what differs from the one of this package that it was made of."""
    name = _name(source)
    if name is None:
        return f"{source}."
    known = RECIPES[name]
    changed = []
    for key, value in settings.items():
        if key == "learning_rates" or not hasattr(known, key):
            continue
        before = getattr(known, key)
        before = f"{before:g}" if key == "learning_rate" else before
        if value != (list(before) if isinstance(before, tuple) else before):
            changed.append(f"{key} {value}")
    changes = f", but {', '.join(changed)}" if changed else ", unchanged"
    return f"`{name}`{changes} ({source})."


def _name(source: str) -> str | None:
    """Returns the recipe of a source, which may have been written with fewer words before."""

    def begins(recipe: Recipe) -> bool:
        return recipe.source.startswith(source) or source.startswith(recipe.source)

    return next((name for name, recipe in RECIPES.items() if begins(recipe)), None)

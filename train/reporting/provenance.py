"""What a comparison was made from: command, data, recipes, budget, machine."""

from typing import Any

from keras_swish.optimizers import converged_bn_momentum

from ..datasets.base import held_out_share
from . import html, runs
from .runs import Row

# What the files of ImageNet's form tell.
COUNTS = ("classes", "training", "test")


def text(record: dict[str, Any], rows: list[Row]) -> str:
    """Returns the list of what a comparison was made from, in Markdown."""
    minutes = sum(row["seconds"] for row in rows) / 60
    command, machine = html.origin(record)
    facts = [
        command,
        _data(record["config"]),
        *_recipes(record["config"], rows),
        f"Budget: {minutes:.1f} minutes of training for all {len(rows)} runs.",
        machine,
    ]
    return "\n".join(f"* {fact}" for fact in facts)


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


def _recipes(config: dict[str, Any], rows: list[Row]) -> list[str]:
    """Returns a sentence for each recipe, with its networks where there are several recipes."""
    networks: dict[str, list[str]] = {}
    for model, model_rows in runs.group(rows, "model").items():
        network = config.get("networks", {}).get(model, config)
        recipe = dict(network["recipe"])
        rates = sorted({row["learning_rate"] for row in model_rows})
        recipe["learning_rate"] = " and ".join(f"{rate:g}" for rate in rates)
        steps = max(row["steps"] for row in model_rows)
        adapts = recipe["bn_momentum"] is None or recipe.get("bn_converges")
        if adapts and steps:  # none where every run diverged at once
            calls = steps * recipe.get("accumulation_steps", 1)
            chosen = converged_bn_momentum(calls, recipe["bn_momentum"] or 0.99)
            recipe["bn_momentum"] = f"{chosen:.4g} (from the number of steps)"
        if "image_files" in config:
            recipe["image_size"] = network["image_size"]
        settings = ", ".join(f"{k} {v}" for k, v in recipe.items() if k != "source")
        networks.setdefault(f"{settings} ({recipe['source']}).", []).append(html.code(model))
    several = len(networks) > 1
    return [
        f"Recipe{' of ' + ', '.join(names) if several else ''}: {text}"
        for text, names in networks.items()
    ]

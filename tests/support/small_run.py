"""A training run of seconds, with every part that a recipe can ask for."""

import dataclasses
import json

import keras

from keras_swish.models import network
from keras_swish.models.drop_path import DropPath
from keras_swish.train.trainer import recipes, trainer

RECIPE = recipes.Recipe(
    "a test", epochs=4, batch_size=16, learning_rate=0.1, schedule="cosine", ema_momentum=0.5
)


def run(activation="swish_beta", seed=0, weights=None, **recipe):
    recipe = dataclasses.replace(RECIPE, **recipe)
    return trainer.Run("tiny", "small", activation, seed, recipe, weights=weights)


def finish(run, directory, accuracy, best_rate, **columns):
    """Writes what a training leaves, best by validation at that learning rate, without training."""
    rate = run.recipe.learning_rate
    result = {
        "model": run.model,
        "learning_rate": rate,
        "activation": run.activation,
        "seed": run.seed,
        "test_accuracy": accuracy,
        "validation_accuracy": accuracy - abs(rate - best_rate),
        "epochs": 1,
        "steps": 5,
        "seconds": 1.0,
        "status": "ok",
        **columns,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_text(json.dumps(result))
    (directory / "log.csv").write_text("epoch,loss,val_accuracy,seconds\n0,1.0,0.5,1.0\n")
    return result


def small_network(
    auxiliary=False, dropout=0.0, drop_path=0.0, drop_path_steps=None, **common
) -> keras.Model:
    """A network of two layers that has every part that a recipe can ask for."""
    net = network.Network(network.Published(size=8, min_size=8), **common)
    x = net.conv_norm_act(net.image, 8, 3, "conv1", 2)
    second = net.auxiliary_classifier(x) if auxiliary else None
    x = DropPath(drop_path, drop_path_steps, name="drop_path")(x)
    x = net.conv_norm_act(x, 16, 3, "conv2")
    return net.model(x, dropout, second)

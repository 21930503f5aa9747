"""Trains one network with one activation on small images, and tests it.

Examples:
  keras-swish cifar --activation=swish
      a ResNet-8 on the digits that ship inside scikit-learn: half a minute.
  keras-swish cifar --dataset=cifar10 --model=resnet110 --activation=swish
      the network and the recipe of He et al. 2016; hours on a GPU.
  keras-swish cifar --dataset=cifar10 --model=resnet20 --epochs=20 --out=runs/mine
      a shorter schedule, in a folder of its own; killed, the same command goes on.

The folder --out gets config.json (settings, versions, hardware), log.csv (a row an
epoch), model.keras (its outputs are logits) and result.json (the test, read once).
"""

from absl import flags

from .app import program
from .errors import DivergedError
from .trainer import trainer

ACTIVATION = flags.DEFINE_string(
    "activation",
    "swish",
    "Activation: a name of keras_swish.names() or of keras.activations, or a formula.",
)


def main() -> None:
    """Runs the program."""
    devices = program.start_devices()
    settings = program.settings({"activation": [ACTIVATION.value]})
    run = trainer.Run(activation=ACTIVATION.value, seed=program.FLAGS.seed, **settings)
    dataset = program.load_dataset(settings)
    program.check_fits(run.recipe, dataset.training_images)
    options = program.fitting_options()
    out = program.out_directory("cifar", run.config(), devices)
    result = trainer.train(run, dataset, out, **options, devices=devices)
    if result["status"] != "ok":
        raise DivergedError(result["status"])
    print(f"test accuracy {result['test_accuracy']:.2%}")
    print(f"results: {out}")


if __name__ == "__main__":
    program.run(main)

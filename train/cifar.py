"""Trains one network with one activation on small images, and tests it.

Examples:
  keras-swish cifar --activation=swish
      a ResNet-8 on the digits that ship inside scikit-learn: half a minute.
  keras-swish cifar --dataset=cifar10 --model=resnet110 --activation=swish
      the network and the recipe of He et al. 2016; hours on a GPU.
  keras-swish cifar --dataset=cifar10 --model=resnet20 --epochs=20 --out=runs/mine
      a shorter schedule, in a folder of its own; killed, the same command resumes.
  keras-swish cifar --dataset=cifar10 --model=mine.networks:small --recipe=modern
      a network of your own: mine/networks.py has a function small(input_shape, classes) that
      returns a keras.Model, whose activations are replaced, or takes `activation` too.

The folder --out gets config.json (settings, versions, hardware, names of classes), log.csv (a row
an epoch), model.keras (its outputs are logits) and result.json (the test, read once).
"""

from absl.flags import FlagValues

from .app import data, flags, settings, training
from .app import main as app
from .datasets import in_memory
from .trainer import trainer


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    flags.define_activation_flag(flag_values)
    flags.define_model_flag(flag_values)
    flags.define_weights_flag(flag_values)
    flags.define_data_flags(flag_values)
    flags.define_validation_flag(flag_values)
    flags.define_augmentation_flags(flag_values)
    flags.define_seed_flag(flag_values)
    flags.define_recipe_flags(flag_values, without=["learning_rates"])
    flags.define_training_flags(flag_values)
    flags.define_device_flags(flag_values)
    flags.define_output_flags(flag_values)


def main(flag_values: FlagValues) -> None:
    """Runs the program."""
    devices = settings.started_devices(flag_values)
    activation = flag_values.activation
    settings.check_activations("activation", [activation])
    default_model = in_memory.SPECS.get(flag_values.dataset, in_memory.OTHER).model
    model = settings.chosen_model(flag_values, default_model)
    chosen = data.in_memory_settings(flag_values, model, activation)
    if flag_values.print_recipe:
        settings.print_recipes({model: chosen["recipe"]})
        return
    dataset = data.load(flag_values, chosen)
    run = trainer.Run(activation=activation, seed=flag_values.seed, **chosen)
    training.train_one(flag_values, "cifar", run, dataset, devices)


if __name__ == "__main__":
    app.run(main, define_flags)

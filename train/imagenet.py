r"""Trains one network of ImageNet's kind on images larger than memory, and tests it.

Examples:
  keras-swish imagenet --model=nasnet_mobile --activation=swish
      the network and the recipe of the paper, on TFDS's imagenet2012; weeks on a GPU.
  keras-swish imagenet --dataset=/data/imagenet --model=mobilenet --out=runs/mine
      images in /data/imagenet/train/CLASS/ and /data/imagenet/validation/CLASS/; killed,
      or stopped by SIGTERM, the same command resumes.
  keras-swish imagenet --dataset='gs://bucket/imagenet/{split}-*' --classes=1000 \
      --model=inception_v3 --strategy=data_parallel --batch_size=256
      TFRecords as TF-Slim's script writes them, on all devices of this machine.
  keras-swish imagenet --dataset=/data/flowers --image_size=96 --steps=2000 --model=mobilenet
      a small dataset on a laptop.
  keras-swish imagenet --model=mobilenet --activation=swish --print_recipe
      prints the recipe that the network would be trained with.

Training images are cropped at random and distorted as the Inception networks' were; for
validation and test, which are the same split unless --validation_split names another or a share of
the training split, the single central crop is taken. The test is top-1 and top-5 accuracy, with the
moving average of the weights.

The folder --out gets config.json (settings, versions, hardware, names of classes), log.csv (a row
every --steps_per_epoch steps), checkpoints/, model.keras (its outputs are logits), result.json, and
corrupt.txt, if there are images that cannot be decoded or labels out of range.
"""

from absl.flags import FlagValues

from .app import data, flags, settings, training
from .app import main as app
from .datasets import imagenet
from .trainer import trainer


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    flags.define_activation_flag(flag_values)
    flags.define_model_flag(flag_values, f"By default: {imagenet.MODEL}.")
    flags.define_weights_flag(flag_values)
    flags.define_data_flags(flag_values, "imagenet2012")
    flags.define_validation_flag(flag_values)
    flags.define_image_file_flags(flag_values)
    flags.define_augmentation_flags(flag_values, pad=False)
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
    model = settings.chosen_model(flag_values, imagenet.MODEL)
    chosen = data.image_file_settings(flag_values, model, activation)
    if flag_values.print_recipe:
        settings.print_recipes({model: chosen["recipe"]})
        return
    dataset = data.load(flag_values, chosen)
    chosen["image_files"] = dataset.facts
    run = trainer.Run(activation=activation, seed=flag_values.seed, **chosen)
    training.train_one(flag_values, "imagenet", run, dataset, devices)


if __name__ == "__main__":
    app.run(main, define_flags)

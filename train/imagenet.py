r"""Trains one network of ImageNet's kind on pictures too many for memory, and tests it.

Examples:
  keras-swish imagenet --model=nasnet_mobile --activation=swish
      the network and the recipe of the paper, on TFDS's imagenet2012; weeks on a GPU.
  keras-swish imagenet --dataset=/data/imagenet --model=mobilenet --out=runs/mine
      pictures in /data/imagenet/train/CLASS/ and /data/imagenet/validation/CLASS/; killed,
      or stopped by SIGTERM, the same command goes on.
  keras-swish imagenet --dataset='gs://bucket/imagenet/{split}-*' --classes=1000 \
      --model=inception_v3 --strategy=data_parallel --batch_size=256
      TFRecords as TF-Slim's script writes them, on all devices of this machine.
  keras-swish imagenet --dataset=/data/flowers --image_size=96 --steps=2000 --model=mobilenet
      a small dataset on a laptop.
  keras-swish imagenet --model=mobilenet --activation=swish --print_recipe
      prints what would be trained, and with which settings.

Training pictures are cropped at random and distorted as the Inception networks' were; for
validation and test, which here are the same split, the single central crop is taken. The test
is top-1 and top-5 accuracy, with the moving average of the weights.

The folder --out gets config.json (settings, versions, hardware), log.csv (a row every
--steps_per_epoch steps), checkpoints/, model.keras (its outputs are logits), result.json, and
corrupt.txt, if there are pictures that cannot be decoded.
"""

from .app import program, recipe_flags
from .cifar import ACTIVATION
from .datasets import imagenet as imagenet_dataset
from .errors import DivergedError
from .trainer import trainer


def main() -> None:
    """Runs the program."""
    devices = program.start_devices()
    program.check_activations({"activation": [ACTIVATION.value]})
    model = program.chosen_model(imagenet_dataset.MODEL)
    settings = imagenet_dataset.settings(model, ACTIVATION.value)
    recipe_flags.show({model: settings["recipe"]})
    pictures = imagenet_dataset.load(settings)
    settings["pictures"] = pictures.facts
    run = trainer.Run(activation=ACTIVATION.value, seed=program.FLAGS.seed, **settings)
    program.check_fits(run.recipe, pictures.training_images)
    options = program.fitting_options()
    out = program.out_directory("imagenet", run.config(), devices)
    result = imagenet_dataset.train(run, pictures, out, **options, devices=devices)
    if result["status"] != "ok":
        raise DivergedError(result["status"])
    print(f"top-1 accuracy {result['test_accuracy']:.2%}")
    if "test_top_5_accuracy" in result:
        print(f"top-5 accuracy {result['test_top_5_accuracy']:.2%}")
    print(f"results: {out}")


if __name__ == "__main__":
    program.run(main)

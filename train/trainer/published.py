"""The recipes by name, each with its source; a new one is one object in `RECIPES`."""

import re

from .recipe import Recipe, scaled

# Authors' code: the comments and defaults of TF-Slim (github.com/tensorflow/models, slim).
_SWISH = (
    "The Swish paper (shared by all five): RMSProp, three learning rates per activation, a "
    "slightly lower one for Swish; which ones is not stated: 1, 0.75 and 0.5 times the authors', "
    "and 0.75 for Swish by default, are this project's. They "
    "tried a second set of rates for ELU, SELU and PReLU, and SELU's own initialisation: not here."
)
_CIFAR = " Not theirs: a tenth of the images is held out, and kernels alone are decayed, not all."
_INCEPTION = {
    "epochs": 100,
    "batch_size": 32,
    "learning_rate": 0.045,
    "schedule": "exponential",
    "steps": 4_000_000,
    "decay_factor": 0.94,
    "decay_epochs": 2.0,
    "optimizer": "rmsprop",
    "ema_momentum": 0.9999,
    "weight_decay": 4e-5,
    "label_smoothing": 0.1,
    "auxiliary_weight": 0.4,
    "dropout": 0.2,
    "bn_momentum": 0.9997,
    "swish_learning_rate": 0.03375,
    "learning_rates": (0.045, 0.03375, 0.0225),
}

# Synchronous replicas: their learning rates are those of all.
_NASNET = {
    "batch_size": 1600,
    "schedule": "exponential",
    "epochs": 312,
    "steps": 250_000,
    "decay_factor": 0.97,
    "decay_epochs": 2.4,
    "optimizer": "rmsprop",
    "clip_norm": 10.0,
    "ema_momentum": 0.9999,
    "weight_decay": 4e-5,
    "label_smoothing": 0.1,
    "auxiliary_weight": 0.4,
    "dropout": 0.5,
    "bn_momentum": 0.9997,
}
_RESIDUAL = {
    "epochs": 90,
    "batch_size": 256,
    "learning_rate": 0.1,
    "schedule": "step",
    "milestones": (1 / 3, 2 / 3),
    "bn_momentum": 0.9,
}

RECIPES = {
    "short": Recipe(
        source="this project: minutes on a CPU; cosine schedule of Loshchilov and Hutter 2017; one "
        "learning rate for batches of 64 and of 128 images",
        epochs=24,
        batch_size=64,
        learning_rate=0.1,
        schedule="cosine",
        warmup_epochs=1,
        weight_decay=5e-4,
        batch_scaling="none",
    ),
    "cifar": Recipe(
        source="He et al. 2016 (Deep Residual Learning), section 4.2: 64,000 steps of 128 images; "
        "an epoch of warm-up, there 400 steps and for ResNet-110 only; Nesterov as in their "
        "later code",
        epochs=182,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        warmup_epochs=1,
        bn_momentum=0.9,
    ),
    "finetune": Recipe(
        source="this project: a tenth of the learning rate that small networks are trained with",
        epochs=5,
        batch_size=64,
        learning_rate=0.01,
        schedule="cosine",
        warmup_epochs=0.5,
    ),
    "resnet164": Recipe(
        source="He et al. 2016 (Identity Mappings), appendix: 64,000 steps of 128 images, a tenth "
        "of the learning rate for the first 400; Nesterov as in their code; the epochs are those "
        "of 45,000 images." + _CIFAR,
        epochs=182,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        warmup_epochs=1.14,
        bn_momentum=0.9,
    ),
    "wrn_28_10": Recipe(
        source="Zagoruyko and Komodakis 2016, section 3: a fifth of the learning rate after 60, "
        "120 and 160 epochs; no dropout (theirs with it: --dropout=0.3). Crops are padded with "
        "zeros, theirs with reflections." + _CIFAR,
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        milestones=(0.3, 0.6, 0.8),
        decay_factor=0.2,
        weight_decay=5e-4,
        bn_momentum=0.9,
    ),
    "densenet_100_12": Recipe(
        source="Huang et al. 2017, section 4.2; no dropout, as they train with augmentation "
        "(without: --dropout=0.2 --pad=0 --noflip)." + _CIFAR,
        epochs=300,
        batch_size=64,
        learning_rate=0.1,
        schedule="step",
        bn_momentum=0.9,
    ),
    "nasnet_mobile": scaled(
        Recipe(
            source="The authors' code, notes on the mobile network: 50 synchronous replicas with "
            "32 images and a learning rate of 0.04 each, 250,000 steps, gradients clipped at a "
            "norm of 10; no drop path. By default for one replica. " + _SWISH,
            learning_rate=2.0,
            swish_learning_rate=1.5,
            learning_rates=(2.0, 1.5, 1.0),
            **_NASNET,
        ),
        batch_size=32,
    ),
    "nasnet_large": scaled(
        Recipe(
            source="The authors' code, notes on the large network: 100 synchronous replicas with "
            "16 images and a learning rate of 0.015 each, 250,000 steps, gradients clipped at a "
            "norm of 10, drop path of 0.3; weight decay of 4e-5 as their training script has it, "
            "where the network's own default is 5e-5. By default for one replica.",
            learning_rate=1.5,
            drop_path=0.3,
            **_NASNET,
        ),
        batch_size=16,
    ),
    "inception_v3": Recipe(
        source="Szegedy et al. 2016 (Rethinking the Inception Architecture), sections 7 and 8: "
        "50 replicas with 32 images each, 100 epochs, gradients clipped at 2, moving average of "
        "the weights; weight decay, dropout and the auxiliary weight as in the authors' code. The "
        "learning rate is that of one replica. " + _SWISH,
        clip_norm=2.0,
        **_INCEPTION,
    ),
    "inception_v4": Recipe(
        source="Szegedy et al. 2017 (Inception-v4), section 4: 20 replicas, the learning rate is "
        "that of one; weight decay, label smoothing and the auxiliary weight as in the authors' "
        "code; number of steps: Inception-v3's. " + _SWISH,
        **_INCEPTION,
    ),
    "inception_resnet_v2": Recipe(
        source="Szegedy et al. 2017 (Inception-v4), section 4, as for Inception-v4: 20 replicas, "
        "the learning rate is that of one; weight decay, label smoothing and the auxiliary weight "
        "as in the authors' code; number of steps: Inception-v3's. " + _SWISH,
        **_INCEPTION,
    ),
    "resnet": Recipe(
        source="He et al. 2015 (Deep Residual Learning), section 3.4, and 2016 (Identity Mappings) "
        "for the pre-activation networks: a tenth of the learning rate when the error stops "
        "falling, here after 30 and 60 of 90 epochs, with Nesterov's momentum, as in Facebook's "
        "code for both.",
        **_RESIDUAL,
    ),
    "densenet": Recipe(
        source="Huang et al. 2017 (Densely Connected Networks), section 4.2: 90 epochs, a tenth of "
        "the learning rate after 30 and 60; no dropout, as they train with augmentation.",
        **_RESIDUAL,
    ),
    "modern": scaled(
        Recipe(
            source="Liu et al. 2022 (A ConvNet for the 2020s), table 5: ConvNeXt's training from "
            "4,096 images a step, for any network. Not theirs: no stochastic depth but what "
            "--drop_path gives, RandAugment's magnitude without noise, a warm-up from a tenth of "
            "the learning rate, crops and scaling as for the other recipes. By default for 256 "
            "images.",
            epochs=300,
            batch_size=4096,
            learning_rate=4e-3,
            schedule="cosine",
            warmup_epochs=20,
            optimizer="adamw",
            weight_decay=0.05,
            ema_momentum=0.9999,
            label_smoothing=0.1,
            rand_augment=9,
            random_erasing=0.25,
            mixup=0.8,
            cutmix=1.0,
        ),
        batch_size=256,
    ),
    "mobilenet": Recipe(
        source="Howard et al. 2017, section 3.2: trained like Inception-v3, without auxiliary "
        "head, without decay of depthwise kernels; weight decay and dropout as in the authors' "
        "code. They use no label smoothing: here it is that of the other four, a choice of this "
        "project, as is the number of steps. " + _SWISH,
        **{**_INCEPTION, "auxiliary_weight": 0.0, "dropout": 0.001, "decay_depthwise": False},
    ),
}

# Networks of one family that share a recipe for ImageNet.
FAMILIES = {
    r"resnet(18|34|50|101|152)(v2)?": "resnet",
    r"densenet(121|169|201)": "densenet",
}


def for_image_files(model: str) -> str:
    """Returns the name of the recipe that a network is trained with on images of ImageNet's form.

    Inception-v3's is that of networks without one.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> [recipes.for_image_files(model) for model in ("nasnet_large", "resnet50v2", "resnet8")]
        ['nasnet_large', 'resnet', 'inception_v3']
    """
    if model in RECIPES:
        return model
    families = (name for pattern, name in FAMILIES.items() if re.fullmatch(pattern, model))
    return next(families, "inception_v3")

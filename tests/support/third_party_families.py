"""Models of other packages of PyPI, and what was read in the source of each."""

import keras
from family import Family, fused, images, random

CLASSES = 3


def tcn(**arguments):
    def build():
        import tcn

        inputs = keras.Input((10, 3))
        x = tcn.TCN(4, kernel_size=2, dilations=(1, 2), **arguments)(inputs)
        x_train = random().normal(size=(4, 10, 3)).astype("float32")
        return keras.Model(inputs, keras.layers.Dense(2)(x)), x_train

    return build


def kimm(name, found, size=32, **facts):
    def build():
        from kimm import models

        arguments = {"weights": None, "classes": CLASSES, "classifier_activation": None}
        model = getattr(models, name)(input_shape=(size, size, 3), **arguments)
        return model, images(size)

    return Family("kimm", name, build, found, registered=False, **facts)


def crosses():
    from keras_rs.layers import FeatureCross

    inputs = keras.Input((6,))
    shared = FeatureCross(projection_dim=4, pre_activation="relu")
    x = shared(inputs, shared(inputs, inputs))
    x = FeatureCross(pre_activation="gelu")(inputs, x)
    x_train = random().normal(size=(4, 6)).astype("float32")
    return keras.Model(inputs, keras.layers.Dense(2)(x)), x_train


def simple_vit():
    from k3im.simple_vit import SimpleViT

    sizes = {"dim": 8, "depth": 2, "heads": 2, "mlp_dim": 12, "dim_head": 4}
    return SimpleViT((32, 32), (16, 16), num_classes=CLASSES, **sizes), images()


def mlp_mixer():
    from k3im.mlp_mixer import MlpMixer

    sizes = {"patch_size": 16, "num_blocks": 2, "embed_dim": 8}
    return MlpMixer(img_size=(32, 32), num_classes=CLASSES, **sizes), images()


def cct():
    from k3im.cct import CCT

    model = CCT(
        input_shape=(32, 32, 3),
        num_heads=2,
        projection_dim=8,
        kernel_size=3,
        stride=1,
        padding=1,
        transformer_units=[16, 8],
        stochastic_depth_rate=0.0,
        transformer_layers=2,
        num_classes=CLASSES,
        positional_emb=False,
    )
    return model, images()


def unet(name, activation, output_activation):
    def build():
        from keras_unet_collection import models

        model = getattr(models, name)(
            (32, 32, 3),
            [4, 8],
            2,
            activation=activation,
            output_activation=output_activation,
            batch_norm=True,
        )
        return model, images()

    return build


# What the last block's last activation makes is left unused where there are skip connections.
TCN_FACTS = {"unused": 1}
OPS_GELU = {"gelu": keras.ops.gelu}

THIRD_PARTY = [
    Family("tcn", "TCN", tcn(), {"relu": 8}, **TCN_FACTS),
    Family(
        "tcn",
        "TCN",
        tcn(activation="tanh", use_batch_norm=True),
        {"tanh": 8},
        variant=" tanh",
        **TCN_FACTS,
    ),
    kimm("VisionTransformerTiny16", {"gelu": 12}, called={"softmax": 12}),
    kimm("MobileViTXXS", {"swish": 34}, size=64, called={"softmax": 9}),
    kimm("RepVGGA0", {"relu": 22}),
    kimm("GhostNetW050", {"relu": 42, "hard_sigmoid": 7}),
    kimm("MobileNetV3W050Small", {"hard_silu": 19, "relu": 14, "hard_sigmoid": 9}),
    Family(
        "keras_rs",
        "FeatureCross",
        crosses,
        {"relu": 1, "gelu": 1},
        repeated=1,
        betas=6 + 6,
        note="a layer called twice",
    ),
    Family("k3im", "SimpleViT", simple_vit, {"gelu": 2, "softmax": 2}, **fused(2)),
    Family("k3im", "MlpMixer", mlp_mixer, {"gelu": 4}, own=OPS_GELU),
    Family(
        "k3im",
        "CCT",
        cct,
        {"relu": 2, "gelu": 4, "softmax": 2},
        called={"softmax": 1},
        own=OPS_GELU,
        loads=False,
        note="the original's file cannot be loaded either",
    ),
    Family(
        "keras_unet_collection",
        "unet_2d",
        unet("unet_2d", "ReLU", "Softmax"),
        {"relu": 7, "softmax": 1},
    ),
    Family(
        "keras_unet_collection",
        "att_unet_2d",
        unet("att_unet_2d", "GELU", "Sigmoid"),
        {"relu": 1, "sigmoid": 2},
        called={"tanh": 6},
        repeated=-6,  # the calls of TensorFlow's tanh are not among those of Keras's backend
        registered=False,
        note="its own GELU layer computes a formula with tanh: its class is a key",
    ),
]

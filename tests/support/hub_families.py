"""Tiny models of KerasHub, and what was read in the source of each."""

import numpy as np
from family import Family, fused, images, random

LENGTH, CLASSES = 6, 3

# KerasHub's own functions, as reports name them, and what these call.
APPROXIMATE = "keras_hub.src.utils.keras_utils.gelu_approximate"
QUICK = "keras_hub.src.models.clip.clip_layers.quick_gelu"
COMPUTES = {APPROXIMATE: "gelu", QUICK: "sigmoid"}


def token_ids():
    return random().integers(1, 20, (4, LENGTH))


def tokens(prefix=""):
    return {f"{prefix}token_ids": token_ids(), f"{prefix}padding_mask": np.ones((4, LENGTH), int)}


def both_tokens():
    return tokens("encoder_") | tokens("decoder_")


def segments():
    return {"segment_ids": np.zeros((4, LENGTH), int)}


def mask_positions():
    return {"mask_positions": np.array([[0, 2], [1, 3], [2, 4], [3, 5]])}


def sound():
    features = random().normal(size=(4, 12, 4)).astype("float32")
    return {"encoder_features": features, **tokens("decoder_")}


def prompts():
    return {
        "images": images(64),
        "points": np.full((4, 1, 2), 9.0, "float32"),
        "labels": np.ones((4, 1), "float32"),
        "boxes": np.full((4, 1, 2, 2), 5.0, "float32"),
        "masks": random().uniform(size=(4, 1, 16, 16, 1)).astype("float32"),
    }


def hub(name, config, x, found, head=None, **facts):
    """A class of KerasHub: a backbone, or a task with the backbone that it is for."""

    def build():
        import keras_hub

        model_class = getattr(keras_hub.models, name)
        if not hasattr(model_class, "backbone_cls"):
            return model_class(**config), x()
        return model_class(model_class.backbone_cls(**config), **(head or {})), x()

    return Family("keras_hub", name, build, found, computes=COMPUTES, **facts)


def causal(name, config, found, **facts):
    return hub(f"{name}CausalLM", config, tokens, found, generates=True, **facts)


def classifier(name, config, found, head=None, size=32, **facts):
    head = {"num_classes": CLASSES, **(head or {})}
    return hub(f"{name}ImageClassifier", config, lambda: images(size), found, head, **facts)


def segformer():
    from keras_hub import models

    encoder = models.MiTBackbone(**MIT)
    backbone = models.SegFormerBackbone(image_encoder=encoder, projection_filters=8)
    return models.SegFormerImageSegmenter(backbone, num_classes=CLASSES), images()


def clip():
    from keras_hub import models

    vision = models.CLIPVisionEncoder(**VISION, hidden_dim=8, intermediate_dim=12)
    text = models.CLIPTextEncoder(**TEXT, embedding_dim=8, max_sequence_length=LENGTH)
    backbone = models.CLIPBackbone(vision_encoder=vision, text_encoder=text, projection_dim=8)
    return backbone, {"images": images(), "token_ids": token_ids()}


def sam():
    import keras_hub

    encoder = keras_hub.models.ViTDetBackbone(
        hidden_size=8,
        num_layers=2,
        intermediate_dim=12,
        num_heads=2,
        global_attention_layer_indices=[1],
        patch_size=16,
        num_output_channels=8,
        window_size=2,
        image_shape=(64, 64, 3),
    )
    prompt = keras_hub.layers.SAMPromptEncoder(
        hidden_size=8,
        image_embedding_size=(4, 4),
        input_image_size=(64, 64),
        mask_in_channels=16,
    )
    decoder = keras_hub.layers.SAMMaskDecoder(
        num_layers=2,
        hidden_size=8,
        intermediate_dim=12,
        num_heads=2,
        embedding_dim=8,
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=8,
    )
    backbone = keras_hub.models.SAMBackbone(
        image_encoder=encoder, prompt_encoder=prompt, mask_decoder=decoder
    )
    return keras_hub.models.SAMImageSegmenter(backbone), prompts()


VOCABULARY = {"vocabulary_size": 20, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 12}
TEXT = VOCABULARY | {"num_heads": 2}
SHORT = TEXT | {"max_sequence_length": 8}
GROUPED = VOCABULARY | {"num_query_heads": 2, "num_key_value_heads": 1}
ELECTRA = {"vocab_size" if name == "vocabulary_size" else name: SHORT[name] for name in SHORT}
VISION = {"image_shape": (32, 32, 3), "patch_size": 16, "num_layers": 2, "num_heads": 2}
SWIN = {
    "image_shape": (32, 32, 3),
    "embed_dim": 8,
    "depths": [1, 2],
    "num_heads": [2, 2],
    "window_size": 4,
    "mlp_ratio": 2.0,
    "drop_path": 0.0,
}
MIT = {
    "image_shape": (32, 32, 3),
    "num_layers": 2,
    "hidden_dims": [8, 16],
    "layerwise_depths": [1, 1],
    "layerwise_num_heads": [1, 2],
    "layerwise_sr_ratios": [2, 1],
    "layerwise_patch_sizes": [7, 3],
    "layerwise_strides": [4, 2],
    "max_drop_path_rate": 0.0,
}
RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [3],
    "stackwise_num_filters": [64, 64],
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_strides": [1, 2],
    "block_type": "basic_block",
    "image_shape": (32, 32, 3),
}
EFFICIENTNET = {
    "stackwise_kernel_sizes": [3, 3],
    "stackwise_num_repeats": [1, 2],
    "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 4],
    "stackwise_strides": [1, 2],
    "stackwise_width_coefficients": [1.0, 1.0],
    "stackwise_depth_coefficients": [1.0, 1.0],
    "dropout": 0.0,
    "input_shape": (32, 32, 3),
}
V1 = {"stackwise_squeeze_and_excite_ratios": [0.25] * 2, "stackwise_block_types": ["v1"] * 2}
V2 = {
    "stackwise_squeeze_and_excite_ratios": [0, 0.25],
    "stackwise_block_types": ["fused", "unfused"],
}
DENSENET = {"stackwise_num_repeats": [1, 2], "growth_rate": 8, "image_shape": (32, 32, 3)}
VGG = {
    "stackwise_num_repeats": [1, 1],
    "stackwise_num_filters": [4, 8],
    "image_shape": (32, 32, 3),
}
MOBILENET = {
    "stackwise_expansion": [[16, 16], [24]],
    "stackwise_num_blocks": [2, 1],
    "stackwise_num_filters": [[8, 8], [16]],
    "stackwise_kernel_size": [[3, 3], [5]],
    "stackwise_num_strides": [[2, 1], [1]],
    "stackwise_se_ratio": [[None, None], [0.25]],
    "stackwise_activation": [["relu", "relu"], ["hard_swish"]],
    "stackwise_padding": [[1, 1], [2]],
    "output_num_filters": 16,
    "depthwise_filters": 8,
    "depthwise_stride": 2,
    "depthwise_residual": False,
    "last_layer_filter": 16,
    "squeeze_and_excite": 0.5,
    "image_shape": (32, 32, 3),
}
XCEPTION = {
    "stackwise_conv_filters": [[4, 8], [16, 16], [16, 16]],
    "stackwise_pooling": [False, True, False],
    "image_shape": (64, 64, 3),
}

HUB = [
    causal("OPT", SHORT, {"relu": 2, "softmax": 2}),
    causal("GPT2", SHORT, {APPROXIMATE: 2, "softmax": 2}),
    causal("GPTNeoX", SHORT | {"rotary_percentage": 0.5}, {APPROXIMATE: 2, "softmax": 2}),
    causal("Bloom", TEXT, {"softmax": 2}, called={"gelu": 2}, refused="transformer_layer_0"),
    causal("Falcon", VOCABULARY | {"num_attention_heads": 2}, {"gelu": 2, "softmax": 2}),
    causal("Llama", GROUPED, {"swish": 2, "softmax": 2}),
    causal("Mistral", GROUPED, {"swish": 2, "softmax": 2}),
    causal("Phi3", GROUPED, {"swish": 2, "softmax": 2}),
    causal("Qwen", GROUPED, {"swish": 2, "softmax": 2}),
    causal(
        "Gemma",
        GROUPED | {"head_dim": 4},
        {"softmax": 2},
        called={"gelu": 2},
        refused="decoder_block_0",
    ),
    hub(
        "BartSeq2SeqLM",
        SHORT,
        both_tokens,
        {"gelu": 4, "softmax": 6},
        generates=True,
    ),
    hub("T5Backbone", TEXT, both_tokens, {"relu": 4}, called={"softmax": 6}),
    hub(
        "BertMaskedLM",
        SHORT,
        lambda: tokens() | segments() | mask_positions(),
        {APPROXIMATE: 2, "gelu": 1, "softmax": 2, "tanh": 1},
    ),
    hub(
        "RobertaMaskedLM",
        SHORT,
        lambda: tokens() | mask_positions(),
        {"gelu": 3, "softmax": 2},
    ),
    hub(
        "AlbertMaskedLM",
        SHORT | {"embedding_dim": 8},
        lambda: tokens() | segments() | mask_positions(),
        {APPROXIMATE: 2, "softmax": 1, "tanh": 1},
        repeated=1,
        **fused(1),
        betas=12 + 8,
    ),
    hub(
        "DistilBertTextClassifier",
        SHORT,
        tokens,
        {"gelu": 2, "relu": 1, "softmax": 2},
        {"num_classes": CLASSES},
    ),
    hub(
        "DebertaV3MaskedLM",
        SHORT | {"bucket_size": 4},
        lambda: tokens() | mask_positions(),
        {"gelu": 3, "softmax": 2},
    ),
    hub(
        "ElectraBackbone",
        ELECTRA | {"embedding_dim": 8},
        lambda: tokens() | segments(),
        {APPROXIMATE: 2, "softmax": 2, "tanh": 1},
    ),
    hub(
        "FNetBackbone",
        VOCABULARY | {"max_sequence_length": 8},
        lambda: {"token_ids": token_ids()} | segments(),
        {APPROXIMATE: 2, "tanh": 1},
    ),
    hub("XLNetBackbone", TEXT, lambda: tokens() | segments(), {"gelu": 2, "softmax": 2}),
    hub(
        "WhisperBackbone",
        TEXT | {"num_mels": 4, "max_encoder_sequence_length": 12, "max_decoder_sequence_length": 8},
        sound,
        {"gelu": 6, "softmax": 6},
        **fused(6),
    ),
    classifier(
        "ViT", VISION | {"hidden_dim": 8, "mlp_dim": 12}, {"gelu": 2, "softmax": 2}, **fused(2)
    ),
    classifier(
        "DeiT",
        VISION | {"hidden_dim": 8, "intermediate_dim": 12},
        {"gelu": 2, "softmax": 2},
        **fused(2),
    ),
    classifier("SwinTransformer", SWIN, {"gelu": 3}, called={"softmax": 3}),
    classifier("MiT", MIT, {}, called={"gelu": 2, "softmax": 2}, refused="hierarchical_encoder"),
    Family(
        "keras_hub",
        "SegFormerImageSegmenter",
        segformer,
        {"relu": 1},
        called={"gelu": 2, "softmax": 2},
        replaced=("relu",),
    ),
    Family(
        "keras_hub", "CLIPBackbone", clip, {QUICK: 4, "softmax": 4}, computes=COMPUTES, **fused(4)
    ),
    Family("keras_hub", "SAMImageSegmenter", sam, {"gelu": 6, "relu": 12}, called={"softmax": 9}),
    classifier("ResNet", RESNET, {"relu": 7}),
    classifier("EfficientNet", EFFICIENTNET | V1, {"swish": 10, "sigmoid": 3}),
    classifier(
        "EfficientNet",
        EFFICIENTNET | V2,
        {"swish": 8, "sigmoid": 3},
        variant=" v2",
        repeated=2,
        never_called={"swish": 1, "sigmoid": 1},
        betas=8 + 8 + (32 + 2) + (64 + 4) + 1280,
        note="an activation layer called twice; layers never called",
    ),
    classifier("DenseNet", DENSENET, {"relu": 9}),
    classifier("VGG", VGG, {"relu": 4}, {"pooling_hidden_dim": 8}),
    classifier("MobileNet", MOBILENET, {"hard_silu": 5, "relu": 7, "hard_sigmoid": 2}),
    classifier("Xception", XCEPTION, {"relu": 5}, size=64),
]

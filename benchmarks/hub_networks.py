"""KerasHub's vision models from small configurations: nothing is downloaded.

Each function returns a task with its preprocessor, as a preset would: images of 0 to 255 are scaled to 0 to 1
by the preprocessor, which is stored in the model's file and is no part of its graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CLASSES = 10


def hub_network(name: str, pixels: int) -> Any:
    """A task of KerasHub with random weights.

    Args:
        name: as in `architectures.toml`.
        pixels: height and width of its input.
    """
    import keras_hub

    return _NETWORKS[name](keras_hub, pixels)


def _classifier(family: str, backbone: Any, pixels: int, **arguments: Any) -> Any:
    from keras_hub import models

    preprocessor = getattr(
        models, f"{family}ImageClassifierPreprocessor", models.ImageClassifierPreprocessor
    )(image_converter=_converter(pixels))
    task = getattr(models, f"{family}ImageClassifier")
    return task(backbone=backbone, num_classes=CLASSES, preprocessor=preprocessor, **arguments)


def _on_top(backbone: Any, features: Any) -> Any:
    """A classifier for backbones without one of their own: KerasHub's users add these layers."""
    import keras

    scores = keras.layers.Dense(CLASSES, activation="softmax", name="predictions")(features)
    return keras.Model(backbone.input, scores)


def _converter(pixels: int) -> Any:
    import keras_hub

    return keras_hub.layers.ImageConverter(image_size=(pixels, pixels), scale=1 / 255)


def _cspnet(hub: Any, pixels: int) -> Any:
    backbone = hub.models.CSPNetBackbone(
        stem_filters=16,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 2, 2],
        stackwise_strides=[2, 2, 2],
        stackwise_num_filters=[32, 64, 128],
        block_type="dark_block",
        bottle_ratio=[0.5, 1.0],
        block_ratio=[1.0, 0.5],
        expand_ratio=[2.0, 1.0],
        stem_padding="same",
        down_growth=True,
        stage_type="csp",
        image_shape=(pixels, pixels, 3),
    )
    return _classifier("CSPNet", backbone, pixels, activation="softmax")


def _deit(hub: Any, pixels: int) -> Any:
    backbone = hub.models.DeiTBackbone(
        image_shape=(pixels, pixels, 3),
        patch_size=8,
        num_layers=4,
        num_heads=4,
        hidden_dim=96,
        intermediate_dim=192,
    )
    return _classifier("DeiT", backbone, pixels, activation="softmax")


def _densenet(hub: Any, pixels: int) -> Any:
    backbone = hub.models.DenseNetBackbone(
        stackwise_num_repeats=[3, 4, 4], growth_rate=16, image_shape=(pixels, pixels, 3)
    )
    return _classifier("DenseNet", backbone, pixels, activation="softmax")


def _dinov2_backbone(hub: Any, pixels: int) -> Any:
    return hub.models.DINOV2Backbone(
        patch_size=7,
        num_layers=4,
        hidden_dim=96,
        num_heads=4,
        intermediate_dim=192,
        image_shape=(pixels, pixels, 3),
        position_embedding_shape=(pixels, pixels),
        use_mask_token=False,
    )


def _dinov2(hub: Any, pixels: int) -> Any:
    backbone = _dinov2_backbone(hub, pixels)
    return _on_top(backbone, backbone.output[:, 0])


def _dinov3(hub: Any, pixels: int) -> Any:
    backbone = hub.models.DINOV3Backbone(
        patch_size=8,
        num_layers=4,
        hidden_dim=96,
        num_heads=4,
        intermediate_dim=192,
        image_shape=(pixels, pixels, 3),
        use_mask_token=False,
    )
    return _on_top(backbone, backbone.output[:, 0])


def _efficientnet(hub: Any, pixels: int) -> Any:
    backbone = hub.models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3, 3, 5],
        stackwise_num_repeats=[1, 2, 2, 2],
        stackwise_input_filters=[16, 16, 24, 40],
        stackwise_output_filters=[16, 24, 40, 80],
        stackwise_expansion_ratios=[1, 4, 4, 6],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.0, 0.25, 0.25],
        stackwise_strides=[1, 2, 2, 2],
        stackwise_block_types=["fused", "fused", "unfused", "unfused"],
        stackwise_force_input_filters=[0] * 4,
        stackwise_nores_option=[False] * 4,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        num_features=256,
        input_shape=(pixels, pixels, 3),
    )
    return _classifier("EfficientNet", backbone, pixels, activation="softmax")


def _hgnetv2_backbone(hub: Any, pixels: int, **arguments: Any) -> Any:
    return hub.models.HGNetV2Backbone(
        depths=[1, 1, 2, 1],
        embedding_size=16,
        hidden_sizes=[32, 64, 128, 256],
        stem_channels=[3, 16, 16],
        hidden_act="relu",
        use_learnable_affine_block=True,
        stackwise_stage_filters=[
            (16, 16, 32, 1, 3, 3),
            (32, 16, 64, 1, 3, 3),
            (64, 32, 128, 2, 3, 5),
            (128, 64, 256, 1, 3, 5),
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        image_shape=(pixels, pixels, 3),
        **arguments,
    )


def _hgnetv2(hub: Any, pixels: int) -> Any:
    return _classifier("HGNetV2", _hgnetv2_backbone(hub, pixels), pixels, activation="softmax")


def _mit_backbone(hub: Any, pixels: int) -> Any:
    return hub.models.MiTBackbone(
        image_shape=(pixels, pixels, 3),
        num_layers=4,
        hidden_dims=[16, 32, 64, 96],
        layerwise_depths=[1, 1, 1, 1],
        layerwise_num_heads=[1, 2, 4, 6],
        layerwise_sr_ratios=[8, 4, 2, 1],
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        max_drop_path_rate=0.1,
    )


def _mit(hub: Any, pixels: int) -> Any:
    return _classifier("MiT", _mit_backbone(hub, pixels), pixels, activation="softmax")


def _mobilenet(hub: Any, pixels: int) -> Any:
    backbone = hub.models.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144], [72, 72]],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_filters=[[16, 16], [24, 24], [48, 48]],
        stackwise_kernel_size=[[3, 3], [5, 5], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2], [2, 2]],
        output_num_filters=192,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=16,
        image_shape=(pixels, pixels, 3),
        depthwise_filters=16,
        depthwise_stride=1,
        depthwise_residual=True,
        squeeze_and_excite=0.5,
        last_layer_filter=192,
    )
    return _classifier("MobileNet", backbone, pixels, activation="softmax")


def _mobilenetv5(hub: Any, pixels: int) -> Any:
    backbone = hub.models.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir", "uir"], ["mqa", "uir"]],
        stackwise_num_blocks=[1, 2, 2],
        stackwise_num_filters=[[24], [48, 48], [64, 64]],
        stackwise_strides=[[2], [2, 1], [1, 2]],
        stackwise_act_layers=[["relu"], ["relu", "relu"], ["gelu", "gelu"]],
        stackwise_exp_ratios=[[4.0], [6.0, 6.0], [4.0, 4.0]],
        stackwise_se_ratios=[[0.0], [0.0, 0.0], [0.0, 0.0]],
        stackwise_dw_kernel_sizes=[[0], [5, 5], [3, 3]],
        stackwise_dw_start_kernel_sizes=[[0], [0, 0], [0, 0]],
        stackwise_dw_end_kernel_sizes=[[0], [0, 0], [0, 0]],
        stackwise_exp_kernel_sizes=[[3], [0, 0], [0, 0]],
        stackwise_pw_kernel_sizes=[[1], [0, 0], [0, 0]],
        stackwise_num_heads=[[0], [0, 0], [4, 0]],
        stackwise_key_dims=[[0], [0, 0], [16, 0]],
        stackwise_value_dims=[[0], [0, 0], [16, 0]],
        stackwise_kv_strides=[[0], [0, 0], [1, 0]],
        stackwise_use_cpe=[[False], [False, False], [False, False]],
        use_msfa=False,
        num_features=256,
        image_shape=(pixels, pixels, 3),
    )
    return _classifier("MobileNetV5", backbone, pixels, activation="softmax")


def _resnet_backbone(hub: Any, pixels: int, **arguments: Any) -> Any:
    return hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 96, 128],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        image_shape=(pixels, pixels, 3),
        **{"block_type": "basic_block", "use_pre_activation": False, **arguments},
    )


def _resnet(hub: Any, pixels: int) -> Any:
    return _classifier("ResNet", _resnet_backbone(hub, pixels), pixels, activation="softmax")


def _resnetv2(hub: Any, pixels: int) -> Any:
    backbone = _resnet_backbone(hub, pixels, block_type="bottleneck_block", use_pre_activation=True)
    return _classifier("ResNet", backbone, pixels, activation="softmax")


def _swin(hub: Any, pixels: int) -> Any:
    backbone = hub.models.SwinTransformerBackbone(
        image_shape=(pixels, pixels, 3),
        embed_dim=32,
        depths=(2, 2),
        num_heads=(2, 4),
        window_size=4,
        patch_size=4,
    )
    return _classifier("SwinTransformer", backbone, pixels, activation="softmax")


def _vgg(hub: Any, pixels: int) -> Any:
    backbone = hub.models.VGGBackbone(
        stackwise_num_repeats=[1, 1, 2, 2],
        stackwise_num_filters=[32, 64, 128, 128],
        image_shape=(pixels, pixels, 3),
    )
    return _classifier(
        "VGG", backbone, pixels, activation="softmax", pooling="flatten", pooling_hidden_dim=256
    )


def _vit(hub: Any, pixels: int) -> Any:
    backbone = hub.models.ViTBackbone(
        image_shape=(pixels, pixels, 3),
        patch_size=8,
        num_layers=4,
        num_heads=4,
        hidden_dim=96,
        mlp_dim=192,
    )
    return _classifier("ViT", backbone, pixels, activation="softmax")


def _vitdet(hub: Any, pixels: int) -> Any:
    import keras

    backbone = hub.models.ViTDetBackbone(
        image_shape=(pixels, pixels, 3),
        patch_size=8,
        hidden_size=96,
        num_layers=4,
        global_attention_layer_indices=[1, 3],
        intermediate_dim=192,
        num_heads=4,
        num_output_channels=64,
        window_size=4,
    )
    return _on_top(backbone, keras.layers.GlobalAveragePooling2D()(backbone.output))


def _xception(hub: Any, pixels: int) -> Any:
    backbone = hub.models.XceptionBackbone(
        stackwise_conv_filters=[[32, 64], [64, 128], [128, 256]],
        stackwise_pooling=[True, True, False],
        image_shape=(pixels, pixels, 3),
    )
    return _classifier("Xception", backbone, pixels, activation="softmax")


def _retinanet(hub: Any, pixels: int) -> Any:
    encoder = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 96, 128],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(pixels, pixels, 3),
    )
    backbone = hub.models.RetinaNetBackbone(
        image_encoder=encoder, min_level=3, max_level=5, use_p5=False, image_shape=(pixels, pixels, 3)
    )
    preprocessor = hub.models.RetinaNetObjectDetectorPreprocessor(
        image_converter=hub.layers.RetinaNetImageConverter(image_size=(pixels, pixels), scale=1 / 255)
    )
    return hub.models.RetinaNetObjectDetector(
        backbone=backbone, num_classes=CLASSES, bounding_box_format="yxyx", preprocessor=preprocessor
    )


def _d_fine(hub: Any, pixels: int) -> Any:
    encoder = _hgnetv2_backbone(hub, pixels, out_features=["stage3", "stage4"])
    backbone = hub.models.DFineBackbone(
        backbone=encoder,
        decoder_in_channels=[64, 64],
        encoder_hidden_dim=64,
        num_denoising=0,
        num_labels=CLASSES,
        hidden_dim=64,
        learn_initial_query=False,
        num_queries=20,
        anchor_image_size=(pixels, pixels),
        feat_strides=[16, 32],
        num_feature_levels=2,
        encoder_in_channels=[128, 256],
        encode_proj_layers=[1],
        num_attention_heads=4,
        encoder_ffn_dim=128,
        num_encoder_layers=1,
        hidden_expansion=0.34,
        depth_multiplier=0.5,
        eval_idx=-1,
        num_decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=128,
        decoder_n_points=[4, 4],
        lqe_hidden_dim=32,
        num_lqe_layers=2,
        out_features=["stage3", "stage4"],
        image_shape=(pixels, pixels, 3),
        seed=0,
    )
    preprocessor = hub.models.DFineObjectDetectorPreprocessor(
        image_converter=hub.layers.DFineImageConverter(image_size=(pixels, pixels), scale=1 / 255)
    )
    return hub.models.DFineObjectDetector(
        backbone=backbone, num_classes=CLASSES, bounding_box_format="yxyx", preprocessor=preprocessor
    )


def _basnet(hub: Any, pixels: int) -> Any:
    encoder = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 96, 128],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
    )
    backbone = hub.models.BASNetBackbone(
        image_encoder=encoder, num_classes=1, image_shape=(pixels, pixels, 3)
    )
    preprocessor = hub.models.BASNetPreprocessor(
        image_converter=hub.layers.BASNetImageConverter(image_size=(pixels, pixels), scale=1 / 255)
    )
    return hub.models.BASNetImageSegmenter(backbone=backbone, preprocessor=preprocessor)


def _deeplab(hub: Any, pixels: int) -> Any:
    encoder = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 96, 128],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(pixels, pixels, 3),
    )
    backbone = hub.models.DeepLabV3Backbone(
        image_encoder=encoder,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        upsampling_size=4,
        dilation_rates=[1, 2, 3],
        projection_filters=32,
        image_shape=(pixels, pixels, 3),
    )
    preprocessor = hub.models.DeepLabV3ImageSegmenterPreprocessor(
        image_converter=hub.layers.DeepLabV3ImageConverter(image_size=(pixels, pixels), scale=1 / 255)
    )
    return hub.models.DeepLabV3ImageSegmenter(
        backbone=backbone, num_classes=CLASSES, activation="softmax", preprocessor=preprocessor
    )


def _segformer(hub: Any, pixels: int) -> Any:
    backbone = hub.models.SegFormerBackbone(image_encoder=_mit_backbone(hub, pixels), projection_filters=64)
    preprocessor = hub.models.SegFormerImageSegmenterPreprocessor(
        image_converter=hub.layers.SegFormerImageConverter(image_size=(pixels, pixels), scale=1 / 255)
    )
    return hub.models.SegFormerImageSegmenter(
        backbone=backbone, num_classes=CLASSES, preprocessor=preprocessor
    )


def _depth_anything(hub: Any, pixels: int) -> Any:
    backbone = hub.models.DepthAnythingBackbone(
        image_encoder=_dinov2_backbone(hub, pixels),
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_dims=[16, 32, 48, 64],
        fusion_hidden_dim=32,
        head_hidden_dim=16,
        head_in_index=-1,
        feature_keys=["stage1", "stage2", "stage3", "stage4"],
    )
    preprocessor = hub.models.DepthAnythingDepthEstimatorPreprocessor(
        image_converter=hub.layers.DepthAnythingImageConverter(image_size=(pixels, pixels), scale=1 / 255)
    )
    return hub.models.DepthAnythingDepthEstimator(
        backbone=backbone, depth_estimation_type="relative", preprocessor=preprocessor
    )


_NETWORKS: dict[str, Callable[[Any, int], Any]] = {
    "BASNet": _basnet,
    "CSPNet": _cspnet,
    "D-FINE": _d_fine,
    "DINOv2": _dinov2,
    "DINOv3": _dinov3,
    "DeepLabV3": _deeplab,
    "DeiT": _deit,
    "DenseNet": _densenet,
    "DepthAnything": _depth_anything,
    "EfficientNet": _efficientnet,
    "HGNetV2": _hgnetv2,
    "MiT": _mit,
    "MobileNet": _mobilenet,
    "MobileNetV5": _mobilenetv5,
    "ResNet": _resnet,
    "ResNetV2": _resnetv2,
    "RetinaNet": _retinanet,
    "SegFormer": _segformer,
    "Swin": _swin,
    "VGG": _vgg,
    "ViT": _vit,
    "ViTDet": _vitdet,
    "Xception": _xception,
}

"""sightline fine-tunes image classifiers: labelled pictures in, a network that is ready to use out.

    from sightline import *

    dls = ImageDataLoaders.from_folder("pets/", valid_pct=0.2, item_tfms=Resize(224), bs=64)
    learn = vision_learner(dls, resnet34, metrics=error_rate)
    learn.fine_tune(3)
    learn.export("pets.safetensors")

This file is the door: every public name, and the module where it lives. A module is imported when one of its names is first
used, so importing the package costs nothing. What type checkers and editors read is the stub beside this file.
"""

from importlib import import_module
from typing import Any

from sightline import waiting as _waiting

_waiting.let_waiting_threads_sleep()

_HOMES: dict[str, str] = {
    "sightline.bundle": "Bundle",
    "sightline.data.transforms.augment": "aug_transforms imagenet_stats",
    "sightline.data.pictures.bands": "Bands",
    "sightline.data.loading.batch": "Batch",
    "sightline.data.block": "DataBlock",
    "sightline.data.blocks": "CategoryBlock ImageBlock MultiCategoryBlock RegressionBlock",
    "sightline.data.transforms.colour": "Brightness Contrast Hue Normalize Saturation",
    "sightline.data.checking.checks": "check_pictures",
    "sightline.data.checking.findings": "DataCheck Finding",
    "sightline.data.dataloaders": "DataLoaders",
    "sightline.data.datasets": "Datasets",
    "sightline.data.pictures.decode": "PILImage PILImageBW",
    "sightline.data.transforms.erasing": "RandomErasing",
    "sightline.data.factories": "ImageDataLoaders",
    "sightline.data.pictures.fetch": "download_images download_url",
    "sightline.data.rows.files": "FileGetter ImageGetter get_files get_image_files",
    "sightline.data.transforms.geometry": "Dihedral Flip RandomResizedCropGPU Rotate Warp Zoom",
    "sightline.data.rows.getters": "AttrGetter ColReader ItemGetter Pipeline RegexLabeller parent_label using_attr",
    "sightline.data.loading.loaders": "Loader",
    "sightline.data.showing.plots": "show_image show_images",
    "sightline.data.transforms.points": "PointBlock",
    "sightline.data.rows.split": """
        ColSplitter EndSplitter FileSplitter FuncSplitter GrandparentSplitter IndexSplitter MaskSplitter RandomSplitter
        RandomSubsetSplitter TrainTestSplitter
    """,
    "sightline.data.rows.split_content": "ContentSplitter",
    "sightline.data.rows.split_fair": "GroupSplitter KFoldSplitter StratifiedSplitter",
    "sightline.data.rows.table": "Table",
    "sightline.data.transforms.torchvision_presets": "AutoAugment RandAugment TrivialAugment TrivialAugmentWide",
    "sightline.data.transforms.items": """
        CropPad DihedralItem FlipItem PadMode RandomCrop RandomResizedCrop RatioResize Resize ResizeMethod
    """,
    "sightline.data.pictures.upkeep": "resize_image resize_images verify_image verify_images",
    "sightline.data.transforms.user_transforms": "RandTransform Transform",
    "sightline.data.rows.weights": "balanced_weights",
    "sightline.errors": """
        ArchitectureError BundleError DataError DeviceMemoryError DivergedLossError ImageError LabelError LeftOutError
        MissingExtraError ModelError NoImagesError NonFiniteLossError OptionError SightlineError SightlineWarning SplitError
        TableError TensorFileError TrainingError WeightsError
    """,
    "sightline.interpret": "ClassificationInterpretation Interpretation",
    "sightline.losses.classes": "DiceLoss FocalLoss LabelSmoothingCrossEntropy",
    "sightline.losses.flat": """
        BCELossFlat BCEWithLogitsLossFlat BaseLoss CrossEntropyLossFlat FocalLossFlat L1LossFlat
        LabelSmoothingCrossEntropyFlat MSELossFlat
    """,
    "sightline.metrics.metric": "AvgMetric LossMetric LossMetrics Metric Perplexity ValueMetric perplexity",
    "sightline.metrics.multi_label": """
        APScoreMulti BrierScoreMulti F1ScoreMulti FBetaMulti HammingLossMulti JaccardMulti MatthewsCorrCoefMulti
        PrecisionMulti RecallMulti RocAucMulti accuracy_multi
    """,
    "sightline.metrics.regression": """
        ExplainedVariance PearsonCorrCoef R2Score SpearmanCorrCoef exp_rmspe mae mse msle rmse
    """,
    "sightline.metrics.single_label": """
        APScoreBinary BalancedAccuracy BrierScore CohenKappa F1Score FBeta HammingLoss Jaccard MatthewsCorrCoef Precision
        Recall RocAuc RocAucBinary accuracy error_rate top_k_accuracy
    """,
    "sightline.metrics.whole_set": "AccumMetric optim_metric skm_to_fastai",
    "sightline.model.architectures": """
        alexnet
        convnext_base convnext_large convnext_small convnext_tiny
        densenet121 densenet161 densenet169 densenet201
        efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
        efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s
        googlenet inception_v3 maxvit_t
        mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3
        mobilenet_v2 mobilenet_v3_large mobilenet_v3_small
        regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
        regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf
        resnet101 resnet152 resnet18 resnet34 resnet50
        resnext101_32x8d resnext101_64x4d resnext50_32x4d
        shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0
        squeezenet1_0 squeezenet1_1
        swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t
        vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn
        vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32
        wide_resnet101_2 wide_resnet50_2
    """,
    "sightline.model.backbones": "list_architectures",
    "sightline.model.conv_layers": "ConvLayer ResBlock SimpleCNN",
    "sightline.model.head": "create_head",
    "sightline.model.initial": "apply_init",
    "sightline.model.layers": "AdaptiveConcatPool2d LinBnDrop NormType PoolFlatten SigmoidRange",
    "sightline.model.spec": "ModelSpec",
    "sightline.model.vision": "VisionModel create_vision_model",
    "sightline.predict": "Prediction Predictor load_learner",
    "sightline.preprocess": "Preprocess",
    "sightline.record": "Record",
    "sightline.runtime": "Runtime set_seed",
    "sightline.target": "MultiLabel Points Regression SingleLabel Target Vocab",
    "sightline.train.callbacks.activations": "ActivationStats",
    "sightline.train.callbacks.collecting": "CollectDataCallback FetchPredsCallback",
    "sightline.train.callbacks.core": "GatherPredsCallback ParamScheduler ShortEpochCallback SkipToEpoch TrainEvalCallback",
    "sightline.train.callbacks.ema": "EMACallback",
    "sightline.train.callbacks.gradients": "GradientAccumulation GradientClip",
    "sightline.train.callbacks.hooks": "Hook HookCallback Hooks hook_output hook_outputs",
    "sightline.train.callbacks.logs": "CSVLogger ShowGraphCallback",
    "sightline.train.callbacks.mixing": "CutMix MixHandler MixUp MixUpCutMix",
    "sightline.train.callbacks.mlflow": "MLflowCallback",
    "sightline.train.callbacks.modes": "BnFreeze MCDropoutCallback",
    "sightline.train.callbacks.precision": "ChannelsLast MixedPrecision",
    "sightline.train.callbacks.tensorboard": "TensorBoardCallback",
    "sightline.train.callbacks.trackers": """
        EarlyStoppingCallback ReduceLROnPlateau SaveModelCallback TerminateOnNaNCallback TrackerCallback
    """,
    "sightline.train.callbacks.wandb": "WandbCallback",
    "sightline.train.events": """
        Callback CancelBackwardException CancelBatchException CancelEpochException CancelFitException CancelStepException
        CancelTrainException CancelValidException
    """,
    "sightline.train.groups": "by_blocks default_split params trainable_params",
    "sightline.train.learner": "Learner",
    "sightline.train.lookahead": "Lookahead ranger",
    "sightline.train.lr_find": "LRFinder SuggestionMethod minimum slide steep valley",
    "sightline.train.optim": "Adam OptimWrapper Optimizer",
    "sightline.train.optimizers": "Lamb Larc QHAdam RAdam RMSProp SGD",
    "sightline.train.progress": "ProgressCallback",
    "sightline.train.recorder": "Recorder",
    "sightline.train.schedule": """
        SchedCos SchedExp SchedLin SchedNo SchedPoly annealer combine_scheds combined_cos even_mults layer_decay
    """,
    "sightline.train.resuming.keeping": "Checkpoint",
    "sightline.train.vision": "vision_learner",
    "sightline.versions": "__version__",
}
"""Public names by the module that holds them."""

_LIGHT = {"sightline.errors", "sightline.versions", "sightline.model.architectures"}
"""Those that do without PyTorch."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME_OF:
        from sightline.errors import did_you_mean

        hint = "" if name.startswith("_") else did_you_mean(name, _HOME_OF)
        raise AttributeError(f"sightline has no name {name!r}. {hint}".rstrip())
    home = _HOME_OF[name]
    if home not in _LIGHT:
        from sightline.starting import import_torch

        import_torch()
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

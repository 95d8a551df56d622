"""Every name that a script about pictures expects of `from fastai.vision.all import *`: change that line, and it runs.

    from sightline.fastai import *

This file hands names on and holds none of its own; docs/from-fastai.md says what differs. What is left out is here too, by
name, and says why as soon as it is used: see `sightline.compat.left_out`. What is of pandas, matplotlib and torchvision is
loaded when it is used: see `sightline.compat.later`.
"""

import collections
import csv
import functools
import glob
import hashlib
import inspect
import io
import itertools
import json
import math
import operator
import os
import random
import re
import shutil
import string
import sys
import tarfile
import tempfile
import time
import types
import warnings
import zipfile
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import copy, deepcopy
from datetime import datetime
from enum import Enum, IntEnum
from functools import partial, reduce
from operator import attrgetter, itemgetter, methodcaller
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple, TypeVar, Union  # noqa: UP035 - for older scripts
from warnings import warn

# isort: off
from sightline.compat.first import torch
# isort: on

import numpy as np
import torch.nn.functional as F
from fastcore.basics import (
    AttrDict,
    GetAttr,
    Inf,
    Self,
    Stateful,
    add,
    argwhere,
    basic_repr,
    camel2snake,
    chunked,
    compose,
    eq,
    even_mults,
    fastuple,
    filter_dict,
    filter_keys,
    filter_values,
    first,
    flatten,
    ge,
    groupby,
    gt,
    ifnone,
    in_,
    last,
    le,
    listify,
    lt,
    maps,
    mapt,
    merge,
    mul,
    ne,
    nested_attr,
    not_,
    num_cpus,
    partialler,
    patch,
    patch_to,
    properties,
    range_of,
    replicate,
    risinstance,
    setify,
    snake2camel,
    store_attr,
    sub,
    truediv,
    tuplify,
    typed,
    uniqueify,
    val2idx,
)
from fastcore.foundation import L, add_docs, coll_repr, docs, mask2idxs, working_directory
from fastcore.imports import all_equal, equals, in_colab, in_ipython, in_jupyter, in_notebook, is_coll, is_iter, noop, noops
from fastcore.meta import PrePostInitMeta, delegates, funcs_kwargs, method, use_kwargs
from fastcore.parallel import parallel, threaded
from fastcore.test import test_close, test_eq, test_fail, test_ne
from fastcore.xtras import dict2obj, is_listy, join_path_file
from numpy import array, ndarray
from PIL import Image
from torch import FloatTensor, LongTensor, Tensor, as_tensor, nn
from torch.nn import Identity, Mish
from torch.nn import SiLU as Swish
from torch.nn.functional import mish
from torch.nn.functional import silu as swish
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler, Sampler, SequentialSampler

from sightline.compat.bodies import TimmBody, add_head, create_body, create_timm_model, cut_model, model_meta
from sightline.compat.downloads import URLs, fastai_path, untar_data
from sightline.compat.files import get_files, get_image_files, verify_images
from sightline.compat.later import later
from sightline.compat.learners import Learner, cnn_learner, load_learner, vision_learner
from sightline.compat.left_out import LEFT_OUT, LeftOut
from sightline.compat.loaders import DataLoader, DataLoaders, get_c
from sightline.compat.tensors import (
    Module,
    apply,
    default_device,
    find_bs,
    one_hot,
    requires_grad,
    tensor,
    to_cpu,
    to_device,
    to_float,
    to_half,
    to_np,
)
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock, MultiCategoryBlock, RegressionBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.decode import PILImage, PILImageBW, load_image
from sightline.data.pictures.fetch import download_images, download_url
from sightline.data.pictures.images import image2tensor, to_image
from sightline.data.pictures.upkeep import resize_image, resize_images, resize_to, verify_image
from sightline.data.rows.files import IMAGE_EXTENSIONS as image_extensions  # noqa: N811 - its name in fastai
from sightline.data.rows.files import FileGetter, ImageGetter
from sightline.data.rows.getters import AttrGetter, ColReader, ItemGetter, Pipeline, RegexLabeller, parent_label, using_attr
from sightline.data.rows.split import (
    ColSplitter,
    EndSplitter,
    FileSplitter,
    FuncSplitter,
    GrandparentSplitter,
    IndexSplitter,
    MaskSplitter,
    RandomSplitter,
    RandomSubsetSplitter,
    TrainTestSplitter,
)
from sightline.data.rows.split_fair import GroupSplitter, KFoldSplitter, StratifiedSplitter
from sightline.data.showing.plots import get_grid, show_image, show_images, show_titled_image, subplots
from sightline.data.transforms.augment import aug_transforms, cifar_stats, imagenet_stats, mnist_stats
from sightline.data.transforms.colour import Brightness, Contrast, Hue, Normalize, Saturation
from sightline.data.transforms.erasing import RandomErasing
from sightline.data.transforms.geometry import Dihedral, Flip, RandomResizedCropGPU, Rotate, Warp, Zoom
from sightline.data.transforms.items import (
    CropPad,
    DihedralItem,
    FlipItem,
    PadMode,
    RandomCrop,
    RandomResizedCrop,
    RatioResize,
    Resize,
    ResizeMethod,
)
from sightline.data.transforms.points import PointBlock
from sightline.data.transforms.tensor_kinds import (
    TensorBase,
    TensorBBox,
    TensorCategory,
    TensorImage,
    TensorImageBase,
    TensorImageBW,
    TensorMask,
    TensorMultiCategory,
    TensorPoint,
    TensorTypes,
)
from sightline.data.transforms.torchvision_presets import AutoAugment, RandAugment, TrivialAugment, TrivialAugmentWide
from sightline.data.transforms.user_transforms import (
    DisplayedTransform,
    IntToFloatTensor,
    ItemTransform,
    RandTransform,
    ToTensor,
    Transform,
)
from sightline.errors import LeftOutError, did_you_mean
from sightline.interpret import ClassificationInterpretation, Interpretation
from sightline.losses.classes import DiceLoss, FocalLoss, LabelSmoothingCrossEntropy
from sightline.losses.flat import (
    BaseLoss,
    BCELossFlat,
    BCEWithLogitsLossFlat,
    CrossEntropyLossFlat,
    FocalLossFlat,
    L1LossFlat,
    LabelSmoothingCrossEntropyFlat,
    MSELossFlat,
)
from sightline.metrics.fitting import flatten_check
from sightline.metrics.metric import (
    AvgLoss,
    AvgMetric,
    LossMetric,
    LossMetrics,
    Metric,
    Perplexity,
    ValueMetric,
    perplexity,
    to_detach,
)
from sightline.metrics.multi_label import (
    APScoreMulti,
    BrierScoreMulti,
    F1ScoreMulti,
    FBetaMulti,
    HammingLossMulti,
    JaccardMulti,
    MatthewsCorrCoefMulti,
    PrecisionMulti,
    RecallMulti,
    RocAucMulti,
    accuracy_multi,
)
from sightline.metrics.regression import (
    ExplainedVariance,
    PearsonCorrCoef,
    R2Score,
    SpearmanCorrCoef,
    exp_rmspe,
    mae,
    mse,
    msle,
    rmse,
)
from sightline.metrics.single_label import (
    APScoreBinary,
    BalancedAccuracy,
    BrierScore,
    CohenKappa,
    F1Score,
    FBeta,
    HammingLoss,
    Jaccard,
    MatthewsCorrCoef,
    Precision,
    Recall,
    RocAuc,
    RocAucBinary,
    accuracy,
    error_rate,
    top_k_accuracy,
)
from sightline.metrics.whole_set import AccumMetric, ActivationType, optim_metric, skm_to_fastai

# fmt: off
# isort: off
from sightline.model.architectures import (
    alexnet, convnext_base, convnext_large, convnext_small, convnext_tiny, densenet121, densenet161, densenet169,
    densenet201, efficientnet_b0, efficientnet_b1, efficientnet_b2, efficientnet_b3, efficientnet_b4, efficientnet_b5,
    efficientnet_b6, efficientnet_b7, efficientnet_v2_l, efficientnet_v2_m, efficientnet_v2_s, googlenet, inception_v3,
    maxvit_t, mnasnet0_5, mnasnet0_75, mnasnet1_0, mnasnet1_3, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small,
    regnet_x_1_6gf, regnet_x_3_2gf, regnet_x_8gf, regnet_x_16gf, regnet_x_32gf, regnet_x_400mf, regnet_x_800mf,
    regnet_y_1_6gf, regnet_y_3_2gf, regnet_y_8gf, regnet_y_16gf, regnet_y_32gf, regnet_y_128gf, regnet_y_400mf,
    regnet_y_800mf, resnet18, resnet34, resnet50, resnet101, resnet152, resnext50_32x4d, resnext101_32x8d, resnext101_64x4d,
    shufflenet_v2_x0_5, shufflenet_v2_x1_0, shufflenet_v2_x1_5, shufflenet_v2_x2_0, squeezenet1_0, squeezenet1_1, swin_b,
    swin_s, swin_t, swin_v2_b, swin_v2_s, swin_v2_t, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn,
    vit_b_16, vit_b_32, vit_h_14, vit_l_16, vit_l_32, wide_resnet50_2, wide_resnet101_2,
)
# isort: on
# fmt: on
from sightline.model.backbones import list_architectures
from sightline.model.conv_layers import (
    Cat,
    ConvLayer,
    MergeLayer,
    ProdLayer,
    ResBlock,
    SEModule,
    SequentialEx,
    SimpleCNN,
    init_linear,
)
from sightline.model.cutting import has_pool_type
from sightline.model.head import create_head
from sightline.model.initial import apply_init, apply_leaf, cond_init, init_default
from sightline.model.layers import (
    AdaptiveAvgPool,
    AdaptiveConcatPool2d,
    AvgPool,
    BatchNorm,
    Flatten,
    InstanceNorm,
    Lambda,
    LinBnDrop,
    MaxPool,
    NormType,
    PartialLambda,
    PoolFlatten,
    PoolType,
    ResizeBatch,
    SigmoidRange,
    View,
    adaptive_pool,
    sigmoid,
    sigmoid_range,
)
from sightline.model.vision import create_vision_model
from sightline.runtime import set_seed
from sightline.train.callbacks.activations import ActivationStats
from sightline.train.callbacks.collecting import CollectDataCallback, FetchPredsCallback
from sightline.train.callbacks.core import (
    CastToTensor,
    GatherPredsCallback,
    ParamScheduler,
    ShortEpochCallback,
    SkipToEpoch,
    TrainEvalCallback,
)
from sightline.train.callbacks.ema import EMACallback
from sightline.train.callbacks.gradients import GradientAccumulation, GradientClip
from sightline.train.callbacks.hooks import (
    Hook,
    HookCallback,
    Hooks,
    dummy_eval,
    flatten_model,
    has_params,
    hook_output,
    hook_outputs,
    layer_info,
    model_sizes,
    num_features_model,
    total_params,
)
from sightline.train.callbacks.logs import CSVLogger, ShowGraphCallback
from sightline.train.callbacks.mixing import CutMix, MixHandler, MixUp, MixUpCutMix
from sightline.train.callbacks.mlflow import MLflowCallback
from sightline.train.callbacks.modes import BnFreeze, MCDropoutCallback, set_bn_eval
from sightline.train.callbacks.precision import AMPMode, ChannelsLast, MixedPrecision
from sightline.train.callbacks.tensorboard import TensorBoardCallback
from sightline.train.callbacks.trackers import (
    EarlyStoppingCallback,
    ReduceLROnPlateau,
    SaveModelCallback,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from sightline.train.callbacks.wandb import WandbCallback
from sightline.train.checkpoint import load_model, save_model
from sightline.train.events import (
    Callback,
    CancelBackwardException,
    CancelBatchException,
    CancelEpochException,
    CancelFitException,
    CancelStepException,
    CancelTrainException,
    CancelValidException,
    before_batch_cb,
)
from sightline.train.groups import by_blocks, default_split, params, trainable_params
from sightline.train.lookahead import Lookahead, ranger
from sightline.train.lr_find import LRFinder, SuggestionMethod, minimum, slide, steep, valley
from sightline.train.optim import Adam, OptimWrapper
from sightline.train.optimizers import SGD, Lamb, Larc, QHAdam, RAdam, RMSProp
from sightline.train.progress import ProgressCallback
from sightline.train.recorder import Recorder
from sightline.train.schedule import (
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    SchedPoly,
    annealer,
    combine_scheds,
    combined_cos,
    layer_decay,
    sched_cos,
    sched_exp,
    sched_lin,
    sched_no,
)
from sightline.train.steps import stepping as Optimizer

# fmt: off
# isort: off
if TYPE_CHECKING:
    import matplotlib
    import pandas as pd
    from matplotlib import pyplot as plt
    from pandas import CategoricalDtype
    from torchvision import models
    from torchvision.models import (
        AlexNet_Weights, ConvNeXt_Base_Weights, ConvNeXt_Large_Weights, ConvNeXt_Small_Weights, ConvNeXt_Tiny_Weights,
        DenseNet121_Weights, DenseNet161_Weights, DenseNet169_Weights, DenseNet201_Weights, EfficientNet_B0_Weights,
        EfficientNet_B1_Weights, EfficientNet_B2_Weights, EfficientNet_B3_Weights, EfficientNet_B4_Weights,
        EfficientNet_B5_Weights, EfficientNet_B6_Weights, EfficientNet_B7_Weights, EfficientNet_V2_L_Weights,
        EfficientNet_V2_M_Weights, EfficientNet_V2_S_Weights, GoogLeNet_Weights, Inception_V3_Weights, MaxVit_T_Weights,
        MNASNet0_5_Weights, MNASNet0_75_Weights, MNASNet1_0_Weights, MNASNet1_3_Weights, MobileNet_V2_Weights,
        MobileNet_V3_Large_Weights, MobileNet_V3_Small_Weights, RegNet_X_1_6GF_Weights, RegNet_X_3_2GF_Weights,
        RegNet_X_8GF_Weights, RegNet_X_16GF_Weights, RegNet_X_32GF_Weights, RegNet_X_400MF_Weights, RegNet_X_800MF_Weights,
        RegNet_Y_1_6GF_Weights, RegNet_Y_3_2GF_Weights, RegNet_Y_8GF_Weights, RegNet_Y_16GF_Weights, RegNet_Y_32GF_Weights,
        RegNet_Y_128GF_Weights, RegNet_Y_400MF_Weights, RegNet_Y_800MF_Weights, ResNet18_Weights, ResNet34_Weights,
        ResNet50_Weights, ResNet101_Weights, ResNet152_Weights, ResNeXt50_32X4D_Weights, ResNeXt101_32X8D_Weights,
        ResNeXt101_64X4D_Weights, ShuffleNet_V2_X0_5_Weights, ShuffleNet_V2_X1_0_Weights, ShuffleNet_V2_X1_5_Weights,
        ShuffleNet_V2_X2_0_Weights, SqueezeNet1_0_Weights, SqueezeNet1_1_Weights, Swin_B_Weights, Swin_S_Weights,
        Swin_T_Weights, Swin_V2_B_Weights, Swin_V2_S_Weights, Swin_V2_T_Weights, VGG11_BN_Weights, VGG11_Weights,
        VGG13_BN_Weights, VGG13_Weights, VGG16_BN_Weights, VGG16_Weights, VGG19_BN_Weights, VGG19_Weights, ViT_B_16_Weights,
        ViT_B_32_Weights, ViT_H_14_Weights, ViT_L_16_Weights, ViT_L_32_Weights, Wide_ResNet50_2_Weights,
        Wide_ResNet101_2_Weights,
    )
# isort: on

__all__ = [
    "AccumMetric", "accuracy", "accuracy_multi", "ActivationStats", "ActivationType", "Adam", "adaptive_pool",
    "AdaptiveAvgPool", "AdaptiveConcatPool2d", "add", "add_docs", "add_head", "alexnet", "AlexNet_Weights", "all_equal",
    "AMPMode", "annealer", "Any", "apply", "apply_init", "apply_leaf", "APScoreBinary", "APScoreMulti", "argwhere", "array",
    "as_tensor", "AttrDict", "AttrGetter", "attrgetter", "aug_transforms", "AutoAugment", "AvgLoss", "AvgMetric", "AvgPool",
    "BalancedAccuracy", "BaseLoss", "basic_repr", "BatchNorm", "BatchSampler", "BCELossFlat", "BCEWithLogitsLossFlat",
    "before_batch_cb", "BnFreeze", "BrierScore", "BrierScoreMulti", "Brightness", "by_blocks", "Callable", "Callback",
    "camel2snake", "CancelBackwardException", "CancelBatchException", "CancelEpochException", "CancelFitException",
    "CancelStepException", "CancelTrainException", "CancelValidException", "CastToTensor", "Cat", "CategoricalDtype",
    "CategoryBlock", "ChannelsLast", "chunked", "cifar_stats", "ClassificationInterpretation", "cnn_learner", "CohenKappa",
    "coll_repr", "CollectDataCallback", "collections", "ColReader", "ColSplitter", "combine_scheds", "combined_cos", "compose",
    "cond_init", "contextmanager", "Contrast", "ConvLayer", "convnext_base", "ConvNeXt_Base_Weights", "convnext_large",
    "ConvNeXt_Large_Weights", "convnext_small", "ConvNeXt_Small_Weights", "convnext_tiny", "ConvNeXt_Tiny_Weights", "copy",
    "Counter", "create_body", "create_head", "create_timm_model", "create_vision_model", "CropPad", "CrossEntropyLossFlat",
    "csv", "CSVLogger", "cut_model", "CutMix", "DataBlock", "DataLoader", "DataLoaders", "datetime", "deepcopy",
    "default_device", "default_split", "defaultdict", "delegates", "densenet121", "DenseNet121_Weights", "densenet161",
    "DenseNet161_Weights", "densenet169", "DenseNet169_Weights", "densenet201", "DenseNet201_Weights", "DiceLoss", "Dict",
    "dict2obj", "Dihedral", "DihedralItem", "DisplayedTransform", "docs", "download_images", "download_url", "dummy_eval",
    "EarlyStoppingCallback", "efficientnet_b0", "EfficientNet_B0_Weights", "efficientnet_b1", "EfficientNet_B1_Weights",
    "efficientnet_b2", "EfficientNet_B2_Weights", "efficientnet_b3", "EfficientNet_B3_Weights", "efficientnet_b4",
    "EfficientNet_B4_Weights", "efficientnet_b5", "EfficientNet_B5_Weights", "efficientnet_b6", "EfficientNet_B6_Weights",
    "efficientnet_b7", "EfficientNet_B7_Weights", "efficientnet_v2_l", "EfficientNet_V2_L_Weights", "efficientnet_v2_m",
    "EfficientNet_V2_M_Weights", "efficientnet_v2_s", "EfficientNet_V2_S_Weights", "EMACallback", "EndSplitter", "Enum", "eq",
    "equals", "error_rate", "even_mults", "exp_rmspe", "ExplainedVariance", "F", "F1Score", "F1ScoreMulti", "fastai_path",
    "fastuple", "FBeta", "FBetaMulti", "FetchPredsCallback", "FileGetter", "FileSplitter", "filter_dict", "filter_keys",
    "filter_values", "find_bs", "first", "Flatten", "flatten", "flatten_check", "flatten_model", "Flip", "FlipItem",
    "FloatTensor", "FocalLoss", "FocalLossFlat", "funcs_kwargs", "FuncSplitter", "functools", "GatherPredsCallback", "ge",
    "Generator", "get_c", "get_files", "get_grid", "get_image_files", "GetAttr", "glob", "googlenet", "GoogLeNet_Weights",
    "GradientAccumulation", "GradientClip", "GrandparentSplitter", "groupby", "GroupSplitter", "gt", "HammingLoss",
    "HammingLossMulti", "has_params", "has_pool_type", "hashlib", "Hook", "hook_output", "hook_outputs", "HookCallback",
    "Hooks", "Hue", "Identity", "ifnone", "Image", "image2tensor", "image_extensions", "ImageBlock", "ImageDataLoaders",
    "ImageGetter", "imagenet_stats", "in_", "in_colab", "in_ipython", "in_jupyter", "in_notebook", "inception_v3",
    "Inception_V3_Weights", "IndexSplitter", "Inf", "init_default", "init_linear", "inspect", "InstanceNorm", "IntEnum",
    "Interpretation", "IntToFloatTensor", "io", "is_coll", "is_iter", "is_listy", "ItemGetter", "itemgetter", "ItemTransform",
    "Iterable", "IterableDataset", "Iterator", "itertools", "Jaccard", "JaccardMulti", "join_path_file", "json",
    "KFoldSplitter", "L", "L1LossFlat", "LabelSmoothingCrossEntropy", "LabelSmoothingCrossEntropyFlat", "Lamb", "Lambda",
    "Larc", "last", "layer_decay", "layer_info", "le", "Learner", "LeftOutError", "LinBnDrop", "List", "list_architectures",
    "listify", "load_image", "load_learner", "load_model", "LongTensor", "Lookahead", "LossMetric", "LossMetrics", "LRFinder",
    "lt", "mae", "maps", "mapt", "mask2idxs", "MaskSplitter", "math", "matplotlib", "MatthewsCorrCoef", "MatthewsCorrCoefMulti",
    "MaxPool", "maxvit_t", "MaxVit_T_Weights", "MCDropoutCallback", "merge", "MergeLayer", "method", "methodcaller", "Metric",
    "minimum", "Mish", "mish", "MixedPrecision", "MixHandler", "MixUp", "MixUpCutMix", "MLflowCallback", "mnasnet0_5",
    "MNASNet0_5_Weights", "mnasnet0_75", "MNASNet0_75_Weights", "mnasnet1_0", "MNASNet1_0_Weights", "mnasnet1_3",
    "MNASNet1_3_Weights", "mnist_stats", "mobilenet_v2", "MobileNet_V2_Weights", "mobilenet_v3_large",
    "MobileNet_V3_Large_Weights", "mobilenet_v3_small", "MobileNet_V3_Small_Weights", "model_meta", "model_sizes", "models",
    "Module", "mse", "MSELossFlat", "msle", "mul", "MultiCategoryBlock", "namedtuple", "ndarray", "ne", "nested_attr", "nn",
    "noop", "noops", "Normalize", "NormType", "not_", "np", "num_cpus", "num_features_model", "one_hot", "operator",
    "optim_metric", "Optimizer", "OptimWrapper", "Optional", "OrderedDict", "os", "PadMode", "parallel", "params",
    "ParamScheduler", "parent_label", "partial", "PartialLambda", "partialler", "patch", "patch_to", "Path", "pd",
    "PearsonCorrCoef", "Perplexity", "perplexity", "PILImage", "PILImageBW", "Pipeline", "plt", "PointBlock", "PoolFlatten",
    "PoolType", "Precision", "PrecisionMulti", "PrePostInitMeta", "ProdLayer", "ProgressCallback", "properties", "QHAdam",
    "R2Score", "RAdam", "RandAugment", "random", "RandomCrop", "RandomErasing", "RandomResizedCrop", "RandomResizedCropGPU",
    "RandomSampler", "RandomSplitter", "RandomSubsetSplitter", "RandTransform", "range_of", "ranger", "RatioResize", "re",
    "Recall", "RecallMulti", "Recorder", "redirect_stdout", "reduce", "ReduceLROnPlateau", "RegexLabeller", "regnet_x_16gf",
    "RegNet_X_16GF_Weights", "regnet_x_1_6gf", "RegNet_X_1_6GF_Weights", "regnet_x_32gf", "RegNet_X_32GF_Weights",
    "regnet_x_3_2gf", "RegNet_X_3_2GF_Weights", "regnet_x_400mf", "RegNet_X_400MF_Weights", "regnet_x_800mf",
    "RegNet_X_800MF_Weights", "regnet_x_8gf", "RegNet_X_8GF_Weights", "regnet_y_128gf", "RegNet_Y_128GF_Weights",
    "regnet_y_16gf", "RegNet_Y_16GF_Weights", "regnet_y_1_6gf", "RegNet_Y_1_6GF_Weights", "regnet_y_32gf",
    "RegNet_Y_32GF_Weights", "regnet_y_3_2gf", "RegNet_Y_3_2GF_Weights", "regnet_y_400mf", "RegNet_Y_400MF_Weights",
    "regnet_y_800mf", "RegNet_Y_800MF_Weights", "regnet_y_8gf", "RegNet_Y_8GF_Weights", "RegressionBlock", "replicate",
    "requires_grad", "ResBlock", "Resize", "resize_image", "resize_images", "resize_to", "ResizeBatch", "ResizeMethod",
    "resnet101", "ResNet101_Weights", "resnet152", "ResNet152_Weights", "resnet18", "ResNet18_Weights", "resnet34",
    "ResNet34_Weights", "resnet50", "ResNet50_Weights", "resnext101_32x8d", "ResNeXt101_32X8D_Weights", "resnext101_64x4d",
    "ResNeXt101_64X4D_Weights", "resnext50_32x4d", "ResNeXt50_32X4D_Weights", "risinstance", "rmse", "RMSProp", "RocAuc",
    "RocAucBinary", "RocAucMulti", "Rotate", "Sampler", "Saturation", "save_model", "SaveModelCallback", "sched_cos",
    "sched_exp", "sched_lin", "sched_no", "SchedCos", "SchedExp", "SchedLin", "SchedNo", "SchedPoly", "Self", "SEModule",
    "Sequence", "SequentialEx", "SequentialSampler", "Set", "set_bn_eval", "set_seed", "setify", "SGD", "ShortEpochCallback",
    "show_image", "show_images", "show_titled_image", "ShowGraphCallback", "shufflenet_v2_x0_5", "ShuffleNet_V2_X0_5_Weights",
    "shufflenet_v2_x1_0", "ShuffleNet_V2_X1_0_Weights", "shufflenet_v2_x1_5", "ShuffleNet_V2_X1_5_Weights",
    "shufflenet_v2_x2_0", "ShuffleNet_V2_X2_0_Weights", "shutil", "sigmoid", "sigmoid_range", "SigmoidRange", "SimpleCNN",
    "SimpleNamespace", "SkipToEpoch", "skm_to_fastai", "slide", "snake2camel", "SpearmanCorrCoef", "squeezenet1_0",
    "SqueezeNet1_0_Weights", "squeezenet1_1", "SqueezeNet1_1_Weights", "Stateful", "steep", "store_attr", "StratifiedSplitter",
    "string", "sub", "subplots", "SuggestionMethod", "swin_b", "Swin_B_Weights", "swin_s", "Swin_S_Weights", "swin_t",
    "Swin_T_Weights", "swin_v2_b", "Swin_V2_B_Weights", "swin_v2_s", "Swin_V2_S_Weights", "swin_v2_t", "Swin_V2_T_Weights",
    "Swish", "swish", "sys", "tarfile", "tempfile", "Tensor", "tensor", "TensorBase", "TensorBBox", "TensorBoardCallback",
    "TensorCategory", "TensorImage", "TensorImageBase", "TensorImageBW", "TensorMask", "TensorMultiCategory", "TensorPoint",
    "TensorTypes", "TerminateOnNaNCallback", "test_close", "test_eq", "test_fail", "test_ne", "threaded", "time", "TimmBody",
    "to_cpu", "to_detach", "to_device", "to_float", "to_half", "to_image", "to_np", "top_k_accuracy", "torch", "total_params",
    "ToTensor", "TrackerCallback", "trainable_params", "TrainEvalCallback", "TrainTestSplitter", "Transform", "TrivialAugment",
    "TrivialAugmentWide", "truediv", "Tuple", "tuplify", "typed", "types", "TypeVar", "Union", "uniqueify", "untar_data",
    "URLs", "use_kwargs", "using_attr", "val2idx", "valley", "ValueMetric", "verify_image", "verify_images", "vgg11",
    "vgg11_bn", "VGG11_BN_Weights", "VGG11_Weights", "vgg13", "vgg13_bn", "VGG13_BN_Weights", "VGG13_Weights", "vgg16",
    "vgg16_bn", "VGG16_BN_Weights", "VGG16_Weights", "vgg19", "vgg19_bn", "VGG19_BN_Weights", "VGG19_Weights", "View",
    "vision_learner", "vit_b_16", "ViT_B_16_Weights", "vit_b_32", "ViT_B_32_Weights", "vit_h_14", "ViT_H_14_Weights",
    "vit_l_16", "ViT_L_16_Weights", "vit_l_32", "ViT_L_32_Weights", "WandbCallback", "warn", "warnings", "Warp",
    "wide_resnet101_2", "Wide_ResNet101_2_Weights", "wide_resnet50_2", "Wide_ResNet50_2_Weights", "working_directory",
    "zipfile", "Zoom", *LEFT_OUT,
]
# fmt: on


def __getattr__(name: str) -> Any:
    """What stands for a name that is left out, or that is loaded later; one that nobody knows gets the closest ones."""
    if name in LEFT_OUT:
        return LeftOut(name, LEFT_OUT[name])
    if name in __all__:
        return globals().setdefault(name, later(name))
    hint = "" if name.startswith("_") else did_you_mean(name, __all__)
    raise AttributeError(f"sightline.fastai has no name {name!r}. {hint}".rstrip())

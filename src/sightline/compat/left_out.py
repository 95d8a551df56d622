"""Names of fastai's vision part that sightline does not have, and for each the reason and the way out."""

from __future__ import annotations

from typing import Any, NoReturn

from sightline.errors import LeftOutError

_REASONS: dict[str, str] = {
    "sightline classifies whole pictures and does not segment them. Use a library for it, such as segmentation_models_pytorch "
    "or torchvision.models.segmentation.": """
        AddMaskCodes Dice DiceMulti DynamicUnet JaccardCoeff JaccardCoeffMulti MaskBlock PILMask SegmentationDataLoaders
        SegmentationInterpretation UnetBlock create_unet_model foreground_acc unet_learner
    """,
    "sightline classifies whole pictures and does not find objects in them. Use torchvision.models.detection.": """
        BBoxBlock BBoxLabeler BBoxLblBlock LabeledBBox bb_pad clip_remove_empty get_annotations
    """,
    "sightline reads pictures alone, no text.": "CorpusBLEUMetric get_text_files",
    "timm keeps networks of this design with trained weights; name one of those instead: vision_learner(dls, 'resnet18d'), "
    "'resnet50d', 'resnext50d_32x4d' or 'seresnext50_32x4d'.": """
        XResNet init_cnn xresnet101 xresnet152 xresnet18 xresnet18_deep xresnet18_deeper xresnet34 xresnet34_deep
        xresnet34_deeper xresnet50 xresnet50_deep xresnet50_deeper xresnext101 xresnext18 xresnext34 xresnext50
        xse_resnet101 xse_resnet152 xse_resnet18 xse_resnet34 xse_resnet50 xse_resnext101 xse_resnext18 xse_resnext18_deep
        xse_resnext18_deeper xse_resnext34 xse_resnext34_deep xse_resnext34_deeper xse_resnext50 xse_resnext50_deep
        xse_resnext50_deeper xsenet154
    """,
    "Layers of attention, for larger pictures, and for sequences are those of torch.nn, such as MultiheadAttention, "
    "PixelShuffle and Embedding.": """
        AdaptiveConcatPool1d BatchNorm1dFlat Embedding PixelShuffle_ICNR PooledSelfAttention2d SelfAttention
        SimpleSelfAttention TimeDistributed icnr_init trunc_normal_
    """,
    "ResBlock(..., reduction=, groups=, dw=True) makes blocks of this kind.": "SEBlock SEResNeXtBlock SeparableBlock",
    "Write an nn.Module, or a Module, which needs no super().__init__(); nn.Sequential takes Lambda(func) for functions.": """
        Debugger MishJit SwishJit ToTensorBase module sequential
    """,
    "The layer of transforms with types has no counterpart: DataBlock takes plain functions, a Transform of your own serves as "
    "item_tfms or batch_tfms, and what labels mean is told by sightline.target.": """
        Categorize Category CategoryMap Datasets EncodedMultiCategorize Func MultiCategorize MultiCategory OneHotEncode
        PointScaler RegressionSetup TensorPointCreate TfmdDL TfmdLists TitledFloat TitledInt TitledStr TitledTuple
        cast compose_tfms decode_at dispatch retain_type retain_types show_at typedispatch
    """,
    "Pictures that are read in a way of your own, of any number of channels, are ImageBlock(cls=Mine, channels=4), where Mine "
    "inherits from PILImage and its create(source) returns an array (H, W, C) or a tensor (C, H, W).": "TransformBlock",
    "Several GPUs are for processes of their own: start the script with torchrun. Within one process there is one device.": """
        DistributedTrainer ParallelTrainer distrib_barrier num_distrib rank_distrib
    """,
    "Trackers that are served are TensorBoard, Weights & Biases and MLflow; a Callback of your own reaches any other.": """
        AzureMLCallback CometCallback
    """,
    "Pictures that cannot be read are named without being asked for; interp.top_losses(items=True) gives those that look "
    "mislabelled, and files are moved with Path.rename.": "ImageClassifierCleaner ImagesCleaner",
    "Half precision needs no scaling of the loss here: learn.to_bf16(), or learn.to_fp16() on a GPU.": """
        ModelToHalf NonNativeMixedPrecision
    """,
    "It belongs to recurrent networks, which read text.": "ModelResetter RNNCallback RNNRegularizer rnn_cbs",
    "It is called create_vision_model.": "create_cnn_model",
    "Loaders are made by DataBlock or ImageDataLoaders; DataLoaders(train, valid, target=...) takes torch DataLoaders "
    "and lists of batches.": "FilteredBase PartialDL SkipItemException WeightedDL fa_collate fa_convert",
    "Pictures are Pillow's: use PILImage, and PILImageBW for grey ones.": "PILBase",
    "The loss shown while training is learn.recorder.smooth_loss.": "AvgSmoothLoss",
    "Bars of progress of one's own are tqdm's or rich's.": "master_bar progress_bar",
    "It is not handed on: import it in the script itself.": "ndimage pickle requests scipy yaml",
    "Searching the web takes an account with a search engine; download_images(dest, urls=...) fetches what it found.": """
        search_images_bing search_images_ddg search_images_serpapi
    """,
    "Weights are saved and read by learn.save(name) and learn.load(name), which never run code from a file.": """
        load_pickle save_pickle
    """,
    "Optimizers are torch's: write a torch.optim.Optimizer and pass opt_func=partial(OptimWrapper, opt=It). One out of "
    "functions of your own, such as def step(p, lr, **kwargs): p.data.add_(p.grad, alpha=-lr), is "
    "opt_func=partial(Optimizer, cbs=[step]), see sightline.train.steps.stepping.": """
        adam_step average_grad average_sqr_grad debias l2_reg lamb_step larc_layer_lr larc_step momentum_step qhadam_step
        radam_step rms_prop_step sgd_step step_stat weight_decay
    """,
    "Subclass Transform, or pass any function of a batch of pictures as batch_tfms.": """
        AffineCoordTfm DeterministicDihedral DeterministicDraw DeterministicFlip HSVTfm LightingTfm OldRandomCrop SpaceTfm
        affine_mat cutout_gaussian dihedral_mat flip_mat rotate_mat setup_aug_tfms zoom_mat
    """,
    "Defaults are said where they are used: dls = ...dataloaders(..., device='cpu'), Learner(..., lr=...).": "defaults",
    "There is no configuration file of fastai here; fastai_path(folder) gives its folders.": "fastai_cfg",
}

LEFT_OUT: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""The reason for each name, in a sentence or two that end with the way out."""


class LeftOut:
    """Stands where a script expects a name that sightline does not have, and says why as soon as it is used.

    Attributes:
        args: The name, and the reason.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.args = (name, reason)

    def __repr__(self) -> str:
        return f"<{self.args[0]}, left out: {self.args[1]}>"

    def __call__(self, *args: Any, **options: Any) -> NoReturn:
        self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        """Refuses to be inherited from."""
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self) -> NoReturn:
        name, reason = self.args
        raise LeftOutError(f"{name} of fastai is left out. {reason}")

"""`from sightline.fastai import *` gives every name that a script about pictures expects, or says why not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import sightline
from sightline import fastai
from sightline.compat.left_out import LEFT_OUT
from sightline.errors import LeftOutError
from sightline.model.backbones import resolve

# ruff: noqa: SIM905
# What users of fastai's vision part rely on, by section: data, transforms, learner, training, metrics, interpretation.
RELIED_ON = """
ImageDataLoaders DataBlock DataLoaders ImageBlock CategoryBlock MultiCategoryBlock RegressionBlock PointBlock MaskBlock
BBoxBlock BBoxLblBlock PILImage PILImageBW PILBase get_image_files get_files parent_label RegexLabeller ColReader ItemGetter
AttrGetter RandomSplitter TrainTestSplitter IndexSplitter EndSplitter GrandparentSplitter FuncSplitter MaskSplitter
FileSplitter ColSplitter RandomSubsetSplitter using_attr Pipeline

Resize ResizeMethod PadMode RandomResizedCrop RandomCrop CropPad RatioResize FlipItem DihedralItem aug_transforms Saturation
Hue RandomErasing RandomResizedCropGPU Dihedral Flip Rotate Zoom Warp Brightness Contrast Normalize imagenet_stats MixUp
CutMix RandAugment TrivialAugment Transform ItemTransform RandTransform DisplayedTransform ToTensor IntToFloatTensor
TensorImage TensorCategory TensorPoint

vision_learner cnn_learner unet_learner create_head create_body AdaptiveConcatPool2d SigmoidRange Learner load_learner
xresnet18 xresnet34 xresnet50 xresnet101 xresnet152

Adam SGD RMSProp RAdam QHAdam Larc Lamb Lookahead ranger OptimWrapper ParallelTrainer DistributedTrainer SchedLin SchedCos
SchedNo SchedExp SchedPoly combine_scheds combined_cos valley slide minimum steep CrossEntropyLossFlat BCEWithLogitsLossFlat
MSELossFlat FocalLossFlat LabelSmoothingCrossEntropy L1LossFlat BCELossFlat DiceLoss LabelSmoothingCrossEntropyFlat FocalLoss

accuracy error_rate top_k_accuracy APScoreBinary BalancedAccuracy BrierScore CohenKappa F1Score FBeta Precision Recall Jaccard
HammingLoss MatthewsCorrCoef RocAuc RocAucBinary accuracy_multi APScoreMulti BrierScoreMulti F1ScoreMulti FBetaMulti
HammingLossMulti JaccardMulti MatthewsCorrCoefMulti PrecisionMulti RecallMulti RocAucMulti mse rmse mae msle exp_rmspe
ExplainedVariance R2Score PearsonCorrCoef SpearmanCorrCoef AccumMetric skm_to_fastai optim_metric LossMetric

Interpretation ClassificationInterpretation Callback TrainEvalCallback Recorder CastToTensor ProgressCallback
EarlyStoppingCallback SaveModelCallback ReduceLROnPlateau TerminateOnNaNCallback CSVLogger ShowGraphCallback
GradientAccumulation GradientClip BnFreeze ShortEpochCallback MixedPrecision ChannelsLast MCDropoutCallback ActivationStats
Hook CollectDataCallback FetchPredsCallback SkipToEpoch TensorBoardCallback WandbCallback CometCallback AzureMLCallback
verify_images download_images resize_images set_seed ImagesCleaner ImageClassifierCleaner CancelFitException
CancelBatchException CancelEpochException show_image show_images untar_data URLs ParamScheduler
""".split()
SCRIPTS_EXPECT = (
    "Path np pd plt torch nn F partial L os re sys json math random time warnings tensor Tensor noop first Image models".split()
)


def test_every_name_relied_on_is_there_or_left_out_with_a_reason():
    assert not [name for name in RELIED_ON if name not in fastai.__all__]
    assert not [name for name in SCRIPTS_EXPECT if name not in fastai.__all__]


def test_a_name_is_either_there_or_left_out():
    there = [name for name in fastai.__all__ if name not in LEFT_OUT]
    assert sorted(there) == sorted(set(there))
    assert not set(vars(fastai)) & set(LEFT_OUT)


# sightline's is the rows of a table as pictures and labels; fastai's takes pipelines of transforms with types.
NAMESAKES = {"Datasets": "data/datasets.py"}


def test_nothing_that_is_left_out_is_there_after_all():
    package = Path(sightline.__file__).parent
    defined = {
        node.name: path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert {name: defined[name] for name in set(LEFT_OUT) & set(defined)} == NAMESAKES
    assert set(LEFT_OUT) & set(sightline.__all__) == set(NAMESAKES)


def test_every_architecture_is_there():
    architectures = set(sightline._HOMES["sightline.model.architectures"].split())
    assert architectures <= set(fastai.__all__)
    assert architectures <= set(vars(fastai))


def test_a_star_import_gives_all_of_it():
    namespace: dict[str, object] = {}
    exec("from sightline.fastai import *", namespace)
    assert set(fastai.__all__) <= set(namespace)
    assert resolve(namespace["resnet34"]).name == resolve(namespace["models"].resnet34).name == "resnet34"
    assert namespace["vision_learner"] is fastai.vision_learner


def test_importing_it_warns_of_nothing_and_loads_no_zoo_before_its_time():
    program = "import sys, sightline.fastai\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    late = {"torchvision", "timm", "torchmetrics", "pandas", "matplotlib", "sklearn", "scipy", "tensorboard", "wandb", "mlflow"}
    assert not late & set(done.stdout.split())


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_a_left_out_name_says_why_and_what_to_do(name):
    assert LEFT_OUT[name].endswith(".")
    with pytest.raises(LeftOutError, match=f"^{name} of fastai is left out. {LEFT_OUT[name][:20]}".replace("(", r"\(")):
        getattr(fastai, name)(1, a=2)


def test_a_left_out_name_is_refused_however_it_is_used():
    with pytest.raises(LeftOutError, match="does not segment"):
        fastai.SegmentationDataLoaders.from_label_func("pets")
    with pytest.raises(LeftOutError, match=r"those of torch\.nn"):

        class Own(fastai.SelfAttention):
            pass

    assert repr(fastai.unet_learner).startswith("<unet_learner, left out: sightline classifies whole pictures")
    assert not hasattr(fastai.unet_learner, "__wrapped__")
    assert isinstance(LeftOutError("no"), NotImplementedError)


def test_a_misspelt_name_gets_the_closest_ones():
    with pytest.raises(AttributeError, match=r"sightline.fastai has no name 'vision_lerner'. Did you mean 'vision_learner'"):
        fastai.vision_lerner  # noqa: B018


def test_a_module_without_super_init_is_a_module():
    class Twice(fastai.Module):
        def __init__(self, n):
            self.layer = nn.Linear(n, n)

        def forward(self, x):
            return 2 * self.layer(x)

    twice = Twice(3)
    assert [tuple(p.shape) for p in twice.parameters()] == [(3, 3), (3,)]
    assert twice(fastai.tensor([[1.0, 2.0, 3.0]])).shape == (1, 3)

"""Every row of the table of differences in docs/from-fastai.md is true of sightline: one test a row."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastcore.foundation import L
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from conftest import COLOURS, draw_picture
from sightline.data.loading.batch import Batch
from sightline.errors import SightlineError, SightlineWarning
from sightline.fastai import (
    BrierScore,
    Callback,
    CancelBatchException,
    CategoryBlock,
    ClassificationInterpretation,
    ColReader,
    DataBlock,
    GrandparentSplitter,
    ImageBlock,
    ImageDataLoaders,
    Learner,
    MixUp,
    Normalize,
    OptimWrapper,
    PILImage,
    PILImageBW,
    RandomErasing,
    RandomSplitter,
    RegressionBlock,
    Resize,
    Rotate,
    SaveModelCallback,
    ShortEpochCallback,
    TensorCategory,
    TensorImage,
    Transform,
    accuracy,
    accuracy_multi,
    aug_transforms,
    create_body,
    exp_rmspe,
    get_image_files,
    imagenet_stats,
    params,
    parent_label,
    resnet18,
    rmse,
    show_image,
    shufflenet_v2_x0_5,
    vision_learner,
)
from sightline.losses.objective import Objective
from sightline.metrics.gathering import named_metrics
from sightline.runtime import has_native_bf16
from sightline.target import Regression

PAGE = Path(__file__).parent.parent / "docs" / "from-fastai.md"
ROWS = {}
"""First cell of a row -> its test."""

ELSEWHERE = {
    "`CSVLogger(append=True)`": ["train/callbacks/test_logs.py::test_appended_runs_have_one_header"],
    "`F1Score(average=None)` and its like": [
        "metrics/test_single_label.py::test_a_figure_that_does_not_fit_is_found_before_training"
    ],
    "`export` of a network or an activation of your own": [
        "train/test_learner.py::test_export_refuses_a_network_that_it_cannot_name",
        "train/test_readouts.py::test_a_loss_with_an_activation_of_its_own_predicts_with_it_and_is_not_exported",
    ],
    "points in validation pictures": [
        "data/transforms/test_points.py::test_a_point_follows_its_picture_through_item_transforms",
        "data/transforms/test_points.py::test_a_point_follows_its_picture_through_batch_transforms",
    ],
    "transforms of one loader": [
        "data/test_script_idioms.py::test_transforms_can_be_looked_at_in_order",
        "data/test_script_idioms.py::test_transforms_called_by_hand_make_the_batch_of_validation",
        "data/test_dataloaders.py::test_transforms_are_added_to_all_loaders_or_to_some_in_place",
    ],
}
"""Rows that tests of their rooms hold to."""

pytestmark = pytest.mark.filterwarnings("ignore:The training part has:sightline.errors.SightlineWarning")


def row(cell):
    def keep(test):
        ROWS[cell] = test.__name__
        return test

    return keep


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 6), ("valid", 3)):
        for name in ("red", "blue"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                draw_picture(COLOURS[name], seed=number).resize((40, 32)).save(root / part / name / f"{number}.png")
    return root


def loaders(folder, **options):
    return ImageDataLoaders.from_folder(folder, **{"item_tfms": Resize(32), "bs": 4, "num_workers": 0} | options)


@pytest.fixture
def dls(folder):
    return loaders(folder)


@pytest.fixture
def learn(dls, tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return Learner(dls, net, path=tmp_path, splitter=lambda m: [params(m[:3]), params(m[3:])])


class Counted(Callback):
    """Counts training batches, and keeps the validation loss of each epoch."""

    def __init__(self):
        self.batches, self.losses = 0, []

    def before_batch(self):
        self.batches += self.training

    def after_epoch(self):
        self.losses.append(self.learn.recorder.values[-1][1])


@row("`cut=` of `vision_learner`")
def test_cut(dls):
    assert len(vision_learner(dls, resnet18, pretrained=False, cut=5).model[0]) == 5


@row("normalising with pretrained weights")
def test_normalising(dls, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(shufflenet_v2_x0_5(weights=None).state_dict(), file)
    learn = vision_learner(dls, shufflenet_v2_x0_5, weights=file)
    assert learn.dls.one_batch()[0].min() < 0 <= dls.one_batch()[0].min()


@row("first convolution for `n_in` other than 3")
def test_first_bias():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))
    bias = network[0].bias.clone()
    assert torch.equal(create_body(network, n_in=1)[0].bias, bias)


@row("parameter groups")
def test_groups(dls):
    for arch in ("test_resnet", shufflenet_v2_x0_5, resnet18):
        learn = vision_learner(dls, arch, pretrained=False)
        learn.create_opt()
        assert len(learn.opt.param_lists) == 3


@row("a training set smaller than `bs`")
def test_small_set(folder):
    assert [len(batch[0]) for batch in loaders(folder, bs=64).train] == [12]


@row("`RandomSplitter(seed=)`")
def test_splitter():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    RandomSplitter(seed=42)(list(range(10)))
    assert torch.equal(torch.rand(1), expected)


@row("EXIF orientation")
def test_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "lying.jpg", exif=exif)
    assert PILImage.create(tmp_path / "lying.jpg").size == (20, 40)


@row("pictures that cannot be read")
def test_unreadable(folder, tmp_path):
    for number, file in enumerate(get_image_files(folder)):
        name = tmp_path / file.parent.name / f"{number}.png"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(file.read_bytes())
    (tmp_path / "red" / "broken.png").write_bytes(b"no picture")
    with pytest.warns(SightlineWarning, match=r"broken\.png"):
        dls = loaders(tmp_path, valid_pct=0.3, seed=1)
    assert len(dls.train_ds) + len(dls.valid_ds) == 18


@row("erasing, crop boxes and CutMix boxes on the batch")
def test_erasing(tmp_path):
    for part in ("train", "valid"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32)).save(tmp_path / part / name / f"{number}.png")
    pictures = loaders(tmp_path, bs=8, batch_tfms=RandomErasing(p=1.0, sh=0.2)).one_batch()[0]
    boxes = {tuple((picture.abs().sum(0) > 0).flatten().tolist()) for picture in pictures}
    assert len(boxes) > 2


@row("validation pictures")
def test_validation_pictures(folder, dls):
    augmented = loaders(folder, batch_tfms=aug_transforms())
    assert torch.equal(augmented.valid.one_batch()[0], dls.valid.one_batch()[0])


@row("trackers over `fine_tune`")
def test_trackers(learn):
    seen, tracker = Counted(), SaveModelCallback()
    learn.fine_tune(3, 1e-2, freeze_epochs=3, cbs=[tracker, seen])
    assert len(seen.losses) == 6
    assert tracker.best == pytest.approx(min(seen.losses))
    assert learn.validate()[0] == pytest.approx(min(seen.losses), rel=1e-5)


@row("`fit_flat_cos(start_epoch=)`")
def test_start_epoch(learn):
    learn.fit_flat_cos(3, start_epoch=2)
    assert len(learn.recorder.values) == 1


@row("`lr_find`")
def test_lr_find(learn):
    before = [p.clone() for p in learn.model.parameters()]
    for steps in (1, 2, 5):
        learn.lr_find(num_it=steps, show_plot=False)
    assert all(torch.equal(p, q) for p, q in zip(learn.model.parameters(), before, strict=True))


@row("Brier score")
def test_brier():
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1, 1])
    expected = ((logits.softmax(1)[:, 1] - targets) ** 2).mean().item()
    assert BrierScore()(logits.softmax(1)[:, 1], targets) == pytest.approx(expected)


@row("confusion of several labels")
def test_confusion(folder):
    files = get_image_files(folder)
    rows = pd.DataFrame({"fname": [str(f) for f in files], "labels": [f"{f.parent.name} any" for f in files]})
    dls = ImageDataLoaders.from_df(rows, "/", label_delim=" ", item_tfms=Resize(32), bs=4, seed=1, num_workers=0)
    learn = vision_learner(dls, "test_resnet", pretrained=False)
    tables = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    assert tables.shape == (3, 2, 2)
    assert [table.sum() for table in tables] == [len(dls.valid_ds)] * 3


@row("a plain `nn.CrossEntropyLoss()`")
def test_plain_loss(learn):
    learn.loss_func = nn.CrossEntropyLoss()
    preds, _, decoded = learn.get_preds(with_decoded=True)
    assert torch.allclose(preds.sum(1), torch.ones(6))
    assert torch.equal(decoded, preds.argmax(1))


@row("`OptimWrapper(opt=torch.optim.AdamW)`")
def test_exempt(learn):
    learn.opt_func = lambda params, **options: OptimWrapper(params, opt=torch.optim.AdamW, **options)
    learn.wd = 0.1
    norm, linear = learn.model[1], learn.model[-1]
    learn.fit(1, 1e-3)
    decay = {id(p): group["weight_decay"] for group in learn.opt.inner.param_groups for p in group["params"]}
    assert [decay[id(p)] for p in (norm.weight, norm.bias, linear.bias, linear.weight)] == [0, 0, 0, 0.1]


@row("`ShortEpochCallback`, `CancelTrainException`")
def test_short_epochs(learn):
    seen = Counted()
    learn.fit(1, cbs=[ShortEpochCallback(pct=0.5, short_valid=False), seen])
    assert len(learn.recorder.losses) == seen.batches > 0


@row("`learn.validate()`")
def test_validate(learn):
    learn.fit(1)
    learn.model.train()
    before = list(learn.recorder.values)
    learn.validate()
    assert learn.recorder.values == before
    assert learn.model.training


@row("half precision")
def test_half_precision(learn):
    assert learn.to_fp16().runtime.precision in {"bf16", "fp16"}


@row("what is computed in, unless you say")
def test_what_is_computed_in(learn, monkeypatch):
    monkeypatch.delenv("SIGHTLINE_PRECISION", raising=False)
    native = has_native_bf16(learn.runtime.device)
    planned = Learner(learn.dls, learn.model).runtime.precision
    assert planned == "fp32" or native
    assert learn.to_fp32().runtime.precision == "fp32"


@row("results")
def test_results(learn, folder):
    label, number, probabilities = learn.predict(get_image_files(folder)[0])
    assert (type(label), type(number), type(probabilities)) == (str, torch.Tensor, torch.Tensor)
    assert isinstance(get_image_files(folder), L)
    assert type(learn.validate()) is list


@row("`predict` for one number")
def test_one_number(folder):
    files = get_image_files(folder)
    rows = pd.DataFrame({"fname": [str(f) for f in files], "size": np.linspace(0, 1, len(files))})
    block = DataBlock((ImageBlock, RegressionBlock), get_x=ColReader("fname"), get_y=ColReader("size"), item_tfms=Resize(32))
    learn = vision_learner(block.dataloaders(rows, bs=4, num_workers=0), "test_resnet", pretrained=False, y_range=(0, 1))
    assert 0 <= learn.predict(files[0])[0] <= 1


@row("labels of a pandas categorical")
def test_categorical(folder):
    files = get_image_files(folder)
    kinds = pd.Categorical([f.parent.name for f in files], categories=["red", "blue"])
    rows = pd.DataFrame({"fname": [str(f) for f in files], "kind": kinds})
    dls = ImageDataLoaders.from_df(rows, "/", item_tfms=Resize(32), bs=4, seed=1, num_workers=0)
    assert list(dls.vocab) == ["red", "blue"]


@row("what a splitter returns")
def test_splitter_returns():
    assert [part.dtype for part in RandomSplitter()(list(range(5)))] == [np.int64, np.int64]


@row("`get_image_files` of a folder that does not exist")
def test_no_folder(tmp_path):
    with pytest.raises(SightlineError, match="nowhere"):
        get_image_files(tmp_path / "nowhere")


@row("`Normalize` with figures for three channels and grey pictures")
def test_grey_and_normalize(folder):
    with pytest.raises(SightlineError, match="channel"):
        loaders(folder, img_cls=PILImageBW, batch_tfms=Normalize.from_stats(*imagenet_stats)).one_batch()


@row("a transform of labels (`encodes(self, y: TensorCategory)`)")
def test_transform_of_labels(folder):
    class Relabel(Transform):
        def encodes(self, y: TensorCategory):
            return 1 - y

    with pytest.raises(SightlineError, match="get_y"):
        loaders(folder, batch_tfms=Relabel()).one_batch()


@row("a plain function in `batch_tfms`")
def test_plain_function(folder):
    seen = []

    def look(x):
        seen.append((x.dtype, x.max().item() <= 1, x.ndim))
        return x

    loaders(folder, batch_tfms=look).one_batch()
    assert set(seen) == {(torch.float32, True, 4)}


@row("`aug_transforms()`")
def test_augmentations_one_by_one():
    assert {type(step).__name__ for step in aug_transforms()} == {"Flip", "Rotate", "Zoom", "Warp", "Brightness", "Contrast"}


@row("methods that fastai adds to tensors (`x.show()`, `x.rotate()`)")
def test_no_methods_on_tensors():
    assert not {"show", "rotate"} & set(dir(TensorImage(torch.zeros(3, 4, 4))))
    assert isinstance(show_image(torch.rand(3, 8, 8)), Axes)
    assert Rotate(p=1.0)(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@row("a `Resize` called by hand")
def test_resize_by_hand():
    picture = PILImage.create(np.arange(40 * 20 * 3, dtype=np.uint8).reshape(20, 40, 3))
    centre = [np.asarray(Resize(10)(picture)).tolist() for _ in range(3)]
    assert centre[0] == centre[1] == centre[2]


@row("batches")
def test_batches(dls):
    batch = dls.valid.one_batch()
    pictures, targets = batch
    assert isinstance(batch, Batch)
    assert len(pictures) == len(targets) == len(batch.index)


@row("worker processes")
def test_workers(folder):
    for _ in loaders(folder, num_workers=2).train:
        assert multiprocessing.active_children() == []


@row("a table's column of True and False, read by `from_csv`")
def test_true_and_false_in_a_file(folder, tmp_path):
    rows = pd.DataFrame({"fname": [str(f) for f in get_image_files(folder)]})
    rows.assign(is_red=rows["fname"].str.contains("red")).to_csv(tmp_path / "labels.csv", index=False)
    dls = ImageDataLoaders.from_csv(tmp_path, folder="/", item_tfms=Resize(32), bs=4, seed=1, num_workers=0)
    assert list(dls.vocab) == ["False", "True"]


@row("a training part with one class alone")
def test_one_class(folder):
    block = DataBlock((ImageBlock, CategoryBlock), get_y=parent_label, splitter=GrandparentSplitter(), item_tfms=Resize(32))
    reds = [file for file in get_image_files(folder) if file.parent.name == "red"]
    with pytest.raises(SightlineError, match="Only one class"):
        block.dataloaders(reds)


@row("`learn.loss_func` where none was given")
def test_loss_of_the_labels(learn):
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    assert isinstance(learn.loss_func, Objective)
    assert torch.allclose(learn.loss_func(logits, targets), nn.functional.cross_entropy(logits, targets))
    assert torch.allclose(learn.loss_func.activation(logits), logits.softmax(1))
    assert learn.loss_func.decodes(logits).tolist() == [0, 1]
    assert (learn.loss_func.reduction, learn.loss_func.thresh) == ("mean", None)


@row("`nn.MSELoss()`, `nn.L1Loss()` on numbers")
@pytest.mark.parametrize(("loss_func", "expected"), [(nn.MSELoss(), 2.5), (nn.L1Loss(), 1.5)])
def test_numbers_one_by_one(loss_func, expected):
    outputs, labels = torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 6.0])
    assert Objective(Regression.learn([2.0, 6.0]), loss_func).mean(outputs, labels).item() == expected


@row("a loss that knows no `reduction`")
def test_a_loss_without_reduction(learn):
    learn.loss_func = lambda preds, targets: nn.functional.cross_entropy(preds, targets)
    probabilities, targets, losses = learn.get_preds(with_loss=True)
    assert torch.allclose(losses, -probabilities[range(6), targets].log(), atol=1e-6)
    learn.fit(1, cbs=MixUp())
    assert len(learn.recorder.losses) == 3


@row("`learn.cbs`, `learn.metrics`")
def test_lists_as_given(learn, dls):
    counted = Counted()
    given = Learner(dls, learn.model, metrics=[accuracy], cbs=counted)
    assert type(given.cbs) is type(given.metrics) is list
    assert counted in given.cbs
    assert given.metrics == [accuracy]


@row("`learn.parameters()`, `learn.eval()` and other methods of the network")
def test_methods_of_the_network(learn):
    assert not {"parameters", "eval", "train", "named_modules", "state_dict"} & set(dir(learn))
    assert len(list(learn.model.parameters())) == 6


@row("names of columns")
def test_names_of_columns():
    metrics = [rmse, exp_rmspe, accuracy_multi, accuracy_multi]
    names = ["rmse", "exp_rmspe", "accuracy_multi", "accuracy_multi_2"]
    assert [name for name, _ in named_metrics(metrics)] == names


@row("figures")
def test_figures(learn):
    learn.fit_one_cycle(1)
    learn.lr_find(num_it=3, show_plot=False)
    told = ClassificationInterpretation.from_learner(learn)
    drawn = [
        learn.dls.show_batch(), learn.show_results(), told.plot_top_losses(2), told.plot_confusion_matrix(),
        told.show_results([0]), learn.recorder.plot_loss(), learn.recorder.plot_sched(), learn.recorder.plot_lr_find(),
    ]  # fmt: skip
    assert all(isinstance(figure, Figure | Axes) for figure in drawn)


@row("a tensor as a picture for `predict`")
def test_tensor_as_picture(learn):
    pixels = np.random.default_rng(0).integers(0, 255, (32, 40, 3), dtype=np.uint8)
    of_array, of_tensor = learn.predict(pixels)[2], learn.predict(torch.from_numpy(pixels).permute(2, 0, 1))[2]
    assert torch.equal(of_array, of_tensor)


@row("`CancelBatchException`")
def test_cancelled_batches(learn):
    class Second(Callback):
        def before_batch(self):
            if self.training and self.iter == 1:
                raise CancelBatchException

    learn.fit(1, cbs=Second())
    assert len(learn.dls.train) == 3
    assert len(learn.recorder.losses) == 2


def test_every_row_of_the_page_has_its_test():
    part = PAGE.read_text(encoding="utf-8").partition("## Different on purpose")[2].partition("\n## Files")[0]
    cells = re.findall(r"^\| (.+?) \|", part, flags=re.MULTILINE)
    cells = [cell for cell in cells if cell != "what"]
    assert sorted(cells) == sorted([*ROWS, *ELSEWHERE])


@pytest.mark.parametrize("place", [place for places in ELSEWHERE.values() for place in places])
def test_tests_of_their_rooms_are_there(place):
    file, _, name = place.partition("::")
    assert f"\ndef {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")

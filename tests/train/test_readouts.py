"""What a learner is asked after training: predictions in order, test-time augmentation, figures, what it exports."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sightline.data.block import DataBlock
from sightline.data.blocks import ImageBlock, RegressionBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.rows.files import get_image_files
from sightline.data.rows.split import IndexSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import Resize
from sightline.data.transforms.points import PointBlock
from sightline.errors import BundleError, OptionError, SightlineWarning
from sightline.metrics.single_label import error_rate
from sightline.target import SingleLabel, Vocab
from sightline.train import tta
from sightline.train.events import Callback
from sightline.train.learner import Learner

STATS = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class Squares(nn.Module):
    """Sees where in a picture its colours are, so that every augmentation changes what it says."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, k))

    def forward(self, x):
        return self.body(x)


@pytest.fixture
def dls(colour_folder):
    tfms = [*aug_transforms(max_lighting=0.4), Normalize(*STATS)]
    return ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(24), batch_tfms=tfms, bs=8, val_bs=5, seed=1)


@pytest.fixture
def learn(dls):
    learner = Learner(dls, Squares(3), metrics=error_rate)
    with learner.no_logging():
        yield learner


def several_labels(colour_table, **options):
    dls = ImageDataLoaders.from_csv(
        colour_table, folder="images", label_delim=" ", valid_col="is_valid", item_tfms=Resize(24), bs=16, **options
    )
    return Learner(dls, Squares(3))


def numbers(colour_table):
    dls = ImageDataLoaders.from_csv(
        colour_table, folder="images", label_col="brightness", valid_col="is_valid", y_block=RegressionBlock(),
        item_tfms=Resize(24), batch_tfms=aug_transforms(), bs=16,
    )  # fmt: skip
    return Learner(dls, Squares(1))


# -------------------------------------------------------------------- predictions


def test_get_preds_gives_images_probabilities_targets_decisions_and_losses_in_this_order(learn):
    images, probabilities, targets, decided, losses = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
    batches = list(learn.dls.valid)
    assert torch.equal(images, torch.cat([batch.image for batch in batches]))
    assert torch.equal(targets, torch.cat([batch.target for batch in batches]))
    with torch.no_grad():
        logits = learn.model(images)
    assert torch.allclose(probabilities, logits.softmax(1), atol=1e-6)
    assert torch.equal(decided, logits.argmax(1))
    assert torch.allclose(losses, nn.functional.cross_entropy(logits, targets, reduction="none"), atol=1e-6)


def test_get_preds_has_none_in_the_place_of_what_is_not_wanted(learn):
    _, targets, decided = learn.get_preds(with_decoded=True)
    assert learn.get_preds(with_preds=False, with_targs=False) == (None, None)
    given = learn.get_preds(with_input=True, with_decoded=True, with_loss=True, with_preds=False)
    assert [type(part) for part in given] == [torch.Tensor, type(None), torch.Tensor, torch.Tensor]
    assert torch.equal(given[2], targets)
    given = learn.get_preds(with_decoded=True, with_targs=False)
    assert given[1] is None
    assert torch.equal(given[2], decided)


def test_a_training_loader_gives_all_its_pictures_in_row_order_and_unaugmented(learn):
    whole = learn.get_preds(ds_idx=0)
    given = learn.get_preds(dl=learn.dls.train)
    assert len(whole[0]) == 36  # 36 pictures in batches of 8: training leaves out the last 4
    assert torch.allclose(given[0], whole[0], atol=1e-6)
    assert torch.equal(given[1], learn.dls.train.part.targets[torch.from_numpy(learn.dls.train.rows)])
    assert learn.dls.train.epoch == 0


def test_shuffled_loaders_are_put_in_order_unless_told_not_to(learn):
    shuffled = learn.dls.valid.new(shuffle=True)
    plain = learn.get_preds()
    assert torch.equal(learn.get_preds(dl=shuffled)[1], plain[1])
    turned = learn.get_preds(dl=learn.dls.valid.new(shuffle=True), reorder=False)[1]
    assert not torch.equal(turned, plain[1])
    assert torch.equal(turned.sort().values, plain[1].sort().values)


def test_rows_that_come_repeatedly_keep_their_places(learn):
    part = learn.dls.valid.part
    repeated = learn.dls.valid.new(part=part.only(np.array([40, 37, 40, 47, 37])))
    expected = part.targets[torch.tensor([40, 37, 40, 47, 37])]
    assert torch.equal(learn.get_preds(dl=repeated)[1], expected)
    assert torch.equal(learn.get_preds(dl=repeated.new(shuffle=True))[1], expected)


def test_a_batch_of_a_shuffled_loader_keeps_the_order_in_which_it_is_given(learn):
    batch = learn.dls.one_batch()
    assert batch.index.tolist() != sorted(batch.index.tolist())
    probabilities, targets = learn.get_preds(dl=[batch, batch])
    assert torch.equal(targets, torch.cat([batch.target, batch.target]))
    with torch.no_grad():
        assert torch.allclose(probabilities[:8], learn.model(batch.image).softmax(1), atol=1e-6)


def test_images_of_several_sizes_come_as_a_list(learn):
    batches = [(torch.rand(2, 3, 24, 24), torch.tensor([0, 1])), (torch.rand(1, 3, 16, 16), torch.tensor([2]))]
    images = learn.get_preds(dl=batches, with_input=True)[0]
    assert [tuple(image.shape) for image in images] == [(3, 24, 24), (3, 24, 24), (3, 16, 16)]


def test_metrics_are_not_asked_when_only_predictions_are(learn):
    def of_all_classes(logits, target):
        assert set(target.tolist()) == {0, 1, 2}, "not every class is there"
        return 0.0

    learn.metrics = [of_all_classes]
    assert len(learn.get_preds(dl=[learn.dls.valid.one_batch()])[0]) == 5
    assert learn.recorder in learn.cbs


def test_act_replaces_the_activation(learn):
    with torch.no_grad():
        logits = torch.cat([learn.model(batch.image) for batch in learn.dls.valid])
    assert torch.allclose(learn.get_preds(act=lambda x: x)[0], logits, atol=1e-6)


def test_the_threshold_of_the_loss_decides_everywhere(colour_table, tmp_path):
    class Careful(nn.Module):
        thresh = 0.9

        def forward(self, logits, target):
            return nn.functional.binary_cross_entropy_with_logits(logits, target)

    learn = several_labels(colour_table)
    learn.loss_func = Careful()
    nn.init.constant_(learn.model.body[2].bias, 1.5)  # probabilities around 0.82: above 0.5, below 0.9
    nn.init.constant_(learn.model.body[2].weight, 0.0)
    assert not learn.get_preds(with_decoded=True)[2].any()
    assert learn.predict(learn.dls.valid_ds.paths[0]).label == []
    learn.loss_func = None
    assert learn.get_preds(with_decoded=True)[2].all()


def test_a_loss_with_an_activation_of_its_own_predicts_with_it_and_is_not_exported(learn, tmp_path):
    class Halved(nn.Module):
        def forward(self, logits, target):
            return nn.functional.cross_entropy(logits, target)

        def activation(self, logits):
            return logits.softmax(-1) / 2

    plain = learn.get_preds()[0]
    learn.loss_func = Halved()
    halved = learn.get_preds()[0]
    assert torch.allclose(halved, plain / 2, atol=1e-6)
    assert torch.allclose(learn.predict(learn.dls.valid.items[2]).probabilities, halved[2], atol=1e-6)
    with pytest.raises(BundleError, match=r"activation of the loss Halved is code of your own.*learn.save"):
        learn.export(tmp_path / "x.safetensors")


# -------------------------------------------------------------------- test-time augmentation


def test_tta_is_a_quarter_plain_and_three_quarters_the_mean_of_augmented_passes(colour_folder):
    tfms = [*aug_transforms(), Normalize(*STATS)]
    square = ImageDataLoaders.from_folder(
        colour_folder, item_tfms=Resize(24, method="squish"), batch_tfms=tfms, bs=8, val_bs=5, seed=1
    )
    learn = Learner(square, Squares(3))
    loader = learn.dls.valid
    passes = []
    for number in range(4):
        twin = tta.augmented(loader, number)
        passes.append(torch.cat([learn.model(batch.image).softmax(1).detach() for batch in twin]))
    plain, targets = learn.get_preds()
    assert not torch.allclose(passes[0], passes[1], atol=1e-3)
    assert not torch.allclose(passes[0], plain, atol=1e-3)
    found, found_targets = learn.tta()
    assert torch.allclose(found, 0.75 * sum(passes) / 4 + 0.25 * plain, atol=1e-6)
    assert torch.equal(found_targets, targets)
    assert torch.allclose(found.sum(1), torch.ones(12), atol=1e-5)
    assert torch.equal(learn.tta()[0], found)
    (mean, unchanged), _ = learn.tta(n=2, beta=None)
    assert torch.allclose(mean, (passes[0] + passes[1]) / 2, atol=1e-6)
    assert torch.equal(unchanged, plain)
    largest, _ = learn.tta(n=3, use_max=True)
    assert torch.allclose(largest, torch.stack([*passes[:3], plain]).amax(0), atol=1e-6)
    assert learn.dls.train.epoch == 0


def test_tta_augments_every_picture_even_a_last_one_alone(learn):
    loader = learn.dls.valid.new(bs=11)  # 11 and 1: in training the one alone would be left out
    assert learn.tta(dl=loader, n=1)[0].shape == (12, 3)
    assert learn.tta(dl=learn.dls.train, n=1)[0].shape == (36, 3)


def test_tta_leaves_out_what_cannot_be_read_in_every_pass_alike(learn):
    files = list(learn.dls.valid.items)
    files[3].write_bytes(b"no picture")
    with pytest.warns(SightlineWarning, match="1 picture cannot be read"):
        found, targets = learn.tta(dl=learn.dls.test_dl(files), n=2)
    assert found.shape == (11, 3)
    assert targets is None


def test_tta_takes_other_transforms_and_goes_on_normalising(learn):
    brighter = learn.dls.valid
    found = tta.with_transforms(brighter, Resize(32), aug_transforms(size=16))
    assert found.one_batch().image.shape == (5, 3, 16, 16)
    assert found.stats == STATS
    assert tta.with_transforms(brighter, None, [Normalize((0.0,) * 3, (1.0,) * 3)]).stats == ((0.0,) * 3, (1.0,) * 3)
    assert learn.tta(n=1, item_tfms=Resize(32), batch_tfms=[])[0].shape == (12, 3)
    # Without random transforms every pass says the same.
    squished, _ = learn.tta(n=2, item_tfms=Resize(24, method="squish"), batch_tfms=[], beta=None)
    assert torch.allclose(*squished, atol=1e-6)


@pytest.mark.parametrize("make", [several_labels, numbers])
def test_tta_averages_several_labels_and_numbers_too(make, colour_table):
    learn = make(colour_table)
    (mean, plain), targets = learn.tta(n=2, beta=None)
    assert mean.shape == plain.shape == (12, learn.dls.c)
    assert torch.equal(learn.tta(n=2, beta=1)[0], learn.get_preds()[0])
    assert torch.equal(targets, learn.get_preds()[1])


def test_tta_refuses_what_has_no_meaning(learn):
    with pytest.raises(OptionError, match="n=0 augmented passes"):
        learn.tta(n=0)
    with pytest.raises(OptionError, match="beta=2"):
        learn.tta(beta=2)
    with pytest.raises(OptionError, match=r"ready-made batches \(ForeignLoader\) cannot be augmented"):
        learn.tta(dl=[learn.dls.one_batch()])


# -------------------------------------------------------------------- figures


def pictures_in(figure):
    return [axis for axis in figure.axes if axis.images]


def test_results_are_shown_with_label_above_prediction_green_where_right(learn):
    nn.init.constant_(learn.model.body[2].weight, 0.0)  # every picture is taken for the class of the largest bias
    figure = learn.show_results(max_n=12, shuffle=False)
    axes = pictures_in(figure)
    names = learn.dls.vocab
    _, targets, decided = learn.get_preds(with_decoded=True)
    titles = [axis.get_title() for axis in axes]
    assert titles == [f"{names[t]}\n{names[d]}" for t, d in zip(targets.tolist(), decided.tolist(), strict=True)]
    assert [axis.title.get_color() for axis in axes] == ["green" if right else "red" for right in (targets == decided)]
    assert {axis.title.get_color() for axis in axes} == {"green", "red"}
    shown = np.asarray(axes[0].images[0].get_array())
    original = np.asarray(Resize(24)(learn.dls.valid_ds[0][0])) / 255
    assert np.allclose(shown, original, atol=1e-5)


def test_each_look_at_results_shows_other_pictures(learn):
    looks = [[axis.get_title() for axis in pictures_in(learn.show_results(max_n=6))] for _ in range(4)]
    assert all(len(look) == 6 for look in looks)
    assert len({tuple(look) for look in looks}) > 1
    assert len(pictures_in(learn.show_results(ds_idx=0, max_n=2, nrows=1, ncols=2, figsize=(4, 2)))) == 2


def test_results_of_several_labels_numbers_and_unlabelled_pictures(learn, colour_table):
    several = several_labels(colour_table)
    axes = pictures_in(several.show_results(max_n=4, shuffle=False))
    _, targets, decided = several.get_preds(with_decoded=True)
    words = [";".join(several.target.decode(row)) for row in (targets[0], decided[0])]
    assert axes[0].get_title() == "\n".join(words).strip("\n")
    assert axes[0].title.get_color() == ("green" if torch.equal(targets[0].bool(), decided[0]) else "red")
    number = numbers(colour_table)
    values, targets = number.get_preds()
    first = pictures_in(number.show_results(max_n=1, shuffle=False))[0]
    assert first.get_title() == f"{float(targets[0]):.4g}\n{float(values[0]):.4g}"
    assert first.title.get_color() == "black"
    unlabelled = pictures_in(learn.show_results(dl=learn.dls.test_dl(learn.dls.valid.items), max_n=3))
    assert all(axis.get_title() in learn.dls.vocab for axis in unlabelled)


def test_results_of_ready_made_batches_are_shown_too():
    images, targets = torch.rand(6, 3, 24, 24), torch.tensor([0, 1, 0, 1, 0, 1])
    ready = DataLoader(TensorDataset(images, targets), batch_size=3)
    dls = DataLoaders(ready, ready, target=SingleLabel(Vocab(["a", "b"])))
    assert len(pictures_in(Learner(dls, Squares(2)).show_results(max_n=2))) == 2


def test_no_picture_cannot_be_shown(learn):
    with pytest.raises(OptionError, match="max_n=0"):
        learn.show_results(max_n=0)


# -------------------------------------------------------------------- in words


def test_a_learner_says_what_it_is_in_a_few_lines(learn):
    lines = repr(learn).splitlines()
    assert lines[0].startswith("Learner: Squares, 3 outputs")
    assert "36 pictures" in lines[1]
    assert lines[2] == "  loss     cross-entropy; metrics: error_rate"
    assert lines[3] == "  trains   147 of 147 parameters; 0 epochs done"


def test_batches_keep_the_paths_of_points(learn):
    batch = replace(learn.dls.valid.one_batch(), paths=np.zeros((5, 3, 3)))
    assert len(learn._some(_Fixed(batch), 2, shuffle=False).paths) == 2


class _Fixed:
    def __init__(self, batch):
        self.batch = batch

    def one_batch(self):
        return self.batch


def test_points_are_drawn_where_they_are_and_where_they_were_taken_for(tmp_path):
    for i in range(6):
        Image.fromarray(np.full((20, 40, 3), 30 * i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
    block = DataBlock(
        (ImageBlock, PointBlock), get_items=get_image_files, get_y=lambda file: (10.0, 5.0),
        splitter=IndexSplitter([0, 1]), item_tfms=Resize((10, 20), method="squish"),
    )  # fmt: skip
    learn = Learner(block.dataloaders(tmp_path, bs=2), nn.Sequential(nn.Flatten(), nn.Linear(600, 2)))
    nn.init.zeros_(learn.model[1].weight)
    learn.model[1].bias.data = torch.tensor([1.0, 1.0])
    (axis, _) = pictures_in(learn.show_results(max_n=2, shuffle=False))
    # A quarter of the way along both sides, and the corner, in pixels whose centres are whole numbers.
    assert np.allclose([cloud.get_offsets()[0] for cloud in axis.collections], [(4.5, 2.0), (19.5, 9.5)])
    assert axis.get_title() == ""
    with pytest.raises(OptionError, match="points, which move with the picture"):
        learn.tta()


# -------------------------------------------------------------------- many pictures


def test_many_pictures_go_the_way_of_the_predictor_to_the_same_end(learn, monkeypatch):
    slow = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
    torch.manual_seed(1)
    learn.get_preds()
    state = torch.get_rng_state()
    monkeypatch.setattr("sightline.train.readouts.MANY", 4)
    monkeypatch.setattr("sightline.predict.MANY", 4)
    monkeypatch.setattr(learn, "_do_validate", None)
    for found, expected in zip(learn.get_preds(with_input=True, with_decoded=True, with_loss=True), slow, strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    torch.manual_seed(1)
    learn.get_preds()
    assert torch.equal(torch.get_rng_state(), state)


def test_callbacks_see_every_batch_however_many_there_are(learn, monkeypatch):
    monkeypatch.setattr("sightline.train.readouts.MANY", 4)
    seen = []
    learn.get_preds(cbs=Callback(after_pred=lambda cb: seen.append(len(cb.pred))))
    assert sum(seen) == learn.dls.valid.n
    learn.add_cb(Callback(before_validate=lambda cb: seen.clear()))
    learn.get_preds()
    assert seen == []

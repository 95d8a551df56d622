"""The frozen phase from stored features: what it shares with the usual one to the last bit, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.items import Resize
from sightline.errors import OptionError, TrainingError
from sightline.metrics.single_label import accuracy
from sightline.predict import load_learner
from sightline.train import features
from sightline.train.callbacks.activations import ActivationStats
from sightline.train.callbacks.core import ShortEpochCallback
from sightline.train.callbacks.mixing import MixUp
from sightline.train.events import Callback, CancelFitException, before_batch_cb
from sightline.train.feature_loaders import FeatureBatch
from sightline.train.features import split_below_the_head
from sightline.train.learner import Learner
from sightline.train.vision import vision_learner
from train.callbacks.small import SINGLE, batches, learner, network, quiet, same, two_groups, weights_of


def loaders(folder: Path, **options) -> ImageDataLoaders:
    return ImageDataLoaders.from_folder(
        folder, **({"item_tfms": Resize(16, method="squish"), "bs": 10, "seed": 1, "num_workers": 0} | options)
    )


def body(norm: bool) -> nn.Module:
    layers = [nn.Conv2d(3, 6, 3, stride=2), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def head(dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(dropout), nn.Linear(6, 3))


def learner_of(dls, *, norm: bool = True, dropout: float = 0.0, **options) -> Learner:
    torch.manual_seed(3)
    return Learner(dls, nn.Sequential(body(norm), head(dropout)), splitter=two_groups, metrics=accuracy, **options)


def epochs_of(learn: Learner, phase: int = 0) -> list[dict]:
    return learn.recorder.record.of("epoch", phase=phase)


def losses(learn: Learner) -> list[float]:
    return [row["loss"] for row in learn.recorder.record.of("step")]


class CountPasses(Callback):
    """How many pictures the first layer saw in each part of each epoch of fits that have some, and which rows steps saw."""

    def __init__(self) -> None:
        self.seen, self.rows = {}, []

    def before_fit(self) -> None:
        self.hook = self.model[0][0].register_forward_pre_hook(self.count)

    def count(self, layer, inputs) -> None:
        part = (self.epoch, "train" if self.training else "valid")
        self.seen[part] = self.seen.get(part, 0) + len(inputs[0])

    def before_batch(self) -> None:
        self.rows.append((self.epoch, self.training, self.learn.batch.index.tolist()))

    def close(self) -> None:
        self.hook.remove()


# ---------------------------------------------------------------- equal to the usual phase


def test_one_epoch_is_the_usual_phase_with_norms_at_rest_bit_by_bit(colour_folder):
    def trained(frozen: str) -> Learner:
        learn = learner_of(loaders(colour_folder, batch_tfms=aug_transforms()), dropout=0.5, train_bn=False)
        return quiet(learn, "fine_tune", 1, frozen=frozen)

    usual, stored = trained("train"), trained("features")
    assert losses(usual) == losses(stored)
    assert usual.recorder.record.of("epoch")[0]["valid_loss"] == stored.recorder.record.of("epoch")[0]["valid_loss"]
    assert same(weights_of(usual.model), weights_of(stored.model))


@pytest.mark.parametrize("drop_last", [None, False])
def test_without_norms_and_augmentation_several_epochs_equal_the_usual_phase(colour_folder, drop_last):
    def trained(frozen: str) -> Learner:
        learn = learner_of(loaders(colour_folder, drop_last=drop_last), norm=False, dropout=0.5)
        return quiet(learn, "fine_tune", 0, freeze_epochs=4, frozen=frozen)

    usual, stored = trained("train"), trained("features")
    assert losses(stored) == pytest.approx(losses(usual), abs=1e-6)
    for name, tensor in weights_of(usual.model).items():
        assert torch.allclose(tensor, weights_of(stored.model)[name], atol=1e-6), name
    assert len(epochs_of(stored)) == 4
    for one, other in zip(epochs_of(usual), epochs_of(stored), strict=True):
        assert one["valid_loss"] == pytest.approx(other["valid_loss"], abs=1e-6)
        assert one["metrics"] == other["metrics"]


def test_running_statistics_adapt_as_far_as_in_the_usual_phase_of_as_many_epochs(colour_folder):
    def trained(frozen: str) -> dict[str, torch.Tensor]:
        # One batch an epoch, which is the same in every one: what the statistics see does not depend on the order.
        learn = learner_of(loaders(colour_folder, bs=36), train_bn=False)
        return weights_of(quiet(learn, "fine_tune", 0, freeze_epochs=7, frozen=frozen).model)

    fresh, usual, stored = weights_of(learner_of(loaders(colour_folder)).model), trained("train"), trained("features")
    for name in ("0.1.running_mean", "0.1.running_var"):
        assert torch.allclose(stored[name], usual[name], rtol=1e-5)
        assert not torch.allclose(stored[name], fresh[name], rtol=1e-1)


def test_norms_that_average_over_all_batches_keep_their_average(colour_folder):
    learn = learner_of(loaders(colour_folder, bs=36))
    learn.model[0][1].momentum = None
    quiet(learn, "fine_tune", 0, freeze_epochs=3, frozen="features")
    with torch.no_grad():
        found = learn.model[0][0](torch.cat([batch.image for batch in learn.dls.evaluation(0)]))
    assert torch.allclose(learn.model[0][1].running_mean, found.mean((0, 2, 3)), rtol=1e-4)


def test_weights_of_norms_below_the_head_stay(colour_folder):
    def trained(frozen: str) -> dict[str, torch.Tensor]:
        return weights_of(quiet(learner_of(loaders(colour_folder)), "fine_tune", 0, freeze_epochs=2, frozen=frozen).model)

    fresh, stored = weights_of(learner_of(loaders(colour_folder)).model), trained("features")
    assert all(torch.equal(stored[name], fresh[name]) for name in ("0.0.weight", "0.1.weight", "0.1.bias"))
    assert not torch.equal(stored["0.1.running_mean"], fresh["0.1.running_mean"])
    assert not torch.equal(trained("train")["0.1.weight"], fresh["0.1.weight"])


def test_the_same_seed_gives_the_same_bits(colour_folder):
    def trained() -> dict[str, torch.Tensor]:
        learn = learner_of(loaders(colour_folder, batch_tfms=aug_transforms()), dropout=0.5)
        return weights_of(quiet(learn, "fine_tune", 1, freeze_epochs=3, frozen="features").model)

    assert same(trained(), trained())


# ---------------------------------------------------------------- what passes the body, and when


def test_pictures_pass_the_body_once_and_every_epoch_has_its_own_order(colour_folder):
    count = CountPasses()
    learn = learner_of(loaders(colour_folder), cbs=count)
    order = [learn.dls.train.order(epoch).tolist() for epoch in range(3)]
    quiet(learn, "fine_tune", 0, freeze_epochs=3, frozen="features")
    # 36 pictures: 30 in the epoch, 6 left over; these pass in one full batch of 10, because later epochs ask for them.
    assert count.seen == {(0, "train"): 40, (0, "valid"): 12}
    for epoch, rows in enumerate(order):
        assert [row for at, training, some in count.rows if training and at == epoch for row in some] == rows
    assert len({tuple(rows) for rows in order}) == 3


def test_a_single_epoch_keeps_nothing(colour_folder, monkeypatch):
    monkeypatch.setattr(features, "LARGEST_STORE", 0)
    kept = []
    learn = learner_of(loaders(colour_folder), cbs=Callback(after_epoch=lambda cb: kept.append(cb.learn.stored)))
    quiet(learn, "fine_tune", 0, frozen="features")
    assert kept[0].train.store is None
    assert kept[0].valid.made == []


def test_pictures_that_cannot_be_read_are_left_out_in_every_epoch(colour_folder):
    learn = learner_of(loaders(colour_folder, drop_last=False), cbs=CountPasses())
    (colour_folder / "train" / "red" / "red_0.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="cannot be read"):
        quiet(learn, "fine_tune", 0, freeze_epochs=3, frozen="features")
    trained = [row for _, training, some in learn.count_passes.rows if training for row in some]
    assert len(trained) == 3 * 35


def test_rows_drawn_by_weight_are_served_although_the_first_epoch_missed_some(colour_folder):
    weights = np.ones(36)
    weights[:12] = 5
    learn = learner_of(loaders(colour_folder).weighted_dataloaders(weights), cbs=CountPasses())
    order = [learn.dls.train.order(epoch).tolist() for epoch in range(3)]
    quiet(learn, "fine_tune", 0, freeze_epochs=3, frozen="features")
    served = [[row for at, training, some in learn.count_passes.rows if training and at == e for row in some] for e in range(3)]
    assert served == order


def test_an_epoch_that_was_left_out_is_made_up_for_without_a_trace_in_running_statistics(colour_folder):
    whole = learner_of(loaders(colour_folder), cbs=CountPasses())
    quiet(whole, "fine_tune", 0, freeze_epochs=3, frozen="features")
    kept = [batch.image for batch in TrainingFeaturesOf(whole)]
    late = learner_of(loaders(colour_folder), cbs=CountPasses())
    before = weights_of(late.model)
    quiet(late, "fine_tune", 1, freeze_epochs=3, frozen="features", start_epoch=1)
    assert len(kept) == 3
    assert late.count_passes.seen[(1, "train")] == 40
    assert torch.equal(weights_of(late.model)["0.1.running_mean"], before["0.1.running_mean"])


class TrainingFeaturesOf:
    """The features that a learner's second epoch of a phase of three would take."""

    def __init__(self, learn: Learner) -> None:
        learn.model.train()
        stored = features.StoredFeatures(learn, 3)
        stored.train.epoch = stored.train.epochs[1]
        self.loader = stored.train

    def __iter__(self):
        return iter(self.loader)


def test_shortened_epochs_work(colour_folder):
    learn = learner_of(loaders(colour_folder))
    quiet(learn, "fine_tune", 0, freeze_epochs=3, frozen="features", cbs=ShortEpochCallback(0.4))
    assert len(epochs_of(learn)) == 3


def test_ready_made_batches_work_in_an_order_of_their_own():
    seen = []
    note = Callback(after_batch=lambda cb: seen.append((cb.epoch, cb.training, cb.learn.batch.index.tolist())))
    quiet(learner(cbs=note), "fine_tune", 1, freeze_epochs=3, frozen="features")
    for epoch in range(3):
        sizes = [len(rows) for at, training, rows in seen[: 3 * 6] if training and at == epoch]
        assert sizes == [6, 6, 6, 4]
    rows = [row for at, training, some in seen[6:12] if training for row in some]
    assert sorted(rows) == list(range(22))
    assert rows != sorted(rows)


# ---------------------------------------------------------------- a fit as every other


def test_events_record_and_metrics_are_those_of_a_fit(colour_folder):
    events: list[str] = []
    names = ("before_fit", "before_epoch", "before_train", "before_validate", "after_epoch", "after_fit", "close")
    watch = Callback(**{name: lambda cb, name=name: events.append(name) for name in names})
    learn = learner_of(loaders(colour_folder), cbs=watch)
    quiet(learn, "fine_tune", 1, freeze_epochs=2, frozen="features")
    epoch = ["before_epoch", "before_train", "before_validate", "after_epoch"]
    assert events == ["before_fit", *epoch, *epoch, "after_fit", "close", "before_fit", *epoch, "after_fit", "close"]
    record = learn.recorder.record
    assert [(row["name"], row["n_epoch"], row["frozen_to"]) for row in record.of("phase")] == [("head", 2, 1), ("all", 1, 0)]
    assert [row["epoch"] for row in record.of("epoch")] == [0, 1, 0]
    assert all(0 <= row["metrics"]["accuracy"] <= 1 for row in record.of("epoch"))
    assert max(row["lr"][-1] for row in record.of("step", phase=0)) == pytest.approx(2e-3, rel=0.1)


def test_what_is_asked_within_the_phase_is_about_pictures_and_the_whole_network(colour_folder, tmp_path):
    found = []

    def ask(cb: Callback) -> None:
        found.append((cb.learn.validate()[0], cb.recorder.values[-1][1], cb.learn.get_preds()[0]))
        cb.learn.export(tmp_path / "within.safetensors")

    dls = loaders(colour_folder, item_tfms=Resize(32))
    learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=accuracy, cbs=Callback(after_epoch=ask))
    quiet(learn, "fine_tune", 0, freeze_epochs=2, frozen="features")
    for asked, recorded, _ in found:
        assert asked == pytest.approx(recorded, abs=1e-6)
    picture = learn.dls.valid_ds.paths[0]
    assert torch.allclose(load_learner(tmp_path / "within.safetensors").predict(picture)[2], found[-1][2][0], atol=1e-5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, CancelFitException, ZeroDivisionError])
def test_however_the_phase_ends_the_learner_goes_on_with_pictures(colour_folder, error):
    def fail(cb: Callback) -> None:
        raise error

    learn = learner_of(loaders(colour_folder))
    if error is CancelFitException:
        quiet(learn, "fine_tune", 1, freeze_epochs=2, frozen="features", cbs=Callback(after_step=fail))
    else:
        with pytest.raises(error):
            quiet(learn, "fine_tune", 1, freeze_epochs=2, frozen="features", cbs=Callback(after_step=fail))
    assert learn.stored is None
    count = CountPasses()
    quiet(learn, "fit", 1, cbs=count)
    assert count.seen == {(0, "train"): 30, (0, "valid"): 12}


def test_labels_of_every_kind_and_their_losses_work(colour_table):
    from sightline.data.blocks import RegressionBlock

    for options in ({"label_delim": " "}, {"label_col": "brightness", "y_block": RegressionBlock()}):
        dls = ImageDataLoaders.from_csv(
            colour_table, folder="images", valid_col="is_valid", item_tfms=Resize(32), bs=8, num_workers=0, **options
        )
        learn = vision_learner(dls, "test_resnet", pretrained=False)
        quiet(learn, "fine_tune", 0, freeze_epochs=2, frozen="features")
        assert [np.isfinite(row["train_loss"] + row["valid_loss"]) for row in epochs_of(learn)] == [True, True]


def test_features_are_kept_in_the_precision_in_which_they_were_computed(colour_folder):
    kept = []

    def look(cb: Callback) -> None:
        kept.append(cb.learn.batch.image.dtype)

    learn = learner_of(loaders(colour_folder)).to_bf16()
    quiet(learn, "fine_tune", 0, freeze_epochs=2, frozen="features", cbs=Callback(after_batch=look))
    assert set(kept) == {torch.bfloat16}
    assert "bfloat16" in str(learn.plan(1, freeze_epochs=2, frozen="features"))


# ---------------------------------------------------------------- where the border lies


def border(model: nn.Module, splitter=two_groups) -> tuple[nn.Module, nn.Module]:
    dls = DataLoaders(batches([4], SINGLE), batches([4], SINGLE), target=SINGLE)
    return split_below_the_head(Learner(dls, model, splitter=splitter))


def test_pooling_at_the_start_of_the_head_lies_below_and_dropout_above(colour_folder):
    learn = vision_learner(loaders(colour_folder, item_tfms=Resize(32)), "test_resnet", pretrained=False)
    below, above = split_below_the_head(learn)
    assert [type(layer).__name__ for layer in list(below)[-2:]] == ["AdaptiveConcatPool2d", "Flatten"]
    assert sum(p.numel() for p in above.parameters()) == sum(p.numel() for p in learn.model.head.parameters())
    below, above = border(network())
    assert isinstance(below[-1], nn.Flatten)
    assert isinstance(above[0], nn.Dropout)


def test_dropout_before_the_pooling_is_drawn_anew_in_every_epoch():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Dropout2d(), nn.Flatten(), nn.Linear(144, 3)))
    below, above = border(model)
    assert [type(layer).__name__ for layer in below] == ["Conv2d"]
    assert [type(layer).__name__ for layer in above] == ["Dropout2d", "Flatten", "Linear"]


def test_a_last_group_that_reaches_into_the_body_takes_its_layers_along():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    below, above = border(model, lambda m: [list(m[0][0].parameters()), [*m[0][1].parameters(), *m[1].parameters()]])
    assert len(below) == 1
    assert len(above) == 3


# ---------------------------------------------------------------- words, refusals


def test_the_plan_says_what_is_stored_and_what_is_different(colour_folder):
    learn = learner_of(loaders(colour_folder))
    plan = learn.plan(2, freeze_epochs=5, frozen="features")
    text = str(plan)
    assert "the head, from stored features: 5 epochs, 15 steps" in text
    assert "6 numbers (float32) for each of 48, 0.0 MiB" in text
    assert "normalisation weights below the head stay as they are" in text
    assert plan.phases[0].trained == 12 + 21
    assert "nothing is kept" in str(learn.plan(2, frozen="features"))
    assert "features" not in str(learn.plan(2))
    assert "features" not in str(learn.plan(2, freeze_epochs=0, frozen="features"))


def test_asking_for_the_plan_changes_nothing():
    def trained(planned: bool) -> dict[str, torch.Tensor]:
        learn = learner()
        if planned:
            learn.plan(1, freeze_epochs=2, frozen="features")
        return weights_of(quiet(learn, "fine_tune", 1, freeze_epochs=2, frozen="features").model)

    assert same(trained(planned=False), trained(planned=True))


def test_an_unknown_way_is_refused_by_name():
    with pytest.raises(OptionError, match=r"frozen='feature'.*Did you mean 'features'"):
        learner().fine_tune(1, frozen="feature")
    with pytest.raises(OptionError, match=r"frozen=True.*expected 'train' or 'features'"):
        learner().plan(1, frozen=True)


def test_more_features_than_memory_allows_are_refused_before_anything_trains(monkeypatch):
    learn = learner()
    before = weights_of(learn.model)
    monkeypatch.setattr(features, "LARGEST_STORE", 400)
    with pytest.raises(OptionError, match=r"4 numbers \(float32\) for each of 31, 0.0 MiB. Expected .* at most"):
        learn.fine_tune(1, freeze_epochs=2, frozen="features")
    assert same(before, weights_of(learn.model))
    assert learn.run == 0


@pytest.mark.parametrize("cb", [MixUp(), ActivationStats(), before_batch_cb(lambda cb, xb, yb: (xb, yb))])
def test_callbacks_that_need_pictures_are_refused(cb):
    learn = learner()
    with pytest.raises(OptionError, match=rf"'{cb.name}' needs pictures"):
        learn.fine_tune(1, frozen="features", cbs=cb)
    quiet(learn, "fine_tune", 0, frozen="train", cbs=cb)


def test_a_callback_of_the_users_own_that_changes_inputs_is_found():
    class Darken(Callback):
        def before_batch(self) -> None:
            self.learn.xb = (self.x * 0.5,)

    learn = learner(cbs=Darken())
    with pytest.raises(TrainingError, match="stored features and not pictures"):
        quiet(learn, "fine_tune", 1, frozen="features")
    assert learn.stored is None


def test_networks_without_a_border_are_refused():
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = network().children()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x))

    with pytest.raises(OptionError, match="This Whole has none"):
        learner(model=Whole()).fine_tune(1, frozen="features")
    one_group = learner()
    one_group.splitter = lambda model: list(model.parameters())
    with pytest.warns(UserWarning, match="one parameter group"), pytest.raises(OptionError, match="two groups or more"):
        one_group.fine_tune(1, frozen="features")
    quiet(one_group, "freeze_to", 0)


def test_layers_that_give_no_tensor_are_refused():
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 8)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, self.conv(x)

    class Second(nn.Linear):
        def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return super().forward(pair[1].flatten(1))

    with pytest.raises(OptionError, match="give a tuple"):
        learner(model=nn.Sequential(Pair(), Second(4, 3))).fine_tune(1, frozen="features")


def test_a_batch_of_features_stays_one_when_moved():
    batch = FeatureBatch(torch.zeros(2, 4), torch.zeros(2), np.arange(2), above=nn.Identity())
    assert isinstance(batch.to("cpu").above, nn.Identity)

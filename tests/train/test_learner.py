"""The learner: fits, freezing, events, predictions, files."""

from __future__ import annotations

import copy
import inspect
import math
import re
import threading
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from sightline.data.blocks import RegressionBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.items import Resize
from sightline.errors import BundleError, ModelError, NonFiniteLossError, OptionError, SightlineWarning, WeightsError
from sightline.metrics.multi_label import accuracy_multi
from sightline.metrics.regression import rmse
from sightline.metrics.single_label import accuracy, error_rate
from sightline.predict import Predictor, load_learner
from sightline.runtime import set_seed
from sightline.target import SingleLabel
from sightline.train.events import (
    Callback,
    CancelBatchException,
    CancelEpochException,
    CancelFitException,
    CancelStepException,
    CancelTrainException,
    CancelValidException,
)
from sightline.train.learner import Learner
from sightline.train.vision import vision_learner


def tiny_net(k: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(8, k),
    )


def two_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    return [list(part.parameters()) for part in model]


@pytest.fixture
def dls(colour_folder):
    return ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), bs=9, seed=1)


@pytest.fixture
def learn(dls):
    learner = Learner(dls, tiny_net(), splitter=two_groups, metrics=[error_rate, accuracy])
    with learner.no_logging():
        yield learner


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_learning_works_and_the_record_tells(learn):
    learn.fit_one_cycle(8, 3e-2)
    first, last = learn.recorder.values[0], learn.recorder.values[-1]
    assert last[1] < first[1]
    assert last[2] < 0.2
    assert last[2] + last[3] == pytest.approx(1)
    assert len(learn.recorder.losses) == len(learn.recorder.lrs) == 8 * 4
    assert learn.recorder.metric_names == ["epoch", "train_loss", "valid_loss", "error_rate", "accuracy", "time"]
    row = learn.recorder.record.of("epoch")[-1]
    assert row["images_per_second"] > 0
    assert row["memory_mib"] > 0


def test_same_seed_gives_the_same_record_and_another_seed_another(colour_folder):
    def losses(seed: int, workers: int) -> list[float]:
        set_seed(seed)
        tfms = {"item_tfms": Resize(32), "batch_tfms": aug_transforms()}
        dls = ImageDataLoaders.from_folder(colour_folder, bs=9, num_workers=workers, **tfms)
        learn = Learner(dls, tiny_net())
        with learn.no_logging():
            learn.fit(2, 1e-2)
        return [row["loss"] for row in learn.recorder.record.of("step")]

    assert losses(3, 0) == losses(3, 2)
    assert losses(3, 0) != losses(4, 0)


def test_freeze_trains_the_head_and_the_norms_below_it(learn):
    learn.freeze()
    body, head = learn.model
    assert all(p.requires_grad for p in head.parameters())
    assert [p.requires_grad for p in body.parameters()] == [False, False, True, True]
    before = weights_of(learn.model)
    learn.fit(1, 1e-2)
    changed = {name for name, tensor in weights_of(learn.model).items() if not torch.equal(tensor, before[name])}
    assert "0.0.weight" not in changed
    assert {"0.1.weight", "0.1.running_mean", "1.weight"} <= changed
    learn.unfreeze()
    assert learn.frozen_to == 0
    assert all(p.requires_grad for p in learn.model.parameters())


def test_train_bn_false_freezes_the_norms_too(dls):
    learn = Learner(dls, tiny_net(), splitter=two_groups, train_bn=False)
    learn.freeze()
    assert not any(p.requires_grad for p in learn.model[0].parameters())


def test_freezing_forgets_the_means_of_gradients(learn):
    learn.fit(1)
    assert learn.opt.inner.state
    learn.freeze()
    assert not learn.opt.inner.state


def test_freezing_one_group_is_told_in_words_and_trains_all_of_it(dls):
    learn = Learner(dls, tiny_net())
    with pytest.warns(SightlineWarning, match="one parameter group, so nothing can be frozen") as told, learn.no_logging():
        learn.fine_tune(1)
    assert len(told) == 1
    assert [row["frozen_to"] for row in learn.recorder.record.of("phase")] == [0, 0]
    assert all(p.requires_grad for p in learn.model.parameters())
    with pytest.warns(SightlineWarning, match="one parameter group"):
        learn.freeze()
    with pytest.raises(OptionError, match=r"freeze_to\(5\): the network has 2 parameter groups"):
        Learner(dls, tiny_net(), splitter=two_groups).freeze_to(5)


def test_fine_tune_has_two_phases_and_sees_other_pictures_orders_in_each(learn):
    learn.fine_tune(2, freeze_epochs=1)
    record = learn.recorder.record
    assert [(row["name"], row["frozen_to"], row["n_epoch"]) for row in record.of("phase")] == [("head", 1, 1), ("all", 0, 2)]
    assert learn.epochs_done == 3
    assert len(record.of("epoch")) == 3
    last = record.of("step", phase=0)[-1]["lr"]
    share = (3 / 4) / 0.99
    rise = 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * share)) / 2
    assert last == pytest.approx([2e-4 * rise, 2e-3 * rise])


def test_start_epoch_skips_epochs_and_the_schedule_goes_on(learn):
    learn.fit_one_cycle(4, 1e-2, start_epoch=2)
    steps = learn.recorder.record.of("step")
    assert [row["epoch"] for row in steps] == [2] * 4 + [3] * 4
    assert steps[0]["lr"][-1] < 1e-2
    whole = Learner(learn.dls, tiny_net(), splitter=two_groups)
    with whole.no_logging():
        whole.fit_one_cycle(4, 1e-2)
    assert [row["lr"] for row in steps] == [row["lr"] for row in whole.recorder.record.of("step")][8:]


class Watch(Callback):
    """Writes down every event, and raises what it is told to."""

    order = 90

    def __init__(self, raise_at: str = "", what: type[Exception] = Exception) -> None:
        self.events: list[str] = []
        self.raise_at, self.what = raise_at, what

    def __getattribute__(self, name):
        if name.startswith(("before_", "after_")) or name == "close":

            def handler():
                self.events.append(name)
                if name == self.raise_at:
                    raise self.what

            return handler
        return super().__getattribute__(name)


def test_events_come_in_the_drawn_order(dls):
    watch = Watch()
    learn = Learner(dls, tiny_net(), cbs=watch)
    with learn.no_logging():
        learn.fit(1)
    one_step = [
        "before_batch",
        "after_pred",
        "after_loss",
        "before_backward",
        "after_backward",
        "before_step",
        "after_step",
        "after_batch",
    ]
    check = ["before_batch", "after_pred", "after_loss", "after_batch"]
    expected = [
        "after_create", "before_fit", "before_epoch", "before_train", *one_step * 4, "after_train",
        "before_validate", *check * 2, "after_validate", "after_epoch", "after_fit", "close",
    ]  # fmt: skip
    assert watch.events == expected


@pytest.mark.parametrize("order", [0, 90])
@pytest.mark.parametrize(
    ("at", "what", "then"),
    [
        ("before_batch", CancelBatchException, "after_cancel_batch"),
        ("before_step", CancelStepException, "after_cancel_step"),
        ("before_train", CancelTrainException, "after_cancel_train"),
        ("before_validate", CancelValidException, "after_cancel_validate"),
        ("before_epoch", CancelEpochException, "after_cancel_epoch"),
        ("after_epoch", CancelFitException, "after_cancel_fit"),
    ],
)
def test_cancelling_skips_the_rest_of_its_part(dls, at, what, then, order):
    watch = Watch(at, what)
    watch.order = order
    learn = Learner(dls, tiny_net(), cbs=watch)
    before = weights_of(learn.model)
    with learn.no_logging():
        learn.fit(2)
    assert then in watch.events
    assert watch.events[-2:] == ["after_fit", "close"]
    trained = not torch.equal(before["1.weight"], learn.model.state_dict()["1.weight"])
    assert trained == (at in {"before_validate", "after_epoch"})


def test_a_users_callback_changes_what_the_step_works_on(dls):
    class Doubled(Callback):
        def before_batch(self):
            self.learn.xb = (self.x * 2,)

        def after_loss(self):
            self.learn.loss_grad = self.learn.loss_grad * 0

    learn = Learner(dls, tiny_net(), cbs=[Doubled], wd=0.0)
    before = weights_of(learn.model)
    with learn.no_logging():
        learn.fit(1)
    assert torch.equal(before["1.weight"], learn.model.state_dict()["1.weight"])


def test_callbacks_of_a_fit_are_gone_after_it(learn):
    count = len(learn.cbs)
    learn.fit(1, cbs=Watch())
    assert len(learn.cbs) == count
    with learn.removed_cbs(learn.progress):
        assert learn.progress not in learn.cbs
    assert learn.progress in learn.cbs


def test_what_is_no_callback_is_refused(learn):
    with pytest.raises(OptionError, match="cbs holds 'early_stopping'"):
        learn.add_cb("early_stopping")


def test_close_runs_even_after_an_error(dls):
    watch = Watch("before_step", KeyError)
    learn = Learner(dls, tiny_net(), cbs=watch)
    with learn.no_logging(), pytest.raises(KeyError):
        learn.fit(1)
    assert watch.events[-1] == "close"


def test_a_loss_that_is_no_number_stops_and_says_where(dls):
    def explode(logits, target):
        return logits.mean() * float("nan") if learn.train_iter == 5 else logits.mean()

    learn = Learner(dls, tiny_net(), loss_func=explode)
    with (
        learn.no_logging(),
        pytest.raises(NonFiniteLossError, match=r"became nan at step 6 \(epoch 1, batch 1 of 4.*learning rate 3 to 10 times"),
    ):
        learn.fit(3)


@pytest.mark.parametrize("epochs", [-1, 1.5, "3"])
def test_epochs_must_be_a_whole_number(learn, epochs):
    with pytest.raises(OptionError, match="whole number of epochs"):
        learn.fit(epochs)


def test_validate_weighs_batches_by_their_pictures(learn):
    loss, wrong, right = learn.validate()
    probabilities, targets, losses = learn.get_preds(with_loss=True)
    assert loss == pytest.approx(losses.mean().item(), rel=1e-5)
    assert right == pytest.approx((probabilities.argmax(1) == targets).float().mean().item())
    assert wrong == pytest.approx(1 - right)


def test_get_preds_gives_its_parts_in_order_and_in_row_order(learn):
    images, probabilities, targets, decided, losses = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
    assert images.shape == (12, 3, 32, 32)
    assert probabilities.sum(1).tolist() == pytest.approx([1.0] * 12)
    assert targets.tolist() == [label for _, label in learn.dls.valid_ds]
    assert torch.equal(decided, probabilities.argmax(1))
    assert torch.allclose(losses, -probabilities.log().gather(1, targets[:, None]).squeeze(1), atol=1e-5)
    shuffled = learn.dls.valid.new(shuffle=True)
    again, order = learn.get_preds(dl=shuffled)[:2]
    assert torch.equal(order, targets)
    assert torch.allclose(again, probabilities, atol=1e-6)


def test_get_preds_of_training_pictures_are_unaugmented_and_complete(colour_folder):
    dls = ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), batch_tfms=aug_transforms(), bs=10)
    learn = Learner(dls, tiny_net())
    probabilities, targets = learn.get_preds(ds_idx=0)
    assert len(probabilities) == 36
    assert targets.tolist() == [label for _, label in dls.train_ds]
    assert torch.equal(probabilities, learn.get_preds(ds_idx=0)[0])


def test_get_preds_without_labels_gives_none_for_targets(learn, colour_folder):
    paths = sorted(colour_folder.glob("valid/*/*.png"))
    probabilities, targets = learn.get_preds(dl=learn.dls.test_dl(paths))
    assert targets is None
    assert probabilities.shape == (12, 3)


def test_predict_unpacks_and_agrees_with_get_preds(learn):
    learn.fit_one_cycle(2, 3e-2)
    probabilities, _, decided = learn.get_preds(with_decoded=True)
    for i, path in enumerate(learn.dls.valid.items):
        label, decision, p = learn.predict(path)
        assert torch.allclose(p, probabilities[i], atol=1e-6)
        assert int(decision) == int(decided[i])
        assert label == learn.dls.vocab[int(decided[i])]
    picture, label, _, _ = learn.predict(path, with_input=True)
    assert (picture.shape, picture.dtype) == ((3, 32, 32), torch.uint8)


def test_predict_leaves_the_network_in_its_mode(learn):
    learn.model.train()
    learn.predict(learn.dls.valid.items[0])
    assert learn.model.training


def test_save_and_load_bring_back_weights_and_optimizer(learn, tmp_path):
    learn.path = tmp_path
    learn.fit(1, 1e-2)
    path = learn.save("one")
    assert path == tmp_path / "models" / "one.safetensors"
    other = Learner(learn.dls, tiny_net(), splitter=two_groups, path=tmp_path).load("one")
    assert all(
        torch.equal(a, b) for a, b in zip(learn.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    )
    assert other.opt.hypers == learn.opt.hypers
    torch.manual_seed(5)
    with other.no_logging():
        learn.fit(1, 1e-2)
        other.dls.train.epoch, other.epochs_done = 1, 1
        torch.manual_seed(5)
        other.fit(1, 1e-2)
    assert learn.recorder.values[0][:2] == other.recorder.values[0][:2]


def test_loading_says_what_is_there_and_what_does_not_fit(learn, tmp_path):
    learn.path = tmp_path
    learn.save("one")
    with pytest.raises(WeightsError, match="Saved in that folder: one"):
        learn.load("two")
    with pytest.raises(WeightsError, match=r"does not fit this network: 2 tensors .*strict=False"):
        Learner(learn.dls, tiny_net(5), splitter=two_groups, path=tmp_path).load("one")
    Learner(learn.dls, tiny_net(5), splitter=two_groups, path=tmp_path).load("one", with_opt=False, strict=False)
    (tmp_path / "models" / "broken.safetensors").write_bytes(b"\x80\x04 not tensors")
    with pytest.raises(WeightsError, match="cannot be used: its header is not valid"):
        learn.load("broken")


def test_bf16_and_fp32_switch(learn):
    assert learn.to_bf16().runtime.precision == "bf16"
    learn.fit(1, 1e-2)
    assert learn.recorder.values[0][0] > 0
    assert all(p.dtype == torch.float32 for p in learn.model.parameters())
    assert learn.to_fp32().runtime.precision == "fp32"


def test_summary_names_layers_shapes_and_totals(learn):
    learn.freeze()
    text = learn.summary()
    assert "Conv2d" in text
    assert "9 x 8 x 15 x 15" in text
    totals = {name: int(number) for name, number in re.findall(r"Total (.*)params: (\d+)", text)}
    assert totals == {"": 267, "trainable ": 43, "non-trainable ": 224}
    assert "Optimizer used: Adam" in text
    assert "frozen up to parameter group #" in text
    assert "- recorder" in text
    learn.unfreeze()
    assert "Model unfrozen" in learn.summary()


def test_plan_says_what_will_happen(learn):
    text = str(learn.plan(3))
    for words in (
        "36 for training, 12 for validation of 32 x 32 pixels",
        "36 pictures in batches of 9 make 4 iterations an epoch",
        "cross-entropy, because each picture has exactly one label",
        "0.0002 / 0.002",
        "1e-05 / 0.001",
        "Adam, weight decay 0.01, none on biases and normalisation",
        "cpu: no GPU was found" if learn.runtime.device_reason != "as asked for" else "as asked for",
        "fp32",
    ):
        assert words in text, text


def test_plan_counts_a_thousand_pictures_in_batches_of_a_hundred():
    rows = [(torch.zeros(100, 3, 4, 4), torch.zeros(100, dtype=torch.int64))] * 10
    learn = Learner(DataLoaders(rows, rows, target=SingleLabel.learn(["a", "b"])), tiny_net(2), splitter=two_groups)
    plan = learn.plan(1)
    assert plan.iterations == 10
    assert "1,000 pictures in batches of 100 make 10 iterations an epoch" in str(plan)


def test_export_gives_the_same_logits_bit_for_bit(colour_folder, tmp_path):
    dls = ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), batch_tfms=aug_transforms(size=32), bs=9)
    learn = vision_learner(dls, resnet18, pretrained=False, metrics=error_rate)
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-3)
    path = learn.export(tmp_path / "colours.safetensors")
    paths = dls.valid.items
    for loaded in (load_learner(path), Predictor.load(path, device="cpu")):
        assert loaded.vocab == dls.vocab
        ours = [learn.predict(p).probabilities for p in paths]
        theirs = [loaded.predict(p).probabilities for p in paths]
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert loaded.info["history"][0]["metrics"].keys() == {"error_rate"}


def test_export_refuses_a_network_that_it_cannot_name(learn, tmp_path):
    with pytest.raises(BundleError, match=r"not built by vision_learner.*learn\.save"):
        learn.export(tmp_path / "x.safetensors")


def test_targets_choose_the_loss(colour_folder, colour_table):
    single = ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), bs=16)
    table = partial(ImageDataLoaders.from_csv, colour_table, folder="images", item_tfms=Resize(32), valid_col="is_valid", bs=16)
    several = table(label_delim=" ")
    numbers = table(label_col="brightness", y_block=RegressionBlock)
    names = []
    for dls, metric in ((single, error_rate), (several, accuracy_multi), (numbers, rmse)):
        learn = vision_learner(dls, resnet18, pretrained=False, metrics=metric)
        with learn.no_logging():
            learn.fit(1)
        assert np.isfinite(learn.recorder.values[0][2])
        names.append(learn.objective.name)
    assert names == ["cross-entropy", "binary cross-entropy", "mean squared error"]


def test_n_out_that_contradicts_the_data_is_refused(dls):
    with pytest.raises(ModelError, match="n_out=5 contradicts the data, whose labels need 3 outputs"):
        vision_learner(dls, resnet18, pretrained=False, n_out=5)


def test_normalising_never_changes_the_callers_loaders(dls, tmp_path):
    from safetensors.torch import save_file

    save_file(resnet18().state_dict(), tmp_path / "w.safetensors")
    before = copy.copy(dls.preprocess)
    learn = vision_learner(dls, resnet18, weights=str(tmp_path / "w.safetensors"))
    assert learn.dls.normalizes
    assert not dls.normalizes
    assert dls.preprocess == before
    assert learn.frozen_to == 2
    assert not vision_learner(dls, resnet18, weights=str(tmp_path / "w.safetensors"), normalize=False).dls.normalizes


def test_vision_learner_has_the_promised_signature():
    promised = (
        "dls, arch, normalize=True, n_out=None, pretrained=True, weights=None, loss_func=None, opt_func=Adam, lr=0.001, "
        "splitter=None, cbs=None, metrics=None, path=None, model_dir=models, wd=None, wd_bn_bias=False, train_bn=True, "
        "moms=(0.95, 0.85, 0.95), cut=None, init=kaiming_normal_, custom_head=None, concat_pool=True, pool=True, "
        "lin_ftrs=None, ps=0.5, first_bn=True, bn_final=False, lin_first=False, y_range=None, n_in=3"
    )
    parts = []
    for name, parameter in inspect.signature(vision_learner).parameters.items():
        default = parameter.default
        shown = getattr(default, "__name__", default)
        parts.append(name if default is inspect.Parameter.empty else f"{name}={shown}")
        # What is ours beyond the field's own arguments can only be named.
        assert (parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD) == (name != "cls")
    assert parts.pop() == "cls=Learner"
    assert ", ".join(parts) == promised


def test_vision_learner_passes_every_argument_on(dls, tmp_path):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 3))
    watch = Watch()
    learn = vision_learner(
        dls, resnet18, pretrained=False, loss_func=nn.CrossEntropyLoss(), opt_func=torch.optim.SGD, lr=0.5,
        splitter=lambda model: [list(model.parameters())], cbs=watch, metrics=accuracy, path=tmp_path, model_dir="kept",
        wd=0.25, wd_bn_bias=True, train_bn=False, moms=(0.9, 0.8, 0.9), custom_head=head, init=nn.init.zeros_,
    )  # fmt: skip
    assert learn.model[1] is head
    assert head[2].weight.abs().sum() == 0
    assert learn.objective.name == "CrossEntropyLoss"
    learn.create_opt()
    assert isinstance(learn.opt.inner, torch.optim.SGD)
    assert len(learn.opt.param_lists) == 1
    assert {group["decays"] for group in learn.opt.inner.param_groups} == {True}
    with learn.no_logging():
        learn.fit_one_cycle(1)
    assert {group["weight_decay"] for group in learn.opt.inner.param_groups} == {0.25}
    steps = learn.recorder.record.of("step")
    assert steps[0]["mom"] == [0.9]
    assert max(row["lr"][0] for row in steps) == pytest.approx(0.5, rel=0.05)
    assert learn.save("w").parent == tmp_path / "kept"
    assert "after_fit" in watch.events


def test_options_of_the_head_and_body_reach_the_network(dls):
    learn = vision_learner(
        dls, resnet18, pretrained=False, cut=-3, concat_pool=False, lin_ftrs=[20], ps=[0.1, 0.3], first_bn=False, bn_final=True,
        y_range=(0, 2),
    )  # fmt: skip
    body, head = learn.model
    assert len(list(body.children())) == 7
    assert [layer.p for layer in head.modules() if isinstance(layer, nn.Dropout)] == [0.1, 0.3]
    assert [(layer.in_features, layer.out_features) for layer in head.modules() if isinstance(layer, nn.Linear)] == [
        (256, 20),
        (20, 3),
    ]
    outputs = learn.get_preds(act=lambda logits: logits)[0]
    assert outputs.min() >= 0
    assert outputs.max() <= 2


def test_pictures_and_network_must_agree_on_channels(dls):
    with pytest.raises(ModelError, match=r"pictures have 3 channels, but the network would take 1. Pass n_in=3"):
        vision_learner(dls, resnet18, pretrained=False, n_in=1)


def test_the_same_seed_gives_the_same_head(dls):
    heads = []
    for seed in (1, 1, 2):
        set_seed(seed)
        heads.append(vision_learner(dls, resnet18, pretrained=False).model[1].state_dict()["8.weight"])
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_no_thread_outlives_a_fit_that_ends_by_an_error(colour_folder):
    dls = ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), bs=3, num_workers=2)
    watch = Watch("after_batch", KeyboardInterrupt)
    learn = Learner(dls, tiny_net(), cbs=watch)
    with learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sightline-decode")]


def test_get_preds_takes_ready_made_batches(learn):
    x, y = learn.dls.one_batch()
    probabilities, targets = learn.get_preds(dl=[(x, y)])
    assert torch.equal(targets, y)
    assert probabilities.shape == (9, 3)


def test_other_loaders_may_take_the_place_of_the_first_and_are_normalised_too(colour_folder, tmp_path):
    from safetensors.torch import save_file

    save_file(resnet18().state_dict(), tmp_path / "w.safetensors")
    small, large = (ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(size), bs=9) for size in (32, 40))
    learn = vision_learner(small, resnet18, weights=str(tmp_path / "w.safetensors"))
    learn.dls = large
    assert learn.dls.normalizes
    assert not large.normalizes
    assert learn.dls.one_batch().image.shape[-1] == 40
    with learn.no_logging():
        learn.fit(1)


def test_loaders_with_other_labels_are_refused(learn, colour_table):
    other = ImageDataLoaders.from_csv(colour_table, folder="images", label_delim=" ", item_tfms=Resize(32), bs=9)
    with pytest.raises(ModelError, match=r"other labels .*Make a new learner"):
        learn.dls = other


def test_the_loss_may_be_changed_between_fits(learn):
    learn.loss_func = nn.CrossEntropyLoss(label_smoothing=0.5)
    assert learn.objective.name == "CrossEntropyLoss"
    smooth = learn.validate()[0]
    learn.loss_func = None
    logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    assert float(learn.loss_func(logits, labels)) == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    assert "cross-entropy, because each picture has exactly one label" in repr(learn.loss_func)
    assert Learner(learn.dls, learn.model, loss_func=learn.loss_func).objective.loss_func is None
    assert learn.validate()[0] != smooth
    with pytest.raises(OptionError, match=r"Expected such as CrossEntropyLoss\(\)"):
        learn.loss_func = nn.CrossEntropyLoss


def test_an_interrupted_step_leaves_no_gradients_for_the_next_fit(dls):
    learn = Learner(dls, tiny_net(), splitter=two_groups, cbs=Watch("before_step", KeyboardInterrupt))
    with learn.no_logging(), pytest.raises(KeyboardInterrupt):
        learn.fit(1)
    assert all(p.grad is None for p in learn.model.parameters())
    learn.remove_cb(Watch)
    learn.freeze()
    before = weights_of(learn.model)
    with learn.no_logging():
        learn.fit(1)
    assert torch.equal(before["0.0.weight"], learn.model.state_dict()["0.0.weight"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epochs": "3"}, "epochs='3': expected a whole number"),
        ({"epochs": 1.5}, r"epochs=1\.5"),
        ({"epochs": 1, "freeze_epochs": -1}, "freeze_epochs=-1"),
        ({"epochs": 1, "pct_start": 1.5}, r"pct_start=1\.5"),
        ({"epochs": 1, "lr_mult": 0}, "lr_mult=0: expected one positive number"),
        ({"epochs": 1, "base_lr": slice(1e-3)}, "base_lr=slice"),
    ],
)
def test_fine_tune_and_plan_check_all_their_arguments_before_anything_is_trained(learn, arguments, words):
    before = weights_of(learn.model)
    for method in (learn.fine_tune, learn.plan):
        with pytest.raises(OptionError, match=words):
            method(**arguments)
    assert learn.recorder.record.rows == []
    assert all(torch.equal(before[name], tensor) for name, tensor in learn.model.state_dict().items())


def test_numbers_of_numpy_are_numbers(learn):
    learn.fit(np.int64(1), np.float32(1e-3))
    assert learn.recorder.lrs[0] == pytest.approx(1e-3)


def test_callbacks_that_are_given_once_reach_both_phases(learn):
    watch = Watch()
    learn.fine_tune(1, cbs=(one for one in [watch]))
    assert watch.events.count("before_fit") == 2


@pytest.mark.parametrize("lr", ["fast", -1e-3])
def test_a_learning_rate_that_is_none_is_refused(learn, lr):
    with pytest.raises(OptionError, match=r"is not a number|is negative"):
        learn.fit(1, lr)


def test_start_epoch_beyond_the_fit_is_refused(learn):
    with pytest.raises(OptionError, match="start_epoch=3: expected a number from 0 to n_epoch=2"):
        learn.fit(2, start_epoch=3)


def test_a_splitter_that_gives_a_parameter_twice_is_refused(dls):
    learn = Learner(dls, tiny_net(), splitter=lambda model: [list(model.parameters())] * 2)
    with pytest.raises(ModelError, match="in two parameter groups"):
        learn.create_opt()


def test_a_network_with_the_wrong_number_of_outputs_is_told_so(dls):
    learn = Learner(dls, tiny_net(2))
    with learn.no_logging(), pytest.raises(ModelError, match=r"outputs of shape \(9, 2\)\. Expected \(N, 3\)"):
        learn.fit(1)
    learn = Learner(dls, nn.Flatten())
    learn.model.forward = lambda x: (x, x)
    with learn.no_logging(), pytest.raises(ModelError, match=r"returned a tuple. Expected one tensor"):
        learn.validate()


def test_validating_inside_a_fit_leaves_the_fit_as_it_was(dls):
    plain, busy = (Learner(dls, tiny_net(), metrics=error_rate) for _ in range(2))
    busy.model.load_state_dict(plain.model.state_dict())

    class Curious(Callback):
        def after_pred(self):
            if self.training:
                self.learn.get_preds()

        def after_epoch(self):
            self.learn.validate(0)

    for learn in (plain, busy):
        torch.manual_seed(0)
        learn.dls.train.epoch = 0
        with learn.no_logging():
            learn.fit(2, 1e-2, cbs=[Curious()] if learn is busy else None)
    assert busy.recorder.values == plain.recorder.values


def test_predicting_leaves_every_layer_in_its_own_mode(learn):
    learn.model.train()
    learn.model[0][1].eval()
    learn.predict(learn.dls.valid.items[0])
    assert learn.model.training
    assert not learn.model[0][1].training


def test_get_preds_of_nothing_has_the_shape_of_something(learn):
    probabilities, targets, decided = learn.get_preds(dl=learn.dls.test_dl([]), with_decoded=True)
    assert probabilities.shape == (0, 3)
    assert targets is None
    assert decided.shape == (0,)


def test_get_preds_gives_none_for_losses_without_labels(learn):
    found = learn.get_preds(dl=learn.dls.test_dl(learn.dls.valid.items), with_loss=True)
    assert found[1] is found[2] is None


def test_get_preds_takes_the_row_numbers_that_batches_bring(learn):
    x, y = learn.dls.one_batch()
    turned = [(x.flip(0), y.flip(0), list(range(108, 99, -1)))]
    assert torch.equal(learn.get_preds(dl=turned)[1], y)


def test_cancelled_batches_are_left_out_of_predictions(learn):
    probabilities, _ = learn.get_preds(cbs=[Watch("before_batch", CancelBatchException)])
    assert probabilities.shape == (0, 3)


def test_loading_leniently_leaves_out_an_optimizer_that_does_not_fit(learn, dls, tmp_path):
    learn.path = tmp_path
    learn.fit(1)
    learn.save("one")
    wider = Learner(dls, tiny_net(5), splitter=two_groups, path=tmp_path)
    with pytest.warns(SightlineWarning, match="does not fit and is left out"):
        wider.load("one", strict=False)
    plain = Learner(dls, tiny_net(), splitter=two_groups, path=tmp_path, opt_func=torch.optim.SGD)
    before = weights_of(plain.model)
    with pytest.raises(WeightsError, match="it is of AdamW, and this optimizer is SGD"):
        plain.load("one")
    assert all(torch.equal(before[name], tensor) for name, tensor in plain.model.state_dict().items())
    with pytest.warns(SightlineWarning, match="is left out"), plain.no_logging():
        plain.load("one", strict=False).fit(1)


def test_loading_an_exported_file_says_what_it_is(dls, tmp_path):
    learn = vision_learner(dls, resnet18, pretrained=False, path=tmp_path, model_dir=".")
    learn.export(tmp_path / "whole.safetensors")
    with pytest.raises(WeightsError, match=r"use load_learner\(path\)"):
        learn.load("whole")


def test_saving_where_nothing_can_be_written_or_without_a_name_is_refused(learn, tmp_path):
    (tmp_path / "models").write_text("in the way")
    learn.path = tmp_path
    with pytest.raises(WeightsError, match="cannot be written"):
        learn.save("one")
    with pytest.raises(OptionError, match="is not the name of a file"):
        learn.save("")


def test_what_was_trained_in_bf16_predicts_in_what_is_planned_where_it_is_loaded(dls, tmp_path, monkeypatch):
    learn = vision_learner(dls, resnet18, pretrained=False).to_bf16()
    file = learn.export(tmp_path / "x.safetensors")
    assert load_learner(file).runtime.precision == "fp32"
    monkeypatch.setenv("SIGHTLINE_PRECISION", "bf16")
    loaded = load_learner(file)
    assert loaded.runtime.precision == "bf16"
    path = dls.valid.items[0]
    assert torch.equal(loaded.predict(path).probabilities, learn.predict(path).probabilities)


def test_outputs_that_only_a_loss_of_ones_own_knows_are_neither_predicted_nor_exported(dls, tmp_path):
    learn = vision_learner(
        dls, resnet18, pretrained=False, n_out=5, loss_func=lambda p, y: nn.functional.cross_entropy(p[:, :3], y)
    )
    with learn.no_logging():
        learn.fit(1)
    with pytest.raises(ModelError, match="labels need 3 outputs a picture"):
        learn.predict(dls.valid.items[0])
    with pytest.raises(BundleError, match="has 5 outputs, but its labels need 3"):
        learn.export(tmp_path / "x.safetensors")


def test_a_fit_that_stops_early_has_used_up_its_last_epoch(learn):
    seen = []
    stop = Callback(
        before_batch=lambda cb: seen.append(cb.dl.epoch) if cb.training and cb.iter == 0 else None,
        after_epoch=lambda cb: _end_fit(),
    )
    for _ in range(2):
        with learn.no_logging():
            learn.fit(3, cbs=stop)
    assert seen == [0, 1]
    assert learn.epochs_done == 2


def _end_fit():
    raise CancelFitException


def test_metrics_may_come_in_any_collection(learn):
    class Collection:
        def __iter__(self):
            return iter([accuracy, error_rate])

    learn.metrics = Collection()
    assert learn.metrics == [accuracy, error_rate]


def test_one_batch_by_hand_has_outputs_and_a_loss_and_changes_no_weight(learn):
    before = copy.deepcopy(learn.model.state_dict())
    batch = learn.dls.valid.one_batch()
    learn.model.eval()
    learn.one_batch(0, batch)
    assert torch.equal(learn.pred, learn.model(batch.image))
    assert float(learn.loss) == pytest.approx(learn.loss_func(learn.pred, batch.target).item())
    assert learn.to_detach(learn.pred).requires_grad is False
    assert all(torch.equal(before[name], tensor) for name, tensor in learn.model.state_dict().items())


def test_a_validation_context_leaves_mode_and_callbacks_as_they_were(learn):
    learn.model.train()
    before = list(learn.cbs)
    with learn.validation_context(cbs=Callback()) as inside:
        assert inside is learn
        assert not learn.model.training
        assert len(learn.cbs) == len(before) + 1
    assert learn.model.training
    assert learn.cbs == before


def test_a_learner_moves_with_its_data_and_keeps_training(learn):
    with learn.no_logging():
        learn.fit(1)
        moments = [state["exp_avg"].clone() for state in learn.opt.state.values()]
        assert learn.to("cpu") is learn
        assert learn.dls.device == learn.runtime.device == torch.device("cpu")
        assert all(torch.equal(state["exp_avg"], kept) for state, kept in zip(learn.opt.state.values(), moments, strict=True))
        learn.fit(1)
    with pytest.raises(OptionError, match="nowhere"):
        learn.to("nowhere")

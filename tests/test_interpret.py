"""What a network gets right and wrong, from arrays and row indices; checked against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sklearn.metrics as skm
import torch
from torch import nn

from sightline.data.blocks import RegressionBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.loading.foreign import ForeignLoader
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.transforms.items import Resize
from sightline.errors import LabelError, OptionError, SightlineWarning
from sightline.interpret import ClassificationInterpretation, Interpretation
from sightline.outputs import Outputs
from sightline.predict import Predictor
from sightline.preprocess import Preprocess
from sightline.runtime import plan_runtime
from sightline.target import MultiLabel, SingleLabel, Vocab
from sightline.train.learner import Learner


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def net(k: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, k))


@pytest.fixture
def learn(colour_folder):
    dls = ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(24), bs=8, val_bs=5, seed=1)
    return Learner(dls, net(3))


def outputs_of(target, preds, targs, losses=None):
    loader = ForeignLoader([(torch.zeros(len(preds), 3, 4, 4), targs)], torch.device("cpu"))
    losses = torch.arange(len(preds)).float() if losses is None else losses
    return Outputs(loader, target, torch.arange(len(preds)), preds, targs, target.decide(preds), losses)


def single(n=60, k=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    preds = torch.rand(n, k, generator=generator).softmax(1)
    targs = torch.randint(0, k - 1, (n,), generator=generator)  # the last class has no picture
    return outputs_of(SingleLabel(Vocab(["ant", "bee", "cat", "dog"][:k])), preds, targs)


def several(n=50, seed=1):
    generator = torch.Generator().manual_seed(seed)
    preds = torch.rand(n, 3, generator=generator)
    targs = (torch.rand(n, 3, generator=generator) > 0.6).float()
    return outputs_of(MultiLabel(Vocab(["red", "green", "blue"])), preds, targs)


def test_one_pass_gives_everything_in_the_order_of_the_loader(learn):
    passes = []
    learn.model.register_forward_hook(lambda *_: passes.append(1))
    interp = ClassificationInterpretation.from_learner(learn)
    interp.confusion_matrix(), interp.most_confused(), interp.top_losses(), interp.classification_report()
    assert len(passes) == 3  # 12 pictures in batches of 5
    probabilities, targets, decided, losses = learn.get_preds(with_decoded=True, with_loss=True)
    assert torch.equal(interp.preds, probabilities)
    assert torch.equal(interp.targs, targets)
    assert torch.equal(interp.decoded, decided)
    assert torch.equal(interp.losses, losses)
    assert interp.vocab == ["blue", "green", "red"]
    assert len(interp) == 12


def test_top_losses_name_their_pictures(learn):
    interp = Interpretation.from_learner(learn)
    losses, idxs, items = interp.top_losses(4, items=True)
    expected = torch.argsort(interp.losses, descending=True)[:4]
    assert torch.equal(idxs, expected)
    assert torch.equal(losses, interp.losses[expected])
    assert items == [learn.dls.valid.items[i] for i in expected.tolist()]
    assert torch.equal(interp.top_losses(2, largest=False)[0], interp.losses.sort().values[:2])
    assert len(interp.top_losses()[0]) == len(interp.top_losses(99)[0]) == 12


def test_pictures_that_cannot_be_read_do_not_shift_the_others(learn):
    items = list(learn.dls.valid.items)
    items[2].write_bytes(b"no picture")
    with pytest.warns(SightlineWarning, match="1 picture cannot be read"):
        interp = Interpretation.from_learner(learn)
    assert interp.items(range(11)) == items[:2] + items[3:]
    images, _, targets, _, _ = interp[[3, 0]]
    with torch.no_grad():
        assert torch.allclose(learn.model(images).softmax(1), interp.preds[[3, 0]], atol=1e-6)
    assert torch.equal(targets, interp.targs[[3, 0]])


def test_training_pictures_and_other_loaders_can_be_interpreted(learn):
    assert len(Interpretation.from_learner(learn, ds_idx=0)) == 36
    labelled = learn.dls.test_dl(learn.dls.train.items[:7], with_labels=True)
    assert Interpretation.from_learner(learn, dl=labelled).items([6]) == [learn.dls.train.items[6]]
    with pytest.raises(LabelError, match=r"have no labels.*test_dl\(items, with_labels=True\)"):
        Interpretation.from_learner(learn, dl=learn.dls.test_dl(learn.dls.train.items[:7]))


def test_a_predictor_can_be_interpreted_with_a_loader(learn):
    predictor = Predictor(
        learn.model, learn.target, EvaluationPipeline.from_preprocess(Preprocess((24, 24))), plan_runtime("cpu")
    )
    theirs = ClassificationInterpretation.from_learner(predictor, dl=learn.dls.valid)
    ours = ClassificationInterpretation.from_learner(learn)
    assert np.array_equal(theirs.confusion_matrix(), ours.confusion_matrix())
    assert torch.allclose(theirs.losses, ours.losses)
    with pytest.raises(OptionError, match="an exported file does not hold"):
        Interpretation.from_learner(predictor)


def test_the_confusion_matrix_is_scikit_learns_with_rows_actual():
    outputs = single()
    table = ClassificationInterpretation(outputs).confusion_matrix()
    assert np.array_equal(table, skm.confusion_matrix(outputs.targs, outputs.decoded, labels=range(4)))
    assert table.dtype == np.int64
    assert table[3].sum() == 0 < table[:, 3].sum()


def test_the_most_confused_are_named_as_actual_then_predicted():
    target = SingleLabel(Vocab(["ant", "bee"]))
    preds = torch.eye(2)[torch.tensor([1, 1, 1, 0, 0, 1])]
    interp = ClassificationInterpretation(outputs_of(target, preds, torch.tensor([0, 0, 0, 0, 1, 1])))
    assert interp.most_confused() == [("ant", "bee", 3), ("bee", "ant", 1)]
    assert interp.most_confused(min_val=2) == [("ant", "bee", 3)]


def test_several_labels_have_a_table_each():
    outputs = several()
    interp = ClassificationInterpretation(outputs)
    expected = skm.multilabel_confusion_matrix(outputs.targs.long(), outputs.decoded.long())
    assert np.array_equal(interp.confusion_matrix(), expected)
    found = interp.most_confused()
    assert ("red", "no red", int(expected[0, 1, 0])) in found
    assert ("no blue", "blue", int(expected[2, 0, 1])) in found
    assert [count for _, _, count in found] == sorted((count for _, _, count in found), reverse=True)


@pytest.mark.parametrize("make", [single, several])
def test_the_report_is_scikit_learns(make, capsys):
    outputs = make()
    interp = ClassificationInterpretation(outputs)
    interp.print_classification_report()
    names = [str(name) for name in outputs.target.vocab]
    truth, decided = outputs.targs.long().numpy(), outputs.decoded.long().numpy()
    expected = skm.classification_report(truth, decided, labels=range(len(names)), target_names=names, zero_division=0.0)
    assert capsys.readouterr().out == expected + "\n"


def test_a_class_without_pictures_is_drawn_as_zeros():
    interp = ClassificationInterpretation(single())
    figure = interp.plot_confusion_matrix(normalize=True, title="How often", norm_dec=3, figsize=(5, 4))
    (axis,) = figure.axes
    values = np.asarray(axis.images[0].get_array())
    table = interp.confusion_matrix()
    assert np.allclose(values[:3], table[:3] / table[:3].sum(1, keepdims=True))
    assert not values[3].any()
    assert axis.get_title() == "How often"
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["ant", "bee", "cat", "dog"]
    assert axis.texts[0].get_text() == f"{values[0, 0]:.3f}"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("Predicted", "Actual")
    assert not ClassificationInterpretation(single()).plot_confusion_matrix(plot_txt=False).axes[0].texts


@pytest.mark.parametrize("make", [single, several])
def test_classes_of_any_name_are_drawn_and_reported_as_text(make, capsys):
    outputs = make()
    names = ["$x_$", "a$b", "\x1b[31mred\u202e", "<b>&"][: len(outputs.target.vocab)]
    outputs = replace(outputs, target=type(outputs.target)(Vocab(names)))
    interp = ClassificationInterpretation(outputs)
    figure = interp.plot_confusion_matrix()
    figure.canvas.draw()
    texts = [axis.title for axis in figure.axes] + [tick for axis in figure.axes for tick in axis.get_yticklabels()]
    assert not any(text._preprocess_math(text.get_text())[1] for text in texts)
    assert any(r"\$x_\$" in text.get_text() for text in texts)
    interp.print_classification_report()
    assert "\\x1b[31mred\\u202e" in (out := capsys.readouterr().out)
    assert "\x1b" not in out


def test_a_matrix_is_drawn_where_one_says():
    figure, axis = plt.subplots()
    interp = ClassificationInterpretation(single())
    assert interp.plot_confusion_matrix(ax=axis) is figure
    assert axis.texts[1].get_text() == str(interp.confusion_matrix()[0, 1])
    with pytest.raises(OptionError, match="room for one matrix, but there are 3"):
        ClassificationInterpretation(several()).plot_confusion_matrix(ax=axis)


def test_several_labels_are_drawn_a_table_each():
    interp = ClassificationInterpretation(several())
    axes = [axis for axis in interp.plot_confusion_matrix().axes if axis.images]
    assert [axis.get_title() for axis in axes] == ["red", "green", "blue"]
    assert np.array_equal(np.asarray(axes[1].images[0].get_array()), interp.confusion_matrix()[1])
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["no red", "red"]


def test_the_worst_are_shown_with_prediction_label_loss_and_probability(learn):
    interp = ClassificationInterpretation.from_learner(learn)
    figure = interp.plot_top_losses(3, nrows=1)
    worst = int(interp.top_losses(1)[1])
    names = learn.dls.vocab
    expected = (
        f"{names[int(interp.decoded[worst])]}/{names[int(interp.targs[worst])]}\n"
        f"{interp.losses[worst]:.2f} / {interp.preds[worst].max():.2f}"
    )
    axes = [axis for axis in figure.axes if axis.images]
    assert axes[0].get_title() == expected
    assert len(axes) == 3
    original = np.asarray(Resize(24)(learn.dls.valid_ds[worst][0])) / 255
    assert np.allclose(np.asarray(axes[0].images[0].get_array()), original, atol=1e-5)
    second = [axis for axis in interp.plot_top_losses(range(1, 3)).axes if axis.images]
    assert [axis.get_title() for axis in second] == [axis.get_title() for axis in axes[1:]]


def test_results_are_shown_by_position(learn):
    interp = Interpretation.from_learner(learn)
    (axis,) = [axis for axis in interp.show_results(5).axes if axis.images]
    names = learn.dls.vocab
    assert axis.get_title() == f"{names[int(interp.targs[5])]}\n{names[int(interp.decoded[5])]}"
    assert len([axis for axis in interp.show_results(torch.tensor([1, 2, 3]), ncols=3).axes if axis.images]) == 3


def test_ready_made_batches_keep_their_pictures(learn):
    batches = [(batch.image, batch.target) for batch in learn.dls.valid]
    interp = Interpretation.from_learner(learn, dl=batches)
    assert torch.equal(interp[7][0][0], torch.cat([image for image, _ in batches])[7])
    assert len([axis for axis in interp.plot_top_losses(4).axes if axis.images]) == 4
    with pytest.raises(OptionError, match="ready-made batches"):
        interp.top_losses(1, items=True)


def test_numbers_have_losses_but_no_classes(colour_table):
    dls = ImageDataLoaders.from_csv(
        colour_table, folder="images", label_col="brightness", valid_col="is_valid", y_block=RegressionBlock(),
        item_tfms=Resize(24), bs=16,
    )  # fmt: skip
    learn = Learner(dls, net(1))
    interp = Interpretation.from_learner(learn)
    axis = interp.plot_top_losses(2).axes[0]
    assert axis.get_title().split()[-1] == f"{interp.top_losses(1)[0][0]:.2f}"
    assert repr(interp).startswith("Interpretation(12 pictures, mean loss ")
    with pytest.raises(OptionError, match=r"regression, not classes.*Interpretation.from_learner"):
        ClassificationInterpretation.from_learner(learn)


def test_no_picture_cannot_be_shown(learn):
    with pytest.raises(OptionError, match="no picture to show"):
        Interpretation.from_learner(learn).plot_top_losses(0)

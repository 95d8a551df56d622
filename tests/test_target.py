"""Targets: encode, loss, activation, decision and decoding of the three kinds."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sightline.errors import BundleError, LabelError, OptionError
from sightline.target import MultiLabel, Regression, SingleLabel, Target, Vocab, is_blank


def test_single_label_vocabulary_is_sorted_and_encodes_positions():
    target = SingleLabel.learn(["cat", "ant", "bee", "ant"])
    assert list(target.vocab) == ["ant", "bee", "cat"]
    assert target.encode(["bee", "cat", "ant"]).tolist() == [1, 2, 0]
    assert target.vocab.o2i["cat"] == 2


def test_single_label_keeps_order_of_appearance_when_asked():
    assert list(SingleLabel.learn(["b", "a", "b"], sort=False).vocab) == ["b", "a"]


def test_single_label_keeps_leading_zeros_and_numbers_apart():
    assert list(SingleLabel.learn(["001", "01", "1"]).vocab) == ["001", "01", "1"]
    assert list(SingleLabel.learn([np.int64(3), np.int64(1)]).vocab) == [1, 3]


def test_single_label_add_na_takes_every_unknown_label():
    target = SingleLabel.learn(["a", "b"], add_na=True)
    assert list(target.vocab) == ["#na#", "a", "b"]
    assert target.encode(["zebra", "b"]).tolist() == [0, 2]


def test_single_label_loss_is_the_log_of_the_softmax():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    target = SingleLabel.learn(["a", "b", "c"])
    expected = [
        -math.log(math.exp(row[t]) / sum(math.exp(v) for v in row))
        for row, t in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert target.loss(logits, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_multilabel_decide_uses_each_label_threshold():
    target = MultiLabel(Vocab(["a", "b"]), thresholds=(0.2, 0.8))
    decision = target.decide(torch.tensor([[0.3, 0.7], [0.1, 0.9]]))
    assert decision.tolist() == [[True, False], [False, True]]
    assert [target.decode(row) for row in decision] == [["a"], ["b"]]


def test_multilabel_loss_is_binary_cross_entropy_averaged_over_labels():
    target = MultiLabel.learn([["a"], ["b", "c"]])
    logits, labels = torch.randn(4, 3), torch.randint(0, 2, (4, 3)).float()
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    y = labels.numpy()
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)
    assert target.loss(logits, labels).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert target.loss(logits, labels).mean().item() == pytest.approx(nn.BCEWithLogitsLoss()(logits, labels).item(), rel=1e-6)


def test_multilabel_blank_label_means_no_label_at_all():
    target = MultiLabel.learn([["a"], [], None, ["b"]])
    assert target.encode([[], None, ["a", "b"]]).tolist() == [[0, 0], [0, 0], [1, 1]]


def test_regression_of_single_numbers_is_flat_and_of_pairs_is_not():
    flat = Regression.learn([1, 2.5])
    assert flat.encode([3]).shape == (1,)
    assert flat.num_outputs == 1
    pairs = Regression.learn([[1, 2], [3, 4]])
    assert pairs.encode([[5, 6]]).tolist() == [[5.0, 6.0]]
    assert pairs.num_outputs == 2
    assert pairs.decode(torch.tensor([5.0, 6.0])) == [5.0, 6.0]


def test_regression_loss_never_broadcasts_outputs_against_flat_labels():
    target = Regression.learn([1.0, 2.0, 3.0])
    logits, labels = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([1.0, 2.0, 3.0])
    assert target.loss(logits, labels).tolist() == [0.0, 0.0, 4.0]
    assert target.beside(logits, labels).shape == labels.shape


@pytest.mark.parametrize("blank", [None, "", "  ", float("nan"), pd.NA, pd.NaT])
def test_blank_labels_are_recognised_and_refused(blank):
    assert is_blank(blank)
    with pytest.raises(LabelError, match=r"1 label of 2 blank or NaN \(first: number 1\)"):
        SingleLabel.learn(["a", blank])


def test_one_class_is_refused():
    with pytest.raises(LabelError, match=r"Only one class was found: 'cat' .* Expected at least two"):
        SingleLabel.learn(["cat", "cat"])


def test_unknown_label_names_it_and_the_closest():
    target = SingleLabel.learn(["tabby cat", "lynx"])
    assert target.unknown(["lynx", "tabby_cat"]) == [1]
    with pytest.raises(LabelError, match=r"'tabby_cat' x1\. .*Closest: 'tabby cat'"):
        target.encode(["lynx", "tabby_cat"])


@pytest.mark.parametrize("label", ["three", float("inf"), None])
def test_regression_refuses_what_is_no_finite_number(label):
    with pytest.raises(LabelError, match=r"not a number|missing, NaN or infinite"):
        Regression.learn([1.0, label])


def test_regression_refuses_labels_of_different_length():
    with pytest.raises(LabelError, match="the same count for every picture"):
        Regression.learn([[1, 2], [3]])


@pytest.mark.parametrize(
    "target",
    [
        SingleLabel.learn(["a", "b"], add_na=True),
        SingleLabel.learn([1, 2, 3]),
        MultiLabel.learn([["x"], ["y"]], thresholds=(0.25, 0.75)),
        MultiLabel.learn([["x"], ["y"]]).adjusted(thresholds=0.3, activated=True),
        SingleLabel.learn(["a", "b"]).adjusted(activated=True),
        Regression.learn([[1, 2]], names=["left", "top"]),
    ],
)
def test_targets_survive_json(target):
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target


def test_target_from_json_refuses_what_it_does_not_know():
    with pytest.raises(BundleError, match=r"'segmentation'\. Expected one of single_label, multi_label, regression"):
        Target.from_json({"kind": "segmentation"})
    with pytest.raises(BundleError, match="not valid"):
        Target.from_json({"kind": "single_label", "names": ["a", "a"]})
    with pytest.raises(BundleError, match="not valid"):
        Target.from_json({"kind": "single_label", "names": ["a", "b"], "code": "boom"})


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(OptionError, match=r"expected one number in 0\.\.1, or 2 of them"):
        MultiLabel(Vocab(["a", "b"]), thresholds=(0.5, 1.5))


def test_what_is_not_activated_already_is_not_written():
    assert "activated" not in SingleLabel.learn(["a", "b"]).to_json()


def test_a_network_that_gives_probabilities_has_the_same_loss_and_decisions():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    target = SingleLabel.learn(["a", "b", "c"])
    ready = target.adjusted(activated=True)
    p = target.activate(logits)
    assert torch.equal(ready.activate(p), p)
    assert torch.allclose(ready.loss(p, labels), target.loss(logits, labels), atol=1e-5)
    assert torch.isfinite(ready.loss(torch.eye(3)[labels - 1], labels)).all()


def test_adjusting_leaves_the_rest_alone():
    target = MultiLabel.learn([["a"], ["b"]], thresholds=0.3, add_na=True)
    assert target.adjusted() == target
    assert target.adjusted(thresholds=0.6) == MultiLabel(target.names, 0.6, True)
    assert Regression.learn([1.0]).adjusted(thresholds=0.6) == Regression.learn([1.0])


def test_losses_of_mixed_pictures_mix_classes_by_loss_and_other_labels_themselves():
    shares = torch.tensor([1.0, 0.25])

    def items(logits, target):
        return target.reshape(2, -1)[:, 0].float() ** 2

    classes = SingleLabel.learn(list("abcde"))
    mixed = classes.mixed_loss(items, torch.zeros(2, 5), torch.tensor([1, 2]), torch.tensor([3, 4]), shares)
    assert mixed.tolist() == [1, 0.25 * 4 + 0.75 * 16]
    numbers = Regression.learn([1.0])
    mixed = numbers.mixed_loss(items, torch.zeros(2, 1), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), shares)
    assert mixed.tolist() == [1, (0.25 * 2 + 0.75 * 4) ** 2]
    several = MultiLabel.learn([["a"], ["b"]])
    mixed = several.mixed_loss(items, torch.zeros(2, 2), torch.tensor([[1.0, 0], [0, 1]]), torch.ones(2, 2), shares)
    assert mixed.tolist() == [1, 0.75**2]


def test_margins_are_how_far_outputs_are_from_another_decision():
    one, several = SingleLabel.learn(["a", "b", "c"]), MultiLabel.learn([["a"], ["b"]], thresholds=0.8)
    assert one.margins(torch.tensor([[1.0, 4.0, 3.5], [2.0, 2.0, 0.0]])).tolist() == [0.5, 0.0]
    threshold = float(torch.tensor(0.8).logit())
    margins = several.margins(torch.tensor([[threshold + 0.5, -9.0], [9.0, threshold - 0.25]]))
    assert torch.allclose(margins, torch.tensor([0.5, 0.25]))
    ready = several.adjusted(activated=True)
    assert torch.allclose(ready.margins(torch.tensor([[0.7, 0.1]])), torch.tensor([0.1]))
    assert Regression.learn([1.0]).margins(torch.zeros(2, 1)) is None

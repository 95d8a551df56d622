"""MixUp and CutMix: shares, boxes, labels and losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.data.loading.batch import Batch
from sightline.errors import OptionError, TrainingError
from sightline.train.callbacks.mixing import Chance, CutMix, MixUp, MixUpCutMix, inverse_beta
from sightline.train.events import Callback, CancelBatchException, CancelFitException
from train.callbacks.small import MULTI, NUMBERS, learner, quiet

ROWS = np.arange(4000, dtype=np.int64)
CPU = torch.device("cpu")


def chance(epoch: int = 0, rows: np.ndarray = ROWS) -> Chance:
    return Chance(7, epoch, rows)


class Look(Callback):
    """Keeps what the first training step works on; it comes after whatever mixes."""

    order = 5
    run_valid = False

    def __init__(self) -> None:
        self.steps = []

    def after_loss(self) -> None:
        learn = self.learn
        kept = (learn.batch.image, learn.x, learn.y, *learn.yb1, learn.lam, learn.pred, learn.loss)
        self.steps.append([tensor.detach().clone() for tensor in kept])


def looked(mix: Callback, epochs: int = 1, **options) -> list[list[torch.Tensor]]:
    look = Look()
    quiet(learner(cbs=[mix, look], **options), "fit", epochs, 1e-2)
    return look.steps


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.4, 1.0, 2.5, 60.0])
def test_the_inverse_of_beta_undoes_its_distribution_function(alpha):
    betainc = pytest.importorskip("scipy.special").betainc
    u = np.linspace(0.0005, 0.4995, 999)
    inverse = inverse_beta(alpha, "MixUp")
    assert np.abs(betainc(alpha, alpha, inverse(u)) - u).max() < 2e-5
    assert np.allclose(inverse(1 - u), 1 - inverse(u))


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_an_alpha_that_is_none_is_refused(alpha):
    with pytest.raises(OptionError, match=r"MixUp\(alpha="):
        MixUp(alpha)


def test_the_own_share_of_mixup_is_the_larger_one_and_so_distributed():
    _, lam = MixUp(0.4).shares(chance(), 8, 8, CPU)
    assert lam.min() >= 0.5
    # The mean of max(x, 1 - x) over Beta(a, a) is 1/2 + 1 / (4^a * a * B(a, a)).
    beta = math.gamma(0.4) ** 2 / math.gamma(0.8)
    assert float(lam.mean()) == pytest.approx(0.5 + 1 / (4**0.4 * 0.4 * beta), abs=0.006)


def test_boxes_are_one_a_picture_and_shares_are_what_is_left_outside():
    pixels, lam = CutMix().shares(chance(), 12, 20, CPU)
    assert pixels.shape == (4000, 1, 12, 20)
    assert torch.allclose(pixels.mean((1, 2, 3)), lam, atol=1e-6)
    assert len(set(lam.tolist())) > 50
    for outside in pixels[:200, 0]:
        inside = outside == 0
        if inside.any():
            rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
            box = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert box.all()
            assert box.sum() == inside.sum()


def test_draws_follow_from_seed_epoch_and_row_alone():
    for mix in (MixUp(), CutMix(), MixUpCutMix()):
        pixels, lam = mix.shares(chance(), 8, 8, CPU)
        again = mix.shares(chance(rows=ROWS[::-1].copy()), 8, 8, CPU)
        assert torch.equal(lam, again[1].flip(0))
        assert torch.equal(pixels, again[0].flip(0))
        assert not torch.equal(lam, mix.shares(chance(epoch=1), 8, 8, CPU)[1])


def test_a_run_is_repeated_exactly_and_its_epochs_differ():
    first, again = looked(MixUp(), epochs=2), looked(MixUp(), epochs=2)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][4], first[4][4])


def test_mixup_blends_pictures_and_losses_in_the_same_shares():
    for image, mixed, y, y1, lam, pred, loss in looked(MixUp()):
        assert lam.shape == y.shape
        found = [
            next(
                j
                for j in range(len(image))
                if y[j] == y1[i] and torch.allclose(lam[i] * image[i] + (1 - lam[i]) * image[j], mixed[i], atol=1e-6)
            )
            for i in range(len(image))
        ]
        assert sorted(found) == list(range(len(image)))
        # fastai's formula: lerp(loss of the partner, loss of the own label, own share), then the mean.
        own, other = (F.cross_entropy(pred, label, reduction="none") for label in (y, y1))
        assert loss == pytest.approx(float((own * lam + other * (1 - lam)).mean()), rel=1e-5)


def test_cutmix_pastes_what_the_share_says():
    for image, mixed, _, _, lam, _, _ in looked(CutMix()):
        untouched = (mixed == image).all(1).float().mean((1, 2))
        # A picture may also be its own partner.
        assert torch.allclose(untouched[untouched < 1], lam[untouched < 1])
        assert (untouched < 1).sum() > 1
        assert torch.equal(mixed[lam == 1], image[lam == 1])


def test_each_picture_has_its_own_lot_unless_the_batch_has_one():
    pixels, _ = MixUpCutMix(cutmix_prob=0.3).shares(chance(), 8, 8, CPU)
    blended = ((pixels > 0) & (pixels < 1)).flatten(1).any(1).float().mean()
    assert blended == pytest.approx(0.7, abs=0.03)
    for epoch in range(4):
        pixels, _ = MixUpCutMix(per_batch=True).shares(chance(epoch), 8, 8, CPU)
        assert (pixels == 0).any() != ((pixels > 0) & (pixels < 1)).any()
    with pytest.raises(OptionError, match="cutmix_prob=2"):
        MixUpCutMix(cutmix_prob=2)


@pytest.mark.parametrize(
    ("target", "loss_of"),
    [
        (MULTI, lambda pred, y: F.binary_cross_entropy_with_logits(pred, y)),
        (NUMBERS, lambda pred, y: F.mse_loss(pred.flatten(), y)),
    ],
)
def test_several_labels_and_numbers_are_mixed_themselves(target, loss_of):
    for _, _, y, y1, lam, pred, loss in looked(MixUp(), target=target):
        share = lam.reshape(-1, *[1] * (y.ndim - 1))
        assert loss == pytest.approx(float(loss_of(pred, share * y + (1 - share) * y1)), rel=1e-4)


def test_label_smoothing_and_mixup_go_together():
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    for _, _, y, y1, lam, pred, loss in looked(MixUp(), loss_func=smoothed):
        log_p = pred.log_softmax(1)

        def smooth(label, log_p=log_p):
            return -0.9 * log_p.gather(1, label[:, None])[:, 0] - 0.1 * log_p.mean(1)

        assert loss == pytest.approx(float((lam * smooth(y) + (1 - lam) * smooth(y1)).mean()), rel=1e-5)


def test_validation_and_predictions_are_never_mixed():
    learn, plain = learner(cbs=MixUp()), learner()
    learn.model.load_state_dict(plain.model.state_dict())
    assert learn.validate() == plain.validate()
    quiet(learn, "fit", 1, 0.0)
    assert learn.recorder.values[0][1:] == pytest.approx(learn.validate())
    assert learn.objective.loss_func is None


def test_the_loss_is_restored_by_never_having_been_replaced():
    loss_func = nn.CrossEntropyLoss()
    cancel = Callback(after_batch=lambda cb: (_ for _ in ()).throw(CancelFitException))
    learn = quiet(learner(cbs=[MixUp(), cancel], loss_func=loss_func), "fit", 1)
    assert learn.loss_func is loss_func
    assert learn.lam is None
    assert learn.yb1 == ()


def test_two_that_mix_are_refused():
    with pytest.raises(TrainingError, match=r"mixed already.*MixUpCutMix"):
        quiet(learner(cbs=[MixUp(), CutMix()]), "fit", 1)


def test_a_batch_that_another_callback_made_shorter_is_mixed_by_its_places():
    def shorten(cb):
        cb.learn.xb, cb.learn.yb = (cb.x[:3],), (cb.y[:3],)

    half = Callback(before_batch=shorten)
    half.order, half.run_valid = -1, False
    for _, mixed, y, y1, lam, _, _ in looked_with(half):
        assert len(mixed) == len(y) == len(y1) == len(lam) == 3


def looked_with(*before: Callback) -> list[list[torch.Tensor]]:
    look = Look()
    quiet(learner(cbs=[*before, MixUp(), look]), "fit", 1, 1e-2)
    return look.steps


def test_a_callback_that_changes_the_number_of_pictures_is_named_by_get_preds():
    shorten = Callback(before_batch=lambda cb: setattr(cb.learn, "xb", (cb.x[:2],)) or setattr(cb.learn, "yb", (cb.y[:2],)))
    with pytest.raises(TrainingError, match=r"2 outputs for 5 pictures.*learn.batch"):
        learner(cbs=shorten).get_preds()

    def shorten_and_say(cb):
        cb.learn.batch = Batch(cb.x[:2], cb.y[:2], cb.learn.batch.index[:2])
        cb.learn.xb, cb.learn.yb = (cb.learn.batch.image,), (cb.learn.batch.target,)

    assert len(learner(cbs=Callback(before_batch=shorten_and_say)).get_preds()[0]) == 4


def test_a_cancelled_batch_is_left_out_of_get_preds():
    def skip(cb):
        if cb.iter == 0:
            raise CancelBatchException

    assert learner(cbs=Callback(before_batch=skip)).get_preds()[0].shape == (4, 3)

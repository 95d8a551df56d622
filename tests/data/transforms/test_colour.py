"""Light, saturation and hue equal fastai's for given draws, in one pass and one more for hue; and what Normalize takes."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np
import pytest
import torch

from data.facts import FACTS, batch_of
from reference.pictures import part, picture
from sightline.data.transforms import colour, recolour
from sightline.data.transforms.augment import aug_transforms, imagenet_stats
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.colour import Brightness, Contrast, Hue, Normalize, Saturation
from sightline.data.transforms.recolour import GREY, LogitChange, denormalized, normalized
from sightline.errors import OptionError

COUNT = 20_000


def trained(transforms: Any, batch: torch.Tensor, *, seed: int = 0, epoch: int = 0, rows: Any = None) -> torch.Tensor:
    rows = np.arange(len(batch)) if rows is None else np.array(rows)
    return BatchPipeline(transforms).train(batch, seed=seed, epoch=epoch, rows=rows)


def pictures(count: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.stack([picture(24, 32, number) for number in range(count)]))


@pytest.mark.parametrize("fact", FACTS["colours"], ids=lambda fact: "-".join(name for name, _ in fact["transforms"]))
def test_pixels_for_given_draws_equal_the_reference(fact: dict[str, Any]) -> None:
    made = [getattr(colour, name)(p=1.0, **draws) for name, draws in fact["transforms"]]
    if fact["merged"]:  # as aug_transforms merges what it is given
        made = aug_transforms(do_flip=False, max_rotate=0, max_warp=0, max_zoom=1, max_lighting=0, xtra_tfms=made)
    result = trained(made, batch_of(fact))
    assert np.abs(part(result.numpy(), fact["steps"]) - np.array(fact["pixels"])).max() < 1e-5


@pytest.mark.parametrize("fact", FACTS["colour_draws"], ids=lambda fact: f"{fact['name']} {fact['options']}")
def test_shares_and_ranges_of_what_is_drawn_equal_the_reference(fact: dict[str, Any]) -> None:
    made, theirs = getattr(colour, fact["name"])(**fact["options"]), fact["drawn"]
    grey = torch.tensor([200, 100, 50], dtype=torch.uint8).expand(COUNT, 1, 1, 3)
    seen = trained(made, grey).double()[..., 0, 0].numpy()
    before = np.array([200, 100, 50]) / 255
    if fact["name"] == "Saturation":  # how far red and blue lie apart, in logits
        spread = np.log(seen / (1 - seen))
        drawn = (spread[:, 0] - spread[:, 2]) / np.subtract(*np.log(before / (1 - before))[[0, 2]])
        neutral = 1.0
    else:
        hues = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in seen])
        drawn = (hues - colorsys.rgb_to_hsv(*before)[0]) % 1
        neutral, theirs = 0.0, theirs | {"mean": None, "std": None}
        # A turn of 0.95 is one of -0.05 as well.
        low, high = theirs["min"] - 1, theirs["max"] - 1
        signed = np.where(drawn > 0.5, drawn - 1, drawn)
        assert signed.min() > low - 1e-3
        assert signed.max() < high + 1e-3
        assert signed.max() - signed.min() > 0.98 * (high - low)
    changed = np.abs(drawn - neutral) > 1e-5
    assert abs(changed.mean() - theirs["share"]) < 0.015
    if theirs["mean"] is not None:
        for statistic in ("min", "max", "mean", "std"):
            assert abs(getattr(drawn[changed], statistic)() - theirs[statistic]) < 0.02 * (theirs["max"] - theirs["min"])


def test_hue_keeps_value_and_saturation_of_each_pixel() -> None:
    seen = trained(Hue(draw=0.37, p=1), pictures()).double()
    before = (pictures().permute(0, 3, 1, 2) / 255).double()
    for pixel, original in zip(
        seen.permute(0, 2, 3, 1).reshape(-1, 3)[::37], before.permute(0, 2, 3, 1).reshape(-1, 3)[::37], strict=True
    ):
        hue, saturation, value = colorsys.rgb_to_hsv(*original.tolist())
        assert np.allclose(pixel, colorsys.hsv_to_rgb((hue + 0.37) % 1, saturation, value), atol=1e-5)


def test_light_and_saturation_take_one_pass_whatever_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    original = colour.relit
    monkeypatch.setattr(colour, "relit", lambda images, change: passes.append(1) or original(images, change))
    trained([Brightness(), Contrast(), Saturation(), Contrast(), Hue()], pictures())
    assert len(passes) == 1


@pytest.mark.parametrize("transforms", [[], [Brightness(p=0), Contrast(p=0), Saturation(p=0)]])
def test_light_takes_no_pass_where_no_picture_draws_any(transforms: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "relit", lambda images, change: pytest.fail("a pass was taken"))
    trained(transforms, pictures())


def test_logarithms_are_taken_of_the_pictures_alone_that_draw_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    original = recolour._logits
    monkeypatch.setattr(recolour, "_logits", lambda images: taken.append(len(images)) or original(images))
    large = pictures().repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    seen = trained([Brightness(draw=[0.5, 0.6, 0.5, 0.6], p=1), Contrast(draw=[1.0, 1.0, 1.2, 1.0], p=1)], large)
    assert taken == [1]
    assert torch.allclose(seen[0], large[0].permute(2, 0, 1) / 255, atol=1e-6)


@pytest.mark.parametrize("times", [1, 4])
def test_each_picture_of_a_batch_takes_its_own_kind_of_light(times: int) -> None:
    batch = pictures().repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)
    grey, factor, colourful = np.array([[0.5, 0.55, 0.5, 0.45], [1, 1, 0.8, 1.25], [1, 1, 1, 0.7]])
    seen = trained(
        [Brightness(draw=grey.tolist(), p=1), Contrast(draw=factor.tolist(), p=1), Saturation(draw=colourful.tolist(), p=1)],
        batch,
    )
    odds = (batch.numpy() / 255).clip(1e-7, 1 - 1e-7)
    logits = (np.log(odds) - np.log1p(-odds) + np.log(grey / (1 - grey))[:, None, None, None]) * factor[:, None, None, None]
    share = colourful[:, None, None, None]
    logits = share * logits + (1 - share) * (logits @ np.array(GREY))[..., None]
    assert np.allclose(seen.permute(0, 2, 3, 1).numpy(), 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.parametrize("transforms", [[Brightness(draw=0.4, p=1)], [Contrast(draw=1.25, p=1)], [Saturation(draw=0.5, p=1)]])
def test_black_and_white_stay_black_and_white(transforms: list[Any]) -> None:
    extremes = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 4, 2, 3)
    seen = trained(transforms, extremes)
    assert torch.allclose(seen, extremes.permute(0, 3, 1, 2) / 255, atol=1e-5)


def test_light_by_hand_can_be_differentiated() -> None:
    images = torch.rand(2, 3, 4, 5, requires_grad=True)
    relit = recolour.relit(images * 1, LogitChange(np.array([1.2, 1.0]), np.zeros(2), np.array([0.1, 0.0])).each())
    relit.sum().backward()
    value = images.detach().double()[0]
    after = torch.sigmoid(torch.logit(value) * 1.2 + 0.1)
    assert images.grad is not None
    assert torch.allclose(images.grad[0].double(), 1.2 * after * (1 - after) / (value * (1 - value)), rtol=1e-3)
    assert torch.allclose(images.grad[1], torch.ones(3, 4, 5), rtol=1e-3)


def test_changes_of_logits_in_a_row_are_one() -> None:
    rng = np.random.default_rng(0)
    logits, weights = rng.normal(size=(5, 3)), np.array([0.2989, 0.587, 0.1140])
    change, expected = LogitChange.none(5), logits
    for kind in rng.integers(0, 3, 12):
        values = rng.uniform(0.5, 1.5, 5)
        if kind == 0:
            change, expected = change.plus(values), expected + values[:, None]
        elif kind == 1:
            change, expected = change.times(values), expected * values[:, None]
        else:
            grey = expected @ weights
            change, expected = change.mixed_with_grey(values), values[:, None] * expected + ((1 - values) * grey)[:, None]
    found = change.scale[:, None] * logits + (change.luma * (logits @ weights) + change.shift)[:, None]
    assert np.allclose(found, expected)


@pytest.mark.parametrize("transforms", [[Saturation(0.5)], [Hue(0.3)], [Hue(), Brightness(), Saturation(), Hue()]])
def test_draws_follow_from_seed_epoch_and_row_alone(transforms: list[Any]) -> None:
    whole = trained(transforms, pictures(), rows=[7, 3, 99, 12])
    assert torch.allclose(whole[2:3], trained(transforms, pictures()[2:3], rows=[99]), atol=1e-6)
    for other in ({"epoch": 1}, {"seed": 1}):
        assert not torch.allclose(whole, trained(transforms, pictures(), rows=[7, 3, 99, 12], **other))


def test_grey_pictures_keep_their_saturation_and_hue() -> None:
    grey = pictures()[..., :1]
    for transform in (Saturation(p=1), Hue(p=1)):
        assert torch.allclose(trained(transform, grey), grey.permute(0, 3, 1, 2) / 255, atol=1e-6)
    mixed = trained([Brightness(draw=0.6, p=1), Saturation(draw=0.5, p=1)], grey)
    assert torch.allclose(mixed, trained([Brightness(draw=0.6, p=1)], grey), atol=1e-4)


@pytest.mark.parametrize("transform", [Saturation(p=1), Hue(p=1)])
def test_colour_of_pictures_with_other_channels_is_refused(transform: Any) -> None:
    with pytest.raises(
        OptionError, match=rf"{type(transform).__name__} is for colour \(3 channels\) or grey \(1\).*4 channels"
    ):
        trained(transform, pictures().repeat(1, 1, 1, 2)[..., :4])


def test_nothing_of_this_happens_outside_training() -> None:
    pipeline = BatchPipeline([Saturation(p=1), Hue(p=1)])
    assert torch.allclose(pipeline.evaluate(pictures()), pictures().permute(0, 3, 1, 2) / 255, atol=1e-7)
    assert pipeline.custom_names == ()


def test_options_stand_in_the_order_of_the_reference() -> None:
    for kind in (Brightness, Contrast, Saturation):
        made = kind(0.1, 0.2, [0.3], True)
        assert (made.max_lighting, made.p, made.draw, made.batch) == (0.1, 0.2, [0.3], True)
        assert kind() == kind(0.2, 0.75, None, False)
    made = Hue(0.1, 0.2, 0.3, True)
    assert (made.max_hue, made.p, made.draw, made.batch) == (0.1, 0.2, 0.3, True)
    assert Hue() == Hue(0.1, 0.75, None, False)


def test_a_function_may_draw() -> None:
    seen = trained(Brightness(draw=lambda x: torch.full((len(x),), 0.6), p=1), pictures())
    assert torch.allclose(seen, trained(Brightness(draw=0.6, p=1), pictures()), atol=1e-6)


# Normalize


def test_statistics_can_be_measured_over_all_channels_together() -> None:
    values = (pictures().permute(0, 3, 1, 2) / 255).double()
    whole = Normalize(axes=(0, 1, 2, 3)).measured(values)
    assert np.allclose(whole.mean, [values.mean()] * 3)
    assert np.allclose(whole.std, [values.std() + 1e-7] * 3)
    assert np.allclose(Normalize().measured(values).mean, values.mean((0, 2, 3)))


def test_statistics_are_of_what_the_users_own_transforms_leave() -> None:
    known = BatchPipeline([lambda x: x / 2, Normalize()]).measured(pictures())
    half = pictures().permute(0, 3, 1, 2) / 510
    assert known.normalize is not None
    assert np.allclose(known.normalize.mean, half.mean((0, 2, 3)))
    assert np.allclose(known.normalize.std, half.std((0, 2, 3)), atol=1e-6)


def test_statistics_may_be_tensors_of_a_batch_and_take_the_options_of_the_reference() -> None:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in imagenet_stats)
    made = Normalize.from_stats(mean, std, 1, 4, False)
    assert np.allclose(made.mean, imagenet_stats[0])
    assert np.allclose(made.std, imagenet_stats[1])


def test_normalising_can_be_undone() -> None:
    images = torch.rand(2, 3, 4, 5)
    assert torch.allclose(denormalized(normalized(images.clone(), *imagenet_stats), *imagenet_stats), images, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hue(1.0), "max_hue=1.0 is not between 0"),
        (lambda: Hue(p=-1), "Hue has p=-1, which is not a probability"),
        (lambda: Saturation(-0.1), "max_lighting=-0.1 is not between 0"),
        (lambda: Normalize(axes=(2, 3)), r"axes=\(2, 3\): expected \(0, 2, 3\) or \(0, 1, 2, 3\)"),
        (lambda: Normalize.from_stats([0.5], [0.5], dim=0), "dim=0 and ndim=4: batches of pictures"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_pixels_of_the_cpu() -> None:
    transforms = [Brightness(), Saturation(), Hue(), Contrast()]
    assert torch.allclose(trained(transforms, pictures().cuda()).cpu(), trained(transforms, pictures()), atol=1e-4)


def test_the_grey_of_white_is_nearly_white() -> None:
    assert math.isclose(sum(GREY), 1, abs_tol=2e-4)

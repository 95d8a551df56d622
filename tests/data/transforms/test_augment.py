"""Batches are augmented like fastai's for given draws, in one resampling, by row and epoch alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import apply_preprocess
from data.facts import FACTS, as_tuples, batch_of, name_of
from reference.pictures import part, picture
from sightline.data.transforms import augment, resample
from sightline.data.transforms.augment import aug_transforms, imagenet_stats
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import BatchDraw
from sightline.data.transforms.colour import Brightness, Contrast, Normalize, changes
from sightline.data.transforms.geometry import Flip, RandomResizedCropGPU, Rotate, Zoom
from sightline.data.transforms.items import Resize
from sightline.data.transforms.resample import shrink_factor
from sightline.errors import OptionError
from sightline.preprocess import Preprocess

LIGHT = ("Brightness", "Contrast")


def pipeline_of(fact: dict[str, Any]) -> BatchPipeline:
    common = as_tuples({name: fact[name] for name in ("size", "pad_mode", "mode", "align_corners")})
    return BatchPipeline([getattr(augment, n)(p=1.0, **d, **({} if n in LIGHT else common)) for n, d in fact["transforms"]])


def pictures(count: int = 4, size: tuple[int, int] = (24, 32)) -> torch.Tensor:
    return torch.from_numpy(np.stack([picture(*size, number) for number in range(count)]))


def trained(pipeline: BatchPipeline, batch: torch.Tensor, *, seed: int = 0, epoch: int = 0, rows: Any = None) -> torch.Tensor:
    return pipeline.train(batch, seed=seed, epoch=epoch, rows=np.arange(len(batch)) if rows is None else np.array(rows))


def plain(batch: torch.Tensor) -> torch.Tensor:
    return batch.permute(0, 3, 1, 2) / 255


def shrunk_alike(fact: dict[str, Any]) -> bool:
    """Whether the reference shrinks by the rule it means to follow: it takes the output's width for its height."""
    if fact["size"] is None:
        return True
    height, _ = fact["input"]
    return shrink_factor(tuple(fact["input"]), tuple(fact["size"])) == max(1.0, height / fact["size"][1] / 2)


# Given draws


@pytest.mark.parametrize("fact", [fact for fact in FACTS["warps"] if shrunk_alike(fact)], ids=name_of)
def test_pixels_for_given_draws_equal_the_reference(fact: dict[str, Any]) -> None:
    batch = batch_of(fact)
    result = trained(pipeline_of(fact), batch) if fact["training"] else pipeline_of(fact).evaluate(batch)
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    difference = np.abs(part(result.numpy(), fact["steps"]) - np.array(fact["pixels"]))
    assert difference.max() < 5e-5


def test_most_facts_were_compared() -> None:
    assert sum(map(shrunk_alike, FACTS["warps"])) >= len(FACTS["warps"]) - 5


@pytest.mark.parametrize("fact", FACTS["gpu_crops"], ids=lambda fact: f"{fact['options']}")
def test_validation_cuts_the_centre_like_the_reference(fact: dict[str, Any]) -> None:
    pipeline = BatchPipeline(RandomResizedCropGPU(**as_tuples(fact["options"])))
    batch = batch_of(fact)
    result = pipeline.evaluate(batch)
    expected = np.array(fact["pixels"])
    left, top, right, bottom = fact["box"]
    assert pipeline.geometry.crop is not None
    assert pipeline.geometry.crop.centre_box(tuple(fact["input"])) == (top, left, bottom - top, right - left)
    if shrunk_alike(fact | {"input": [bottom - top, right - left], "size": list(result.shape[-2:])}):
        assert np.abs(part(result.numpy(), fact["steps"]) - expected).max() < 5e-5


@pytest.mark.parametrize("fact", FACTS["listed"], ids=lambda fact: f"{fact['options']}")
def test_the_same_transforms_are_listed_as_in_the_reference(fact: dict[str, Any]) -> None:
    ours = {type(transform).__name__ for transform in aug_transforms(**fact["options"])}
    functions = {
        "flip_mat": "Flip",
        "dihedral_mat": "Dihedral",
        "rotate_mat": "Rotate",
        "zoom_mat": "Zoom",
        "_WarpCoord": "Warp",
    }
    theirs = {functions[name] for name in fact["merged"]}
    theirs |= {"Brightness", "Contrast"} if "Brightness" in fact["listed"] else set()
    assert ours == theirs | ({"RandomResizedCropGPU"} & set(fact["listed"]))


# One resampling, one colour pass


@pytest.fixture
def resamplings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of pictures at each resampling."""
    calls: list[int] = []
    original = resample.F.grid_sample

    def counted(images: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        calls.append(len(images))
        return original(images, *args, **options)

    monkeypatch.setattr(resample.F, "grid_sample", counted)
    return calls


@pytest.mark.parametrize("options", [{}, {"flip_vert": True, "size": 20}, {"size": 20, "min_scale": 0.5}])
def test_a_batch_is_resampled_once(resamplings: list[int], options: dict[str, Any]) -> None:
    result = trained(BatchPipeline([*aug_transforms(**options), Normalize(*imagenet_stats)]), pictures(16))
    assert resamplings == [16]
    assert result.shape == (16, 3, *((20, 20) if "size" in options else (24, 32)))


def test_nothing_is_resampled_where_nothing_moves(resamplings: list[int]) -> None:
    still = BatchPipeline([Rotate(p=0), Zoom(p=0), Brightness(p=0), Contrast(p=0)])
    assert torch.allclose(trained(still, pictures()), plain(pictures()), atol=1e-7)
    assert torch.allclose(BatchPipeline(aug_transforms()).evaluate(pictures()), plain(pictures()), atol=1e-7)
    assert resamplings == []


def test_boxes_that_shrink_by_much_or_little_are_resampled_apart_but_once(resamplings: list[int]) -> None:
    pipeline = BatchPipeline(RandomResizedCropGPU(8, min_scale=0.1))
    assert trained(pipeline, pictures(32, (96, 96))).shape == (32, 3, 8, 8)
    assert len(resamplings) > 1
    assert sum(resamplings) == 32


def test_boxes_reach_their_size_without_skipping_pixels() -> None:
    noise = torch.randint(0, 256, (16, 96, 96, 3), dtype=torch.uint8)
    seen = trained(BatchPipeline(RandomResizedCropGPU(8, min_scale=0.9)), noise)
    # 12 x 12 pixels of noise become one: their mean has a 12th of their spread, a look-up of 2 x 2 a half.
    assert seen.std() < 0.4 * (noise / 255).std()


# Draws


def test_draws_follow_from_seed_epoch_and_row_alone() -> None:
    pipeline = BatchPipeline(aug_transforms())
    batch = pictures(4)
    whole = trained(pipeline, batch, rows=[7, 3, 99, 12])
    alone = trained(pipeline, batch[2:3], rows=[99])
    assert torch.equal(whole[2:3], alone)
    turned = trained(pipeline, batch.flip(0), rows=[12, 99, 3, 7])
    assert torch.equal(whole, turned.flip(0))
    for other in ({"epoch": 1}, {"seed": 1}, {"rows": [8, 4, 98, 13]}):
        assert not torch.allclose(whole, trained(pipeline, batch, **({"rows": [7, 3, 99, 12]} | other)))


def test_rows_may_be_a_tensor() -> None:
    pipeline = BatchPipeline(aug_transforms())
    rows = torch.tensor([7, 3, 99, 12])
    assert torch.equal(pipeline.train(pictures(), seed=0, epoch=0, rows=rows), trained(pipeline, pictures(), rows=rows.numpy()))


def test_the_global_generators_are_left_alone() -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    trained(BatchPipeline(aug_transforms(size=20, min_scale=0.5)), pictures())
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])


def test_pictures_of_a_batch_are_augmented_each_in_its_own_way() -> None:
    same = pictures(1).repeat(8, 1, 1, 1)
    seen = trained(BatchPipeline(aug_transforms()), same)
    assert len({tuple(image.flatten()[:50].tolist()) for image in seen}) == 8
    as_one = trained(BatchPipeline(aug_transforms(batch=True)), same)
    assert (as_one == as_one[:1]).all()


def test_the_batch_that_was_given_is_not_changed() -> None:
    batch = pictures()
    before = batch.clone()
    trained(BatchPipeline([*aug_transforms(), Normalize(*imagenet_stats)]), batch)
    assert torch.equal(batch, before)


# Measured on the pictures themselves, by what happens to known ones


def test_half_of_the_pictures_are_mirrored() -> None:
    ramp = torch.arange(9, dtype=torch.uint8).mul(25).expand(20_000, 3, 9)[..., None]
    seen = trained(BatchPipeline(Flip()), ramp)
    mirrored = seen[:, 0, 0, 0] > seen[:, 0, 0, -1]
    assert abs(mirrored.float().mean() - 0.5) < 0.015
    assert torch.allclose(seen[mirrored], plain(ramp)[mirrored].flip(-1), atol=1e-6)


def test_angles_seen_in_pictures_reach_ten_degrees_in_three_of_four() -> None:
    side, count = 9, 20_000
    place = torch.linspace(0, 255, side)
    ramps = torch.stack(torch.meshgrid(place, place, indexing="ij"), -1).expand(count, side, side, 2)  # y, x
    seen = trained(BatchPipeline(Rotate(10, p=0.75)), ramps)
    middle = side // 2
    step = seen[:, :, middle, middle + 1] - seen[:, :, middle, middle - 1]  # how the source moves when the output moves right
    angles = torch.rad2deg(torch.atan2(-step[:, 0], step[:, 1]))
    turned = angles.abs() > 1e-3
    assert abs(turned.float().mean() - 0.75) < 0.015
    assert -10.001 < angles.min() < -9.98
    assert 9.98 < angles.max() < 10.001
    assert abs(angles[turned].std() - 20 / 12**0.5) < 0.1


def test_light_seen_in_pictures_has_the_ranges_of_brightness_and_contrast() -> None:
    dark_and_light = torch.tensor([64, 192], dtype=torch.uint8).expand(20_000, 3, 2)[..., None]
    seen = torch.logit(trained(BatchPipeline([Brightness(0.2), Contrast(0.2)]), dark_and_light).double())[:, 0, 0]
    before = torch.logit(torch.tensor([64 / 255, 192 / 255], dtype=torch.float64))
    contrast = (seen[:, 1] - seen[:, 0]) / (before[1] - before[0])
    brightness = torch.sigmoid(seen[:, 0] / contrast - before[0])
    for values, neutral, low, high in ((contrast, 1, 0.8, 1.25), (brightness, 0.5, 0.4, 0.6)):
        changed = (values - neutral).abs() > 1e-4
        assert abs(changed.double().mean() - 0.75) < 0.015
        assert low - 1e-4 < values.min() < low + 0.002
        assert high - 0.002 < values.max() < high + 1e-4


# Size and evaluation


def test_another_size_is_reached_in_training_and_validation() -> None:
    pipeline = BatchPipeline(aug_transforms(size=(20, 28)))
    assert trained(pipeline, pictures()).shape == pipeline.evaluate(pictures()).shape == (4, 3, 20, 28)


@pytest.mark.parametrize(
    "transforms",
    [
        [],
        [Normalize(*imagenet_stats)],
        [*aug_transforms(size=20), Normalize(*imagenet_stats)],
        aug_transforms(size=(20, 28), min_scale=0.5),
        [RandomResizedCropGPU(16, valid_scale=0.8)],
    ],
    ids=["nothing", "normalize", "size", "min_scale", "valid_scale"],
)
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_the_value_gives_what_validation_gives(transforms: list[Any], size: tuple[int, int]) -> None:
    pipeline = BatchPipeline(transforms)
    item = Resize(size).preprocess(Preprocess())
    assert item is not None
    pre = Preprocess.from_json(pipeline.preprocess(item).to_json())
    source = Image.fromarray(picture(60, 100))
    validation = pipeline.evaluate(torch.from_numpy(np.array(apply_preprocess(source, item)))[None])
    prediction = BatchPipeline.from_preprocess(pre).evaluate(torch.from_numpy(np.array(apply_preprocess(source, pre)))[None])
    assert torch.equal(validation, prediction)
    assert tuple(validation.shape[-2:]) == pre.output_size


def test_bytes_become_floats_by_division_to_the_last_bit() -> None:
    # As in fastai. Multiplying by 1 / 255 is off by one bit in places, which an untrained network at a high rate blows up to
    # losses of another size within a few steps.
    every_byte = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    exact = every_byte.permute(0, 3, 1, 2).float() / 255
    assert not torch.equal(exact, every_byte.permute(0, 3, 1, 2).float() * (1 / 255))
    pipeline = BatchPipeline()
    assert torch.equal(pipeline.evaluate(every_byte), exact)
    assert torch.equal(pipeline.train(every_byte, seed=0, epoch=0, rows=np.array([0])), exact)


@pytest.mark.parametrize("batch_tfms", [[], [Normalize(*imagenet_stats)], [Normalize(*imagenet_stats), Flip(size=16)]])
def test_validation_may_lay_its_pictures_out_pixel_by_pixel(batch_tfms: list[Any]) -> None:
    pipeline = BatchPipeline(batch_tfms)
    plainly, by_pixel = pipeline.evaluate(pictures()), pipeline.evaluate(pictures(), channels_last=True)
    assert plainly.is_contiguous()
    assert by_pixel.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plainly, by_pixel)


def test_training_equals_the_formula_in_double_precision() -> None:
    pipeline = BatchPipeline([*aug_transforms(size=(20, 28)), Normalize(*imagenet_stats)])
    height, width, batch, rows = 97, 65, pictures(6, (97, 65)), np.arange(6)
    lookup = pipeline.lookup((height, width), seed=2, epoch=1, rows=rows)
    ys, xs = (np.linspace(-1, 1, count) for count in (20, 28))
    outputs = np.stack([*np.meshgrid(xs, ys), np.ones((20, 28))], axis=-1)
    x, y, depth = np.moveaxis(np.einsum("nij,hwj->nhwi", lookup.matrices, outputs), -1, 0)
    shrunk = resample.shrunk_size((height, width), lookup.shrink[0])
    assert shrunk != (height, width)
    seen = torch.nn.functional.grid_sample(
        torch.nn.functional.interpolate(plain(batch).double(), size=shrunk, mode="area"),
        torch.from_numpy(np.stack([x / depth, y / depth], axis=-1)),
        padding_mode="reflection",
        align_corners=True,
    )
    drawn = changes(pipeline.colours, BatchDraw(2, 1, rows))
    scale, _, shift = torch.tensor(drawn[0], dtype=torch.float64).T[..., None, None, None]
    mean, std = torch.tensor(imagenet_stats, dtype=torch.float64)[..., None, None]
    expected = (torch.sigmoid(torch.logit(seen, 1e-7) * scale + shift) - mean) / std
    assert torch.allclose(pipeline.train(batch, seed=2, epoch=1, rows=rows).double(), expected, atol=1e-4)


def test_training_with_a_preprocess_alone_is_its_evaluation() -> None:
    pipeline = BatchPipeline.from_preprocess(Preprocess(batch_size_px=(20, 28), mean=imagenet_stats[0], std=imagenet_stats[1]))
    assert torch.allclose(trained(pipeline, pictures()), pipeline.evaluate(pictures()), atol=1e-5)


def test_grey_pictures_are_augmented_too() -> None:
    grey = pictures()[..., :1]
    pipeline = BatchPipeline([*aug_transforms(), Normalize([0.5], [0.25])])
    assert torch.allclose(
        trained(pipeline, grey), (trained(BatchPipeline(aug_transforms()), pictures())[:, :1] - 0.5) / 0.25, atol=1e-5
    )


# Normalising


def test_normalize_subtracts_and_divides_by_channel() -> None:
    mean, std = torch.tensor(imagenet_stats)[..., None, None]
    expected = (plain(pictures()) - mean) / std
    pipeline = BatchPipeline(Normalize.from_stats(*imagenet_stats))
    assert torch.allclose(pipeline.evaluate(pictures()), expected, atol=1e-6)
    assert torch.allclose(trained(pipeline, pictures()), expected, atol=1e-6)


def test_statistics_can_be_added_to_a_copy_and_replaced() -> None:
    pipeline = BatchPipeline(aug_transforms())
    normalising = pipeline.with_stats([0.5, 0.4, 0.3], [0.2, 0.2, 0.2])
    assert (pipeline.normalizes, normalising.normalizes) == (False, True)
    assert normalising.preprocess(Preprocess()).mean == (0.5, 0.4, 0.3)
    again = normalising.with_stats([0.1, 0.1, 0.1], [0.2, 0.2, 0.2])
    assert again.preprocess(Preprocess()).mean == (0.1, 0.1, 0.1)
    assert len(again.transforms) == len(normalising.transforms)


def test_statistics_that_are_not_given_are_measured_on_a_batch() -> None:
    pipeline = BatchPipeline(Normalize())
    assert pipeline.normalizes
    assert pipeline.needs_stats
    assert not pipeline.preprocess(Preprocess()).normalizes
    known = pipeline.measured(pictures())
    assert not known.needs_stats
    values = plain(pictures()).double().numpy()
    assert known.normalize is not None
    assert np.allclose(known.normalize.mean, values.mean(axis=(0, 2, 3)))
    assert np.allclose(known.normalize.std, values.std(axis=(0, 2, 3), ddof=1) + 1e-7)
    assert known.measured(pictures()) is known
    result = known.evaluate(pictures())
    assert torch.allclose(result.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(result.std((0, 2, 3)), torch.ones(3), atol=1e-5)


# A user's own


def test_a_users_function_runs_before_normalising_in_training_and_validation() -> None:
    seen: list[torch.Tensor] = []

    def inverted(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return 1 - images

    pipeline = BatchPipeline([inverted, Normalize([0.5] * 3, [0.5] * 3)])
    for result in (trained(pipeline, pictures()), pipeline.evaluate(pictures())):
        assert torch.allclose(result, ((1 - plain(pictures())) - 0.5) / 0.5, atol=1e-6)
    assert pipeline.custom_names == ("inverted",)
    assert torch.allclose(seen[0], plain(pictures()), atol=1e-7), "what the function keeps is not changed afterwards"


def test_a_users_function_that_returns_nothing_is_named() -> None:
    def forgetful(images: torch.Tensor) -> None:
        images.mean()

    with pytest.raises(OptionError, match="the batch transform forgetful returned a NoneType, not a tensor"):
        BatchPipeline(forgetful).evaluate(pictures())


# Options


def test_mult_scales_rotation_light_and_warp_but_not_zoom() -> None:
    made = {type(t).__name__: t for t in aug_transforms(mult=2)}
    assert (made["Rotate"].max_deg, made["Warp"].magnitude, made["Zoom"].max_zoom) == (20, 0.4, 1.1)
    assert made["Brightness"].max_lighting == made["Contrast"].max_lighting == 0.4
    assert [type(t).__name__ for t in aug_transforms(mult=0)] == ["Flip", "Zoom"]


def test_extra_transforms_follow() -> None:
    extra = Normalize(*imagenet_stats)
    assert aug_transforms(xtra_tfms=[extra])[-1] is aug_transforms(xtra_tfms=extra)[-1] is extra


def test_lists_within_lists_are_taken_apart() -> None:
    assert len(BatchPipeline([aug_transforms(), Normalize(*imagenet_stats)]).transforms) == 7


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: aug_transforms(min_scale=0.5), "min_scale=0.5 cuts boxes .* say with size= what size"),
        (lambda: aug_transforms(max_lighting=1.0), "max_lighting=1.0 is not between 0"),
        (lambda: aug_transforms(p_affine=2), "p=2, which is not a probability"),
        (lambda: BatchPipeline(Resize(32)), r"batch_tfms holds Resize\(.*works on one picture at a time; give it in item_tfms"),
        (lambda: BatchPipeline([Flip]), r"the class Flip; give what it makes, such as Flip\(\)"),
        (lambda: BatchPipeline(32), "batch_tfms holds 32; expected transforms of whole batches"),
        (lambda: BatchPipeline([Normalize(), Normalize()]), "2 Normalize; pictures are normalised once"),
        (lambda: BatchPipeline(Normalize()).evaluate(pictures()), "has no statistics yet"),
        (lambda: BatchPipeline(Normalize([0.5], [0.5])).evaluate(pictures()), "1 values of mean and std, but .* 3 channels"),
        (lambda: Normalize([0.5]), "mean and std together"),
        (lambda: Normalize([0.5], [0.0]), "std above 0"),
        (lambda: Normalize([0.5, 0.5], [1.0]), "as many of both"),
        (lambda: aug_transforms(size=8, min_scale=2), "min_scale=2 and max_scale=1.0 are shares of the area"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(make, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()


# On a GPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_pixels_of_the_cpu() -> None:
    for transforms in (aug_transforms(), aug_transforms(size=20, min_scale=0.3)):
        pipeline = BatchPipeline([*transforms, Normalize(*imagenet_stats)])
        batch = pictures(8, (48, 64))
        on_gpu = trained(pipeline, batch.cuda())
        assert on_gpu.is_cuda
        assert torch.allclose(on_gpu.cpu(), trained(pipeline, batch), atol=1e-3)
        assert torch.allclose(pipeline.evaluate(batch.cuda()).cpu(), pipeline.evaluate(batch), atol=1e-4)

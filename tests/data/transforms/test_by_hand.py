"""Transforms called by hand give what they give within a loader."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import pixels
from sightline.data.pictures.decode import PILImage
from sightline.data.rows.getters import Pipeline
from sightline.data.transforms.augment import aug_transforms, imagenet_stats
from sightline.data.transforms.colour import Brightness, Contrast, Hue, Normalize, Saturation
from sightline.data.transforms.erasing import RandomErasing
from sightline.data.transforms.geometry import Dihedral, Flip, RandomResizedCropGPU, Rotate, Warp, Zoom
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.items import DihedralItem, FlipItem, RandomCrop, RandomResizedCrop, Resize
from sightline.data.transforms.user_transforms import IntToFloatTensor, ToTensor
from sightline.errors import OptionError


def batch() -> torch.Tensor:
    """Two small pictures, float `(2, 3, 10, 12)`."""
    return torch.from_numpy(np.stack([pixels(0), pixels(1)])).permute(0, 3, 1, 2).float() / 255


def test_a_flip_mirrors_and_leaves_what_it_was_given() -> None:
    given = batch()
    assert torch.allclose(Flip(p=1)(given), given.flip(-1), atol=1e-6)
    assert torch.equal(given, batch())
    assert torch.equal(Flip(p=1)(given, split_idx=1), given)
    assert torch.equal(Dihedral(p=1, draw=0)(given), given)


def test_one_picture_alone_is_transformed_too() -> None:
    assert torch.allclose(Flip(p=1)(batch()[0]), batch()[0].flip(-1), atol=1e-6)


def test_geometric_transforms_reach_their_size_in_both_forms() -> None:
    for transform in (Rotate(size=8), Zoom(size=8), Warp(size=8), RandomResizedCropGPU(8)):
        assert [transform(batch(), split_idx=i).shape for i in (None, 0, 1)] == [(2, 3, 8, 8)] * 3


def test_nearest_makes_no_colours_of_its_own_where_pictures_shrink_by_much() -> None:
    extremes = (batch() > 0.5).float()
    shown = Rotate(p=1, draw=0, size=4, mode="nearest")(extremes)
    assert set(shown.unique().tolist()) == {0.0, 1.0}


def test_what_changes_colour_or_erases_acts_where_training_is_said() -> None:
    for transform in (Brightness(p=1), Contrast(p=1), Saturation(p=1), Hue(p=1), RandomErasing(p=1, sl=0.2)):
        assert torch.equal(transform(batch()), batch())
        assert torch.equal(transform(batch(), split_idx=1), batch())
        assert not torch.equal(transform(batch(), split_idx=0), batch())


def test_brightness_moves_grey_to_its_draw() -> None:
    grey = torch.full((2, 3, 4, 4), 0.5)
    assert torch.allclose(Brightness(p=1, draw=0.7)(grey, split_idx=0), torch.full_like(grey, 0.7), atol=1e-5)


def test_normalising_and_back() -> None:
    normalize = Normalize.from_stats(*imagenet_stats)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in imagenet_stats)
    assert torch.allclose(normalize(batch()), (batch() - mean) / std, atol=1e-5)
    assert torch.allclose(normalize.decode(normalize(batch())), batch(), atol=1e-5)
    assert torch.allclose(normalize.decode(normalize(batch()[0])), batch()[0], atol=1e-5)
    with pytest.raises(OptionError, match="no statistics"):
        Normalize().decode(batch())


def test_draws_follow_from_pytorchs_generator() -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(Rotate(p=1, max_deg=45)(batch()))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_a_pipeline_hands_on_which_form_is_meant() -> None:
    raw = torch.from_numpy(np.stack([pixels(0)])).permute(0, 3, 1, 2)
    steps = [IntToFloatTensor(), *aug_transforms(max_rotate=45, p_affine=1)]
    assert torch.allclose(Pipeline(steps, split_idx=1)(raw), raw / 255)
    assert not torch.allclose(Pipeline(steps, split_idx=0)(raw), raw / 255)
    assert Pipeline([Resize(8), ToTensor()])(Image.fromarray(pixels(0))).shape == (3, 8, 8)


@pytest.mark.parametrize("given", [Image.fromarray(pixels(0)), torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(4)])
def test_what_is_no_batch_of_floats_is_refused(given: object) -> None:
    with pytest.raises(OptionError, match=r"Rotate was given .* Expected pictures as float"):
        Rotate()(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("transform", [Rotate(), Brightness(), Normalize(), RandomErasing()])
def test_they_are_still_refused_in_item_tfms(transform: object) -> None:
    with pytest.raises(OptionError, match="go to batch_tfms"):
        ItemPipeline([transform])


def test_transforms_of_one_picture_take_the_form_that_is_said() -> None:
    image = Image.fromarray(pixels(0, (40, 20)))
    whole = np.asarray(image)
    centre = np.asarray(Resize(20)(image))
    assert np.array_equal(centre, whole[:, 10:30])
    assert np.array_equal(np.asarray(Resize(20)(image, split_idx=1)), centre)
    assert np.array_equal(np.asarray(Resize(20)(image, 1)), centre)
    assert len({np.asarray(Resize(20)(image, split_idx=0)).tobytes() for _ in range(20)}) > 3
    assert np.array_equal(np.asarray(FlipItem(1.0)(image)), whole)
    assert np.array_equal(np.asarray(FlipItem(1.0)(image, split_idx=0)), whole[:, ::-1])
    assert np.array_equal(np.asarray(DihedralItem(1.0)(image, split_idx=1)), whole)


@pytest.mark.parametrize("transform", [RandomResizedCrop(8), RandomCrop(8)])
def test_crops_that_are_random_by_name_are_so_when_nothing_is_said(transform: RandomResizedCrop) -> None:
    image = Image.fromarray(pixels(0, (40, 20)))
    assert len({np.asarray(transform(image)).tobytes() for _ in range(20)}) > 3
    assert len({np.asarray(transform(image, split_idx=1)).tobytes() for _ in range(5)}) == 1


def test_pictures_crop_pad_and_turn_themselves() -> None:
    image = PILImage.create(pixels(0, (12, 10)))
    whole = np.asarray(image)
    assert np.array_equal(np.asarray(image.crop_pad((4, 6))), whole[2:8, 4:8])
    assert np.array_equal(np.asarray(image.crop_pad(4, tl=(1, 2))), whole[2:6, 1:5])
    padded = np.asarray(image.crop_pad((14, 10), pad_mode="border"))
    assert np.array_equal(padded[:, 0], whole[:, 0])
    assert np.array_equal(np.asarray(image.flip_lr()), whole[:, ::-1])
    assert np.array_equal(np.asarray(image.dihedral(0)), whole)
    assert np.array_equal(np.asarray(image.dihedral(2)), whole[::-1])
    assert np.array_equal(np.asarray(image.dihedral(3)), np.rot90(whole))

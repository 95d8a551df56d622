"""Run fastai's augmentation on pictures drawn by formula and write what came out to tests/reference/augment.json.

Run it in an environment of its own, where fastai is installed (`pip install fastai==2.8.12`); it takes half a minute:

    python benchmarks/augmentation_reference.py

The pictures are `picture(height, width, number)` of tests/reference/pictures.py, uint8, divided by 255. Sizes are (height,
width); boxes are [left, top, right, bottom] in pixels. Coordinates run from -1 to 1 over width (x) and height (y), the
centres of the outermost pixels being -1 and 1 (align_corners=True). Numbers are rounded to 6 digits.

Entries of the file:
    made_with  versions
    warps      one entry a batch that went through `setup_aug_tfms([...])` in training (or validation, see `training`):
        transforms   [name, draws] in list order, each applied with certainty; a draw is one number for the whole batch or one
                     for each picture. Flip draw 1 = mirrored; Dihedral draw 0..7; Rotate draw in degrees; Zoom draw (factor),
                     draw_x, draw_y (share of the way from left or top at which the zoom is centred); Warp draw_x, draw_y
                     (tilts); Brightness draw (0.5 = unchanged; logit(draw) is added); Contrast draw (factor of the logits).
        input, count the pictures are picture(*input, number) for number in range(count)
        size         output size or null; pad_mode, mode
        affine       for each picture the 2x3 matrix as given to `affine_grid`: rows [x, y] of the source over output [x, y, 1]
        homography   for each picture the 3x3 matrix of Warp, or null: applied to the coordinates after `affine`
        corners      for each picture the source [x, y] of the output's corners: top left, top right, bottom left, bottom right
        shrink, shrunk_size   factor by which the batch was made smaller by area averaging (adaptive average pooling to
                     shrunk_size = floor(input / factor)) before it was resampled; null for none.
                     fastai means half the smaller ratio of input to output side, and does so for squares; otherwise it divides
                     the input HEIGHT by the output WIDTH, since it takes the sides of the output from a grid of shape
                     (N, h, w, 2) as if they stood last. The entries with `intended` false show that.
        steps, pixels   every steps[0]-th row and steps[1]-th column of the result: [picture][channel][row][column]
    homographies   [tilt x, tilt y, 3x3 matrix]: source of the warp alone over output coordinates
    draws      options of `aug_transforms` -> statistics of 20,000 draws: for each quantity the share of pictures that it
               changes (`share`), and over those min, max, mean and std. `angle` in degrees, `zoom` the factor, `tilt_x`,
               `tilt_y`, `brightness` the logit added, `contrast` the log of the factor, `centre_x`, `centre_y` the shares as
               above (over the zoomed pictures); `flip` the share mirrored, `dihedral` the shares of
               the eight ways; `both_tilts` the share with both tilts; `whole_batch` true if all agree.
    listed     options -> class names that `aug_transforms` returns (`listed`), the same as the pipeline orders them (`run`),
               and the parts that were merged into the first one (`merged`)
    resizes    one entry a picture that went through an item transform: `transform` [name, options], `source` size, `steps` and
               `pixels` [row][column][channel] (uint8) of the result, its `size`, and `calls`: what was done to the picture, in
               order: ["crop", box], ["pad", left, top, right, bottom, mode], ["resize", [height, width]].
               `places` is null in validation, else the [x, y] shares that training would have drawn.
    random_crops   RandomResizedCrop in training: source size, options -> over 20,000 draws: area share and log of the ratio
               width/height of the box (min, max, mean, std), mean place of the box's left and top in the free room (0..1)
    gpu_crops  RandomResizedCropGPU in validation: options, input, box taken, pixels as in `warps`
    colours    one entry a batch that went through light, saturation and hue in training: transforms and pixels as in `warps`
               (Saturation draw = factor of the distance from grey in logits, Hue draw = share of the colour circle that is
               added); `merged` whether `setup_aug_tfms` put those in logit space together, else they ran in list order
    colour_draws   name, options -> statistics of 20,000 draws of the same, over all pictures and over those that change
    erasings   RandomErasing: input, options -> statistics of 20,000 boxes: share of the area, height over width, mean place of
               the upper and left side in the free room, after what lies outside was cut off
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai import __version__ as fastai_version
from fastai.vision import augment as fa
from fastai.vision.core import PILImage, TensorImage
from fasttransform import Pipeline
from PIL import Image

REFERENCE = Path(__file__).resolve().parent.parent / "tests" / "reference"
sys.path.insert(0, str(REFERENCE))
from pictures import part, picture  # noqa: E402

SMALL = (24, 32)
DRAW_COUNT = 20_000
DIGITS = 6

Transforms = list[tuple[str, dict[str, Any]]]

ALL: Transforms = [
    ("Flip", {"draw": [1, 0, 1]}),
    ("Warp", {"draw_x": [0.2, -0.1, 0.05], "draw_y": [-0.15, 0.1, 0.0]}),
    ("Rotate", {"draw": [10.0, -6.0, 3.0]}),
    ("Zoom", {"draw": [1.1, 1.05, 1.0], "draw_x": [0.2, 0.9, 0.5], "draw_y": [0.7, 0.1, 0.5]}),
    ("Brightness", {"draw": [0.6, 0.45, 0.5]}),
    ("Contrast", {"draw": [0.8, 1.25, 1.1]}),
]
MOVES = ALL[:4]


def warp_cases() -> Iterator[dict[str, Any]]:
    """Arguments of `warp_facts`: each transform alone, then several at once, other borders and other sizes."""
    alone: Transforms = [
        ("Flip", {"draw": 1}),
        *(("Dihedral", {"draw": number}) for number in range(8)),
        *(("Rotate", {"draw": angle}) for angle in (10.0, -7.5, 90.0)),
        *(("Zoom", {"draw": z, "draw_x": x, "draw_y": y}) for z, x, y in ((1.1, 0.0, 1.0), (1.3, 0.25, 0.6), (0.8, 0.5, 0.5))),
        *(("Warp", {"draw_x": x, "draw_y": y}) for x, y in ((0.2, 0.0), (0.0, 0.2), (-0.2, 0.15))),
        *(("Brightness", {"draw": change}) for change in (0.4, 0.6)),
        *(("Contrast", {"draw": change}) for change in (0.8, 1.25)),
    ]
    for one in alone:
        yield {"transforms": [one]}
    for first, second in ((0, 1), (1, 2), (2, 3), (0, 2)):
        yield {"transforms": [MOVES[first], MOVES[second]], "count": 2}
    yield {"transforms": [MOVES[3], MOVES[2], MOVES[1], MOVES[0]], "count": 2}
    yield {"transforms": [ALL[5], ALL[4]], "count": 2}
    yield {"transforms": ALL, "count": 3}
    for pad_mode in ("border", "zeros"):
        yield {"transforms": ALL, "count": 2, "pad_mode": pad_mode}
    yield {"transforms": [("Rotate", {"draw": 45.0})], "pad_mode": "reflection", "size": (32, 24)}
    yield {"transforms": MOVES, "count": 2, "mode": "nearest"}
    for size in ((20, 20), (40, 48)):
        yield {"transforms": ALL, "count": 2, "size": size}
        yield {"transforms": MOVES, "size": size, "training": False}
    for shape, size in (((96, 130), (20, 25)), ((96, 96), (20, 20))):
        yield {"transforms": ALL, "count": 2, "input": shape, "size": size}
    for side, size in ((96, 20), (90, 22), (60, 24), (48, 24), (47, 24), (50, 23)):
        yield {"transforms": MOVES, "input": (side, side), "size": (size, size), "training": False}
    for shape, size in (
        ((96, 130), (20, 25)),
        ((48, 64), (24, 32)),
        ((97, 65), (30, 30)),
        ((60, 200), (24, 24)),
        ((50, 70), (23, 32)),
    ):
        yield {"transforms": MOVES, "input": shape, "size": size, "training": False}
    yield {"transforms": MOVES, "training": False}
    yield {"transforms": MOVES, "count": 2, "align_corners": False}


def warp_facts(
    transforms: Transforms,
    *,
    count: int = 1,
    input: tuple[int, int] = SMALL,
    size: tuple[int, int] | None = None,
    pad_mode: str = "reflection",
    mode: str = "bilinear",
    align_corners: bool = True,
    training: bool = True,
) -> dict[str, Any]:
    """Run one batch through fastai's merged transforms."""
    common = {"size": size, "pad_mode": pad_mode, "mode": mode, "align_corners": align_corners}
    made = [
        getattr(fa, name)(p=1.0, **draws, **({} if name in ("Brightness", "Contrast") else common))
        for name, draws in transforms
    ]
    pipeline = Pipeline(fa.setup_aug_tfms(made), split_idx=0 if training else 1)
    with shrinking() as shrunk:
        result = pipeline(batch(input, count))
    factor, shrunk_size = shrunk[0] if shrunk else (None, None)
    affine, homography = matrices(pipeline, count)
    steps = (max(1, result.shape[-2] // 6), max(1, result.shape[-1] // 7))
    return {
        "transforms": transforms,
        "training": training,
        "input": input,
        "count": count,
        "size": size,
        "pad_mode": pad_mode,
        "mode": mode,
        "align_corners": align_corners,
        "affine": affine,
        "homography": homography if training else None,
        "shrink": factor,
        "shrunk_size": shrunk_size,
        "intended": intended_shrink(input, size or input, factor or 1.0),
        "corners": corners(affine, homography if training else None),
        "steps": steps,
        "pixels": part(np.asarray(result), steps),
    }


def intended_shrink(source: tuple[int, int], size: tuple[int, int], factor: float) -> bool:
    """Whether a batch was shrunk as if the sides of the output had been read aright (the zoom of `MOVES` never decides)."""
    meant = min(source[0] / size[0], source[1] / size[1]) / 2
    return abs(max(meant, 1.0) - factor) < 1e-9


@contextmanager
def shrinking() -> Iterator[list[tuple[float, list[int]]]]:
    """Collect the factors by which batches are made smaller before they are resampled, and the sizes that come of it."""
    seen: list[tuple[float, list[int]]] = []
    interpolate = fa.F.interpolate

    def wrapper(images: Any, scale_factor: float, **keywords: Any) -> Any:
        result = interpolate(images, scale_factor=scale_factor, **keywords)
        seen.append((1 / scale_factor, list(result.shape[-2:])))
        return result

    fa.F.interpolate = wrapper
    try:
        yield seen
    finally:
        fa.F.interpolate = interpolate


def batch(size: tuple[int, int], count: int) -> TensorImage:
    """Float (count, 3, height, width) in 0..1."""
    return TensorImage(torch.from_numpy(np.stack([picture(*size, i) for i in range(count)])).permute(0, 3, 1, 2).float() / 255)


def matrices(pipeline: Pipeline, count: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Affine part (count, 2, 3) and warp (count, 3, 3) that the last call used."""
    moves = [t for t in pipeline.fs if isinstance(t, fa.AffineCoordTfm)]
    if not moves:
        return None, None
    affine = np.asarray(moves[0].mat)
    warps = [homography(w.orig_pts, w.targ_pts) for w in moves[0].coord_fs if hasattr(w, "targ_pts")]
    return affine, warps[0] if warps else None


def homography(output_corners: torch.Tensor, source_corners: torch.Tensor) -> np.ndarray:
    """fastai's eight coefficients as (N, 3, 3) matrices with 1 in the last place."""
    coefficients = np.asarray(fa.find_coeffs(output_corners, source_corners)).reshape(-1, 8)
    return np.concatenate([coefficients, np.ones((len(coefficients), 1))], axis=1).reshape(-1, 3, 3)


def corners(affine: np.ndarray | None, warp: np.ndarray | None) -> np.ndarray | None:
    """Source coordinates (N, 4, 2) of the four corners of the output."""
    if affine is None:
        return None
    ends = np.array([[-1, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]], dtype=float)
    moved = np.einsum("nij,cj->nci", affine.astype(float), ends)
    if warp is None:
        return moved
    full = np.einsum("nij,ncj->nci", warp, np.concatenate([moved, np.ones((*moved.shape[:2], 1))], axis=2))
    return full[..., :2] / full[..., 2:]


def homography_facts() -> list[list[Any]]:
    """Warps by tilt."""
    facts = []
    for x, y in ((0.2, 0.0), (0.0, 0.2), (-0.2, 0.0), (0.1, -0.2), (0.2, 0.2), (-0.13, -0.07), (0.4, -0.3)):
        warp = fa._WarpCoord(draw_x=x, draw_y=y, p=1.0)
        warp.before_call(batch(SMALL, 1))
        facts.append([x, y, homography(warp.orig_pts, warp.targ_pts)[0]])
    return facts


def draw_facts(options: dict[str, Any]) -> dict[str, Any]:
    """What 20,000 draws of `aug_transforms` look like."""
    images = TensorImage(torch.zeros(DRAW_COUNT, 1, 2, 2))
    move, light = fa.aug_transforms(**options)
    turns = {f.func.__name__: np.asarray(f(images)) for f in move.aff_fs}
    warp = move.coord_fs[0]
    warp.before_call(images)
    for change in light.fs:
        change.before_call(images)
    angle = np.degrees(np.arctan2(turns["rotate_mat"][:, 0, 1], turns["rotate_mat"][:, 0, 0]))
    tilt_x = -1 - np.asarray(warp.targ_pts)[:, 0, 1]
    tilt_y = -1 - np.asarray(warp.targ_pts)[:, 0, 0]
    scale = turns["zoom_mat"][:, 0, 0]
    zoomed = np.abs(scale - 1) > 1e-3
    centre = (turns["zoom_mat"][zoomed, :2, 2] / (1 - scale[zoomed, None]) + 1) / 2
    added = np.asarray(fa.logit(light.fs[0].change))
    columns = {
        "angle": angle,
        "zoom": 1 / scale,
        "tilt_x": tilt_x,
        "tilt_y": tilt_y,
        "brightness": added,
        "contrast": np.log(np.asarray(light.fs[1].change)),
    }
    facts: dict[str, Any] = {"options": options}
    facts |= {name: summary(v, neutral=1.0 if name == "zoom" else 0.0) for name, v in columns.items()}
    facts |= {"centre_x": summary(centre[:, 0]), "centre_y": summary(centre[:, 1])}
    facts["both_tilts"] = float(((np.abs(tilt_x) > 1e-6) & (np.abs(tilt_y) > 1e-6)).mean())
    facts["whole_batch"] = all(float(np.ptp(v)) < 1e-6 for v in columns.values())
    if "dihedral_mat" in turns:
        facts["dihedral"] = dihedral_shares(turns["dihedral_mat"])
    elif "flip_mat" in turns:
        facts["flip"] = float((turns["flip_mat"][:, 0, 0] < 0).mean())
    return facts


def dihedral_shares(drawn: np.ndarray) -> list[float]:
    """Share of each of the eight ways."""
    ways = np.asarray(fa.dihedral_mat(TensorImage(torch.zeros(8, 1, 2, 2)), p=1.0, draw=list(range(8))))
    return [float((np.abs(drawn - way).max(axis=(1, 2)) < 1e-6).mean()) for way in ways]


def summary(values: np.ndarray, neutral: float | None = None) -> dict[str, float]:
    """Share of the values that are not neutral, and how these are spread."""
    changed = values if neutral is None else values[np.abs(values - neutral) > 1e-6]
    share = {} if neutral is None else {"share": len(changed) / len(values)}
    if not len(changed):
        return share
    return share | {"min": changed.min(), "max": changed.max(), "mean": changed.mean(), "std": changed.std()}


def listed_facts() -> list[dict[str, Any]]:
    """Which transforms come back, and in which order they run."""
    facts = []
    for options in (
        {},
        {"flip_vert": True},
        {"do_flip": False, "max_warp": 0.0},
        {"max_rotate": 0.0, "max_lighting": 0.0},
        {"max_zoom": 1.0},
        {"min_scale": 0.75, "size": 20},
    ):
        made = fa.aug_transforms(**options)
        merged = made[0]
        names = [getattr(f, "func", f) for f in [*merged.aff_fs, *merged.coord_fs]]
        facts.append(
            {
                "options": options,
                "listed": [type(t).__name__ for t in made],
                "run": [type(t).__name__ for t in Pipeline(made).fs],
                "merged": [getattr(n, "__name__", type(n).__name__) for n in names],
            }
        )
    return facts


@contextmanager
def watched() -> Iterator[list[list[Any]]]:
    """Collect what happens to Pillow pictures."""
    calls: list[list[Any]] = []
    crop, resize, pad = Image.Image.crop, Image.Image.resize, fa.tvpad

    def seen(record: Callable[..., list[Any]], function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(picture_: Any, *arguments: Any, **keywords: Any) -> Any:
            calls.append(record(*arguments, **keywords))
            return function(picture_, *arguments, **keywords)

        return wrapper

    Image.Image.crop = seen(lambda box: ["crop", list(box)], crop)
    Image.Image.resize = seen(lambda size, mode: ["resize", [size[1], size[0]]], resize)
    fa.tvpad = seen(lambda sides, padding_mode: ["pad", *sides, padding_mode], pad)
    try:
        yield calls
    finally:
        Image.Image.crop, Image.Image.resize, fa.tvpad = crop, resize, pad


def resize_facts() -> Iterator[dict[str, Any]]:
    """Item transforms, in validation and at given places of training."""
    sources = ((60, 100), (100, 60), (64, 64), (20, 30), (31, 47), (150, 40))
    for source in sources:
        for method in ("crop", "pad", "squish"):
            yield one_resize("Resize", {"size": 32, "method": method}, source)
        yield one_resize("Resize", {"size": [24, 48]}, source)
    for pad_mode in ("zeros", "border"):
        yield one_resize("Resize", {"size": [24, 48], "method": "pad", "pad_mode": pad_mode}, (60, 100))
    for places in ((0.0, 0.0), (0.3, 0.8), (0.999, 0.999)):
        for method in ("crop", "pad"):
            yield one_resize("Resize", {"size": 32, "method": method}, (60, 100), places)
            yield one_resize("Resize", {"size": [24, 48], "method": method}, (31, 47), places)
    for source in sources[:4]:
        yield one_resize("RandomResizedCrop", {"size": 32}, source)
    yield one_resize("RandomResizedCrop", {"size": [24, 40], "val_xtra": 0.3}, (60, 100))
    yield one_resize("RandomResizedCrop", {"size": 32, "val_xtra": 0.0}, (60, 100))


def one_resize(
    name: str, options: dict[str, Any], source: tuple[int, int], places: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Run one picture through one item transform."""
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    transform = getattr(fa, name)(**given)
    if places is not None:
        transform.before_call = lambda b, split_idx: setattr(transform, "pcts", places)
    image = PILImage.create(picture(*source))
    with watched() as calls:
        result = transform(image, split_idx=1 if places is None else 0)
    pixels = np.asarray(result)
    steps = (max(1, pixels.shape[0] // 4), max(1, pixels.shape[1] // 4))
    shown = np.moveaxis(part(np.moveaxis(pixels, -1, 0), steps), 0, -1)
    return {
        "transform": [name, options],
        "source": source,
        "places": places,
        "size": pixels.shape[:2],
        "calls": list(calls),
        "steps": steps,
        "pixels": shown,
    }


def random_crop_facts() -> Iterator[dict[str, Any]]:
    """Boxes that RandomResizedCrop draws in training."""
    for source, options in (
        ((60, 100), {}),
        ((100, 60), {}),
        ((40, 200), {}),
        ((64, 64), {"min_scale": 0.35}),
        ((64, 64), {"min_scale": 0.5, "max_scale": 0.8, "ratio": [1.0, 1.0]}),
    ):
        transform = fa.RandomResizedCrop(32, **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
        image = PILImage.create(picture(*source))
        boxes = []
        for _ in range(DRAW_COUNT):
            transform.before_call(image, 0)
            boxes.append([*transform.cp_size, *transform.tl])
        width, height, left, top = np.array(boxes, dtype=float).T
        free_x, free_y = source[1] - width, source[0] - height
        yield {
            "source": source,
            "options": options,
            "area": summary(width * height / (source[0] * source[1])),
            "log_ratio": summary(np.log(width / height)),
            "place_x": float((left[free_x > 0] / free_x[free_x > 0]).mean()),
            "place_y": float((top[free_y > 0] / free_y[free_y > 0]).mean()),
        }


def gpu_crop_facts() -> Iterator[dict[str, Any]]:
    """Validation crops of whole batches."""
    for options, size in (
        ({"size": 20, "min_scale": 0.5, "ratio": [1.0, 1.0]}, SMALL),
        ({"size": 16}, (60, 100)),
        ({"size": [16, 24], "valid_scale": 0.8}, (60, 50)),
    ):
        transform = fa.RandomResizedCropGPU(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
        result = transform(batch(size, 1), split_idx=1)
        (top, left), (height, width) = transform.tl, transform.cp_size
        steps = (max(1, result.shape[-2] // 5), max(1, result.shape[-1] // 5))
        yield {
            "options": options,
            "input": size,
            "count": 1,
            "box": [left, top, left + width, top + height],
            "steps": steps,
            "pixels": part(np.asarray(result), steps),
        }


def colour_facts() -> Iterator[dict[str, Any]]:
    """Light, saturation and hue for given draws."""
    light: Transforms = [*ALL[4:], ("Saturation", {"draw": [0.7, 1.25, 1.0]})]
    hue: Transforms = [("Hue", {"draw": [0.95, 1.1, 0.0]})]
    cases: list[tuple[Transforms, bool]] = [
        *(([("Saturation", {"draw": factor})], True) for factor in (0.8, 1.25, 0.0)),
        *(([("Hue", {"draw": share})], True) for share in (0.05, 0.9, 1.1, 0.5)),
        (light, True),
        (light[::-1], True),
        ([*light, *hue], True),
        ([*hue, *light], True),
        ([*hue, *light], False),
        ([light[2], *light], False),
    ]
    for transforms, merged in cases:
        made = [getattr(fa, name)(p=1.0, **draws) for name, draws in transforms]
        count = 3 if isinstance(transforms[0][1]["draw"], list) else 1
        result = Pipeline(fa.setup_aug_tfms(made) if merged else made, split_idx=0)(batch(SMALL, count))
        steps = (6, 5)
        yield {
            "transforms": transforms,
            "merged": merged,
            "input": SMALL,
            "count": count,
            "steps": steps,
            "pixels": part(np.asarray(result), steps),
        }


def colour_draw_facts() -> Iterator[dict[str, Any]]:
    """What 20,000 draws of saturation and hue look like."""
    for name, options in (
        ("Saturation", {}),
        ("Hue", {}),
        ("Saturation", {"max_lighting": 0.4, "p": 0.5}),
        ("Hue", {"max_hue": 0.3}),
    ):
        change = getattr(fa, name)(**options).fs[0]
        change.before_call(TensorImage(torch.zeros(DRAW_COUNT, 1, 2, 2)))
        yield {"name": name, "options": options, "drawn": summary(np.asarray(change.change), float(name == "Saturation"))}


def erasing_facts() -> Iterator[dict[str, Any]]:
    """Boxes that are erased."""
    for size, options in (
        ((64, 64), {}),
        ((40, 100), {"sl": 0.1, "sh": 0.2}),
        ((32, 32), {"sl": 0.6, "sh": 0.9, "min_aspect": 0.8}),
    ):
        transform = fa.RandomErasing(p=1.0, **options)
        drawn = [transform._bounds(size[0] * size[1], *size) for _ in range(DRAW_COUNT)]
        top, bottom, left, right = np.array(drawn, dtype=float).T
        bottom, right = np.minimum(bottom, size[0]), np.minimum(right, size[1])
        height, width = bottom - top, right - left
        free_y, free_x = size[0] - height, size[1] - width
        seen = (height > 0) & (width > 0)
        yield {
            "input": size,
            "options": options,
            "area": summary(height * width / (size[0] * size[1])),
            "log_aspect": summary(np.log(height[seen] / width[seen])),
            "place_y": float((top[free_y > 0] / free_y[free_y > 0]).mean()),
            "place_x": float((left[free_x > 0] / free_x[free_x > 0]).mean()),
        }


def plain(value: Any) -> Any:
    """The same structure as plain lists, floats rounded."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return plain(value.tolist())
    if isinstance(value, float | np.floating):
        return round(float(value), DIGITS) + 0.0  # no minus zero
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def all_facts() -> dict[str, Any]:
    """Everything that the file holds."""
    return {
        "made_with": {"fastai": fastai_version, "torch": torch.__version__.split("+")[0], "draws": DRAW_COUNT},
        "warps": [warp_facts(**case) for case in warp_cases()],
        "homographies": homography_facts(),
        "draws": [
            draw_facts(options)
            for options in (
                {},
                {"mult": 2.0},
                {"flip_vert": True},
                {
                    "max_rotate": 20.0,
                    "min_zoom": 0.8,
                    "max_zoom": 1.4,
                    "max_lighting": 0.4,
                    "max_warp": 0.1,
                    "p_affine": 0.5,
                    "p_lighting": 0.25,
                },
                {"batch": True, "p_affine": 1.0, "p_lighting": 1.0},
            )
        ],
        "listed": listed_facts(),
        "resizes": list(resize_facts()),
        "random_crops": list(random_crop_facts()),
        "gpu_crops": list(gpu_crop_facts()),
        "colours": list(colour_facts()),
        "colour_draws": list(colour_draw_facts()),
        "erasings": list(erasing_facts()),
    }


def written(facts: dict[str, Any]) -> str:
    """JSON with one line for each fact."""
    parts = []
    for key, value in plain(facts).items():
        lines = [value] if isinstance(value, dict) else value
        body = ",\n".join(json.dumps(v, separators=(",", ":")) for v in lines)
        parts.append(f"{json.dumps(key)}: {body}" if isinstance(value, dict) else f"{json.dumps(key)}: [\n{body}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=REFERENCE / "augment.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    random.seed(7)
    options.out.write_text(written(all_facts()), encoding="utf-8")


if __name__ == "__main__":
    main()

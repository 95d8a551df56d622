"""The user's own functions and classes as transforms, in the forms in which fastai's scripts write them."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any, Union

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from data.drawn import draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.pictures.decode import PILImage, PILImageBW
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import GrandparentSplitter
from sightline.data.transforms.augment import aug_transforms, imagenet_stats
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.items import Resize
from sightline.data.transforms.seeded import Seeded
from sightline.data.transforms.tensor_kinds import (
    TensorBBox,
    TensorCategory,
    TensorImage,
    TensorImageBW,
    TensorMask,
    TensorMultiCategory,
    TensorPoint,
    TensorTypes,
)
from sightline.data.transforms.user_transforms import (
    DisplayedTransform,
    IntToFloatTensor,
    ItemTransform,
    RandTransform,
    ToTensor,
    Transform,
)
from sightline.errors import BundleError, OptionError

TRAINING = ItemDraw(training=True, seed=1, epoch=0, row=3)
PICTURE = Image.fromarray(pixels(0))
PLAIN = torch.from_numpy(pixels(0))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"train/cat": 5, "train/dog": 5, "valid/cat": 2, "valid/dog": 2}
    return draw_folder(tmp_path_factory.mktemp("own") / "pets", counts, size=(20, 16))


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that no crop has a place to draw for: a step before a resize would have it drawn in other pixels."""
    counts = {"train/cat": 5, "train/dog": 5, "valid/cat": 2, "valid/dog": 2}
    return draw_folder(tmp_path_factory.mktemp("squares") / "pets", counts, size=(16, 16))


def loaders(root: Path, item_tfms: Any = None, batch_tfms: Any = None, **options: Any) -> Any:
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=GrandparentSplitter(),
        get_y=parent_label,
        item_tfms=[Resize(12), *(item_tfms if isinstance(item_tfms, list) else [] if item_tfms is None else [item_tfms])],
        batch_tfms=batch_tfms,
    )
    return block.dataloaders(root, **{"bs": 4, "seed": 0, "shuffle": False, "num_workers": 0} | options)


def inverted_picture(x: Any) -> Image.Image:
    return Image.fromarray(255 - np.asarray(x))


class Inverted(Transform):
    order = 2

    def encodes(self, x: PILImage):
        return inverted_picture(x)


class InvertedLater(Transform):
    order = 6

    def encodes(self, x):
        return 255 - x


class InvertedArray(Transform):
    order = 2

    def encodes(self, x: np.ndarray):
        return 255 - x


class WithImageChops(Transform):
    order = 2

    def encodes(self, x: Image.Image) -> Image.Image:
        return inverted_picture(x)


class Either(Transform):
    order = 2

    def encodes(self, x: Union[PILImage, TensorImage]):  # noqa: UP007 - older scripts write it so
        return inverted_picture(x)


class OfTypes(Transform):
    order = 2

    def encodes(self, x: (Image.Image, *TensorTypes)):  # fastai's own way to write several
        return inverted_picture(x)


class OfPair(ItemTransform):
    order = 2

    def encodes(self, x):
        picture, label = x
        return inverted_picture(picture), label


class Wrapped(DisplayedTransform):
    """As fastai's tutorial wraps albumentations: no call of super().__init__, arrays in and out."""

    order = 2

    def __init__(self, aug):
        self.aug = aug

    def encodes(self, img: PILImage):
        return PILImage.create(self.aug(image=np.array(img))["image"])


class OnlyRand(RandTransform):
    order, split_idx = 2, None

    def before_call(self, b, split_idx):
        super().before_call(b, split_idx)
        self.value = 255

    def encodes(self, x: PILImage):
        return Image.fromarray(self.value - np.asarray(x))


@Transform
def decorated(x: PILImage):
    return inverted_picture(x)


def plain_function(image):
    return inverted_picture(image)


def annotated_array(image: np.ndarray) -> np.ndarray:
    return 255 - image


def annotated_tensor(image: torch.Tensor) -> torch.Tensor:
    return 255 - image


FORMS = {
    "function": plain_function,
    "lambda": lambda x: 255 - np.asarray(x),
    "function of an array": annotated_array,
    "function of a tensor": annotated_tensor,
    "class": Inverted(),
    "class, not called": Inverted,
    "later": InvertedLater(),
    "array": InvertedArray(),
    "Pillow": WithImageChops(),
    "union": Either(),
    "tuple of types": OfTypes(),
    "pair": OfPair(),
    "wrapper": Wrapped(lambda image: {"image": 255 - image}),
    "random": OnlyRand(),
    "decorated": decorated,
    "Transform(function)": Transform(plain_function, order=2),
    "Transform(lambda)": Transform(lambda x: 255 - np.asarray(x)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_each_form_of_an_item_transform_runs_in_training_and_validation(squares: Path, form: Any) -> None:
    dls, plain = loaders(squares, form), loaders(squares)
    for part in (0, 1):
        found, expected = dls[part].one_batch().image, 1 - plain[part].one_batch().image
        assert (found - expected).abs().max() < 2.5 / 255  # a resize between rounds twice
    assert len(dls.pipeline.custom_names) == 1


@pytest.mark.parametrize("form", [form for name, form in FORMS.items() if name != "class, not called"])
def test_results_do_not_depend_on_workers(root: Path, form: Any) -> None:
    one, other = (loaders(root, form, num_workers=n).train.one_batch().image for n in (0, 4))
    assert torch.equal(one, other)


# split_idx


class Marked(Transform):
    """Makes pictures black."""

    order = 2

    def encodes(self, x: PILImage):
        return Image.fromarray(0 * np.asarray(x))


@pytest.mark.parametrize(("split_idx", "black"), [(0, (True, False)), (1, (False, True)), (None, (True, True))])
def test_split_idx_says_whether_training_or_validation_is_transformed(root: Path, split_idx: int | None, black: Any) -> None:
    def dark(x: TensorImage):
        return x * 0

    for tfms in ({"item_tfms": Marked(split_idx=split_idx)}, {"batch_tfms": Transform(dark, split_idx=split_idx)}):
        dls = loaders(root, **tfms)
        assert tuple(bool((loader.one_batch().image == 0).all()) for loader in dls.loaders) == black
        assert bool(dls.pipeline.custom_names) is black[1]


def test_a_file_can_do_without_what_runs_in_training_only(root: Path) -> None:
    class Noise(RandTransform):
        order = 50

        def encodes(self, x: TensorImage):
            return x + 1

    dls = loaders(root, Marked(split_idx=0), [Noise(), *aug_transforms(size=8), Normalize.from_stats(*imagenet_stats)])
    assert dls.pipeline.custom_names == ()
    plain = loaders(root, None, [*aug_transforms(size=8), Normalize.from_stats(*imagenet_stats)])
    assert torch.equal(dls.valid.one_batch().image, plain.valid.one_batch().image)
    assert dls.preprocess == plain.preprocess
    assert dls.train.one_batch().image.min() > 0.4, "black pictures, 1 added, normalised"


# Randomness


class Turned(RandTransform):
    """Draws in all the ways there are."""

    order = 2

    def __init__(self, p: float = 1.0):
        super().__init__(p=p)

    def before_call(self, b, split_idx):
        super().before_call(b, split_idx)
        assert isinstance(b, tuple)
        assert b[0].size == (12, 12)
        self.shift = int(torch.randint(1, 12, ())) if split_idx == 0 else 0
        self.owner = threading.get_ident()

    def encodes(self, x: PILImage):
        assert self.owner == threading.get_ident()
        return Image.fromarray(np.roll(np.asarray(x), (self.shift, int(self.draws.uniform("row") * 12)), (0, 1)))


def test_draws_by_torch_and_by_row_are_the_same_with_any_number_of_workers_and_other_each_epoch(root: Path) -> None:
    transforms = [Turned(), lambda image, draw: image.rotate(90 if draw.uniform("turn") < 0.5 else 0)]
    batches = [loaders(root, transforms, num_workers=n).train for n in (0, 4)]
    first, second = ([[batch.image for batch in loader] for loader in batches] for _ in range(2))
    for one, other in (first, second):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(first[0][0], second[0][0])


def test_random_transforms_of_torchvision_follow_from_the_row_in_training(root: Path) -> None:
    from torchvision import transforms as T
    from torchvision.transforms import v2

    given = [T.RandomHorizontalFlip(), T.ColorJitter(0.5, 0.5, 0.5, 0.2), v2.RandomRotation(30), v2.RandomResizedCrop(12)]
    state = torch.get_rng_state()
    one, other = ([batch.image for batch in loaders(root, given, num_workers=n).train] for n in (0, 4))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_p_is_the_share_of_pictures_that_are_transformed() -> None:
    pipeline = ItemPipeline([_black(RandTransform)(p=0.3)])
    black = [not pipeline.sample(PICTURE, ItemDraw(True, 0, 0, row)).any() for row in range(1500)]
    assert abs(np.mean(black) - 0.3) < 0.05
    assert black == [not pipeline.sample(PICTURE, ItemDraw(True, 0, 0, row)).any() for row in range(1500)]
    assert not any(not pipeline.sample(PICTURE, ItemDraw(False, 0, 0, row)).any() for row in range(20))


def _black(base: type) -> Any:
    class Black(base):
        def encodes(self, x: PILImage):
            return Image.fromarray(0 * np.asarray(x))

    return Black


def test_before_call_may_be_given_as_a_function() -> None:
    seen = []
    transform = _black(RandTransform)(before_call=lambda b, split_idx: seen.append(split_idx))
    assert not ItemPipeline([transform]).sample(PICTURE, TRAINING).any()
    assert seen == [0]


def test_a_random_batch_transform_draws_once_for_the_batch_and_reproducibly(root: Path) -> None:
    class Lighter(RandTransform):
        order = 60

        def before_call(self, b, split_idx):
            self.add = torch.rand(()).item() + self.draws.uniform("more", batch=True)[0]

        def encodes(self, x: TensorImage):
            return x + self.add

    added = []
    for _ in range(2):
        loader, plain = loaders(root, None, Lighter()).train, loaders(root).train
        for _epoch in range(2):
            epoch = [(batch.image - base.image) for batch, base in zip(loader, plain, strict=True)]
            assert all(change.std() < 1e-6 for change in epoch)
            added.append([round(float(change.mean()), 5) for change in epoch])
    assert added[0] == added[2]
    assert added[1] == added[3]
    assert len(set(added[0] + added[1])) == len(added[0] + added[1])


def test_seeding_touches_no_other_thread_and_no_global_generator() -> None:
    def drawn(seed: int) -> tuple[float, ...]:
        with Seeded(seed):
            made = [torch.rand(2), torch.randn(2), torch.randint(9, (2,)), torch.randperm(5), torch.rand_like(torch.zeros(2))]
            made += [torch.empty(2).uniform_(), torch.zeros(2).normal_(), torch.bernoulli(torch.full((4,), 0.5))]
            made += [
                torch.normal(torch.zeros(2), 1.0),
                torch.randn_like(torch.zeros(2)),
                torch.rand(2, generator=torch.Generator()),
            ]
        return tuple(float(value) for tensor in made for value in tensor)

    torch.manual_seed(3)
    state = torch.get_rng_state()
    results: list[tuple[float, ...]] = []
    threads = [threading.Thread(target=lambda: results.append(drawn(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(state, torch.get_rng_state())
    assert set(results) == {drawn(1)}
    assert drawn(2) != drawn(1)


def test_pythons_own_generator_is_left_to_the_user() -> None:
    random.seed(0)
    expected = random.random()
    random.seed(0)
    seen = []

    def drawing(image):
        seen.append(random.random())
        return image

    ItemPipeline([drawing]).sample(PICTURE, TRAINING)
    assert seen == [expected]


# Order


def test_a_batch_transform_gets_what_its_order_says() -> None:
    seen: dict[float, torch.Tensor] = {}

    def watching(order: float) -> Transform:
        def watch(x: TensorImage):
            seen[order] = x.clone()
            return x

        return Transform(watch, order=order)

    transforms = [watching(order) for order in (100, 99, 50, 35, 20, 0)]
    batch = PLAIN[None].repeat(2, 1, 1, 1)
    pipeline = BatchPipeline([*transforms, *aug_transforms(size=8), Normalize.from_stats([0.5] * 3, [0.001] * 3)])
    result = pipeline.train(batch, seed=0, epoch=0, rows=np.arange(2))
    assert seen[0].dtype == torch.uint8
    assert torch.equal(seen[0], batch.permute(0, 3, 1, 2))
    assert torch.allclose(seen[20], seen[0] / 255)
    assert seen[35].shape == seen[50].shape == (2, 3, 8, 8)
    assert not torch.allclose(seen[35], seen[50]), "light is changed between"
    assert torch.equal(seen[50], seen[99])
    assert seen[99].max() <= 1 < 100 < seen[100].abs().max()
    assert torch.equal(result, seen[100])


def test_a_batch_transform_of_bytes_may_return_any_numbers_in_0_to_255() -> None:
    batch = PLAIN[None]
    expected = BatchPipeline().evaluate(batch)
    for own in (lambda x: 255 - x, lambda x: 255.0 - x.double(), lambda x: 255 - x.int()):
        assert torch.allclose(BatchPipeline(Transform(own)).evaluate(batch), 1 - expected, atol=1e-6)


def test_a_plain_function_gets_floats_and_one_annotated_like_fastais_gets_bytes() -> None:
    seen = []

    def plain(x: torch.Tensor):
        seen.append(x.dtype)
        return x

    def fastais(x: TensorImage):
        seen.append(x.dtype)
        return x

    BatchPipeline([plain, fastais]).evaluate(PLAIN[None])
    assert seen == [torch.uint8, torch.float32]


def test_modules_serve_in_batches_and_leave_no_graph() -> None:
    from torchvision.transforms import v2

    module = nn.Sequential(nn.Conv2d(3, 3, 1), v2.GaussianBlur(3))
    result = BatchPipeline([module, Normalize.from_stats(*imagenet_stats)]).evaluate(PLAIN[None])
    assert result.shape == (1, 3, 10, 12)
    assert not result.requires_grad
    assert BatchPipeline(module).custom_names == ("Sequential",)


def test_modules_serve_for_one_picture() -> None:
    from torchvision.transforms import v2

    for module in (v2.RandomHorizontalFlip(p=1.0), nn.Sequential(v2.RandomHorizontalFlip(p=1.0))):
        assert np.array_equal(ItemPipeline(module).sample(PICTURE, TRAINING), pixels(0)[:, ::-1])
    composed = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.RandomHorizontalFlip(p=1.0)])
    assert np.array_equal(ItemPipeline([composed]).sample(PICTURE, TRAINING), pixels(0)[:, ::-1])


# Several kinds, decodes, setups


class Several(Transform):
    def encodes(self, x: PILImage):
        return "picture"

    def encodes(self, x: TensorImage):  # noqa: F811
        return "tensor"

    def encodes(self, x: int):  # noqa: F811
        return "number"


class More(Several):
    def encodes(self, x: str):
        return "text"


def test_one_class_may_say_what_to_do_with_several_kinds() -> None:
    transform = More()
    values = (PICTURE, torch.zeros(3, 4, 4), 3, "a", 1.5)
    assert transform(values) == ("picture", "tensor", "number", "text", 1.5)
    assert Transform([lambda x: "any"])(PICTURE) == "any"


def test_a_call_follows_split_idx_as_fastais_does() -> None:
    transform = Transform(lambda x: x + 1, lambda x: x - 1, split_idx=0)
    assert (transform(1), transform(1, split_idx=0), transform(1, split_idx=1)) == (1, 2, 1)
    assert transform.decode(2, split_idx=0) == 1
    assert RandTransform(p=0.5, order=7, split_idx=1).split_idx == 1


def test_transforms_have_names_and_show_what_they_are() -> None:
    assert repr(Wrapped(3)) == "Wrapped(aug=3)"
    assert repr(decorated) == "decorated(enc:1,dec:0)"
    assert ItemPipeline([Inverted(), Inverted(), decorated]).custom_names == ("decorated", "Inverted", "Inverted2")


def test_decodes_is_undone_for_show_batch(root: Path) -> None:
    class Scaled(Transform):
        order = 50

        def encodes(self, x: TensorImage):
            return x / 4

        def decodes(self, x: TensorImage):
            return x * 4

    class After(Scaled):
        order = 101

    transforms = [Scaled(), After(split_idx=0), Normalize.from_stats(*imagenet_stats)]
    dls, plain = loaders(root, None, transforms), loaders(root)
    for part in (0, 1):
        colours = dls[part].decode(dls[part].one_batch())[0]
        assert (colours.int() - plain[part].decode(plain[part].one_batch())[0].int()).abs().max() <= 1


def test_setups_gets_the_training_loader_before_anything_is_transformed(squares: Path) -> None:
    root = squares

    class Centred(Transform):
        order = 60
        mean: Any = None

        def setups(self, items):
            self.mean, self.n = items.one_batch()[0].mean(), len(items.items)

        def encodes(self, x: TensorImage):
            return x - self.mean

    class Counted(Transform):
        def setups(self, items):
            self.n = len(items.dataset)

    centred, counted = Centred(), Counted()
    dls = loaders(root, counted, [centred, Normalize.from_stats(*imagenet_stats)])
    assert counted.n == centred.n == 10
    assert torch.isclose(centred.mean, loaders(root).train.one_batch().image.mean())
    assert dls.valid.one_batch().image.isfinite().all()
    assert torch.equal(
        loaders(root, None, [Centred]).valid.one_batch().image, loaders(root, None, Centred()).valid.one_batch().image
    )


def test_what_loaders_do_by_themselves_may_stand_in_the_lists(root: Path) -> None:
    dls = loaders(root, ToTensor, [IntToFloatTensor(), *aug_transforms(size=8)])
    assert torch.equal(dls.valid.one_batch().image, loaders(root, None, aug_transforms(size=8)).valid.one_batch().image)
    assert dls.pipeline.custom_names == ()
    assert ToTensor()(PICTURE).shape == (3, 10, 12)
    assert torch.allclose(IntToFloatTensor()(ToTensor()(PICTURE)), PLAIN.permute(2, 0, 1) / 255)


def test_pictures_come_with_the_methods_of_pilimage_and_in_the_channels_of_the_data() -> None:
    seen = []

    def watching(x: PILImageBW):
        seen.append((isinstance(x, PILImage), x.shape, x.mode))
        return x.convert("RGB")

    found = ItemPipeline([watching, lambda x: np.asarray(x)], channels=1).sample(PICTURE, TRAINING)
    assert seen == [(True, (10, 12), "L")]
    assert found.shape == (10, 12, 1)


# What cannot be


class OfCategory(Transform):
    def encodes(self, x: TensorCategory):
        return x


class OfPicture(Transform):
    def encodes(self, x: PILImage):
        return x


class Relabelling(ItemTransform):
    def encodes(self, x):
        return x[0], 1


def fails(image):
    raise ZeroDivisionError("no")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: ItemPipeline([OfCategory()]), "item transform OfCategory is for 'TensorCategory'; expected PILImage .*get_y"),
        (lambda: BatchPipeline([OfCategory()]), "batch transform OfCategory is for 'TensorCategory'; expected TensorImage"),
        (lambda: BatchPipeline([OfPicture()]), "batch transform OfPicture is for 'PILImage'.*Give it in item_tfms"),
        (lambda: ItemPipeline([Relabelling()]).sample(PICTURE, TRAINING), "Relabelling returned a label"),
        (lambda: ItemPipeline([lambda x: 3]).sample(PICTURE, TRAINING), "<lambda> returned a int; expected a Pillow image"),
        (lambda: ItemPipeline([Resize]), r"item_tfms holds the class Resize"),
        (
            lambda: ItemPipeline([lambda x: torch.zeros(3, 4, 4) - 1]).sample(PICTURE, TRAINING),
            r"item transform <lambda> returned is no picture of 3 channels: .* give Normalize.from_stats.* in batch_tfms",
        ),
        (lambda: BatchPipeline(lambda x: x[0]).evaluate(PLAIN[None]), r"<lambda> made \(1, 3, 10, 12\) into \(3, 10, 12\)"),
        (lambda: BatchPipeline(lambda x: x[:0]).evaluate(PLAIN[None]), r"expected a tensor \(N, C, h, w\) with N=1"),
        (lambda: IntToFloatTensor(1), r"IntToFloatTensor\(div=1\): pictures have 8 bits"),
        (lambda: Transform(3), r"Transform\(3\): expected a function"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        run()


def test_an_error_of_the_users_own_says_in_which_transform() -> None:
    for run in (
        lambda: ItemPipeline([fails]).sample(PICTURE, TRAINING),
        lambda: BatchPipeline(fails).evaluate(PLAIN[None]),
    ):
        with pytest.raises(ZeroDivisionError) as caught:
            run()
        assert caught.value.__notes__ == ["(in the transform fails)"]


# Names for tensors


def test_names_for_tensors_ask_for_shape_and_type() -> None:
    image, label, many = torch.zeros(2, 3, 4, 4), torch.tensor([1, 2]), torch.zeros(2, 5)
    assert isinstance(image, TensorImage)
    assert not isinstance(label, TensorImage)
    assert isinstance(image[:, :1], TensorImageBW)
    assert not isinstance(image, TensorImageBW)
    assert isinstance(label, TensorCategory)
    assert not isinstance(many, TensorCategory)
    assert isinstance(many, TensorMultiCategory)
    assert isinstance(torch.zeros(4, 2), TensorPoint)
    assert not isinstance(many, TensorPoint)
    assert isinstance(torch.zeros(4, 4), TensorBBox)
    assert isinstance(torch.zeros(4, 4, dtype=torch.int64), TensorMask)
    assert not isinstance([1, 2], TensorCategory)


def test_a_call_of_such_a_name_gives_a_plain_tensor() -> None:
    for given in (image := torch.zeros(3, 4, 4), image.numpy(), [[1, 2]], PICTURE):
        made = TensorImage(given)
        assert type(made) is torch.Tensor
    assert TensorImage(image) is image
    assert issubclass(TensorImageBW, TensorImage)


def test_draws_are_none_in_batches_outside_training() -> None:
    seen: list[BatchDraw | None] = []

    def own(x, draw):
        seen.append(draw)
        return x

    pipeline = BatchPipeline(own)
    pipeline.evaluate(PLAIN[None])
    pipeline.train(PLAIN[None], seed=0, epoch=0, rows=np.arange(1))
    assert seen[0] is None
    assert 0 <= seen[1].uniform("x")[0] < 1


def test_export_is_allowed_or_refused_by_what_runs_outside_training(root: Path, tmp_path: Path) -> None:
    from sightline.predict import load_learner
    from sightline.train.vision import vision_learner

    def exported(item_tfms: Any, batch_tfms: Any) -> Path:
        learn = vision_learner(loaders(root, item_tfms, batch_tfms), "test_resnet.r160_in1k", pretrained=False)
        return learn.export(tmp_path / "own.safetensors")

    path = exported(Marked(split_idx=0), [Transform(lambda x: x + 1, split_idx=0, order=50)])
    assert len(load_learner(path).vocab) == 2
    for item_tfms, batch_tfms, name in ((Marked(), None, "Marked"), (None, [Transform(plain_function)], "plain_function")):
        with pytest.raises(BundleError, match=f"'{name}'.*code of your own"):
            exported(item_tfms, batch_tfms)

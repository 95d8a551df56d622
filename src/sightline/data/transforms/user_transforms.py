"""Transforms of the user's own, written as fastai's scripts write them: a function, or a class with `encodes`.

    class Noise(Transform):
        order, split_idx = 50, 0            # after 0..255 became 0..1 and before normalising; in training only
        def encodes(self, x: TensorImage):
            return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)

The annotation of `x` says what a transform is for: `PILImage` (a Pillow image, in `item_tfms`) or `TensorImage` (a tensor:
uint8 `(C, H, W)` in `item_tfms`, `(N, C, H, W)` in `batch_tfms`). In `item_tfms` a transform without an annotation gets the
picture, or the tensor if its `order` is 5 or more. In `batch_tfms` it gets uint8 if its `order` is below 10, else floats in
0..1, which are normalised at 99; geometric transforms come at 30, light and colour at 40. Labels are not transformed here.

In training, what a transform draws with torch follows from seed, epoch and row alone. Python's `random` and NumPy's global
generator give other numbers each time, which depend on the number of workers; to be reproducible, ask for the draw: an
argument named `draw` of `encodes` (or of a plain function) gets an `ItemDraw` or `BatchDraw`, with `draw.uniform("angle")`,
and None in a batch that is not for training. In a `RandTransform` it is `self.draws`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, MutableMapping
from types import MethodType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from PIL import Image

from sightline.data.pictures.images import image2tensor
from sightline.data.transforms.annotations import Names, names_for, wanted
from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.errors import OptionError, name_of

Function = Callable[..., Any]
_SEVERAL = ("encodes", "decodes")


class _Body(dict[str, Any]):
    """The body of a class in which `encodes` and `decodes` may stand several times, for things of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[Function]] = {name: [] for name in _SEVERAL}

    def __setitem__(self, name: str, value: Any) -> None:
        if name in _SEVERAL and callable(value):
            self.found[name].append(value)
        super().__setitem__(name, value)


class _TransformType(type):
    """Remembers every `encodes` of a class, and those that it inherits."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **options: Any) -> MutableMapping[str, object]:
        return _Body()

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any) -> Any:
        made: Any = super().__new__(mcs, name, bases, dict(body), **options)
        for method in _SEVERAL:
            own = reversed(body.found[method]) if isinstance(body, _Body) else ()
            inherited = [function for base in bases for function in getattr(base, f"_{method}", ())]
            setattr(made, f"_{method}", (*own, *inherited))
        return made


class Transform(metaclass=_TransformType):
    """A transform of the user's own: inherit and write `encodes`, or give a function, also as `@Transform`.

    Attributes:
        split_idx: 0 to run in training only, 1 outside training only, None for both. A file carries no code, so `learn.export`
            refuses transforms that run outside training.
        order: Transforms run by rising order; see the module's text for what lies where.
    """

    split_idx: int | None = None
    order: float = 0
    train_setup: ClassVar[bool | None] = None
    _encodes: ClassVar[tuple[Function, ...]] = ()
    _decodes: ClassVar[tuple[Function, ...]] = ()

    def __init__(self, enc: Any = None, dec: Any = None, split_idx: int | None = None, order: float | None = None) -> None:
        """Makes a transform of functions.

        Args:
            enc: The function, or several with annotations; None leaves it to the class.
            dec: What undoes it, for `show_batch`.
            split_idx: As the attribute; None keeps that of the class.
            order: As the attribute; None takes that of the function or of the class.
        """
        if split_idx is not None:
            self.split_idx = split_idx
        self._given = {"encodes": _listed(enc), "decodes": _listed(dec)}
        found = getattr(enc, "order", None) if order is None else order
        if found is not None:
            self.order = found

    @property
    def name(self) -> str:
        """What the transform is called in messages."""
        given = self.functions("encodes") if type(self) is Transform else ()
        return name_of(given[0]) if given else type(self).__name__

    def functions(self, method: str) -> tuple[Function, ...]:
        """All that 'encodes' or 'decodes' stands for, those given first, then the latest of the class."""
        given = self.__dict__.get("_given", {}).get(method, ())
        return (*given, *(MethodType(function, self) for function in getattr(self, f"_{method}")))

    def function_for(self, names: Names, method: str = "encodes") -> Function | None:
        """The function for something that goes by these names: one that is annotated so, else one that is not annotated."""
        found = [(wanted(function), function) for function in self.functions(method)]
        typed = (function for wants, function in found if wants & names)
        return next(typed, None) or next((function for wants, function in found if not wants), None)

    def __call__(self, x: Any, split_idx: int | None = None, **options: Any) -> Any:
        """`x` transformed, a tuple one by one; `x` itself where no `encodes` is for it, or where `split_idx` is another."""
        return self._call("encodes", x, split_idx, options)

    def decode(self, x: Any, split_idx: int | None = None, **options: Any) -> Any:
        """`x` with the transform undone by `decodes`."""
        return self._call("decodes", x, split_idx, options)

    def setup(self, items: Any = None, train_setup: bool = False) -> None:
        """Calls `setups` of the class, if it has one, with the training loader."""
        setups = getattr(self, "setups", None)
        if setups is not None:
            setups(items)

    def __repr__(self) -> str:
        return f"{self.name}(enc:{len(self.functions('encodes'))},dec:{len(self.functions('decodes'))})"

    def _call(self, method: str, x: Any, split_idx: int | None, options: dict[str, Any]) -> Any:
        if self.split_idx is not None and split_idx != self.split_idx:
            return x
        if isinstance(x, tuple) and not hasattr(x, "_fields"):
            return tuple(self._call(method, part, split_idx, options) for part in x)
        function = self.function_for(names_for(x), method)
        return x if function is None else function(x, **options)


class DisplayedTransform(Transform):
    """A `Transform` that is shown with its attributes."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self.__dict__.items() if not key.startswith("_"))
        return f"{self.name}({shown})"


class RandTransform(DisplayedTransform):
    """A transform that draws in `before_call`, then acts in `encodes` if `self.do`; in training only, unless it says otherwise.

    In `item_tfms` it works on a copy of itself for each picture, for several threads use it at once. `b` of `before_call` is
    `(picture, None)`, or in `batch_tfms` `(pictures, None)`: one draw for the whole batch.

    Attributes:
        do: Whether `encodes` is called.
        p: Probability of that, where `before_call` is not overridden.
        draws: Where reproducible chance comes from: `self.draws.uniform("angle")`; None outside a loader.
    """

    split_idx = 0
    do: bool = True
    p: float = 1.0
    nm: str | None = None
    supports: tuple[Any, ...] = ()
    draws: ItemDraw | BatchDraw | None = None

    def __init__(self, p: float = 1.0, nm: str | None = None, before_call: Function | None = None, **options: Any) -> None:
        """Sets the probability.

        Args:
            p: Probability of acting.
            nm: Has no meaning.
            before_call: Is used in place of the method: `before_call(b, split_idx)`.
            options: As for `Transform`.
        """
        super().__init__(**options)
        self.p = p
        if before_call is not None:
            self.before_call = before_call  # type: ignore[method-assign]

    def before_call(self, b: Any, split_idx: int | None) -> None:
        """Draws. To be overridden; this one decides by `p` whether to act."""
        if self.p == 1:
            self.do = True
        elif self.draws is None:
            self.do = random.random() < self.p
        else:
            self.do = bool(np.ravel(self.draws.uniform("do"))[0] < self.p)

    def __call__(self, x: Any, split_idx: int | None = None, **options: Any) -> Any:
        self.before_call(x, split_idx=split_idx)
        return super().__call__(x, split_idx=split_idx, **options) if self.do else x

    def drawing(self, draws: ItemDraw | BatchDraw | None) -> Self:
        """The transform itself, with somewhere to draw from."""
        self.draws = draws
        return self


class ItemTransform(Transform):
    """A transform whose `encodes` gets picture and label together, as a tuple `(picture, None)`.

    Labels are numbers long before pictures are read, so the label is None here and must come back as None.
    """

    def __call__(self, x: Any, split_idx: int | None = None, **options: Any) -> Any:
        return self._whole("encodes", x, split_idx, options)

    def decode(self, x: Any, split_idx: int | None = None, **options: Any) -> Any:
        return self._whole("decodes", x, split_idx, options)

    def _whole(self, method: str, x: Any, split_idx: int | None, options: dict[str, Any]) -> Any:
        functions = self.functions(method)
        if not functions or (self.split_idx is not None and split_idx != self.split_idx):
            return x
        result = functions[0](x, **options)
        return tuple(result) if isinstance(x, tuple) and isinstance(result, list) else result


class ToTensor(Transform):
    """From a picture to uint8 `(C, H, W)`. Loaders do that by themselves: in `item_tfms` it is accepted and changes nothing."""

    order = 5

    def encodes(self, x: Any) -> torch.Tensor:
        """Pixels, channels first."""
        return image2tensor(x) if isinstance(x, Image.Image) else torch.as_tensor(x)


class IntToFloatTensor(Transform):
    """From 0..255 to 0..1. Loaders do that by themselves: in `batch_tfms` it is accepted and changes nothing.

    Attributes:
        div: What to divide by; in `batch_tfms` 255 alone.
    """

    order = 10

    def __init__(self, div: float = 255.0, div_mask: int = 1) -> None:
        """Sets the divisor; `div_mask` has no meaning, for there are no masks."""
        super().__init__()
        if div != 255:
            raise OptionError(f"IntToFloatTensor(div={div}): pictures have 8 bits here, so that 255 becomes 1. Leave div out.")
        self.div = div

    def encodes(self, x: Any) -> torch.Tensor:
        """Floats in 0..1."""
        return torch.as_tensor(x).float() / self.div


def made(transforms: Iterable[Any]) -> list[Any]:
    """The transforms, classes like fastai's called without arguments, and those left out that loaders do by themselves."""
    instances = [t() if isinstance(t, type) and issubclass(t, Transform) else t for t in transforms]
    return [t for t in instances if not isinstance(t, ToTensor | IntToFloatTensor)]


def _listed(functions: Any) -> tuple[Function, ...]:
    found = () if functions is None else tuple(functions) if isinstance(functions, list | tuple) else (functions,)
    for function in found:
        if not callable(function):
            raise OptionError(f"Transform({function!r}): expected a function, such as Transform(lambda x: x.rotate(90)).")
    return found

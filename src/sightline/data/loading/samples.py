"""Samples: where a loader gets one picture from, by row. Reading files is one way; a cache is another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from sightline.data.rows.table import source_name
from sightline.data.transforms.chance import Floats, ItemDraw
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.target import Target

Pixels: TypeAlias = npt.NDArray[np.uint8]


class Sample(NamedTuple):
    """One picture after the item transforms.

    Attributes:
        pixels: uint8 `(H, W, C)`.
        path: float64 `(3, 3)`, from pixels of the picture as it was read to these; None where labels do not ask for it.
        decoded: Whether the picture was decoded for it.
    """

    pixels: Pixels
    path: Floats | None = None
    decoded: bool = True


class Samples(Protocol):
    """Pictures by row. Called from several threads at once."""

    def __len__(self) -> int:
        """Number of rows."""

    def __call__(self, row: int, draw: ItemDraw) -> Pixels:
        """One picture after the item transforms: uint8 `(H, W, C)`.

        Raises:
            ImageError: It cannot be read.
        """

    def placed(self, row: int, draw: ItemDraw) -> tuple[Pixels, Floats]:
        """The same with where points of the picture went; see `ItemPipeline.placed`."""

    def picture(self, row: int) -> Image.Image:
        """One picture as it was read, before any transform.

        Raises:
            ImageError: It cannot be read.
        """

    def name(self, row: int) -> str:
        """What to call a row in a message."""


@dataclass(frozen=True, eq=False)
class DecodedSamples(Samples):
    """Samples that are read, decoded and transformed anew each time.

    Attributes:
        sources: A path or a picture in memory for each row.
        items: The transforms of one picture.
        root: The folder that names are shown relative to.
    """

    sources: Sequence[Any]
    items: ItemPipeline
    root: Any = None

    def __len__(self) -> int:
        return len(self.sources)

    def __call__(self, row: int, draw: ItemDraw) -> Pixels:
        return self.items.sample(self.sources[row], draw)

    def placed(self, row: int, draw: ItemDraw) -> tuple[Pixels, Floats]:
        return self.items.placed(self.sources[row], draw)

    def picture(self, row: int) -> Image.Image:
        return self.items.read.picture(self.sources[row])

    def name(self, row: int) -> str:
        source = self.sources[row]
        return source_name(source, self.root) if hasattr(source, "__fspath__") or isinstance(source, str) else f"picture {row}"


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a table with their targets: `dls.train_ds`, `dls.valid_ds`.

    Attributes:
        samples: The pictures of all rows.
        rows: int64 `(n,)`, the rows of this part.
        targets: Encoded labels of all rows of the table; None where there are none.
        target: What the labels are.
        sources: Where the pictures of all rows are.
        frame: The DataFrame that all rows are of; None where they are of something else.
    """

    samples: Samples
    rows: npt.NDArray[np.int64]
    targets: Tensor | None = None
    target: Target | None = None
    sources: Sequence[Any] = ()
    frame: Any = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: Any) -> Any:
        """The picture as it was read and its encoded label, at a position of this part; a list of such for several."""
        if isinstance(position, slice | list | tuple) or getattr(position, "ndim", 0) == 1:
            return [self[int(one)] for one in np.arange(len(self))[position]]
        row = int(self.rows[position])
        return self.samples.picture(row), None if self.targets is None else self.targets[row]

    @property
    def labels_move(self) -> bool:
        """Whether labels move with the pictures, see `Target.placed`."""
        return self.target is not None and self.target.moves_with_picture

    def sample(self, row: int, draw: ItemDraw) -> Sample:
        """One picture after the item transforms, with what its label asks for.

        Raises:
            ImageError: It cannot be read.
        """
        return Sample(*self.samples.placed(row, draw)) if self.labels_move else Sample(self.samples(row, draw))

    def only(self, rows: npt.NDArray[np.int64]) -> Part:
        """Fewer, or other, rows of the same table."""
        return replace(self, rows=rows)

    @property
    def items(self) -> Any:
        """What the pictures of this part are made of: the rows of a DataFrame; else paths, or the pictures themselves."""
        return self.frame.iloc[self.rows] if self.frame is not None else self.paths

    @property
    def paths(self) -> list[Any]:
        """Where the pictures of this part are: paths, or the pictures themselves."""
        return [self.sources[row] for row in self.rows.tolist()]

    @property
    def vocab(self) -> Any:
        """The names of the classes, or None."""
        return None if self.target is None else self.target.vocab

"""ContentSplitter: what a picture shows decides its part, so that parts never share a picture and never change.

Every other random split deals out positions: one more file, and all of them are dealt anew. Here a number in 0..1 follows from
a picture's content and the seed alone, and thresholds cut 0..1 into the parts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.rows.split_fair import values_for
from sightline.data.rows.split_tiny import Parting, mended
from sightline.data.rows.splitting import Indices, as_indices, check_share
from sightline.errors import OptionError, SplitError, counted
from sightline.target import is_blank

_KEY_BITS = 53
_SMALLEST_LAST = b"\1"


@dataclass(frozen=True, eq=False)
class ContentSplitter:
    """A share for validation (and one for testing) that follows from what pictures show, and keeps copies together.

    - **Adding pictures moves none of the old ones**, nor does renaming them or another order. On which side a picture is
      follows from its content and the seed.
    - **No picture is on both sides**: equal files, and pictures that look alike (resized, recompressed, slightly cropped),
      share one side; so do all pictures of a group, which is keyed by its name.
    - **Every label has the share, as closely as that allows.** A picture that must not move when others come cannot know of
      the others, so each is drawn by itself: of n pictures of a label, `valid_pct * n` validate give or take
      `sqrt(n * valid_pct * (1 - valid_pct))`. Of 1,000 that is 200 ± 13, of 100 20 ± 4, of 20 4 ± 1.8. Where exact shares
      matter more than lasting ones, take `StratifiedSplitter`.
    - **Small labels are mended**: one that would have no picture in a part gets the one that comes closest, if it has several;
      a label's only picture trains. With a fifth for validation this happens to one label in 10 of ten pictures, and to one in
      90 of twenty.

    New pictures may move an old one in three cases alone: back, once a mended label has enough of them; to the side of another
    picture, if the new one looks like both; and to the side of the new one, if that looks like it and has the smaller digest.

    Labels that are numbers have no shares; nothing else changes. Pictures in memory count by their pixels, and files that
    cannot be read by their names.

    Attributes:
        valid_pct: The share for validation, in 0..1.
        test_pct: The share for a third part, for testing; 0 makes none. Changing it moves pictures between training and test.
        seed: Other parts for another seed.
        group: The group of each item (a patient, a video, a place): a list, a function from an item, or a column's name. Items
            whose group is blank have none.
        labels: The labels, one an item or several; or a function, or a column's name. None inside a DataBlock takes its labels.
        pictures: The pictures, likewise: paths, or pictures in memory. None inside a DataBlock takes its pictures, and else
            the items themselves.
        near_duplicates: Keep pictures that look alike together, too; False looks at equal files alone, which is quicker.
        k: Number of folds; None makes none. One of k equal parts validates in place of `valid_pct`.
        fold: Which of them, from 0. Over all folds every picture validates once, but for those of labels that have a single
            one: these always train.
    """

    valid_pct: float = 0.2
    test_pct: float = 0.0
    seed: int = 0
    group: Any = None
    labels: Any = None
    pictures: Any = None
    near_duplicates: bool = True
    k: int | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        check_share("valid_pct", self.valid_pct)
        check_share("test_pct", self.test_pct)
        if self.k is None and self.valid_pct + self.test_pct >= 1:
            raise OptionError(f"valid_pct={self.valid_pct} and test_pct={self.test_pct} leave nothing to train on.")
        if self.k is not None and (self.k < 2 or not 0 <= self.fold < self.k):
            raise OptionError(f"k={self.k}, fold={self.fold}: expected k of at least 2 and fold from 0 to k-1.")
        if self.k is None and self.fold:
            raise OptionError(f"fold={self.fold} of how many? Pass k=, such as k=5.")

    def knowing(self, labels: Sequence[Any], pictures: Sequence[Any]) -> ContentSplitter:
        """The same with the labels and pictures of a DataBlock, for those that were not given."""
        return replace(
            self,
            labels=labels if self.labels is None else self.labels,
            pictures=pictures if self.pictures is None else self.pictures,
        )

    def groups(self, items: Any) -> list[Any] | None:
        """The group of each item; None where `group` was not given."""
        return None if self.group is None else values_for(items, self.group, "group")

    def __call__(self, items: Any) -> tuple[Indices, ...]:
        """Positions of `(train, valid)`, or `(train, valid, test)`, each in order.

        Raises:
            SplitError: Nothing but one group, or labels, groups or pictures that are not as many as items.
        """
        if self.pictures is None and hasattr(items, "columns"):
            raise SplitError(
                "ContentSplitter has no pictures. Pass pictures=, a list, a function or a column, or use it in a DataBlock."
            )
        pictures = list(items) if self.pictures is None else values_for(items, self.pictures, "pictures")
        labels = [None] * len(pictures) if self.labels is None else values_for(items, self.labels, "labels")
        unit_N, name_U = _units(pictures, self.groups(items), near=self.near_duplicates)
        key_U = np.fromiter((key_of(name, self.seed) for name in name_U), np.float64, len(name_U))
        parting = self._parting()
        part_N = mended(parting, key_U, unit_N, [_names_in(label) for label in labels])[unit_N]
        return self._checked(part_N, len(name_U))

    def _parting(self) -> Parting:
        if self.k is None:
            return Parting((self.valid_pct, 1 - self.test_pct), trains=1)
        free = 1 - self.test_pct
        return Parting(tuple(free * (fold + 1) / self.k for fold in range(self.k)), trains=None)

    def _checked(self, part_N: npt.NDArray[np.int64], units: int) -> tuple[Indices, ...]:
        test = len(self._parting().ends)
        valid = 0 if self.k is None else self.fold
        trains_N = (part_N != valid) & (part_N != test)
        wanted = [("training", trains_N), ("validation", part_N == valid), ("the test", part_N == test)]
        shares = (1.0, self.valid_pct if self.k is None else 1.0, self.test_pct)
        for (name, chosen_N), share in zip(wanted, shares, strict=True):
            if share and not chosen_N.any():
                raise SplitError(
                    f"Nothing is left for {name} of {counted(len(part_N), 'picture')} in {counted(units, 'group')} (copies of "
                    "a picture, and pictures that belong together, are one group). Expected at least one for each part. Give "
                    "more pictures, or another share, k or seed."
                )
        return tuple(as_indices(np.flatnonzero(chosen_N)) for _, chosen_N in wanted[: 3 if self.test_pct else 2])


def key_of(name: bytes, seed: int) -> float:
    """A number in 0..1 that follows from a name and a seed, as evenly spread as if it were drawn."""
    digest = hashlib.blake2b(f"{seed} ".encode() + name, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _KEY_BITS)) / (1 << _KEY_BITS)


def _units(pictures: Sequence[Any], groups: list[Any] | None, *, near: bool) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    """What has to stay together: the unit of each picture, int64 `(N,)`, and the name of each unit."""
    from sightline.data.pictures.contents import content_hashes

    digests = [digest or _by_name(picture) for digest, picture in zip(content_hashes(pictures), pictures, strict=True)]
    named = [None if groups is None or is_blank(groups[row]) else _group_name(groups[row]) for row in range(len(pictures))]
    ties: list[Sequence[Hashable]] = [digests]
    if groups is not None:
        ties.append(named)
    if near:
        from sightline.data.checking.duplicates import duplicate_groups

        ties.append(duplicate_groups(pictures))
    unit_N = _joined(ties, len(pictures))
    # A group's name comes before any digest, so that it alone rules where there is one.
    names: list[bytes | None] = [None] * (int(np.max(unit_N, initial=-1)) + 1)
    for unit, group, digest in zip(unit_N.tolist(), named, digests, strict=True):
        name, known = group or _SMALLEST_LAST + digest, names[unit]
        names[unit] = name if known is None or name < known else known
    return unit_N, [name for name in names if name is not None]


def _joined(ties: Sequence[Sequence[Hashable]], count: int) -> npt.NDArray[np.int64]:
    """The connected component of each of `count` items, where items with an equal value in one of `ties` are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    items: list[int] = []
    nodes: list[int] = []
    total = count
    for values in ties:
        numbers: dict[Hashable, int] = {}
        for item, value in enumerate(values):
            if value is not None:
                items.append(item)
                nodes.append(total + numbers.setdefault(value, len(numbers)))
        total += len(numbers)
    graph = coo_array((np.ones(len(items), np.int8), (items, nodes)), shape=(total, total))
    component = connected_components(graph, directed=False)[1][:count]
    return np.unique(component, return_inverse=True)[1].astype(np.int64)


def _by_name(picture: Any) -> bytes:
    """What stands for the content of a file that cannot be read."""
    return hashlib.blake2b(os.path.basename(str(picture)).encode(errors="surrogateescape"), digest_size=16).digest()


def _group_name(group: Any) -> bytes:
    plain = group.item() if hasattr(group, "item") and getattr(group, "ndim", 1) == 0 else group
    # Blanks in a column make floats of whole numbers; a blank more or less must not change a group's name.
    text = str(int(plain)) if isinstance(plain, float) and plain.is_integer() else str(plain)
    return b"\0" + text.encode(errors="surrogateescape")


def _names_in(label: Any) -> tuple[Hashable, ...]:
    """The names in a label; a number, or several, are none: measured values have no shares to keep."""
    values = tuple(label) if isinstance(label, (list, tuple, set, frozenset)) else (label,)
    return tuple(value for value in values if isinstance(value, Hashable) and not isinstance(value, (float, list, tuple))) or (
        None,
    )

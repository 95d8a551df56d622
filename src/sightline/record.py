"""Record: what happened in a run, as plain rows that can be written, read and plotted.

A row is a dictionary of plain values. `kind` says what it is:

| kind | when | what it holds |
|---|---|---|
| phase | a fit begins | phase (its number), name, n_epoch, n_iter, frozen_to |
| step | after a training step | phase, epoch, step, loss, smooth_loss, lr and mom of every parameter group |
| epoch | after an epoch | phase, epoch, train_loss, valid_loss, metrics, seconds, images_per_second, memory_mib |

The row of an epoch has train_metrics too, where they are wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sightline.cells import csv_line

Row = dict[str, Any]


@dataclass
class Record:
    """Rows in the order in which things happened.

    Attributes:
        rows: All rows; append with `add`.
    """

    rows: list[Row] = field(default_factory=list)

    def add(self, kind: str, **values: Any) -> Row:
        """Append a row and return it."""
        row = {"kind": kind, **values}
        self.rows.append(row)
        return row

    def of(self, kind: str, *, phase: int | None = None) -> list[Row]:
        """The rows of one kind, of one phase where that is given."""
        return [row for row in self.rows if row["kind"] == kind and (phase is None or row["phase"] == phase)]

    @property
    def phases(self) -> int:
        """How many phases (fits) were begun."""
        return len(self.of("phase"))

    def to_jsonl(self) -> str:
        """One JSON object a line."""
        return "".join(json.dumps(row, allow_nan=True) + "\n" for row in self.rows)

    @classmethod
    def from_jsonl(cls, lines: Iterable[str]) -> Record:
        """The record that `to_jsonl` wrote."""
        return cls([json.loads(line) for line in lines if line.strip()])

    def epochs_csv(self) -> str:
        """The epoch rows as CSV text, one column a value, metrics under their own names."""
        rows = [_flat(row) for row in self.of("epoch")]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return csv_line(columns) + "".join(csv_line(row.get(name) for name in columns) for row in rows)


def _flat(row: Row) -> Row:
    values = {name: value for name, value in row.items() if name not in {"kind", "metrics"}}
    return {**values, **row.get("metrics", {})}


def figures_of(row: Row) -> list[float | None]:
    """The figures of an epoch's row in the order of the table's columns."""
    return [row["train_loss"], *row.get("train_metrics", {}).values(), row["valid_loss"], *row["metrics"].values()]

"""The record: plain rows that survive files."""

import csv
import io

from sightline.record import Record


def filled() -> Record:
    record = Record()
    record.add("phase", phase=0, name="head", n_epoch=1, n_iter=2, frozen_to=1)
    record.add("step", phase=0, epoch=0, step=1, loss=1.5, lr=[0.1], mom=[0.9])
    record.add("epoch", phase=0, epoch=0, train_loss=1.5, valid_loss=None, metrics={"error_rate": 0.25}, seconds=1.0)
    record.add("epoch", phase=1, epoch=0, train_loss=float("nan"), valid_loss=0.5, metrics={"error_rate": 0.5}, seconds=2.0)
    return record


def test_rows_are_found_by_kind_and_phase():
    record = filled()
    assert record.phases == 1
    assert [row["valid_loss"] for row in record.of("epoch")] == [None, 0.5]
    assert len(record.of("epoch", phase=1)) == 1


def test_a_record_survives_json_lines():
    record = filled()
    assert Record.from_jsonl(record.to_jsonl().splitlines()).to_jsonl() == record.to_jsonl()


def test_csv_has_a_column_for_every_metric_and_blanks_for_what_is_missing():
    rows = list(csv.DictReader(io.StringIO(filled().epochs_csv())))
    assert rows[0]["error_rate"] == "0.25"
    assert rows[0]["valid_loss"] == ""
    assert rows[1]["phase"] == "1"
    assert "kind" not in rows[0]

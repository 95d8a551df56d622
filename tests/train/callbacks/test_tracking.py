"""TensorBoard, Weights & Biases and MLflow: what they were told is read back with their own packages."""

from __future__ import annotations

import json
import struct
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.errors import MissingExtraError, TrainingError
from sightline.train.callbacks.mlflow import MLflowCallback
from sightline.train.callbacks.tensorboard import TensorBoardCallback
from sightline.train.callbacks.trackers import SaveModelCallback
from sightline.train.callbacks.tracking import Examples, settings
from sightline.train.callbacks.wandb import WandbCallback
from sightline.train.events import Callback
from train.callbacks.small import MULTI, NUMBERS, learner, quiet


@pytest.fixture(autouse=True)
def _aside(tmp_path, monkeypatch):
    """These packages write to the current folder; and what they warn of about themselves is not ours to mend."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
        yield


@pytest.mark.parametrize(
    ("cb", "module", "extra"),
    [
        (TensorBoardCallback, "torch.utils.tensorboard", "tensorboard"),
        (WandbCallback, "wandb", "wandb"),
        (MLflowCallback, "mlflow", "mlflow"),
    ],
)
def test_a_package_that_is_absent_is_named_with_its_extra(cb, module, extra, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    learn = learner(path=tmp_path, cbs=cb())
    with pytest.raises(MissingExtraError, match=rf'{cb.__name__} needs .*pip install "sightline\[{extra}\]"'):
        quiet(learn, "fit", 1)
    learn.remove_cb(cb)
    quiet(learn, "fit", 1)


@pytest.mark.parametrize("target", [MULTI, NUMBERS])
def test_examples_are_in_words_whatever_the_labels_are(target):
    examples = Examples(learner(target=target), 3)
    assert examples.pixels.shape == (3, 8, 8, 3)
    assert len(examples.truths) == len(examples.predictions) == 3
    assert all(isinstance(text, str) for text in examples.truths)
    assert len(examples.figure().axes) >= 3


def test_settings_are_plain():
    learn = learner(wd=0.03)
    quiet(learn, "fit", 1)
    facts = json.loads(json.dumps(settings(learn)))
    assert facts["wd"] == 0.03
    assert facts["batch size"] == 6
    assert facts["metrics"] == "error_rate, accuracy"


def expected_steps(learn) -> list[float]:
    return [row["loss"] for row in learn.recorder.record.of("step")]


def test_tensorboard_holds_every_step_and_epoch_of_both_phases(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cb = TensorBoardCallback(tmp_path / "runs", projector=True)
    learn = quiet(learner(path=tmp_path, cbs=cb), "fine_tune", 2)
    held = EventAccumulator(str(tmp_path / "runs")).Reload()
    losses = held.Scalars("raw_loss")
    assert [event.step for event in losses] == list(range(1, 13))
    assert [event.value for event in losses] == pytest.approx(expected_steps(learn), rel=1e-6)
    rows = learn.recorder.record.of("epoch")
    assert [event.step for event in held.Scalars("valid_loss")] == [4, 8, 12]
    assert [event.value for event in held.Scalars("error_rate")] == pytest.approx([r["metrics"]["error_rate"] for r in rows])
    assert {"lr_0", "lr_1", "mom_0", "train_loss", "accuracy", "images_per_second"} <= set(held.Tags()["scalars"])
    assert held.Tags()["images"] == ["Sample results"]
    assert held.Tags()["graph"]
    assert len((tmp_path / "runs" / "00012" / "default" / "tensors.tsv").read_text().splitlines()) == 9


def test_tensorboard_begins_a_folder_a_run_and_goes_on_in_a_saved_one():
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first, states = TensorBoardCallback(log_preds=False, trace_model=False), []
    keep = Callback(after_epoch=lambda cb: states.append(first.state_dict()))
    keep.order = 99
    quiet(learner(cbs=[first, keep]), "fit", 1)
    again = TensorBoardCallback(log_preds=False, trace_model=False)
    again.load_state_dict(states[0])
    quiet(learner(cbs=again), "fit", 2, start_epoch=1)
    assert again.log_dir == first.log_dir
    held = EventAccumulator(first.log_dir).Reload()
    assert [event.step for event in held.Scalars("raw_loss")] == list(range(1, 9))


def wandb_records(data: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: 7 bytes of header, then LevelDB's log format in blocks of 32 KiB."""
    position, parts = 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def wandb_rows(run_folder: Path) -> list[dict]:
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in wandb_records(next(run_folder.glob("*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        if record.HasField("history"):
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    return rows


def test_wandb_holds_every_step_and_epoch(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    learn = learner(path=tmp_path, cbs=[WandbCallback(n_preds=4, log_model=True), SaveModelCallback()])
    with wandb.init(mode="offline", dir=tmp_path, project="pictures") as run:
        quiet(learn, "fine_tune", 1)
        config, folder = dict(run.config), tmp_path / "wandb"
    assert config["batch size"] == 6
    assert config["head epochs"] == config["all epochs"] == 1
    rows = wandb_rows(next(folder.glob("offline-run-*")))
    losses = [row["raw_loss"] for row in rows if "raw_loss" in row]
    assert losses == pytest.approx(expected_steps(learn), rel=1e-6)
    checks = [row["valid_loss"] for row in rows if "valid_loss" in row]
    assert checks == pytest.approx([row["valid_loss"] for row in learn.recorder.record.of("epoch")], rel=1e-6)
    assert [row["Prediction_Samples.nrows"] for row in rows if "Prediction_Samples.nrows" in row] == [4]


def test_wandb_asks_for_a_run_first():
    pytest.importorskip("wandb")
    with pytest.raises(TrainingError, match=r"Call wandb.init"):
        quiet(learner(cbs=WandbCallback), "fit", 1)


def test_mlflow_holds_every_step_and_epoch(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    cb = MLflowCallback("pictures", tracking_uri=uri, log_model=True)
    learn = quiet(learner(path=tmp_path, cbs=cb), "fine_tune", 2)
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.get_run(cb.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["all epochs"] == "2"
    losses = client.get_metric_history(cb.run_id, "raw_loss")
    assert [metric.step for metric in losses] == list(range(1, 13))
    assert [metric.value for metric in losses] == pytest.approx(expected_steps(learn))
    checks = client.get_metric_history(cb.run_id, "valid_loss")
    assert [metric.value for metric in checks] == pytest.approx(
        [row["valid_loss"] for row in learn.recorder.record.of("epoch")]
    )
    assert sorted(file.path for file in client.list_artifacts(cb.run_id)) == ["mlflow.safetensors", "predictions.png"]


def test_mlflow_marks_a_fit_that_failed(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    cb = MLflowCallback(tracking_uri=uri)

    def fail(cb):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        quiet(learner(path=tmp_path, cbs=[cb, Callback(after_train=fail)]), "fine_tune", 1)
    assert mlflow.MlflowClient(tracking_uri=uri).get_run(cb.run_id).info.status == "FAILED"


def test_mlflow_uses_the_run_that_is_active_and_leaves_it_so(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    cb = MLflowCallback(log_preds=False)
    learn = learner(path=tmp_path, cbs=cb)
    with mlflow.start_run() as run:
        quiet(learn, "fit", 1)
        quiet(learn, "fit", 2)
        assert mlflow.active_run().info.run_id == run.info.run_id == cb.run_id
    assert mlflow.get_run(run.info.run_id).data.params["fit epochs"] == "1"

"""What every callback of the library keeps to: made, run, cancelled, failed, used again, saved and gone on with."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import pkgutil
import warnings
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import sightline.train
from sightline.errors import SightlineWarning
from sightline.train.callbacks.core import GatherPredsCallback, ParamScheduler, SkipToEpoch, TrainEvalCallback
from sightline.train.events import Callback, CancelFitException
from sightline.train.learner import Learner
from sightline.train.lr_find import LRFinder
from sightline.train.progress import ProgressCallback
from sightline.train.recorder import Recorder
from train.callbacks.small import learner

ELSEWHERE = {TrainEvalCallback, Recorder, ProgressCallback, GatherPredsCallback, LRFinder}
"""Those of every learner, of every prediction, and of `lr_find`, whose own tests they have."""
BASES = {"Callback", "PerRun", "PatientTracker"}
ARGUMENTS: dict[str, tuple[Any, ...]] = {"SkipToEpoch": (1,), "ParamScheduler": ({"lr": lambda done: 0.01 * (1 - done)},)}
EXTRAS = {"TensorBoardCallback": "tensorboard", "WandbCallback": "wandb", "MLflowCallback": "mlflow"}


def public_callbacks() -> list[type[Callback]]:
    found = set()
    for module in pkgutil.walk_packages(sightline.train.__path__, "sightline.train."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(value) and issubclass(value, Callback) and not name.startswith("_"):
                found.add(value)
    return sorted(found, key=lambda cls: cls.__name__)


EVERY = public_callbacks()
ADDED = [c for c in EVERY if c.__name__ not in BASES and c not in ELSEWHERE and not inspect.isabstract(c)]


def make(cls: type[Callback]) -> Callback:
    return cls(*ARGUMENTS.get(cls.__name__, ()))


@pytest.fixture(autouse=True)
def _trackers_write_here(tmp_path, monkeypatch):
    """Trackers of experiments are offline, and whatever is written is written to a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture(params=ADDED, ids=lambda cls: cls.__name__)
def cls(request, tmp_path):
    extra = EXTRAS.get(request.param.__name__)
    if extra is None:
        yield request.param
    elif extra == "wandb":
        wandb = pytest.importorskip("wandb")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with wandb.init(project="contract", mode="offline", dir=tmp_path):
                yield request.param
    else:
        pytest.importorskip(extra)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield request.param


def run(learn: Learner, method: str, *args: Any, **kwargs: Any) -> Any:
    with learn.no_logging(), warnings.catch_warnings():
        # ReduceLROnPlateau says that it does nothing under a schedule.
        warnings.simplefilter("ignore", SightlineWarning)
        return getattr(learn, method)(*args, **kwargs)


def hooks_on(learn: Learner) -> int:
    return sum(len(layer._forward_hooks) + len(layer._backward_hooks) for layer in learn.model.modules())


def assert_as_found(learn: Learner, callbacks: list[Callback]) -> None:
    assert learn.cbs == callbacks
    assert hooks_on(learn) == 0
    assert learn.objective.loss_func is None
    assert learn.lam is None
    assert learn.yb1 == learn.xb == ()
    assert all(p.grad is None for p in learn.model.parameters())
    assert all(torch.isfinite(t).all() for t in learn.model.state_dict().values())
    assert all(p.dtype == torch.float32 for p in learn.model.parameters())
    assert all(cb.run for cb in learn.cbs)


def test_all_callbacks_are_found():
    names = {cls.__name__ for cls in ADDED}
    assert {
        "ActivationStats", "BnFreeze", "CSVLogger", "CastToTensor", "CollectDataCallback", "CutMix", "EMACallback",
        "EarlyStoppingCallback", "FetchPredsCallback", "GradientAccumulation", "GradientClip", "HookCallback",
        "MCDropoutCallback", "MLflowCallback", "MixUp", "MixUpCutMix", "ParamScheduler", "ProfileCallback",
        "ReduceLROnPlateau", "SaveModelCallback", "ShortEpochCallback", "ShowGraphCallback", "SkipToEpoch",
        "TensorBoardCallback", "TerminateOnNaNCallback", "TrackerCallback", "WandbCallback",
    } <= names  # fmt: skip


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_it_says_what_it_is_for_and_when_it_runs(cls):
    assert inspect.getdoc(cls)
    assert vars(cls).get("__doc__")
    assert isinstance(cls.order, int)
    assert isinstance(cls.resumes, tuple)
    assert cls.name is not None


def test_no_two_have_the_same_name():
    names = [make(cls).name for cls in ADDED]
    assert len(set(names)) == len(names)


def test_it_runs_through_everything_twice_and_leaves_the_learner_as_it_found_it(cls, tmp_path):
    cb = make(cls)
    learn = learner(path=tmp_path, cbs=cb)
    callbacks = list(learn.cbs)
    shapes = [tuple(part.shape) for part in run(learn, "get_preds")]
    for _ in range(2):
        run(learn, "fit", 2, 0.01)
        assert_as_found(learn, callbacks)
        run(learn, "fine_tune", 1, 0.01)
        assert_as_found(learn, callbacks)
        assert all(figure is not None for figure in run(learn, "validate"))
        assert [tuple(part.shape) for part in run(learn, "get_preds")] == shapes
    assert not any(cb.learn is not learn for cb in learn.cbs)


def test_it_serves_as_a_callback_of_one_fit(cls, tmp_path):
    learn = learner(path=tmp_path)
    callbacks = list(learn.cbs)
    run(learn, "fine_tune", 1, cbs=make(cls))
    assert_as_found(learn, callbacks)
    assert not hasattr(learn, make(cls).name) or make(cls).name in dir(type(learn))


class Stop(Callback):
    """Raises in the second step of training, as long as it is told to."""

    order = 45

    def __init__(self, what: type[Exception]) -> None:
        self.what, self.armed = what, True

    def before_backward(self) -> None:
        if self.armed and self.train_iter == 1:
            raise self.what


@pytest.mark.parametrize("what", [CancelFitException, ZeroDivisionError])
def test_it_outlives_a_fit_that_is_cancelled_or_fails(cls, what, tmp_path):
    stop = Stop(what)
    learn = learner(path=tmp_path, cbs=[make(cls), stop])
    callbacks = list(learn.cbs)
    for method in ("fit", "fine_tune"):
        try:
            run(learn, method, 2)
        except ZeroDivisionError:
            assert what is ZeroDivisionError
        assert_as_found(learn, callbacks)
    stop.armed = False
    run(learn, "fit", 2)
    assert_as_found(learn, callbacks)
    assert learn.recorder.values


def through_files(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it comes back from a JSON text and a safetensors file."""
    tensors: dict[str, Tensor] = {}

    def without_tensors(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value
            return {"tensor": path}
        return {key: without_tensors(one, f"{path}/{key}") for key, one in value.items()} if isinstance(value, dict) else value

    def with_tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return loaded[value["tensor"]] if set(value) == {"tensor"} else {k: with_tensors(v) for k, v in value.items()}
        return value

    plain = json.loads(json.dumps(without_tensors(state, "")))
    loaded = safetensors.torch.load(safetensors.torch.save(tensors))
    return with_tensors(plain)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


def test_its_state_goes_through_files_and_a_run_goes_on_from_it(cls, tmp_path):
    first, second = make(cls), make(cls)
    states: list[dict[str, Any]] = []
    keep = Callback(after_epoch=lambda cb: states.append(through_files(first.state_dict())))
    keep.order = 99
    run(learner(path=tmp_path, cbs=[first, keep]), "fit", 2)
    # What the first epoch left is gone on from, in a process of its own as it were.
    state = states[0] if states else through_files(first.state_dict())
    second.load_state_dict(state)
    assert equal(second.state_dict(), state)
    assert set(state) == set(cls.resumes)
    run(learner(path=tmp_path, cbs=second), "fit", 2, start_epoch=1)
    assert type(second.state_dict()) is type(state)


def test_nothing_that_changes_a_fit_is_left_out_of_what_resumes():
    stateful = {cls.__name__: cls.resumes for cls in ADDED if cls.resumes}
    assert {"EarlyStoppingCallback", "ReduceLROnPlateau", "SaveModelCallback", "TrackerCallback", "EMACallback"} <= set(
        stateful
    )
    assert SkipToEpoch.resumes == ParamScheduler.resumes == ()

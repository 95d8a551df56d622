"""What a learner needs to go on where it was, as tensors and plain values; taken, and put back to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sightline.data.loading.loaders import Loader
from sightline.errors import OptionError, TensorFileError, TrainingError, listed
from sightline.record import Record
from sightline.tensorfile import TensorFile
from sightline.train.events import Callback
from sightline.train.resuming.folder import CheckpointFolder, text_in
from sightline.train.resuming.packing import packed, unpacked
from sightline.train.resuming.position import Position
from sightline.train.resuming.randomness import set_generators, state_of_generators

if TYPE_CHECKING:
    from sightline.train.learner import Learner

_MODEL, _GRADIENT = "model.", "gradient."
PROGRESS = ("run", "epochs_done", "epoch", "train_iter", "pct_train", "n_epoch")
"""Counters of a learner."""
_LARGEST_STATE = 16 * 2**20
"""Letters of the plain part of a state, beside the record; the optimizer of a large network needs a tenth of it."""


@dataclass(frozen=True)
class Moment:
    """What changes while a validation runs, as it was before: enough to tell the moment from the rest of the state.

    Attributes:
        position: Where in the run.
        generators: The states of the global generators.
        pass_generators: The same when the present pass over the data began.
        progress: Counters of the learner.
        recorder: What the recorder is in the middle of.
    """

    position: Position
    generators: dict[str, Any]
    pass_generators: dict[str, Any] | None
    progress: dict[str, Any]
    recorder: dict[str, Any]

    @classmethod
    def of(cls, learn: Learner, position: Position, pass_generators: dict[str, Any] | None = None) -> Moment:
        """The present one."""
        progress = {name: getattr(learn, name) for name in PROGRESS}
        return cls(position, state_of_generators(), pass_generators, progress, learn.recorder.state_dict())


@dataclass(frozen=True)
class RunState:
    """A learner at a moment.

    Attributes:
        tensors: On the CPU, by name.
        plain: All the rest but the rows of the record, for JSON.
        record: The rows of the record.
    """

    tensors: Mapping[str, Tensor]
    plain: dict[str, Any]
    record: Record

    @classmethod
    def taken(cls, learn: Learner, moment: Moment, job: Mapping[str, Any], first: int, signature: str) -> RunState:
        """A copy of all that changes in training.

        Args:
            learn: The learner, between two steps.
            moment: Which.
            job: What the run is, in plain values; see `job_of`.
            first: `learn.epochs_done` when the present fit began.
            signature: What the present fit is, see `signature_of`.
        """
        tensors: dict[str, Tensor] = {}
        for name, tensor in learn.model.state_dict().items():
            packed(tensor, _MODEL + name, tensors)
        for name, parameter in learn.model.named_parameters():
            if parameter.grad is not None:
                packed(parameter.grad, _GRADIENT + name, tensors)
        rest = {
            "generators": moment.generators,
            "pass_generators": moment.pass_generators,
            "progress": moment.progress | {"first": first},
            "recorder": moment.recorder,
            "seed": _seed_of(learn),
            "fit": signature,
            "parts": [learn.micro_batches.training.most, learn.micro_batches.evaluation.most],
            "optimizer": None if learn.opt is None else _optimizer_state(learn.opt),
            "callbacks": [[cb.name, cb.state_dict()] for cb in _with_state(learn)],
        }
        plain = {"position": moment.position.to_json(), "job": dict(job), "rest": packed(rest, "state", tensors)}
        # Rows are never changed once they are written, so that they need no copy; only their list does.
        return cls(tensors, plain, Record(list(learn.recorder.record.rows)))

    def write(self, folder: CheckpointFolder, number: int) -> None:
        """Write it as a checkpoint; by a thread, while training goes on.

        Raises:
            OSError: It cannot be written.
            TensorFileError: What was written reads differently.
        """
        folder.write(
            number, self.tensors, {"state": json.dumps(self.plain), "record": self.record.to_jsonl()}, str(self.position)
        )

    @classmethod
    def read(cls, file: TensorFile) -> RunState:
        """What `write` wrote."""
        state = text_in(file, "state")
        if len(state) > _LARGEST_STATE:
            raise TensorFileError(f"its state has {len(state):,} letters, more than {_LARGEST_STATE:,}")
        found = cls(file.tensors, json.loads(state), Record.from_jsonl(text_in(file, "record").splitlines()))
        found.check_form()
        return found

    def check_form(self) -> None:
        """Make sure that it holds what is needed, in the right form.

        Raises:
            TensorFileError: It does not.
        """
        rest, progress = self.rest, self.rest["progress"]
        forms = {"generators": dict, "recorder": dict, "parts": list, "callbacks": list, "progress": dict}
        wrong = [name for name, form in forms.items() if not isinstance(rest[name], form)]
        numbers = {name: progress.get(name) for name in (*PROGRESS, "first")}
        wrong += [name for name, one in numbers.items() if isinstance(one, bool) or not isinstance(one, int | float) or one < 0]
        wrong += [] if isinstance(self.plain["job"], dict) else ["job"]
        wrong += [] if all(isinstance(row, dict) and "kind" in row for row in self.record.rows) else ["record"]
        if wrong:
            raise TensorFileError(f"it does not hold what it should: {', '.join(wrong)}")
        _ = self.position

    @property
    def position(self) -> Position:
        """Where in the run it was taken."""
        return Position.from_json(self.plain["position"])

    @property
    def rest(self) -> dict[str, Any]:
        """What is neither the network's nor the position."""
        found: dict[str, Any] = unpacked(self.plain["rest"], self.tensors)
        return found

    def check(self, job: Mapping[str, Any]) -> None:
        """Make sure that it is of this job.

        Raises:
            OptionError: It is of another one; what differs is named.
        """
        there = self.plain["job"]
        asked = json.loads(json.dumps(dict(job)))
        changed = [name for name in {**there, **asked} if there.get(name) != asked.get(name)]
        if changed:
            words = "; ".join(f"{name}: {there.get(name)!r} there, {asked.get(name)!r} now" for name in sorted(changed))
            raise OptionError(
                f"The checkpoint is of another run ({words}). To go on with that one, give the same data, network and "
                "arguments, and the same seed before the data is split; for a new run name another folder."
            )

    def prepare(self, learn: Learner) -> None:
        """Before the fit begins that it was taken in: what that fit's beginning reads.

        Raises:
            OptionError: That fit is another one.
        """
        rest = self.rest
        there, here = rest["fit"], signature_of(learn)
        if there != here:
            raise OptionError(
                f"The fit that the checkpoint is in was asked for otherwise ({there} there, {here} now). Give the same "
                "arguments, or another folder for a new run."
            )
        learn.run, learn.epochs_done = rest["progress"]["run"], rest["progress"]["first"]
        _use_seed(learn, rest["seed"])
        _put_back_callbacks(learn, rest["callbacks"])

    def put_back(self, learn: Learner) -> None:
        """Make the learner what it was.

        Raises:
            TrainingError: The network, the optimizer or the callbacks are others.
        """
        rest = self.rest
        self._put_back_model(learn)
        if rest["optimizer"] is not None:
            _put_back_optimizer(learn, rest["optimizer"])
        _put_back_callbacks(learn, rest["callbacks"])
        _use_seed(learn, rest["seed"])
        for name in PROGRESS:
            setattr(learn, name, rest["progress"][name])
        learn.recorder.record = Record(list(self.record.rows))
        learn.recorder.load_state_dict(rest["recorder"])
        learn.recorder.guard.begin(learn)
        learn.micro_batches.training.most, learn.micro_batches.evaluation.most = rest["parts"]
        set_generators(rest["generators"])

    def _put_back_model(self, learn: Learner) -> None:
        state = {name.removeprefix(_MODEL): tensor for name, tensor in self.tensors.items() if name.startswith(_MODEL)}
        own = learn.model.state_dict()
        if {name: tensor.shape for name, tensor in own.items()} != {name: tensor.shape for name, tensor in state.items()}:
            raise TrainingError("The checkpoint is of another network: its tensors have other names or shapes. Build that one.")
        learn.model.load_state_dict(state)
        for name, parameter in learn.model.named_parameters():
            gradient = self.tensors.get(_GRADIENT + name)
            parameter.grad = None if gradient is None else torch.empty_like(parameter).copy_(gradient)


def signature_of(learn: Learner) -> str:
    """What tells the fit that begins from another: its epochs, rates, decay and schedules."""
    scheduled = [f"{name} {type(one).__name__}" for cb in learn.cbs for name, one in getattr(cb, "scheds", {}).items()]
    hypers = [] if learn.opt is None else [{name: hyper.get(name) for name in ("lr", "wd")} for hyper in learn.opt.hypers]
    return f"{learn.phase_name}, {learn.n_epoch} epochs, {hypers}, {scheduled}"


def job_of(learn: Learner, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, by which a checkpoint of another one is told.

    Args:
        learn: Network and data.
        arguments: What the user asked for, in plain values.
    """
    table = learn.dls.table
    return {
        "architecture": type(learn.model).__name__ if learn.spec is None else learn.spec.arch,
        "labels": learn.target.kind,
        "pictures": f"{learn.dls.train.n} for training, {learn.dls.valid.n} for validation",
        "files, labels and split": "" if table is None else table.fingerprint(),
        "batch size": learn.dls.train.bs,
        "precision": learn.runtime.precision,
        **arguments,
    }


def _with_state(learn: Learner) -> list[Callback]:
    """Callbacks that remember something; others may come and go between one process and the next."""
    return [cb for cb in learn.cbs if cb is not learn.recorder and cb.state_dict()]


def _optimizer_state(opt: Any) -> dict[str, Any]:
    return {"kind": opt.kind, "state": opt.state_dict(), "hypers": opt.hypers}


def _put_back_optimizer(learn: Learner, saved: dict[str, Any]) -> None:
    opt = learn.opt or learn.create_opt()
    if saved["kind"] != opt.kind:
        raise TrainingError(
            f"The checkpoint is of a run with the optimizer {saved['kind']}, and this is {opt.kind}. Use that one."
        )
    opt.load_state_dict(saved["state"])
    opt.hypers = [dict(hyper) for hyper in saved["hypers"]]


def _put_back_callbacks(learn: Learner, saved: list[list[Any]]) -> None:
    own = _with_state(learn)
    names, there = [cb.name for cb in own], [name for name, _ in saved]
    if names != there:
        raise OptionError(
            f"The checkpoint is of a run with the callbacks {listed(there)}, and here are {listed(names)}. Give the same ones."
        )
    for cb, (_, state) in zip(own, saved, strict=True):
        cb.load_state_dict(state)


def _seed_of(learn: Learner) -> int | None:
    loader = learn.dls.train
    return loader.options.seed if isinstance(loader, Loader) else None


def _use_seed(learn: Learner, seed: int | None) -> None:
    """What order and augmentation follow from: a run whose script set no seed has drawn another one now."""
    loader = learn.dls.train
    if isinstance(loader, Loader) and seed is not None:
        loader.options = replace(loader.options, seed=seed)

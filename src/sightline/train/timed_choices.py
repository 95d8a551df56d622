"""TimedChoices: which of two ways is quicker on this machine, timed once for each case and kept in a file.

Two ways that compute the same add up in another order, so the last bits of their results differ. A choice is therefore made
once for a machine and a case: later runs, and a run that goes on after it was killed, find it in the file and choose alike.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from sightline.atomic import write_text
from sightline.runtime.host import cache_place

if sys.platform != "win32":
    import fcntl

MARGIN = 1.4
"""How many times quicker the other way must be to be taken: so clearly that timing it anew would not choose otherwise."""
MOST_CASES = 2000
"""Cases that are kept for a machine; a run whose sizes never come again must not be timing for ever."""
_FEWEST_ROUNDS, _MOST_ROUNDS, _ENOUGH_S, _ENOUGH_WHEN_BUSY_S = 3, 50, 0.2, 0.8
_HOPELESS = 2.0
_QUIET_SHARE = 0.75
_PATIENCE_S = 60.0

Way = Callable[[], object]
Cases = dict[str, dict[str, Any]]


class TimedChoices:
    """For each case whether the other way is taken; see the file's first lines.

    Attributes:
        path: The file, None where nothing is kept; then the usual way is taken always.
        machine: Processor, version of PyTorch and threads: for what the choices hold.
        problem: Why nothing is kept, empty where nothing speaks against it.
    """

    def __init__(self, path: Path | None, problem: str = "") -> None:
        """Reads what is known already."""
        self.path, self.problem = path, problem
        self.machine = this_machine()
        self._known = {} if path is None else _read(path).get(self.machine, {})

    @classmethod
    def in_cache(cls, name: str) -> TimedChoices:
        """The choices of the file `name` in the folder that the environment names, ~/.cache/sightline where it names none."""
        place = cache_place()
        return cls(None, place) if isinstance(place, str) else cls(place / name)

    @property
    def known(self) -> Mapping[str, bool]:
        """Every case that was chosen for, and whether the other way is taken."""
        return {case: bool(found["other"]) for case, found in self._known.items()}

    def takes_other(self, case: str, usual: Way, other: Way) -> bool:
        """Whether `other` is taken for this case: as it was chosen before, or as timing both finds now.

        Args:
            case: Names all that the time depends on, the machine apart.
            usual: Computes it the usual way, with nothing else.
            other: Computes it the other way.
        """
        if case not in self._known and self.path is not None and not self.problem:
            try:
                with _alone(self.path):
                    self._choose(self.path, case, usual, other)
            except OSError as error:
                self.problem = f"{self.path.name} cannot be written ({error.strerror or error})"
        return case in self._known and bool(self._known[case]["other"])

    def _choose(self, path: Path, case: str, usual: Way, other: Way) -> None:
        """Times both ways and keeps what was found, unless another process has done so meanwhile."""
        everything = _read(path)
        # What this run chose holds for all of it, even if the file has gone meanwhile.
        here = everything[self.machine] = everything.get(self.machine, {}) | self._known
        self._known = here
        if case in here:
            return
        if len(here) >= MOST_CASES:
            self._known = here | {case: {"other": False}}
            return
        usual_s, other_s = _time_both(usual, other)
        found = {"other": usual_s >= MARGIN * other_s, "ms": [round(1e3 * usual_s, 3), round(1e3 * other_s, 3)]}
        everything[self.machine] = here | {case: found}
        write_text(path, json.dumps(everything, indent=1))
        self._known = everything[self.machine]


def this_machine() -> str:
    """The processor, PyTorch's version and its threads, in one line."""
    return f"{_processor()}; torch {torch.__version__}; threads {torch.get_num_threads()}"


def _processor() -> str:
    # Virtual machines give processors of several generations one name; family and model tell them apart.
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping")
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
        if found := " ".join(facts[name] for name in wanted if facts.get(name)):
            return found
    return platform.processor() or platform.machine()


def _read(path: Path) -> dict[str, Cases]:
    """What the file holds; nothing where there is none, or where it is damaged."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(_is_sound(cases) for cases in found.values()):
            return found
    return {}


def _is_sound(cases: Any) -> bool:
    return isinstance(cases, dict) and all(isinstance(c, dict) and isinstance(c.get("other"), bool) for c in cases.values())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the file's lock: one process at a time makes choices, so that all take the first and none disturbs the timing.

    Raises:
        OSError: The lock cannot be made, or is held for longer than choosing takes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if sys.platform != "win32":
            _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform != "win32":

    def _lock(descriptor: int) -> None:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)


def _time_both(usual: Way, other: Way) -> tuple[float, float]:
    """The shortest time in seconds that each took, in turn, after one that is not counted.

    Rounds in which another process had some of the CPUs' time count only where there are no others: what waits for all its
    threads is slowed down by far more than the share that it lost.
    """
    _timed(usual), _timed(other)
    rounds: list[tuple[float, float, bool]] = []
    began = time.perf_counter()
    while not _is_enough(rounds, time.perf_counter() - began):
        (usual_s, quiet), (other_s, quiet_too) = _timed(usual), _timed(other)
        rounds.append((usual_s, other_s, quiet and quiet_too))
    counted = [kept for kept in rounds if kept[2]] or rounds
    return min(kept[0] for kept in counted), min(kept[1] for kept in counted)


def _is_enough(rounds: list[tuple[float, float, bool]], passed_s: float) -> bool:
    """Whether what was timed allows a choice: some rounds, or one that leaves no doubt; more while the machine is busy."""
    quiet = [(usual_s, other_s) for usual_s, other_s, is_quiet in rounds if is_quiet]
    if any(other_s > _HOPELESS * usual_s for usual_s, other_s in quiet) or len(rounds) >= _MOST_ROUNDS:
        return True
    return len(rounds) >= _FEWEST_ROUNDS and passed_s > (_ENOUGH_S if len(quiet) >= _FEWEST_ROUNDS else _ENOUGH_WHEN_BUSY_S)


def _timed(way: Way) -> tuple[float, bool]:
    """The seconds that it took, and whether this process had the CPUs to itself meanwhile."""
    began, used = time.perf_counter(), time.process_time()
    way()
    took_s, used_s = time.perf_counter() - began, time.process_time() - used
    return took_s, used_s > _QUIET_SHARE * took_s * torch.get_num_threads()

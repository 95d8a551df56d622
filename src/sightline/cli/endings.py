"""How a command ends: one message on standard error, and an exit code that says whose turn it is."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import typer

from sightline.errors import SightlineError, did_you_mean
from sightline.escaping import for_terminal

OURS, USERS, INTERRUPTED, TERMINATED = 1, 2, 130, 143

ADVICE = {
    errno.ENOSPC: "The disk is full: make room, or write elsewhere.",
    errno.EDQUOT: "This user's share of the disk is used up: make room, or write elsewhere.",
    errno.EACCES: "Give this user the right to it, or name another place.",
    errno.EPERM: "Give this user the right to it, or name another place.",
    errno.EROFS: "Nothing can be written there: name another place.",
    errno.EIO: "The disk does not read or write as it should: look after it, or use another one.",
    errno.EMFILE: "Too many files are open: raise the limit with `ulimit -n`, or lower --workers.",
    errno.ENFILE: "Too many files are open on this machine: close some, or lower --workers.",
    errno.ENOMEM: "The machine has no memory left: close something, or lower --bs.",
}
"""What the machine lacks, and what to do about it: nothing that the command was told is wrong."""

IN_OPTIONS = {
    "weights='file.safetensors'": "--weights file.safetensors",
    "pretrained=False": "--no-pretrained",
    "on_error='raise'": "--on-error raise",
    "on_error='set_aside'": "--on-error set_aside",
    "check path= and folder=": "check DATA and --folder",
    "pass suff=": "pass --suffix ",
    "valid_pct=": "--valid ",
    "test_pct=": "--test ",
    "another share, k or seed": "another --valid, --folds or --seed",
    'pass unknown="drop"': "drop",
    "on='test'": "other words",
    "seed=": "--seed ",
    "y_range=": "--y-low and --y-high ",
    "device='cpu'": "--device cpu",
    "leave device out": "leave --device out",
    "device=": "--device ",
    "backend=": "--backend ",
    "base_lr=": "--lr ",
    "pass arch=": "pass --arch",
    "pass labels=": "pass --labels",
    "pass n_in=": "pass --n-in ",
    "regression=True": "--regression",
    "multi_label=True": "--multi-label",
}
"""What messages say in Python, as one says it here."""


def end_by(error: Exception, *, debug: bool) -> int:
    """Tell an error; the exit code that goes with it.

    Args:
        error: What ended the command.
        debug: Show where in the code it came from, too.
    """
    if debug:
        typer.echo(for_terminal("".join(traceback.format_exception(error)), lines=True), err=True)
    kind, words = told(error, debug=debug)
    say(kind, words)
    return code_of(error)


def code_of(error: BaseException) -> int:
    """2 where other options or other data would help, 1 where something is wrong with the machine or with sightline."""
    # A device that is too small for the job is another matter: DeviceMemoryError says which settings would fit.
    if _lacks_memory(error) or any(isinstance(one, OSError) and one.errno in ADVICE for one in _chain(error)):
        return OURS
    # An OSError that is none of those is about a path that was given: it is not there, or is a folder, or its name is too long.
    return USERS if isinstance(error, (SightlineError, OSError)) else OURS


def told(error: Exception, *, debug: bool = False) -> tuple[str, str]:
    """What kind of error it is, and what happened, in words."""
    kind, words = type(error).__name__, str(error)
    if isinstance(error, SightlineError):
        for python, option in IN_OPTIONS.items():
            words = words.replace(python, option)
        return kind, words
    if isinstance(error, OSError):
        return kind, _of_the_system(error)
    if _lacks_memory(error):
        return kind, f"There is no memory left{f' ({words.splitlines()[0]})' if words else ''}. Close something, or lower --bs."
    further = "" if debug else " Run again with --debug for the traceback, and report it."
    return "Error", f"This is a bug in sightline, or in something that it uses: {kind}: {words.rstrip('.')}.{further}"


def say(kind: str, words: str) -> None:
    """A message on standard error."""
    typer.echo(f"{typer.style(kind, fg='red', bold=True)}: {for_terminal(words, lines=True)}", err=True)


def say_usage(error: Exception) -> int:
    """Tell what is wrong with the command line itself, as typer found it; its exit code."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error), err=True)
    else:
        _name_the_closest(error)
        words = _with_value(error, str(error.format_message()).strip())  # type: ignore[attr-defined]
        name = context.command_path if context is not None else "sightline"
        say("Error", f"{words}{'' if words.endswith(('.', '?')) else '.'} See `{name} --help`.")
    return USERS


def _name_the_closest(error: Any) -> None:
    """After a misspelt option, say which was meant."""
    if getattr(error, "possibilities", None):
        error.message = f"{error.message.rstrip('.')}. {did_you_mean(error.option_name, error.possibilities)}"
        error.possibilities = None


def _with_value(error: Exception, words: str) -> str:
    """What typer says of a value, and the value: pydantic, by which it converts, leaves it out."""
    findings = getattr(error.__cause__, "errors", None)
    if findings is None:
        return words
    given = str(findings()[0].get("input"))
    return words.replace("Value error, ", "").replace("Input should be", f"{given!r} should be")


def is_usage(error: Exception) -> bool:
    """Whether typer has found the command line to be wrong: its class lives in another package from release to release."""
    return hasattr(error, "format_message")


def leave_quietly() -> int:
    """Whoever read the output through a pipe has gone: nothing more is written to it, not even by Python itself at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    return OURS


def _of_the_system(error: OSError) -> str:
    what = error.strerror or str(error)
    name = error.filename2 or error.filename
    if name is not None:
        what += f": {str(name)!r}"
    advice = ADVICE.get(error.errno or 0, "Correct the path, or name another one." if name is not None else "")
    return f"{what}. {advice}".rstrip()


def _lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory cannot be had: PyTorch has no class for it on a CPU, and its own for devices."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was made from."""
    while error is not None:
        yield error
        error = error.__cause__

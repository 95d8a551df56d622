"""DataCheck: what was found in the data, as values: for a table on the screen, a DataFrame, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline.errors import counted
from sightline.escaping import for_terminal

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first. An error makes figures wrong or pictures useless; a warning may; a note is good to know."""
COLUMNS = ("severity", "code", "file", "detail", "group", "what", "to_do")
_SHOWN_FILES = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was found, with all files that it was found in.

    Attributes:
        code: Its name for programs, such as 'leak' or 'truncated'.
        severity: 'error', 'warning' or 'note'.
        what: What it is, as a sentence.
        to_do: What to do about it, as a sentence.
        count: How many there are of it: files, pairs or classes, as `what` says.
        files: The files' names, below the folder of the data where they lie there; empty where it is about no single file.
        details: What is said of each file: a reason, a size, its part and label; as many as files, or none.
        groups: Number of the group that each file is in, where several files make one case; as many as files, or none.
        classes: The classes' names, where it is about classes.
    """

    code: str
    severity: Severity
    what: str
    to_do: str
    count: int
    files: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataCheck:
    """What was found in a data set, the worst first.

    Attributes:
        findings: One for each kind of finding.
        pictures: How many pictures were looked at.
        root: The folder that names are relative to.
        seconds: How long it took.
        known: Of how many pictures all was known from an earlier check.
    """

    findings: tuple[Finding, ...]
    pictures: int
    root: Path | None = None
    seconds: float = 0.0
    known: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found that counts as an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def __getitem__(self, code: str) -> Finding | None:
        """The finding with this code, if there is one."""
        return next((finding for finding in self.findings if finding.code == code), None)

    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity."""
        return {severity: sum(finding.severity == severity for finding in self.findings) for severity in SEVERITIES}

    @property
    def headline(self) -> str:
        """What was looked at and how much was found, as a sentence."""
        counts = [counted(number, severity) for severity, number in self.counts().items() if number]
        found = ", ".join(counts) or "nothing to object to"
        return f"{counted(self.pictures, 'picture')} looked at in {self.seconds:.1f} s: {found}."

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame with a row for each file, or class, of each finding.

        Columns: severity, code, file (None where a finding is about no single file), detail (the class, where it is about
        classes), group (-1 where files are single cases), what, to_do.
        """
        import pandas as pd

        return pd.DataFrame([row for finding in self.findings for row in _rows(finding)], columns=list(COLUMNS))

    def to_json(self) -> dict[str, Any]:
        """Plain values; bytes of file names that are no UTF-8 are written out."""
        return {
            "pictures": self.pictures,
            "root": None if self.root is None else for_terminal(self.root),
            "seconds": round(self.seconds, 3),
            "ok": self.ok,
            "counts": self.counts(),
            "findings": [_plain(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        lines = [self.headline]
        for finding in self.findings:
            lines.append(f"\n{finding.severity.upper():<8} {for_terminal(finding.what)}")
            lines.extend(f"           {line}" for line in shown_files(finding, _SHOWN_FILES))
            lines.append(f"         > {for_terminal(finding.to_do)}")
        return "\n".join(lines)


def shown_files(finding: Finding, most: int | None) -> list[str]:
    """The files of a finding in lines for the screen, quoted, files of one case side by side; past `most`, how many more."""
    cases = list(_cases(finding).values())
    lines = [" = ".join(_told(finding, place) for place in places) for places in cases[:most]]
    more = 0 if most is None else len(cases) - most
    return [*lines, f"and {more:,} more"] if more > 0 else lines


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first, in the order that they were found in otherwise."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _cases(finding: Finding) -> dict[int, list[int]]:
    cases: dict[int, list[int]] = {}
    for place in range(len(finding.files)):
        cases.setdefault(finding.groups[place] if finding.groups else place, []).append(place)
    return cases


def _told(finding: Finding, place: int) -> str:
    detail = f" ({for_terminal(finding.details[place])})" if finding.details and finding.details[place] else ""
    return f"{quoted(finding.files[place])}{detail}"


def quoted(name: str) -> str:
    """A name as it is shown: in quotes, with what would steer a terminal written out."""
    return f"'{for_terminal(name)}'"


def _rows(finding: Finding) -> list[tuple[Any, ...]]:
    end = (finding.what, finding.to_do)
    if not finding.files:
        return [(finding.severity, finding.code, None, name, -1, *end) for name in finding.classes or ("",)]
    details, groups = finding.details or ("",) * len(finding.files), finding.groups or (-1,) * len(finding.files)
    cells = zip(finding.files, details, groups, strict=True)
    return [(finding.severity, finding.code, *cell, *end) for cell in cells]


def _plain(finding: Finding) -> dict[str, Any]:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(finding).items()}
    return {name: _encodable(value) for name, value in values.items()}


def _encodable(value: Any) -> Any:
    """Text that any encoding of Unicode can hold: halves of characters, as file names may have, are written out."""
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", errors="surrogatepass").decode("utf-8", errors="backslashreplace")

"""The text of src/sightline/__init__.pyi, made from the table in __init__.py: `python tests/house/stub.py` writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sightline

STUB = Path(__file__).parents[2] / "src" / "sightline" / "__init__.pyi"


def stub_text() -> str:
    """One line a name; `as` is how a stub says that a name is public."""
    imports = [f"from {home} import {name} as {name}" for home, names in sightline._HOMES.items() for name in names.split()]
    head = '"""The public names for type checkers and editors; made by tests/house/stub.py from the table in __init__.py."""'
    return "\n".join([head, "", *sorted(imports), ""])


if __name__ == "__main__":
    STUB.write_text(stub_text(), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "check", "--select", "I", "--fix", STUB], check=True)

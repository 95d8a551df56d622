"""The command line: `sightline train`, `predict`, `evaluate` and `demo`.

Each command is a file with its options, light to import so that `--help` is quick; what it does is loaded when it runs.
"""

from sightline.cli.app import main

__all__ = ["main"]

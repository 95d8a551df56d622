"""PyTorch is imported with the garbage collector paused, and only where nobody has imported it."""

from __future__ import annotations

import gc
import subprocess
import sys

from sightline.starting import import_torch


def test_what_torch_makes_is_permanent_and_the_collector_goes_on():
    program = (
        "import gc, sys\nfrom sightline import Resize\n"
        "assert 'torch' in sys.modules and gc.isenabled()\nprint(gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert int(done.stdout) > 100_000


def test_where_torch_is_loaded_nothing_is_done():
    before = gc.get_freeze_count()
    import_torch()
    assert gc.get_freeze_count() == before

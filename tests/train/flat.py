"""What a run holds after each of many epochs: memory, open files, threads, shared memory. One line of JSON an epoch.

python tests/train/flat.py FOLDER EPOCHS cache|decode [WORKERS]
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
from pathlib import Path


def held() -> dict[str, int]:
    """What this process holds now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text().splitlines()
    resident = next(line for line in status if line.startswith("VmRSS:"))
    return {
        "kilobytes": int(resident.split()[1]),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "shared": len(list(Path("/dev/shm").iterdir())),
    }


def main(folder: str, epochs: str, reading: str, workers: str = "2") -> None:
    import torch

    from sightline import ImageDataLoaders, Resize, aug_transforms, vision_learner
    from sightline.train.events import Callback

    class Tell(Callback):
        def after_epoch(self) -> None:
            print(json.dumps(held()), flush=True)

    torch.set_num_threads(1)
    dls = ImageDataLoaders.from_folder(
        folder,
        valid_pct=0.25,
        item_tfms=Resize(32),
        batch_tfms=aug_transforms(),
        bs=16,
        seed=1,
        device="cpu",
        cache=reading == "cache",
        num_workers=int(workers),
    )
    learn = vision_learner(dls, "test_resnet", pretrained=False, cbs=Tell())
    with learn.no_bar():
        learn.fit(int(epochs), 1e-3)


if __name__ == "__main__":
    main(*sys.argv[1:])

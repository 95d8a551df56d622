"""Which versions are in use: this package's own, and those of the packages that results depend on."""

from __future__ import annotations

__version__ = "0.1.0"

RECORDED = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors")


def versions_in_use() -> dict[str, str]:
    """Versions by package name: sightline's own, and of what is installed among `RECORDED`."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"sightline": __version__}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

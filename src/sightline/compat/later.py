"""What scripts expect of pandas, matplotlib and torchvision, loaded when it is used: together they take longer than PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = {"matplotlib": "matplotlib", "models": "torchvision.models", "pd": "pandas", "plt": "matplotlib.pyplot"}
"""What scripts call a module, and its name."""

CLASSES = {"CategoricalDtype": "pandas"}
"""Classes by name, and their modules; those of published weights (`ResNet34_Weights`) are torchvision's."""


def later(name: str) -> LaterModule | LaterClass:
    """What stands for a name until it is used."""
    if name in MODULES:
        return LaterModule(MODULES[name])
    return LaterClass(CLASSES.get(name, "torchvision.models"), name)


class LaterModule(ModuleType):
    """Stands for a module: reads, sets and deletes what that one has."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(import_module(self.__name__), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(import_module(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(import_module(self.__name__))


class LaterClass:
    """Stands for a class: is called, asked for members, inherited from, and used with `isinstance`, as that one is."""

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def _real(self) -> Any:
        module, name = self._place
        return getattr(import_module(module), name)

    def __getattr__(self, name: str) -> Any:
        if name == "_place":  # of a copy that is still empty
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._real()(*args, **options)

    def __getitem__(self, key: Any) -> Any:
        return self._real()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._real())

    def __len__(self) -> int:
        return len(self._real())

    def __contains__(self, member: Any) -> bool:
        return member in self._real()

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._real())

    def __subclasscheck__(self, kind: type) -> bool:
        return issubclass(kind, self._real())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        return (self._real(),)

    def __eq__(self, other: object) -> bool:
        return self._real() is (other._real() if isinstance(other, LaterClass) else other)

    def __hash__(self) -> int:
        return hash(self._real())

    def __dir__(self) -> list[str]:
        return dir(self._real())

    def __repr__(self) -> str:
        return repr(self._real())

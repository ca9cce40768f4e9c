"""Public names of a folder that are loaded when they are first used, so that importing the folder costs little."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(
    package: str, home: Mapping[str, str], public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    home : mapping of str to str
        The module that each name is loaded from.
    public : sequence of str
        Its ``__all__``, for the error's message.
    """
    namespace = vars(sys.modules[package])

    def get(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(public)}")
        value = getattr(import_module(home[name]), name)
        namespace[name] = value  # the next access does not come through here
        return value

    return get, lambda: sorted({*namespace, *public})

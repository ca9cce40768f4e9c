"""Loading at first use: public names of a folder, so that importing it is fast, and packages of the extras."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module

from striate.errors import UsageError

__all__ = ["homes", "lazy_names", "needs", "needs_torch"]


@contextmanager
def needs(module: str, extra: str, who: str, instead: str = "") -> Iterator[None]:
    """Import a module of an extra inside the block; if the module is missing, a UsageError names the extra.

    Parameters
    ----------
    module, extra : str
    who : str
        The beginning of the message, up to its verb: ``"training LISTA needs torch"``.
    instead : str
        What to use if the extra is not installed, if anything.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        message = f"{who}, which is not installed: pip install striate[{extra}]"
        raise UsageError(f"{message}; {instead}" if instead else message) from None


def needs_torch(who: str, instead: str = "") -> AbstractContextManager[None]:
    """`needs` for torch, used around the import of a module that needs it."""
    return needs("torch", "torch", who, instead)


def homes(package: str, names: Mapping[str, str]) -> dict[str, str]:
    """The module of each name, for `lazy_names`, from the names of each module of a package, separated by spaces."""
    return {name: f"{package}.{module}" for module, listed in names.items() for name in listed.split()}


def lazy_names(
    package: str, home: Mapping[str, str], public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    home : mapping of str to str
        For each name, the module that defines it.
    public : sequence of str
        Its ``__all__``, for the error's message.
    """
    namespace = vars(sys.modules[package])

    def get(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(public)}")
        value = getattr(import_module(home[name]), name)
        namespace[name] = value  # the next access finds it without this function
        return value

    return get, lambda: sorted({*namespace, *public})

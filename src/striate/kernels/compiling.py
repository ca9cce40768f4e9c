"""Compilation of kernels: at first use, for one signature, and cached on disk in a folder that the user can write to.

The same call must give the same bits whether its kernel was compiled in this process or comes from the cache. If a
kernel called another compiled function, its machine code would be found by name among all code that is loaded, which
may have a copy that was optimized differently. Kernels therefore call no functions: shared functions are `inlined`
into each of them.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import inspect
import pickle
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from striate.progress import Progress

__all__ = ["FAST_MATH", "announce", "compile_all", "compiled", "compiler", "inlined"]

# Sums may be reordered, so that they vectorize; NaN and infinity keep their meaning.
FAST_MATH = {"reassoc", "contract", "nsz"}
_PATIENCE = 1.0  # seconds until a message explains the wait
_PACKAGE = Path(__file__).parent.parent

Make = TypeVar("Make", bound=Callable[..., Any])

_compilers: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {}
_compiling = threading.RLock()
_has_told = False
_is_wanted: bool | None = None  # None: only if standard error is a terminal


def announce(wanted: bool) -> None:
    """Say on standard error when kernels are being compiled, or never; by default only on a terminal."""
    global _is_wanted
    _is_wanted = wanted


def inlined(function: Make) -> Make:
    """Let kernels call a function, which becomes part of each of them; when called from Python it is unchanged."""
    from numba.extending import register_jitable

    return register_jitable(fastmath=FAST_MATH, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )


def compiler(*types: str) -> Callable[[Make], Make]:
    """Decorate a function that compiles a kernel: it is called once per argument, and registered for `compile_all`.

    Parameters
    ----------
    *types : str
        Names of the types that the function takes, each as a `numpy.dtype`; none for a function without arguments.
    """

    def decorate(make: Make) -> Make:
        once = functools.cache(make)
        _compilers[f"{make.__module__}.{make.__qualname__}"] = once, types
        return once  # type: ignore[return-value]

    return decorate


def compile_all(progress: Progress | None = None) -> int:
    """Compile every kernel of striate for every type, or load it from the cache; return their number."""
    import numpy as np

    for path in sorted(_PACKAGE.rglob("*.py")):
        if "\n@compiler(" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(["striate", *path.relative_to(_PACKAGE).with_suffix("").parts]))
    calls = [(make, name) for make, types in _compilers.values() for name in types or [""]]
    with (progress or Progress()).phase("compiling kernels", total=len(calls), unit="kernels") as phase:
        for make, name in calls:
            make(*[np.dtype(name)] if name else [])
            phase.advance()
    return len(calls)


def compiled(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Compile for one signature, or load the machine code from the cache; compiling takes seconds.

    Parameters
    ----------
    function : callable
        A plain function. Its file, and the files of striate that it imports, are the key of the cache.
    signature : str or numba signature
    """
    from numba import config, njit

    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    message = threading.Timer(_PATIENCE, _tell)
    message.daemon = True
    if sys.stderr is not None and (sys.stderr.isatty() if _is_wanted is None else _is_wanted):
        message.start()
    try:
        for cached in (True, False):
            kernel: Any = njit(nogil=True, fastmath=FAST_MATH)(function)
            try:
                if cached:
                    kernel._cache = _sound_cache(function)
                with _quick_compilation():
                    kernel.compile(signature)
            except Exception:  # neither folder is writable, or the cache has foreign content: compile without it
                if not cached:
                    raise
            else:
                break
    finally:
        message.cancel()
    kernel.disable_compile()
    return kernel


@contextmanager
def _quick_compilation() -> Iterator[None]:
    """Let numba optimize only the kernel, and not also each function that is inlined into it.

    Python's garbage collector is switched off meanwhile: it frees hardly anything during a compilation, which takes a
    seventh less time without it.
    """
    from numba import config
    from numba.core import event

    full = config.OPT  # type: ignore[attr-defined]
    depth = 0

    def move(step: int) -> None:
        nonlocal depth
        depth += step
        config.OPT = full if depth <= 1 else type(full)(1)  # type: ignore[attr-defined]

    class Levels(event.Listener):
        def on_start(self, event: Any) -> None:
            move(1)

        def on_end(self, event: Any) -> None:
            move(-1)

    with _compiling:
        listener = Levels()
        collects = gc.isenabled()
        gc.disable()
        event.register("numba:compile", listener)
        try:
            yield
        finally:
            if collects:
                gc.enable()
            event.unregister("numba:compile", listener)
            config.OPT = full  # type: ignore[attr-defined]


def _tell() -> None:
    global _has_told
    if _has_told:  # once per process is enough
        return
    _has_told = True
    with suppress(OSError, ValueError):
        sys.stderr.write("striate compiles its kernels: some seconds, the first time only (striate warm-up: all now)\n")


def _sound_cache(function: Callable[..., Any]) -> Any:
    """Numba's cache, in files with checksums: kernels whose files are cut off, empty or damaged are compiled again."""
    from numba.core.caching import FunctionCache, IndexDataCacheFile

    class Files(IndexDataCacheFile):
        def _load_index(self) -> Any:
            try:
                return super()._load_index()
            except Exception:  # empty, cut off, or written by another program: pickle may raise anything
                return {}

        def _save_index(self, overloads: Any) -> None:
            with suppress(OSError):  # if the disk is full, only the cache is lost
                super()._save_index(overloads)

        def _save_data(self, name: str, data: Any) -> None:
            content = self._dump(data)
            with suppress(OSError), self._open_for_write(self._data_path(name)) as file:
                file.write(hashlib.sha256(content).digest() + content)

        def _load_data(self, name: str) -> Any:
            content = Path(self._data_path(name)).read_bytes()
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                return None
            return pickle.loads(content[32:])

    cache = FunctionCache(function)
    locator = cache._impl.locator
    cache._cache_file = Files(locator.get_cache_path(), cache._impl.filename_base, _stamp(inspect.getfile(function)))
    return cache


@functools.cache
def _stamp(file: str) -> str:
    """A digest of a file of striate and of all files of striate that it imports: the code of its kernels."""
    digest = hashlib.sha256()
    seen: set[Path] = set()
    waiting = [Path(file)]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += _imported_by(path)
    for path in sorted(seen):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _imported_by(path: Path) -> Iterator[Path]:
    """Files of striate that a file imports at its top."""
    for name in re.findall(r"^from (striate(?:\.\w+)+) import ", path.read_text(encoding="utf-8"), re.MULTILINE):
        module = _PACKAGE.joinpath(*name.split(".")[1:])
        for file in (module.with_suffix(".py"), module / "__init__.py"):
            if file.is_file():
                yield file

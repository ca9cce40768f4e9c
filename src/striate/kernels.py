"""How kernels are compiled: at first use, for one signature, and kept on disk where the user can write."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["FAST_MATH", "compiled"]

# Sums may be reordered, so that they vectorize; NaN and infinity keep their meaning.
FAST_MATH = {"reassoc", "contract", "nsz"}
_PATIENCE = 1.5  # seconds until somebody who watches is told what takes so long


def compiled(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Compile for one signature: machine code from the cache, or, once, in seconds.

    Parameters
    ----------
    function : callable
        A plain function, in a file of its own that changes with it: its modification time is the cache's key.
    signature : str or numba signature
    """
    from numba import njit

    def compile_it(*, cache: bool) -> Callable[..., Any]:
        kernel: Callable[..., Any] = njit(signature, cache=cache, nogil=True, fastmath=FAST_MATH)(function)
        return kernel

    message = threading.Timer(_PATIENCE, _tell)
    message.daemon = True
    if sys.stderr is not None and sys.stderr.isatty():
        message.start()
    try:
        return compile_it(cache=True)
    except RuntimeError:  # neither the package's folder nor the user's cache is writable
        return compile_it(cache=False)
    finally:
        message.cancel()


def _tell() -> None:
    sys.stderr.write("striate compiles its kernels: some seconds, the first time only\n")

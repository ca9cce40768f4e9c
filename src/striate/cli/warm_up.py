"""``striate warm-up``: compile every kernel now, for example when a container is built."""

from __future__ import annotations

from striate.cli._options import AsJson, Quiet, emit


def warm_up(quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Compile all kernels of striate ahead of their first use.

    Otherwise each kernel is compiled at its first use, which takes some seconds. The result is kept in the folder of
    the package or in NUMBA_CACHE_DIR, and is for the type of processor that it was compiled on.
    """
    import time

    from striate import kernels
    from striate.progress import RichProgress

    kernels.announce(False)  # the progress bar shows it
    started = time.perf_counter()
    n_kernels = kernels.compile_all(RichProgress(quiet=quiet))
    seconds = time.perf_counter() - started
    emit({"kernels": n_kernels, "seconds": seconds}, as_json, f"{n_kernels} kernels are ready ({seconds:.1f} s)")

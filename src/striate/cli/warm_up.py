"""``striate warm-up``: compile every kernel now, as for an image of a container or a class room."""

from __future__ import annotations

from striate.cli._options import AsJson, Quiet, emit


def warm_up(quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Compile all that striate computes with, ahead of its first use.

    Otherwise each part is compiled when it is first used, which takes some seconds. The result is kept beside the
    package, or where NUMBA_CACHE_DIR says, and belongs to the kind of processor that it was compiled on.
    """
    import time

    from striate import kernels
    from striate.progress import RichProgress

    kernels.announce(False)  # the progress bar says it
    started = time.perf_counter()
    n_kernels = kernels.compile_all(RichProgress(quiet=quiet))
    seconds = time.perf_counter() - started
    emit({"kernels": n_kernels, "seconds": seconds}, as_json, f"{n_kernels} kernels are ready ({seconds:.1f} s)")

"""The folder for files that striate can compute again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Return ``STRIATE_CACHE``, or striate's folder in the user's cache folder. It need not exist."""
    chosen = os.environ.get("STRIATE_CACHE")
    if chosen:
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("striate"))

"""The origin of a measurement: version, commit, machine and libraries, as results and benchmarks record it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import striate

# The packages that compute. torch is an extra, and absent from `versions` if it is not installed.
_PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "pillow", "torch")


def current_provenance() -> dict[str, Any]:
    """Return the origin that a results file records.

    Returns
    -------
    dict
        ``striate`` (version), ``checkout`` (``commit`` and ``dirty``), ``versions``, ``machine`` and ``date``
        (UTC, ISO 8601). It has no path, no name of the user and no name of the machine.
    """
    return {
        "striate": striate.__version__,
        "checkout": checkout(),
        "versions": versions(),
        "machine": machine(),
        "date": now(),
    }


def now() -> str:
    """Return the date and time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute, without importing them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Return ``cpu_count``, ``cpu_model``, ``memory_bytes`` (each None where unknown) and ``system``."""
    return {
        "cpu_count": _usable_cpus(),
        "cpu_model": _cpu_model(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def repository() -> Path | None:
    """Return the root of the checkout that this package runs from; None for an installed package."""
    root = Path(striate.__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "src" / "striate").is_dir() else None


def checkout() -> dict[str, Any]:
    """Return the checkout's ``commit`` and whether it is ``dirty``; both None outside a checkout.

    A checkout is dirty if tracked files differ from the commit, except those in ``results``, which experiments write.
    """
    root = repository()
    if root is None or not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    head = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    if head is None or changes is None:
        return {"commit": None, "dirty": None}
    return {"commit": head.strip(), "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    # Without optional locks, reading the state never disturbs a commit by someone else.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None  # Windows has no such call

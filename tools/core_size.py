"""Measure what the core install takes on disk: striate and every package that it needs without extras.

Prints the packages, largest first, and the sum, which the README states; ends with 1 if it exceeds the limit.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

LIMIT = 650_000_000  # bytes; llvmlite, SciPy, NumPy and scikit-learn are most of it


def core_packages() -> list[str]:
    """Return the normalized names of striate and all that it needs, directly or not, without extras."""
    found: dict[str, set[str]] = {}  # the extras with which each package is wanted
    waiting = [Requirement("striate")]
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        extras = {"", *wanted.extras}
        if extras <= found.get(name, set()):
            continue
        found[name] = found.get(name, set()) | extras
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(requirement)
    return sorted(found)


def size_on_disk(package: str) -> int:
    """Return the bytes of the disk's blocks that an installed package's files take."""
    distribution = metadata.distribution(package)
    files = {Path(str(distribution.locate_file(file))) for file in distribution.files or []}
    if package == "striate":  # installed in place: its files are not in the list
        import striate

        files |= {path for path in Path(striate.__path__[0]).rglob("*") if "__pycache__" not in path.parts}
    return sum(path.stat().st_blocks * 512 for path in files if path.is_file())


def main() -> int:
    """Print the sizes; return the exit code."""
    sizes = {package: size_on_disk(package) for package in core_packages()}
    for package, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:8.1f} MB  {package}")
    total = sum(sizes.values())
    print(f"{total / 1e6:8.1f} MB  in all; the limit is {LIMIT / 1e6:.0f} MB")
    return int(total > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

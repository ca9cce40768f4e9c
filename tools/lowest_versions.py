"""Print what the core and the named extras require, at the lower bounds: ``numpy==2.0`` and so on.

``make test-lowest`` installs these, to hold what pyproject.toml promises.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print one pinned requirement a line."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    requirements = list(project["dependencies"])
    for extra in sys.argv[1:]:
        requirements += project["optional-dependencies"][extra]
    for requirement in requirements:
        bound = re.match(r"([\w.-]+)>=([\w.]+)", requirement)
        if bound is None:
            sys.exit(f"pyproject.toml: {requirement!r} has no lower bound")
        print(f"{bound[1]}=={bound[2]}")


if __name__ == "__main__":
    main()

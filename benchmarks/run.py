"""Run all benchmarks, or those that are named: python benchmarks/run.py [NAME ...] [--busy]."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """Run each in a process of its own; return 1 if one of them failed."""
    files = {
        path.stem: path
        for path in sorted(FOLDER.glob("*.py"))
        if path != Path(__file__).resolve() and not path.stem.startswith("_")
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(files)}")
    parser.add_argument("--busy", action="store_true", help="measure on a busy machine; the results say so")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in files]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(files)}")
    failed = []
    for name in options.names or files:
        command = [sys.executable, str(files[name]), *(["--busy"] if options.busy else [])]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

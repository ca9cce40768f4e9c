"""Bring the README's tables of results up to date with ``results``; with ``--check``, only say whether they are.

    python tools/readme_tables.py [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``, where NAME is an experiment's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from striate.errors import StriateError
from striate.experiments import list_experiments, rewrite_tables

README = Path(__file__).resolve().parents[1] / "README.md"


def main(arguments: list[str]) -> int:
    """Rewrite or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(f"unknown arguments {' '.join(arguments)}; the only option is --check", file=sys.stderr)
        return 2
    text = README.read_text("utf-8")
    try:
        rewritten = rewrite_tables(text, list_experiments())
    except StriateError as error:
        print(f"README.md: {error}", file=sys.stderr)
        return error.exit_code
    if rewritten == text:
        print("README.md is in step with the results")
        return 0
    if arguments:
        print("README.md is not in step with the results; run: python tools/readme_tables.py", file=sys.stderr)
        return 1
    README.write_text(rewritten, "utf-8")
    print("README.md: tables rewritten")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m striate`` is the command ``striate``."""

from __future__ import annotations

from striate.cli.main import run

run()

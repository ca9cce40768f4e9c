"""docs/images.md says what the library does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from striate.images.kinds import _ALWAYS
from striate.images.memory import BUDGET
from striate.images.opening import MAX_PIXELS

GUIDE = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "2 (3, 6, 9) []"


def test_limits_are_those_of_the_library() -> None:
    assert f"more than {MAX_PIXELS // 10**6} million pixels" in GUIDE
    assert f"budget of {BUDGET.n_bytes // 2**20} MiB" in GUIDE


def test_every_format_is_named() -> None:
    lower = GUIDE.lower()
    same = {"jpg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "apng": "png", "tif": "tiff", "dib": "bmp"}
    for ending in _ALWAYS:
        name = ending.removeprefix(".")
        assert same.get(name, name) in lower, ending

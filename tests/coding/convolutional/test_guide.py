"""The examples of docs/convolutional.md run, and say what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[3] / "docs" / "convolutional.md").read_text(encoding="utf-8")


def test_the_examples_run() -> None:
    pytest.importorskip("skimage")
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "(8, 56, 76) True True",
        "(1, 60, 80)",
        "(8, 64, 84) (1, 60, 80)",
        "True True",
        "(32, 32) True",
        "(8, 1, 5, 5) (2, 8, 28, 36)",
        "True",
        "(8, 1, 5, 5) (2, 8, 28, 36) (2, 8, 28, 36)",
    ]

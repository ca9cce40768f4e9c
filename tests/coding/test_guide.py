"""The examples of docs/sparse-coding.md run, and say what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "sparse-coding.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.kernels


def test_the_examples_run() -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert words[:3] == ["True", "True", "0.0"]
    # Codes of a wanted size, the best ones last.
    assert words[3::2] == ["homotopy", "omp", "orthogonal_least_squares"]
    errors = [float(word) for word in words[4::2]]
    assert errors == sorted(errors, reverse=True)

"""The examples of docs/autoencoders.md run, and say what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

GUIDE = (Path(__file__).parents[2] / "docs" / "autoencoders.md").read_text(encoding="utf-8")


def test_the_examples_run() -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    likelihood, codes, mapped = done.stdout.splitlines()
    assert -350 < float(likelihood.split()[0]) < -100
    assert codes == "(2000, 16) (2000, 784)"
    assert mapped == "(2000, 2)"

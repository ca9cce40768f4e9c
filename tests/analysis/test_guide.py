"""The examples of docs/maps.md run, and say what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

GUIDE = (Path(__file__).parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    sizes, differences, density, surrogate, noise, sift, product = done.stdout.splitlines()
    assert sizes == "(128, 128) 14"
    assert differences.endswith("True")
    assert density.endswith("()")
    found, error = map(float, density.removesuffix(" ()").split(" ± "))
    for control in re.findall(r"\d\.\d", surrogate):
        assert abs(float(control) - found) < 4 * error + 0.1
    assert "no plateau" in noise
    assert sift.startswith("[0. ")
    assert product == "(2000, 6) (2000, 3, 24) (1, 3, 16)"
    assert (tmp_path / "maps-random.png").stat().st_size > 10_000

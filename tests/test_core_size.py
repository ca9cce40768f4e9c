from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[1] / "tools" / "core_size.py"


def test_the_core_install_stays_small_and_without_torch() -> None:
    result = subprocess.run([sys.executable, str(TOOL)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    packages = {line.split()[2] for line in result.stdout.splitlines()}
    assert {"striate", "numba", "llvmlite", "scipy", "matplotlib"} <= packages
    assert not {"torch", "scikit-image", "opencv-python-headless", "pytest"} & packages

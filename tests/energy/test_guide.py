"""The guide's page on energies: its code runs, and says what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "energies.md").read_text(encoding="utf-8")


def test_the_code_runs_and_makes_the_images(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    # Fewer batches and points than the page has, for time.
    code = re.sub(r"snapshots = \(.*?\)", "snapshots = (0, 10, 30)", code)
    code = code.replace("n_batches=600", "n_batches=30").replace("10_000", "2_000").replace("size=200", "size=50")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    on_arm, between = (float(number) for number in lines[0].strip("[]").split())
    assert on_arm < between
    shares = [int(re.findall(r"(\d+)% of the window", line)[0]) for line in lines[1:5]]
    pca, k_means, sparse, hardly_sparse = shares
    assert max(pca, k_means, sparse) < 30
    assert hardly_sparse == 100
    with Image.open(tmp_path / "energies-learning.gif") as film:
        assert film.n_frames == 3  # type: ignore[attr-defined]
    assert (tmp_path / "energies-machines.png").stat().st_size > 10_000


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(targets) == 5
    for target in targets:
        assert (DOCS / target).exists(), target

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from striate.experiments import list_experiments, rewrite_tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_in_python_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    labels, accuracy = done.stdout.rsplit("]", 1)
    assert len(re.findall(r"'\d'", labels)) == 4
    assert float(accuracy) > 0.8
    assert (tmp_path / "digits.safetensors").exists()


def test_tables_are_those_of_the_results() -> None:
    assert rewrite_tables(README, list_experiments(ROOT / "results")) == README


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target

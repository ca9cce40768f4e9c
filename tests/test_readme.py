from __future__ import annotations

import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning, sparse_encode
from sklearn.decomposition import SparseCoder as OfScikitLearn

from striate import SparseCoder, SparseCoding, infer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_in_python_runs(tmp_path: Path) -> None:
    example, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    labels, accuracy = done.stdout.rsplit("]", 1)
    assert len(re.findall(r"\b\d\b", labels)) == 4
    assert float(accuracy) > 0.8
    assert (tmp_path / "digits.safetensors").exists()


def test_the_example_of_sparse_codes_runs(tmp_path: Path) -> None:
    _, example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    shape, active = done.stdout.splitlines()
    assert shape.startswith("(5000, 100) ")
    assert float(shape.split()[-1]) < 2e-4
    assert int(active) == pytest.approx(0.05 * 5000 * 100, rel=0.3)


def test_the_drop_in_table_names_parameters_that_exist() -> None:
    page = (ROOT / "docs" / "sparse-coding.md").read_text(encoding="utf-8")
    table = page[page.index("Coming from scikit-learn") :].split("\n\n")[1]
    for row in table.splitlines()[2:]:
        theirs, ours = (re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|"))
        known = {*SparseCoder().get_params(), *SparseCoding().get_params(), "infer", *signature(infer).parameters}
        peers = (OfScikitLearn(np.eye(2)), DictionaryLearning(), MiniBatchDictionaryLearning())
        known_there = {name for peer in peers for name in peer.get_params()} | {*signature(sparse_encode).parameters}
        assert set(theirs) <= known_there, row
        assert set(ours) <= known, row
        assert ours or "names" in row or "threads" in row, row


def test_tables_are_those_of_the_results() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "readme_tables.py", "--check"], check=False)
    assert done.returncode == 0


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        assert targets or page.parent.name == "docs"
        for target in targets:
            assert target.startswith("https:") or (page.parent / target).exists(), (page, target)

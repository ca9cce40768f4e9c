from __future__ import annotations

import re
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from sklearn import decomposition, linear_model
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning, sparse_encode
from sklearn.decomposition import SparseCoder as OfScikitLearn
from sklearn.linear_model import ElasticNet, Lasso, lars_path, orthogonal_mp_gram

import striate.coding
from striate import SparseCoder, SparseCoding, infer
from striate.experiments import EXPERIMENTS, load_experiment

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


def parameters(*things: Any) -> set[str]:
    """Names of what classes and functions take."""
    return {name for thing in things for name in signature(thing).parameters}


def test_the_drop_in_table_names_what_exists() -> None:
    page = (ROOT / "docs" / "sparse-coding.md").read_text(encoding="utf-8")
    table = page[page.index("Coming from scikit-learn") :].split("\n\n")[1]
    there = parameters(OfScikitLearn, DictionaryLearning, MiniBatchDictionaryLearning, sparse_encode, lars_path, Lasso)
    there |= parameters(ElasticNet, orthogonal_mp_gram) | {
        *dir(decomposition),
        *dir(linear_model),
        *dir(DictionaryLearning),
        "error_",
    }
    here = parameters(SparseCoder, SparseCoding, SparseCoding.fit, infer) | {*striate.__all__, *striate.coding.__all__}
    here |= {*dir(SparseCoding), *re.findall(r"\b\w+_\b", SparseCoding.__doc__ or "")}
    rows = table.splitlines()[2:]
    assert len(rows) > 15
    for row in rows:
        for cell, known in zip(row.strip("|").split("|"), (there, here), strict=True):
            named = {*re.findall(r"`(\w\w+)`", cell), *re.findall(r"\b(\w+)=", cell)}
            assert named <= known, row


def test_tables_are_those_of_the_results() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "readme_tables.py", "--check"], check=False)
    assert done.returncode == 0


def test_the_page_of_results_has_every_experiment_with_its_claim() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    claims = {name: " ".join(text.split()) for name, text in re.findall(r"^### (\S+)\n\n(.+?)\n\n", page, re.S | re.M)}
    assert claims == {name: load_experiment(name).claim for name in EXPERIMENTS}

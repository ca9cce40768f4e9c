from __future__ import annotations

import os
from pathlib import Path

import pytest

from striate.experiments.engine import fingerprint
from striate.experiments.engine.fingerprint import code_fingerprint, data_checksum, load_reached, reached


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package in striate's place."""
    files = {
        "striate/__init__.py": "from importlib import import_module\n_HOME = {'PSD': 'striate.learning'}\n"
        "if TYPE_CHECKING:\n    from striate.learning import PSD\n",
        "striate/errors.py": "class StriateError(Exception): pass\n",
        "striate/images/__init__.py": "from striate.images.digits import load_mnist_digits\nfrom .canvas import fit\n",
        "striate/images/digits.py": "from striate.errors import StriateError\ndef load_mnist_digits(): return 1\n",
        "striate/images/digits.npz": "digits",
        "striate/images/canvas.py": "def fit(): return 2\n",
        "striate/learning/__init__.py": "from striate.learning.psd import PSD\nfrom striate.learning.rbm import RBM\n",
        "striate/learning/psd.py": "def fit():\n    from ..images.canvas import fit\nclass PSD: pass\n",
        "striate/learning/rbm.py": "class RBM: pass\n",
        "striate/recognition/__init__.py": "",
        "striate/recognition/kinds.py": "import importlib\nKINDS = {'rbm': 'striate.learning.rbm:RBM'}\n",
        "striate/experiments/__init__.py": "from striate.experiments.engine.runner import run\n",
        "striate/experiments/engine/runner.py": "from striate.learning import RBM\ndef run(): pass\n",
        "striate/experiments/protocol.py": "SPLITS = 3\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(fingerprint, "_PACKAGE", tmp_path / "striate")
    return tmp_path / "striate"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from striate.images import load_mnist_digits", {"images/digits.py"}),
        ("from striate.images import digits", {"images/digits.py"}),
        ("def lazy():\n    from striate.learning import PSD", {"learning/psd.py", "images/canvas.py"}),
        ("from striate import PSD", {"learning/psd.py", "images/canvas.py"}),
        ("import striate.learning.rbm", {"learning/rbm.py"}),
        ("import striate.learning", {"learning/__init__.py", "learning/psd.py", "learning/rbm.py", "images/canvas.py"}),
        ("from striate.recognition import kinds", {"recognition/kinds.py", "learning/rbm.py"}),
        ("from striate.experiments import run", set()),
        ("from striate.experiments import protocol", {"experiments/protocol.py"}),
        ("from striate.experiments.protocol import SPLITS", {"experiments/protocol.py"}),
        ("import numpy", set()),
    ],
)
def test_imports_are_followed_to_the_file_that_computes(
    package: Path, tmp_path: Path, text: str, expected: set[str]
) -> None:
    source = tmp_path / "experiment.py"
    source.write_text(text)
    assert {path.relative_to(package).as_posix() for path in reached(source)} == expected


def test_relative_imports_of_an_experiment_are_followed(package: Path) -> None:
    source = package / "experiments" / "digits.py"
    source.write_text("from .protocol import SPLITS\nfrom ..images import fit\n")
    assert {path.name for path in reached(source)} == {"protocol.py", "canvas.py"}


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("images/digits.py", "def load_mnist_digits(): return 2\n", True),
        ("images/digits.py", '"""New."""\nfrom striate.errors import StriateError\ndef load_mnist_digits():\n'
                             '    "Doc."\n    return 1  # one\n', False),
        ("images/digits.npz", "other digits", True),
        ("images/canvas.py", "def fit(): return 3\n", False),
        ("learning/psd.py", "class PSD: steps = 3\n", False),
        ("errors.py", "class StriateError(Exception): exit_code = 1\n", False),
    ],
)  # fmt: skip
def test_the_fingerprint_changes_with_what_is_reached(
    package: Path, tmp_path: Path, file: str, text: str, changes: bool
) -> None:
    source = tmp_path / "experiment.py"
    source.write_text("from striate.images import load_mnist_digits\n")
    before = code_fingerprint(source)
    (package / file).write_text(text)
    assert (code_fingerprint(source) != before) == changes


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("def f(x): return x + 1", "def f(x: int) -> int: return x + 1", False),
        ("def f(x): raise ValueError('wrong')", "def f(x): raise ValueError(f'wrong: {x}')", False),
        ("def f(x): raise ValueError('wrong')", "def f(x): raise TypeError('wrong')", True),
        ("def f(x, n=1): return x", "def f(x, n=2): return x", True),
        ("N = 'a text that a program may need'", "N = 'another text'", True),
        ("class A:\n    x = 1\n    'what x is'", "class A:\n    x = 1", False),
        ("async def f(x): return x", "async def f(x) -> int: return x", False),
    ],
)
def test_only_what_computes_counts(tmp_path: Path, old: str, new: str, changes: bool) -> None:
    source = tmp_path / "experiment.py"
    source.write_text(old)
    before = code_fingerprint(source)
    source.write_text(new)
    assert (code_fingerprint(source) != before) == changes


def test_a_real_experiment_reaches_the_real_package(tmp_path: Path) -> None:
    source = tmp_path / "experiment.py"
    source.write_text("from striate.images import read_image\nfrom striate.experiments import Unit\n")
    names = {path.name for path in reached(source)}
    assert "decode.py" in names
    assert not names & {"unit.py", "runner.py", "errors.py", "patches.py"}
    load_reached(source)


def test_the_checksum_of_data_is_that_of_its_content(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    data = tmp_path / "data"
    for name, content in {"a.png": b"1", "b/c.png": b"2"}.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = data_checksum(data, memory)
    assert data_checksum(data, memory) == before

    data.rename(tmp_path / "elsewhere")
    data = tmp_path / "elsewhere"
    os.utime(data / "a.png", (0, 0))
    assert data_checksum(data, memory) == before, "neither place nor date counts"

    (data / "a.png").rename(data / "z.png")
    assert data_checksum(data, memory) != before
    (data / "z.png").rename(data / "a.png")
    assert data_checksum(data, memory) == before
    (data / "a.png").write_bytes(b"3")
    assert data_checksum(data, memory) != before


def test_data_is_not_read_again_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "digits.gz"
    data.write_bytes(b"1")
    first = data_checksum(data, tmp_path / "memory")

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(fingerprint, "_content_digest", refuse)
    assert data_checksum(data, tmp_path / "memory") == first
    for note in (tmp_path / "memory").iterdir():
        note.write_text("damaged")
    with pytest.raises(AssertionError, match="was read"):
        data_checksum(data, tmp_path / "memory")

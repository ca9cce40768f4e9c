"""Kernels: the same bits from the compiler as from the cache, and a cache that damage cannot spoil."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from striate.kernels import compiling

TESTS = Path(__file__).parent
SOURCE = "def double(x):\n    return 2 * x\n"
needs_compilation = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="compilation is off"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where kernels of this test are kept, and their modules found again."""
    from numba import config

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "doubling", raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    return folder


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


@pytest.fixture
def double(tmp_path: Path, cache: Path) -> Callable[[], Any]:
    """Compiles a function, as a new process would."""
    file = tmp_path / "doubling.py"
    file.write_text(SOURCE)
    return lambda: compiling.compiled(load(file).double, "int64(int64)")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@needs_compilation
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
        lambda file: file.write_bytes(b"garbage\n"),
        lambda file: file.write_bytes(bytes(1000)),
        lambda file: file.unlink(),
        flip,
    ],
    ids=["empty", "half", "text", "zeros", "gone", "one bit"],
)
def test_what_is_damaged_is_compiled_again(
    double: Callable[[], Any], cache: Path, suffix: str, damage: Callable[[Path], None]
) -> None:
    assert hits(double()) == 0
    assert hits(double()) == 1
    (file,) = cache.rglob(f"*.{suffix}")
    damage(file)
    again = double()
    assert again(21) == 42
    if damage is not flip or suffix == "nbc":  # a flipped bit of an index may be one that does not matter
        assert hits(again) == 0
    assert hits(double()) == 1
    assert double()(21) == 42


@needs_compilation
def test_a_cache_that_cannot_be_written_costs_only_time(double: Callable[[], Any], cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert double()(21) == 42


@needs_compilation
def test_a_kernel_is_known_by_its_source_and_what_that_imports(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "doubling.py"
    file.write_text(SOURCE)
    compiling.compiled(load(file).double, "int64(int64)")
    os.utime(file, (0, 0))  # as an installer may do
    compiling._stamp.cache_clear()
    assert hits(compiling.compiled(load(file).double, "int64(int64)")) == 1
    file.write_text(SOURCE.replace("2", "3"))
    compiling._stamp.cache_clear()
    assert compiling.compiled(load(file).double, "int64(int64)")(2) == 6
    imported = {path.name for path in compiling._imported_by(compiling._PACKAGE / "coding" / "_active_set.py")}
    assert {"simd.py", "products.py"} <= imported


@needs_compilation
def test_two_threads_may_compile_at_once(double: Callable[[], Any]) -> None:
    results: list[int] = []
    workers = [threading.Thread(target=lambda: results.append(double()(4))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [8] * 4


@needs_compilation
def test_people_are_told_only_where_they_look(
    double: Callable[[], Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_PATIENCE", 0.0)
    monkeypatch.setattr(compiling, "_has_told", False)
    monkeypatch.setattr(compiling, "_is_wanted", None)
    double()
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(compiling, "_is_wanted", True)
    double()
    double()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert capsys.readouterr().err.count("striate warm-up") == 1  # in a process


def test_functions_that_kernels_share_remain_functions() -> None:
    assert compiling.inlined(np.square) is np.square


@pytest.mark.slow
def test_the_first_process_and_the_next_give_the_same_bits(tmp_path: Path) -> None:
    """With an empty cache and then from the cache; every kernel of striate takes part."""

    def run() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS.parent)}
        done = subprocess.run(
            [sys.executable, "-m", "tests.kernel_work"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    assert len(first.splitlines()) > 30
    assert run() == first


@pytest.mark.slow
def test_kernels_call_nothing_that_computes(tmp_path: Path) -> None:
    """Of functions that are found by name, only those that manage memory are left."""
    script = (
        "import numpy as np\nfrom striate.kernels import compiling\ncompiling.compile_all()\n"
        "for make, types in compiling._compilers.values():\n"
        "    for name in types or ['']:\n"
        "        kernel = make(*[np.dtype(name)] if name else [])\n"
        "        for f in kernel.overloads[kernel.signatures[0]].library._final_module.functions:\n"
        "            if not f.is_declaration and f.linkage.name.startswith('linkonce'): print(f.name)\n"
    )
    # A kernel from the cache has lost its names: compile all of them anew.
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    called = set(done.stdout.split())
    assert "NRT_decref" in called  # or this test sees nothing
    assert {name for name in called if not name.startswith(("NRT_", "__excinfo", ".dtor."))} == set()

"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers share the processors: libraries compute on one thread, or wait without spinning, unless a test
    # asks for more. striate's own threads stay as many as a user has. They read this when they are loaded.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

import numpy as np
import pytest

from striate.kernels import compiling
from tests.file_server import FileServer


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests, and the processes that they start, neither read nor fill the user's cache of features."""
    os.environ["STRIATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _no_word_of_compiling() -> None:
    """With an empty kernel cache any command may have reason to say that it compiles; tests count its lines."""
    compiling._PATIENCE = 1e6


@pytest.fixture
def rng() -> np.random.Generator:
    """The one seeded source of random numbers of a test."""
    return np.random.default_rng(0)


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server on the loopback address, which no proxy of this machine may come between."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = FileServer()
    yield server
    server.close()


class DataFolder:
    """The data sets that ``STRIATE_DATA`` names: ``data_folder("mnist")`` is the path of one."""

    def __call__(self, name: str) -> Path:
        root = os.environ.get("STRIATE_DATA")
        if not root:
            pytest.skip(f"STRIATE_DATA is not set, and this test needs {name}")
        path = Path(root) / name
        if not path.exists():
            # Someone who sets STRIATE_DATA, as CI does, wants these tests to run: a missing set is a failure.
            pytest.fail(f"STRIATE_DATA is set, but holds no {name}")
        return path


@pytest.fixture
def data_folder(request: pytest.FixtureRequest) -> DataFolder:
    """Locate a full data set; only for tests marked ``data``."""
    if request.node.get_closest_marker("data") is None:
        pytest.fail("a test that uses data_folder must be marked: @pytest.mark.data")
    return DataFolder()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where STRIATE_DATA is set, a test marked ``data`` that skips, for whatever reason, has failed."""
    report = yield
    if report.skipped and item.get_closest_marker("data") and os.environ.get("STRIATE_DATA"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped, although STRIATE_DATA is set: {report.longrepr}"
    return report
